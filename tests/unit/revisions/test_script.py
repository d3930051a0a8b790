"""The graph as Alembic reads it, and what is said when it cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionMap
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from budeval_migrations.errors import (
    MigrationError,
    MultipleHeads,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.model import RevisionFile, RevisionNode
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.revisions.script import (
    downgrade_path,
    load_graph,
    open_directory,
    resolve_revision,
    upgrade_path,
)
from budeval_migrations.settings import Settings


@dataclass(frozen=True)
class Shelf:
    """A directory of revision files."""

    path: Path

    def put(
        self,
        name: str,
        down: str | tuple[str, ...] | None = None,
        *,
        declared: str | None = None,
        extra: str = "",
        body: str = "def upgrade():\n    pass\n",
        doc: str = "",
    ) -> Path:
        """Write a revision file."""
        path = self.path / f"{name}.py"
        path.write_text(
            f'"""{doc or name}"""\n\nrevision = {(declared or name)!r}\n'
            f"down_revision = {down!r}\n{extra}\n\n{body}",
            "utf-8",
        )
        return path

    def put_all(self, parents: Mapping[str, tuple[str, ...]]) -> None:
        """Write files for a graph."""
        for name, above in parents.items():
            self.put(name, above if len(above) > 1 else above[0] if above else None)

    @property
    def files(self) -> dict[str, RevisionFile]:
        """The files, hashed."""
        return read_files(Settings(versions=(str(self.path),)))

    @property
    def directory(self) -> ScriptDirectory:
        """Alembic's view, read anew."""
        return open_directory([str(self.path)])

    def graph(self) -> dict[str, RevisionNode]:
        """Import everything."""
        return load_graph(self.directory, self.files)

    def up(self, target: str, heads: Sequence[str] = ()) -> list[str]:
        """Return the ids of an upgrade."""
        return [script.revision for script in upgrade_path(self.directory, target, heads)]

    def down(self, target: str, heads: Sequence[str]) -> list[str]:
        """Return the ids of a downgrade."""
        return [script.revision for script in downgrade_path(self.directory, target, heads)]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """An empty directory for revision files, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "versions").mkdir()
    return Shelf(tmp_path / "versions")


CHAIN: dict[str, tuple[str, ...]] = {
    "001_initial_schema": (),
    "002_add_experiment_id": ("001_initial_schema",),
    "003_add_status": ("002_add_experiment_id",),
}
FORK: dict[str, tuple[str, ...]] = {"001_a": (), "002_b": ("001_a",), "003_c": ("001_a",)}


# --- the graph ------------------------------------------------------------------------------


def test_no_files_are_an_empty_graph(shelf: Shelf) -> None:
    assert shelf.graph() == {}


def test_a_chain_is_read_parents_first(shelf: Shelf) -> None:
    shelf.put_all(CHAIN)

    assert list(shelf.graph().items()) == [
        (name, RevisionNode(name, above, name)) for name, above in CHAIN.items()
    ]


def test_the_first_line_of_the_docstring_is_kept(shelf: Shelf) -> None:
    shelf.put("001_a", doc="Add a status.\n\n    Revises nothing.\n    ")

    assert shelf.graph()["001_a"].doc == "Add a status."


def test_a_merge_has_two_parents(shelf: Shelf) -> None:
    shelf.put_all({**FORK, "004_d": ("002_b", "003_c")})

    graph = shelf.graph()

    assert graph["004_d"].parents == ("002_b", "003_c")
    assert next(iter(graph)) == "001_a"
    assert list(graph)[-1] == "004_d"


def test_what_a_revision_depends_on_is_a_parent_too(shelf: Shelf) -> None:
    shelf.put_all(FORK)
    shelf.put("004_d", "003_c", extra='depends_on = "002_b"')

    assert shelf.graph()["004_d"].parents == ("003_c", "002_b")


def test_a_dependency_may_be_named_by_a_label(shelf: Shelf) -> None:
    shelf.put("001_a")
    shelf.put("002_b", "001_a", extra='branch_labels = ("left",)')
    shelf.put("003_c", "001_a")
    shelf.put("004_d", "003_c", extra='depends_on = ("left",)')

    assert shelf.graph()["004_d"].parents == ("003_c", "002_b")


@given(st.data())
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_random_graph_is_read_as_it_was_written_parents_first(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    names = [f"{n:03}_r" for n in range(1, data.draw(st.integers(1, 7)) + 1)]
    parents = {
        name: tuple(
            sorted(
                data.draw(st.sets(st.sampled_from(names[:n]), max_size=2)) if n else (),
                reverse=True,
            )
        )
        for n, name in enumerate(names)
    }
    shelf = Shelf(tmp_path_factory.mktemp("graph"))
    shelf.put_all(parents)

    directory = shelf.directory
    graph = load_graph(directory, shelf.files)

    assert {name: node.parents for name, node in graph.items()} == parents
    seen: set[str] = set()
    for name, node in graph.items():
        assert set(node.parents) <= seen
        seen.add(name)
    # What ``alembic current`` asks for, found in one walk, is what Alembic finds.
    revisions = directory.revision_map
    assert type(revisions) is not RevisionMap
    some = data.draw(st.sets(st.sampled_from(names), min_size=1))
    targets = [revisions.get_revision(name) for name in sorted(some)]
    assert revisions._filter_into_branch_heads(targets) == RevisionMap._filter_into_branch_heads(
        revisions, targets
    )


# --- files that are not right ---------------------------------------------------------------


def refused(shelf: Shelf) -> MigrationError:
    with pytest.raises(MigrationError) as caught:
        shelf.graph()
    assert caught.value.hint
    return caught.value


def test_a_file_that_is_not_named_after_its_id_is_refused(shelf: Shelf) -> None:
    path = shelf.put("001_a", declared="abc123")

    error = refused(shelf)

    assert type(error) is RevisionCompileError
    assert error.message == ("versions/001_a.py declares revision 'abc123'; its name says '001_a'.")
    assert error.details == {"file": str(path)}


def test_two_files_with_one_id_are_both_named(shelf: Shelf) -> None:
    shelf.put("001_a")
    shelf.put("002_b", declared="001_a")

    error = refused(shelf)

    assert type(error) is RevisionCompileError
    assert error.message == (
        "versions/002_b.py declares revision '001_a', and so does versions/001_a.py; its name "
        "says '002_b'."
    )


def test_a_file_without_an_id_is_refused(shelf: Shelf) -> None:
    (shelf.path / "001_a.py").write_text("down_revision = None\ndef upgrade():\n    pass\n")

    error = refused(shelf)

    assert type(error) is RevisionCompileError
    assert error.message == "versions/001_a.py declares no revision."


def test_a_file_without_an_upgrade_is_refused(shelf: Shelf) -> None:
    path = shelf.put("001_a", body="def downgrade():\n    pass\n")

    error = refused(shelf)

    assert type(error) is RevisionCompileError
    assert error.message == "versions/001_a.py has no upgrade() function."
    assert error.details == {"revision": "001_a", "file": str(path)}


# body -> the number of the line, the words
BROKEN = {
    "a syntax error": ("def upgrade(:\n    pass\n", 7, "SyntaxError: "),
    "an indentation error": ("def upgrade():\npass\n", 8, "IndentationError: "),
    "an import that is not there": (
        "import no_such_module_anywhere\n",
        7,
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
    ),
    "an exception": ("x = 1\ny = x / 0\n", 8, "ZeroDivisionError: division by zero"),
    "an exception in a function": (
        "def f():\n    raise ValueError('no')\n\nf()\n",
        8,
        "ValueError: no",
    ),
    "a name that is not there": (
        "upgrade = nothing\n",
        7,
        "NameError: name 'nothing' is not defined",
    ),
    "a key that is not there": ("import os\nos.environ['NO_SUCH']\n", 8, "KeyError: 'NO_SUCH'"),
}


@pytest.mark.parametrize(("body", "line", "words"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    shelf: Shelf, body: str, line: int, words: str
) -> None:
    path = shelf.put("001_a", body=body)

    error = refused(shelf)

    assert type(error) is RevisionCompileError
    assert error.message.startswith(f"versions/001_a.py:{line} cannot be imported: {words}")
    assert error.details == {"file": str(path), "line": line}


def test_a_file_that_exits_does_not_end_the_process(shelf: Shelf) -> None:
    shelf.put("001_a", body="raise SystemExit(0)\n")

    assert type(refused(shelf)) is RevisionCompileError


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_a_file_with_another_id_is_refused_with_or_without_a_byte_order_mark(
    shelf: Shelf, mark: str
) -> None:
    shelf.put("001_a")
    path = shelf.put("002_b", declared="001_a")
    path.write_text(mark + path.read_text(), "utf-8")

    assert "declares revision '001_a'" in refused(shelf).message


# --- graphs that are not right --------------------------------------------------------------


def test_a_parent_without_a_file_is_named(shelf: Shelf) -> None:
    shelf.put("002_b", "001_a")

    error = refused(shelf)

    assert type(error) is RevisionError
    assert error.message == "002_b refers to 001_a, which has no file (versions/002_b.py)."
    assert error.details == {"missing": "001_a", "revision": "002_b"}


def test_a_dependency_without_a_file_is_named(shelf: Shelf) -> None:
    shelf.put("001_a", extra='depends_on = "000_x"')

    error = refused(shelf)

    assert isinstance(error, RevisionError)
    assert "000_x" in error.message


def test_a_cycle_is_refused(shelf: Shelf) -> None:
    shelf.put("001_a", "003_c")
    shelf.put("002_b", "001_a")
    shelf.put("003_c", "002_b")

    error = refused(shelf)

    assert isinstance(error, RevisionError)
    assert error.message.startswith("The revisions do not form a graph: ")


def test_a_revision_that_is_its_own_parent_is_refused(shelf: Shelf) -> None:
    shelf.put("001_a", "001_a")

    assert isinstance(refused(shelf), RevisionError)


def test_two_branches_of_one_label_are_refused(shelf: Shelf) -> None:
    shelf.put("001_a")
    shelf.put("002_b", "001_a", extra='branch_labels = "left"')
    shelf.put("003_c", "001_a", extra='branch_labels = "left"')

    error = refused(shelf)

    assert isinstance(error, RevisionError)
    assert "left" in error.message


# --- upgrade paths --------------------------------------------------------------------------

# (target, current heads, what is run)
UPGRADES = (
    ("head", (), list(CHAIN)),
    ("heads", (), list(CHAIN)),
    ("head", ("001_initial_schema",), list(CHAIN)[1:]),
    ("head", ("003_add_status",), []),
    ("002_add_experiment_id", (), list(CHAIN)[:2]),
    ("002", (), list(CHAIN)[:2]),
    ("+1", (), list(CHAIN)[:1]),
    ("+2", ("001_initial_schema",), list(CHAIN)[1:]),
    ("002+1", (), list(CHAIN)),
    ("head-1", (), list(CHAIN)[:2]),
)


@pytest.mark.parametrize(("target", "heads", "expected"), UPGRADES)
def test_an_upgrade_runs_what_lies_between(
    shelf: Shelf, target: str, heads: tuple[str, ...], expected: list[str]
) -> None:
    shelf.put_all(CHAIN)

    assert shelf.up(target, heads) == expected


def test_heads_means_all_branches(shelf: Shelf) -> None:
    shelf.put_all(FORK)

    assert sorted(shelf.up("heads")) == ["001_a", "002_b", "003_c"]
    assert shelf.up("heads")[0] == "001_a"
    assert shelf.up("heads", ("003_c",)) == ["002_b"]


def test_a_branch_can_be_named_by_its_label(shelf: Shelf) -> None:
    shelf.put("001_a")
    shelf.put("002_b", "001_a", extra='branch_labels = "left"')
    shelf.put("003_c", "001_a", extra='branch_labels = "right"')

    assert shelf.up("left@head") == ["001_a", "002_b"]


def test_an_upgrade_brings_what_it_depends_on(shelf: Shelf) -> None:
    shelf.put_all(FORK)
    shelf.put("004_d", "003_c", extra='depends_on = "002_b"')

    assert sorted(shelf.up("004_d")) == ["001_a", "002_b", "003_c", "004_d"]


def test_one_head_of_several_is_asked_for_with_what_to_do(shelf: Shelf) -> None:
    shelf.put_all(FORK)

    with pytest.raises(MultipleHeads) as caught:
        shelf.up("head")

    assert caught.value.message == "There are several heads: 002_b, 003_c."
    assert "heads" in caught.value.hint
    assert caught.value.details == {"target": "head"}


# target -> (message, hint)
UNKNOWN = {
    "004_nothing": ("There is no revision 004_nothing.", None),
    "003_ad_status": ("There is no revision 003_ad_status.", "Did you mean 003_add_status?"),
    "zzzzzz": ("There is no revision zzzzzz.", "budeval-migrate status lists the revisions."),
    "00": (
        "00 is ambiguous: 001_initial_schema, 002_add_experiment_id, 003_add_status.",
        "Write more of the id.",
    ),
}


@pytest.mark.parametrize("target", UNKNOWN)
@pytest.mark.parametrize("way", ["up", "down", "resolve"])
def test_an_unknown_name_is_told_with_the_nearest(shelf: Shelf, way: str, target: str) -> None:
    shelf.put_all(CHAIN)
    message, hint = UNKNOWN[target]

    with pytest.raises(RevisionNotFound) as caught:
        if way == "up":
            shelf.up(target)
        elif way == "down":
            shelf.down(target, ("003_add_status",))
        else:
            resolve_revision(shelf.directory, target)

    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint
    assert caught.value.details == {"target": target}


@pytest.mark.parametrize("target", ["+9", "+x", "nolabel@head", "", "@", "001:003", "head+1"])
def test_no_target_gets_past_as_an_error_of_alembic(shelf: Shelf, target: str) -> None:
    shelf.put_all(CHAIN)

    try:
        shelf.up(target)
    except MigrationError as error:
        assert isinstance(error, RevisionError)
        assert error.message
        assert error.hint


# --- downgrade paths ------------------------------------------------------------------------

DOWNGRADES = (
    ("base", list(CHAIN)[::-1]),
    ("001_initial_schema", list(CHAIN)[:0:-1]),
    ("001", list(CHAIN)[:0:-1]),
    ("-1", ["003_add_status"]),
    ("-2", list(CHAIN)[:0:-1]),
    ("-3", list(CHAIN)[::-1]),
    ("003_add_status", []),
    ("head-1", ["003_add_status"]),
)


@pytest.mark.parametrize(("target", "expected"), DOWNGRADES)
def test_a_downgrade_takes_back_newest_first(
    shelf: Shelf, target: str, expected: list[str]
) -> None:
    shelf.put_all(CHAIN)

    assert shelf.down(target, ("003_add_status",)) == expected


def test_a_downgrade_past_the_base_is_refused(shelf: Shelf) -> None:
    shelf.put_all(CHAIN)

    with pytest.raises(RevisionNotFound) as caught:
        shelf.down("-4", ("003_add_status",))

    assert caught.value.details == {"target": "-4"}


@pytest.mark.filterwarnings("ignore:downgrade -1 from multiple heads")
def test_a_downgrade_by_one_step_from_two_heads_asks_which(shelf: Shelf) -> None:
    shelf.put_all(FORK)

    with pytest.raises(RevisionNotFound) as caught:
        shelf.down("-1", ("002_b", "003_c"))

    assert caught.value.message == "-1 can mean several revisions from here."


def test_a_downgrade_to_what_is_not_applied_is_refused(shelf: Shelf) -> None:
    shelf.put_all(CHAIN)

    with pytest.raises(RevisionNotFound):
        shelf.down("003_add_status", ("001_initial_schema",))


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("001_initial_schema", "001_initial_schema"),
        ("002", "002_add_experiment_id"),
        ("head", "003_add_status"),
    ],
)
def test_a_name_stands_for_one_revision(shelf: Shelf, name: str, revision: str) -> None:
    shelf.put_all(CHAIN)

    assert resolve_revision(shelf.directory, name) == revision


def test_base_is_no_revision(shelf: Shelf) -> None:
    shelf.put_all(CHAIN)

    with pytest.raises(RevisionNotFound) as caught:
        resolve_revision(shelf.directory, "base")

    assert caught.value.message == "There is no revision base."


def test_a_file_of_the_same_size_and_second_is_read_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = shelf.put("001_a", extra="said = 33")
    when = path.stat().st_mtime_ns
    list(shelf.directory.walk_revisions())
    assert list(shelf.path.glob("__pycache__/*.pyc"))  # left behind by Alembic
    shelf.put("001_a", extra="said = 51")
    os.utime(path, ns=(when, when))

    directory = shelf.directory
    load_graph(directory, shelf.files)

    [script] = directory.walk_revisions()
    assert script.module.said == 51


def test_a_file_that_changes_after_it_was_hashed_is_refused(shelf: Shelf) -> None:
    shelf.put("001_a")
    files = shelf.files
    shelf.put("001_a", extra="said = 51")

    with pytest.raises(RevisionCompileError, match="was changed while it was being read"):
        load_graph(shelf.directory, files)
