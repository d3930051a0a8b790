"""Ledger against files: heads, pending, ahead, missing, checksums, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from budeval_migrations.errors import ChecksumMismatch, LedgerError, MissingRevision
from budeval_migrations.execution.planner import Position, checksum_state
from budeval_migrations.execution.problems import find_problems, refuse
from budeval_migrations.execution.statuses import revision_statuses
from budeval_migrations.model import (
    ChecksumState,
    Direction,
    LedgerRow,
    Operation,
    RevisionFile,
    RevisionNode,
    RevisionState,
)
from budeval_migrations.sql.checksum import summary
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.lock.lock import Holder

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
CHAIN = {"001_a": (), "002_b": ("001_a",), "003_c": ("002_b",)}
FORK = {"001_a": (), "002_b": ("001_a",), "003_c": ("001_a",)}


def graph(parents: Mapping[str, tuple[str, ...]]) -> dict[str, RevisionNode]:
    return {name: RevisionNode(name, above, f"do {name}") for name, above in parents.items()}


def files(*names: str) -> dict[str, RevisionFile]:
    return {name: RevisionFile(name, f"/versions/{name}.py", f"sum {name}") for name in names}


def row(
    version: str, sequence: int = 1, parents: tuple[str, ...] = (), **other: object
) -> LedgerRow:
    made = LedgerRow(
        version=version,
        checksum=f"sum {version}",
        executed_at=BEGIN,
        execution_time_ms=12,
        success=True,
        parents=parents,
        statements_applied=2,
        statements_total=2,
        sequence=sequence,
        statements_checksum=f"statements {version}",
    )
    return replace(made, **other)


def applied(parents: Mapping[str, tuple[str, ...]]) -> tuple[LedgerRow, ...]:
    return tuple(row(name, n, above) for n, (name, above) in enumerate(parents.items(), start=1))


def position(
    rows: tuple[LedgerRow, ...],
    parents: Mapping[str, tuple[str, ...]],
    *,
    ground: Ground = Ground.READY,
    foreign_heads: tuple[str, ...] | None = None,
) -> Position:
    state = LedgerState(ground, rows, foreign_heads)
    return Position(state, files(*parents), graph(parents))


def same(revision: str) -> str:
    return f"statements {revision}"


def changed(revision: str) -> str:
    return "other statements"


def uncalled(revision: str) -> str:
    raise AssertionError(f"{revision} was compiled for nothing")


# --- Position -----------------------------------------------------------------------------


def test_an_empty_database_has_everything_pending() -> None:
    empty = position((), CHAIN, ground=Ground.EMPTY)

    assert (empty.heads, empty.pending) == ((), ("001_a", "002_b", "003_c"))
    assert (empty.ahead, empty.missing, empty.target_heads) == ((), (), ("003_c",))


def test_two_branches_have_two_heads() -> None:
    both = position(applied(FORK), FORK)

    assert both.heads == both.target_heads == ("002_b", "003_c")


def test_a_revision_under_an_applied_one_can_be_pending() -> None:
    late = position((row("001_a", 1), row("003_c", 2, ("001_a",))), FORK)

    assert (late.heads, late.pending) == (("003_c",), ("002_b",))


def test_what_has_no_file_comes_after_its_parents_however_the_rows_were_written() -> None:
    rows = (row("003_c", 1, ("002_b",)), row("002_b", 2, ("001_a",)), row("001_a", 3))

    assert list(position(rows, {}).applied) == ["001_a", "002_b", "003_c"]
    assert list(position(rows, {"001_a": ()}).applied) == ["001_a", "002_b", "003_c"]


def test_rows_that_build_on_each_other_are_told() -> None:
    circle = position((row("001_a", 1, ("002_b",)), row("002_b", 2, ("001_a",))), {})

    with pytest.raises(LedgerError, match=r"build on each other: 00[12]_[ab], 00[12]_[ab]"):
        _ = circle.applied


def test_the_head_of_another_tool_stands_for_all_below_it() -> None:
    foreign = position((), CHAIN, ground=Ground.EMPTY, foreign_heads=("002_b",))

    assert dict(foreign.applied) == {"001_a": None, "002_b": None}
    assert (foreign.heads, foreign.pending) == (("002_b",), ("003_c",))


def test_our_record_counts_where_another_tool_has_one_too() -> None:
    ours = row("001_a", 1)

    both = position((ours,), CHAIN, foreign_heads=("002_b",))

    assert dict(both.applied) == {"001_a": ours, "002_b": None}


def test_a_head_of_another_tool_without_a_file_is_ahead() -> None:
    foreign = position((), CHAIN, ground=Ground.EMPTY, foreign_heads=("009_x",))

    assert (foreign.heads, foreign.ahead) == (("009_x",), ("009_x",))


def test_recorded_parents_count_more_than_those_of_the_file() -> None:
    moved = position((row("001_a", 1), row("003_c", 2, ("001_a",))), CHAIN)

    assert moved.parents("003_c") == ("001_a",)


def test_the_file_says_the_parents_of_a_row_that_an_older_tool_wrote() -> None:
    legacy = position((row("001_a", 0), row("002_b", 0)), CHAIN, ground=Ground.LEGACY)

    assert legacy.parents("002_b") == ("001_a",)
    assert legacy.heads == ("002_b",)


def test_an_unknown_revision_has_no_parents() -> None:
    assert position((), CHAIN).parents("009_x") == ()


def test_revisions_on_top_without_files_are_ahead() -> None:
    known = {"001_a": (), "002_b": ("001_a",)}

    newer = position(applied({**CHAIN, "004_d": ("003_c",)}), known)

    assert (newer.ahead, newer.missing) == (("003_c", "004_d"), ())
    assert (newer.heads, newer.pending) == (("004_d",), ())


def test_a_revision_without_a_file_under_a_known_one_is_missing() -> None:
    hole = position(applied(CHAIN), {"001_a": (), "003_c": ()})

    assert (hole.ahead, hole.missing) == ((), ("002_b",))


def test_all_of_a_hole_of_two_revisions_is_missing() -> None:
    chain = {**CHAIN, "004_d": ("003_c",)}

    hole = position(applied(chain), {"001_a": (), "004_d": ()})

    assert (hole.ahead, hole.missing) == ((), ("002_b", "003_c"))


def test_ancestors_come_parents_first_and_once() -> None:
    diamond = {**FORK, "004_d": ("002_b", "003_c")}

    found = position((), diamond).ancestors(("004_d", "002_b"))

    assert found == ("001_a", "002_b", "003_c", "004_d")


def test_strangers_among_ancestors_come_last() -> None:
    assert position((), CHAIN).ancestors(("009_x", "002_b")) == ("001_a", "002_b", "009_x")


def test_a_stranger_that_is_named_twice_is_one_ancestor() -> None:
    assert position((), CHAIN).ancestors(("009_x", "009_x")) == ("009_x",)


def test_ancestors_can_be_asked_of_any_iterable() -> None:
    assert position((), CHAIN).ancestors(iter(("002_b", "009_x"))) == ("001_a", "002_b", "009_x")


# --- Position, over random graphs ----------------------------------------------------------


@st.composite
def dags(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Return parents by name; a parent stands before its children."""
    count = draw(st.integers(0, 9))
    names = [f"{n:03}_r" for n in range(1, count + 1)]
    made: dict[str, tuple[str, ...]] = {}
    for n, name in enumerate(names):
        above = draw(st.lists(st.sampled_from(names[:n]), max_size=3, unique=True)) if n else []
        made[name] = tuple(above)
    return made


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], set[str], set[str]]:
    """Return a graph, the names that are applied, and the names that have files."""
    dag = draw(dags())
    names = st.sets(st.sampled_from(sorted(dag))) if dag else st.just(set())
    return dag, draw(names), draw(names)


