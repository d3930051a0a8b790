"""A person's own code before and after a revision."""

from __future__ import annotations

from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ConfigError, HookFailed, StatementFailed
from tests.engines.workspace import TABLE, Workspace
from tests.support.targets import engine_parameters

modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
# What a hook sees is written down by asking the database on a connection of its own.
HOOKS = """
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.settings import Settings

SEEN = []


def _rows():
    with Session(Settings(url={url!r}, database={database!r})) as session:
        try:
            rows = session.query("SELECT version, direction FROM schema_migrations ORDER BY sequence")
        except Exception:
            return []
        return [(str(v), str(d)) for v, d in rows]


def before_revision(event):
    SEEN.append(("before", event.revision, event.operation, event.statements, _rows()))
    if event.revision in {refused!r}:
        raise ValueError("no backup of " + event.revision + {secret!r})


def after_revision(event):
    SEEN.append(("after", event.revision, event.operation, _rows()))
    if event.revision in {failing!r}:
        raise OSError("nobody to tell")
"""


def write_hooks(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    refused: tuple[str, ...] = (),
    failing: tuple[str, ...] = (),
    secret: str = "",
) -> tuple[str, list[tuple[object, ...]]]:
    """Write a module of hooks into the working directory; return its name and what it sees."""
    name = f"hooks_{workspace.target.database}"
    text = HOOKS.format(
        url=workspace.target.url,
        database=workspace.target.database,
        refused=refused,
        failing=failing,
        secret=secret,
    )
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    from budeval_migrations.files import import_from_here

    return name, import_from_here(name, "").SEEN


ONE, TWO, THREE = ("001_one", "up"), ("002_two", "up"), ("003_three", "up")


@modern
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_hook_comes_before_the_first_statement_and_after_the_row(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    workspace.write_three()
    name, seen = write_hooks(workspace, tmp_path, monkeypatch)
    bm.upgrade(hooks=name, jobs=jobs, **workspace.options)
    if jobs == 1:
        assert seen == [
            ("before", "001_one", "upgrade", 1, []),
            ("after", "001_one", "upgrade", [ONE]),
            ("before", "002_two", "upgrade", 1, [ONE]),
            ("after", "002_two", "upgrade", [ONE, TWO]),
            ("before", "003_three", "upgrade", 1, [ONE, TWO]),
            ("after", "003_three", "upgrade", [ONE, TWO, THREE]),
        ]
    else:
        for revision in ("001_one", "002_two", "003_three"):
            mine = [each for each in seen if each[1] == revision]
            assert [each[0] for each in mine] == ["before", "after"]
            assert (revision, "up") in mine[1][-1]
            assert (revision, "up") not in mine[0][-1]
    seen.clear()
    bm.downgrade("002_two", hooks=name, **workspace.options)
    assert [each[:3] for each in seen] == [
        ("before", "003_three", "downgrade"),
        ("after", "003_three", "downgrade"),
    ]


@modern
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_hook_that_raises_before_a_revision_keeps_it_from_running(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    workspace.project.write_revision("001_one", None, TABLE.format(name="t1"))
    workspace.project.write_revision("002_two", "001_one", "INSERT INTO t1 VALUES (1, 'x')")
    name, _ = write_hooks(workspace, tmp_path, monkeypatch, refused=("002_two",), secret=" hunter2")
    with pytest.raises(HookFailed) as caught:
        bm.upgrade(hooks=name, jobs=jobs, **workspace.options)
    assert caught.value.message == (
        "002_two: before_revision failed, ValueError: no backup of 002_two hunter2; nothing of it "
        "was sent, and the run ends here."
    )
    assert workspace.heads() == {"001_one"}
    assert workspace.rows("SELECT a FROM t1") == []
    assert bm.upgrade(**workspace.options).applied == ("002_two",)
    assert workspace.rows("SELECT a FROM t1") == [(1,)]


@modern
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_hook_that_raises_after_a_revision_leaves_it_applied(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    workspace.write_three()
    workspace.project.write_revision("002_two", "001_one", "INSERT INTO t1 VALUES (1, 'x')")
    name, _ = write_hooks(workspace, tmp_path, monkeypatch, failing=("001_one",))
    with pytest.raises(HookFailed, match="OSError: nobody to tell; it is done and recorded"):
        bm.upgrade(hooks=name, jobs=jobs, **workspace.options)
    assert "001_one" in bm.status(**workspace.options).current
    assert bm.upgrade(**workspace.options).applied[-1] == "003_three"
    assert workspace.rows("SELECT a FROM t1") == [(1,)]


@modern
def test_what_failed_is_not_told_as_done(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.project.write_revision("001_one", None, "SELECT nothing")
    name, seen = write_hooks(workspace, tmp_path, monkeypatch)
    with pytest.raises(StatementFailed):
        bm.upgrade(hooks=name, **workspace.options)
    assert [each[0] for each in seen] == ["before"]


@modern
def test_records_alone_and_rehearsals_call_no_hook(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command
    from alembic.config import Config

    from budeval_migrations.services import preview

    workspace.write_three()
    name, seen = write_hooks(workspace, tmp_path, monkeypatch)
    monkeypatch.setenv("BUDEVAL_MIGRATIONS_HOOKS", name)
    assert preview.plan(rehearse=True, **workspace.options).rehearsal is not None
    command.stamp(Config(workspace.project.ini), "003_three")
    bm.repair(forget=["003_three"], **workspace.options)
    assert seen == []
    command.upgrade(Config(workspace.project.ini), "head")
    assert [each[:2] for each in seen] == [("before", "003_three"), ("after", "003_three")]


@modern
def test_a_module_without_hooks_is_refused_before_anything_runs(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write_three()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none_here.py").write_text("x = 1\n")
    (tmp_path / "no_function.py").write_text("before_revision = 'a backup'\n")
    (tmp_path / "broken_one.py").write_text("raise RuntimeError('off')\n")
    for name, words in {
        "none_here": "The module none_here has no hook",
        "no_function": "no_function.before_revision is no function",
        "broken_one": "broken_one cannot be imported: RuntimeError: off",
        "not.there": "not.there cannot be imported: ModuleNotFoundError",
        ".": ". cannot be imported",
    }.items():
        with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
            bm.upgrade(hooks=name, **workspace.options)
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT version FROM schema_migrations ORDER BY sequence") == [
        ("001_one",),
        ("002_two",),
        ("003_three",),
    ]


@modern
@pytest.mark.parametrize("at", ["RunStarted", "StatementStarted", "RevisionFinished"])
def test_a_listener_that_raises_stops_nothing_and_is_told_behind_the_run(
    workspace: Workspace, at: str
) -> None:
    workspace.write_three()
    calls = []

    def listen(event: object) -> None:
        calls.append(type(event).__name__)
        if calls[-1] == at:
            raise ValueError("nobody listens, password='hunter2'")

    with pytest.raises(HookFailed) as caught:
        bm.upgrade(on_event=listen, **workspace.options)
    assert calls.count(at) == 1
    assert f"on_event failed at {at}, ValueError: nobody listens" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert workspace.heads() == {"003_three"}
    rows = workspace.rows(
        "SELECT version, toUInt8(success) FROM schema_migrations ORDER BY sequence"
    )
    assert [(str(v), int(ok)) for v, ok in rows] == [
        ("001_one", 1),
        ("002_two", 1),
        ("003_three", 1),
    ]