def below(dag: Mapping[str, tuple[str, ...]], names: set[str]) -> set[str]:
    """Return names and all that they build on, the slow way: repeat until nothing is new."""
    found = set(names)
    while True:
        more = {parent for name in found for parent in dag[name]} - found
        if not more:
            return found
        found |= more


def stand(
    dag: Mapping[str, tuple[str, ...]], up: set[str], known: set[str] | None = None
) -> Position:
    rows = tuple(row(name, n, dag[name]) for n, name in enumerate(dag, start=1) if name in up)
    kept = {
        name: tuple(p for p in above if known is None or p in known)
        for name, above in dag.items()
        if known is None or name in known
    }
    return position(rows, kept)


@given(ledgers())
def test_heads_are_applied_and_no_parent_of_an_applied_revision(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, up, _ = ledger

    expected = {n for n in up if not any(n in dag[other] for other in up)}

    assert set(stand(dag, up).heads) == expected


@given(dags())
def test_a_database_with_everything_applied_has_the_heads_of_the_files(
    dag: dict[str, tuple[str, ...]],
) -> None:
    full = stand(dag, set(dag))

    assert (full.heads, full.pending) == (full.target_heads, ())


@given(ledgers())
def test_pending_is_what_is_not_applied_with_parents_first(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, up, _ = ledger

    pending = stand(dag, up).pending

    assert set(pending) == dag.keys() - up
    for n, name in enumerate(pending):
        assert not set(dag[name]) & set(pending[n:])


@given(ledgers())
def test_ancestors_are_the_closure_with_parents_first(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, some, _ = ledger

    found = stand(dag, set()).ancestors(some)

    assert set(found) == below(dag, some)
    assert len(set(found)) == len(found)
    for n, name in enumerate(found):
        assert set(dag[name]) <= set(found[:n])


@given(ledgers())
def test_ancestors_of_ancestors_are_the_same(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, some, _ = ledger
    here = stand(dag, set())

    assert here.ancestors(here.ancestors(some)) == here.ancestors(some)


@given(ledgers())
def test_a_head_of_another_tool_means_its_closure(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, some, _ = ledger

    here = position((), dag, foreign_heads=tuple(sorted(some)))

    assert set(here.applied) == below(dag, some)
    assert set(here.heads) == {n for n in some if n not in below(dag, some - {n})}


@given(ledgers())
def test_what_has_no_file_is_missing_under_known_revisions_and_else_ahead(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, roots, known = ledger
    up = below(dag, roots)
    here = stand(dag, up, known)

    needed = below(dag, {name for name in up if name in known})

    assert set(here.missing) == (up - known) & needed
    assert set(here.ahead) == (up - known) - needed


@given(ledgers())
def test_where_names_and_checksums_sum_up_to_the_same_nothing_is_to_be_done(
    ledger: tuple[dict[str, tuple[str, ...]], set[str], set[str]],
) -> None:
    dag, up, known = ledger
    here = stand(dag, up, known)
    assume(here.files or up)  # nothing at all is told

    recorded = summary((name, row.checksum) for name, row in here.state.recorded.items())
    wanted = summary((file.revision, file.checksum) for file in here.files.values())

    nothing = here.pending == () and find_problems(here, uncalled) == ([], [])
    assert (recorded == wanted) == nothing


def test_a_directory_without_revisions_is_told() -> None:
    problems, [warning] = find_problems(position((), {}), uncalled)
    assert problems == []
    assert (warning.kind, warning.revision) == ("no_revisions", None)
    assert warning.message.startswith("There is no revision file: ")


# --- checksums ----------------------------------------------------------------------------

FILE = RevisionFile("001_a", "/versions/001_a.py", "sum 001_a")
EDITED = RevisionFile("001_a", "/versions/001_a.py", "another")

CHECKSUMS = {
    "the file is gone": (row("001_a"), None, uncalled, ChecksumState.MISSING),
    "the same": (row("001_a"), FILE, uncalled, ChecksumState.OK),
    "other text, same statements": (row("001_a"), EDITED, same, ChecksumState.REFORMATTED),
    "other statements": (row("001_a"), EDITED, changed, ChecksumState.MISMATCH),
    "other text of a dynamic revision": (
        row("001_a", statements_checksum=""),
        EDITED,
        uncalled,
        ChecksumState.MISMATCH,
    ),
    "only a head was recorded": (None, FILE, uncalled, ChecksumState.NONE),
    "no checksum was recorded": (row("001_a", checksum=""), FILE, uncalled, ChecksumState.NONE),
    "an older tool's row": (row("001_a", 0), EDITED, uncalled, ChecksumState.LEGACY),
    "an adopted row": (
        row("001_a", operation=Operation.ADOPT),
        EDITED,
        uncalled,
        ChecksumState.LEGACY,
    ),
    "a stamped row": (
        row("001_a", operation=Operation.STAMP),
        EDITED,
        same,
        ChecksumState.REFORMATTED,
    ),
    "a repaired row": (row("001_a", operation=Operation.REPAIR), FILE, uncalled, ChecksumState.OK),
}


@pytest.mark.parametrize(
    ("recorded", "file", "compile_", "expected"), CHECKSUMS.values(), ids=CHECKSUMS
)
def test_a_record_is_compared_with_its_file(
    recorded: LedgerRow | None,
    file: RevisionFile | None,
    compile_: object,
    expected: ChecksumState,
) -> None:
    assert checksum_state(recorded, file, compile_) is expected  # type: ignore[arg-type]


# --- status -------------------------------------------------------------------------------


def test_every_revision_has_a_line_and_those_without_a_file_come_last() -> None:
    rows = (row("009_x", 1), row("001_a", 2), row("002_b", 3, ("001_a",), success=False))

    lines = revision_statuses(position(rows, CHAIN), same, None)

    assert [(line.revision, line.state, line.checksum) for line in lines] == [
        ("001_a", RevisionState.APPLIED, ChecksumState.OK),
        ("002_b", RevisionState.FAILED, ChecksumState.NONE),
        ("003_c", RevisionState.PENDING, ChecksumState.NONE),
        ("009_x", RevisionState.APPLIED, ChecksumState.MISSING),
    ]


def test_a_line_says_when_and_how_far() -> None:
    failed = row("001_a", 1, success=False, statements_applied=1, error_message="ClickHouse 44: no")

    line = revision_statuses(position((failed,), CHAIN), same, None)[0]

    assert line.as_dict() == {
        "revision": "001_a",
        "state": "failed",
        "checksum": "none",
        "executed_at": "2026-01-02T03:04:05+00:00",
        "execution_time_ms": 12,
        "statements_applied": 1,
        "statements_total": 2,
        "error": "ClickHouse 44: no",
        "statement": None,
        "holder": None,
        "since": None,
    }


def test_a_revision_whose_downgrade_failed_is_applied_and_has_an_error() -> None:
    rows = (
        row("001_a", 1),
        row("001_a", 2, success=False, direction=Direction.DOWN, error_message="no"),
    )

    line = revision_statuses(position(rows, CHAIN), same, None)[0]

    assert (line.state, line.error) == (RevisionState.APPLIED, "no")


def test_a_revision_that_was_taken_back_is_pending() -> None:
    rows = (row("001_a", 1), row("001_a", 2, direction=Direction.DOWN))

    line = revision_statuses(position(rows, CHAIN), same, None)[0]

    assert (line.state, line.executed_at, line.error) == (RevisionState.PENDING, None, None)


def test_a_row_of_an_older_tool_counts_no_statements() -> None:
    line = revision_statuses(position((row("001_a", 0),), CHAIN), same, None)[0]

    assert (line.statements_applied, line.statements_total) == (None, None)
    assert line.execution_time_ms == 12


@pytest.mark.parametrize(
    ("alive", "expected"), [(True, RevisionState.RUNNING), (False, RevisionState.PENDING)]
)
def test_only_a_living_holder_is_running_a_revision(alive: bool, expected: RevisionState) -> None:
    holder = Holder(1, "o", "u@h pid 1", BEGIN, alive, doing="001_a")

    lines = revision_statuses(position((), CHAIN), same, holder)

    assert [line.state for line in lines] == [
        expected,
        RevisionState.PENDING,
        RevisionState.PENDING,
    ]


# --- problems -----------------------------------------------------------------------------


def test_a_good_database_has_no_problem() -> None:
    assert find_problems(position(applied(CHAIN), CHAIN), uncalled) == ([], [])


def test_changed_statements_are_a_problem_that_says_when_and_what_to_do() -> None:
    rows = (row("001_a", checksum="another"),)

    [problem], warnings = find_problems(position(rows, CHAIN), changed)

    assert problem.as_dict() == {
        "revision": "001_a",
        "kind": "checksum_mismatch",
        "message": "001_a was applied on 2026-01-02 03:04 UTC, and its statements were changed "
        "afterwards.",
        "hint": "Restore the file, or accept it as it is now with: "
        "budeval-migrate repair --revision 001_a",
    }
    assert warnings == []


def test_reformatted_text_is_only_told() -> None:
    rows = (row("001_a", checksum="another"),)

    problems, [warning] = find_problems(position(rows, CHAIN), same)

    assert (problems, warning.kind, warning.revision) == ([], "reformatted", "001_a")


def test_a_hole_and_a_newer_revision_are_different_problems() -> None:
    chain = {**CHAIN, "004_d": ("003_c",)}
    known = {"001_a": (), "003_c": ()}

    problems, _ = find_problems(position(applied(chain), known), uncalled)

    assert [(p.kind, p.revision) for p in problems] == [
        ("missing_revision", "002_b"),
        ("ahead", "004_d"),
    ]


def test_two_rows_with_one_number_are_told() -> None:
    rows = (row("001_a", 1), row("002_b", 1, ("001_a",)))

    problems, [warning] = find_problems(position(rows, CHAIN), uncalled)

    assert (problems, warning.revision, warning.kind) == ([], None, "conflict")
    assert "ledger row 1 " in warning.message


@pytest.mark.parametrize(
    ("rows", "known", "kind", "error"),
    [
        ((row("001_a", checksum="x"),), CHAIN, "checksum_mismatch", ChecksumMismatch),
        (applied(CHAIN), {"001_a": (), "003_c": ()}, "missing_revision", MissingRevision),
        (applied(CHAIN), {"001_a": (), "002_b": ()}, "ahead", MissingRevision),
    ],
    ids=["checksum_mismatch", "missing_revision", "ahead"],
)
def test_a_problem_is_refused_unless_it_is_tolerated(
    rows: tuple[LedgerRow, ...],
    known: dict[str, tuple[str, ...]],
    kind: str,
    error: type[LedgerError],
) -> None:
    here = position(rows, known)
    [problem], _ = find_problems(here, changed)

    with pytest.raises(error) as caught:
        refuse(here, changed)

    assert (caught.value.message, caught.value.hint) == (problem.message, problem.hint)
    assert caught.value.details == {"revision": problem.revision, "kind": kind}
    assert refuse(here, changed, frozenset({kind})) == [problem.message]


def test_warnings_are_returned_and_never_refused() -> None:
    rows = (row("001_a", 1, checksum="another"), row("002_b", 1, ("001_a",)))

    sentences = refuse(position(rows, CHAIN), same)

    assert len(sentences) == 2
    assert "was edited after it was applied" in sentences[0]
    assert "ledger row 1 " in sentences[1]
