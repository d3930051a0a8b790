"""The ledger's rows, folded: what is applied, what was tried, what collides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.execution.planner import Position
from budeval_migrations.model import Direction, LedgerRow, Operation
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.schema import BOOTSTRAP_VERSION
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NAMES = ("001_a", "002_b", "003_c", "004_d")
# The chain that the names stand in, but for the last, which has two parents.
PARENTS = {"001_a": (), "002_b": ("001_a",), "003_c": ("001_a",), "004_d": ("002_b", "003_c")}


def row(
    version: str,
    sequence: int = 1,
    *,
    success: bool = True,
    operation: Operation = Operation.UPGRADE,
    direction: Direction = Direction.UP,
) -> LedgerRow:
    return LedgerRow(
        version=version,
        checksum=f"checksum of {version}",
        executed_at=BEGIN + timedelta(seconds=sequence),
        execution_time_ms=5,
        success=success,
        error_message=None if success else "no",
        operation=operation,
        direction=direction,
        parents=PARENTS.get(version, ()),
        sequence=sequence,
    )


def state(*rows: LedgerRow, ground: Ground = Ground.READY) -> LedgerState:
    return LedgerState(ground, rows)


def down(version: str, sequence: int, *, success: bool = True) -> LedgerRow:
    return row(
        version,
        sequence,
        success=success,
        operation=Operation.DOWNGRADE,
        direction=Direction.DOWN,
    )


def test_an_empty_ledger_has_nothing_applied() -> None:
    empty = state()

    assert (dict(empty.recorded), dict(empty.attempts)) == ({}, {})
    assert (empty.next_sequence, empty.conflicts) == (1, ())


def test_a_good_upgrade_is_applied() -> None:
    one = row("001_a", 1)

    assert dict(state(one).recorded) == {"001_a": one}


def test_a_failed_upgrade_is_an_attempt_and_not_applied() -> None:
    one = row("001_a", 1, success=False)

    assert dict(state(one).recorded) == {}
    assert dict(state(one).attempts) == {"001_a": one}


def test_a_retry_that_succeeds_is_what_counts() -> None:
    failed, good = row("001_a", 1, success=False), row("001_a", 2)

    assert dict(state(failed, good).recorded) == {"001_a": good}
    assert dict(state(failed, good).attempts) == {"001_a": good}


def test_a_downgrade_takes_back() -> None:
    assert dict(state(row("001_a", 1), down("001_a", 2)).recorded) == {}


def test_a_failed_downgrade_leaves_its_revision_applied() -> None:
    good, failed = row("001_a", 1), down("001_a", 2, success=False)
    found = state(good, failed)

    assert dict(found.recorded) == {"001_a": good}
    assert dict(found.attempts) == {"001_a": failed}


def test_a_revision_that_was_taken_back_and_applied_again_stands_last() -> None:
    rows = (row("001_a", 1), row("002_b", 2), down("001_a", 3), row("001_a", 4))

    assert list(state(*rows).recorded) == ["002_b", "001_a"]


@pytest.mark.parametrize(
    "operation", [Operation.STAMP, Operation.ADOPT, Operation.REPAIR, Operation.UPGRADE]
)
def test_whatever_leaves_a_revision_up_makes_it_applied(operation: Operation) -> None:
    assert list(state(row("001_a", 1, operation=operation)).recorded) == ["001_a"]


@pytest.mark.parametrize("operation", [Operation.STAMP, Operation.REPAIR, Operation.DOWNGRADE])
def test_whatever_leaves_a_revision_down_makes_it_not_applied(operation: Operation) -> None:
    gone = row("001_a", 2, operation=operation, direction=Direction.DOWN)

    assert list(state(row("001_a", 1), gone).recorded) == []


def test_the_row_that_the_first_tool_wrote_for_itself_is_no_revision() -> None:
    found = state(row(BOOTSTRAP_VERSION, 0), row("001_a", 0), ground=Ground.LEGACY)

    assert list(found.recorded) == ["001_a"]
    assert list(found.attempts) == ["001_a"]


def test_a_revision_of_ours_may_have_the_name_of_that_row() -> None:
    assert list(state(row(BOOTSTRAP_VERSION, 3)).recorded) == [BOOTSTRAP_VERSION]


def test_the_next_number_follows_the_greatest() -> None:
    assert state(row("001_a", 0), row("002_b", 7), row("003_c", 3)).next_sequence == 8


def test_rows_of_an_older_tool_do_not_collide() -> None:
    assert state(row("001_a", 0), row("002_b", 0)).conflicts == ()


def test_a_number_that_three_rows_have_collides_once() -> None:
    rows = (row("001_a", 1), row("002_b", 2), row("003_c", 2), row("004_d", 2), row("001_a", 1))

    assert state(*rows).conflicts == (2, 1)


def test_what_surrounds_the_rows_is_kept() -> None:
    found = LedgerState(Ground.EMPTY, foreign_heads=("001_a",))

    assert (found.ground, found.rows, found.foreign_heads) == (Ground.EMPTY, (), ("001_a",))


@dataclass
class Model:
    """What a ledger says, kept the plain way: one flag a revision."""

    up: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)

    def take(self, found: LedgerRow) -> None:
        if found.success or found.operation is not Operation.REPAIR:  # what a person said
            self.tried[found.version] = found.sequence
        if found.success:
            if found.direction is Direction.UP:
                self.up[found.version] = found.sequence
            else:
                self.up.pop(found.version, None)


_moves = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.booleans(),
        st.sampled_from(Operation),
        st.sampled_from(Direction),
    ),
    max_size=30,
)


def _rows(moves: list[tuple[str, bool, Operation, Direction]]) -> tuple[LedgerRow, ...]:
    return tuple(
        row(version, sequence, success=success, operation=operation, direction=direction)
        for sequence, (version, success, operation, direction) in enumerate(moves, start=1)
    )


@given(_moves)
def test_the_fold_agrees_with_one_flag_a_revision(
    moves: list[tuple[str, bool, Operation, Direction]],
) -> None:
    rows, model = _rows(moves), Model()
    for each in rows:
        model.take(each)

    found = state(*rows)

    assert {name: r.sequence for name, r in found.recorded.items()} == model.up
    assert {name: r.sequence for name, r in found.attempts.items()} == model.tried
    assert [r.sequence for r in found.recorded.values()] == sorted(model.up.values())
    assert (found.next_sequence, found.conflicts) == (len(rows) + 1, ())


@given(_moves)
def test_the_heads_are_applied_and_below_nothing_that_is_applied(
    moves: list[tuple[str, bool, Operation, Direction]],
) -> None:
    rows, model = _rows(moves), Model()
    for each in rows:
        model.take(each)

    heads = Position(state(*rows), {}, {}).heads

    covered = {parent for name in model.up for parent in PARENTS[name]}
    assert set(heads) == model.up.keys() - covered
    assert len(set(heads)) == len(heads)


@given(_moves, _moves)
def test_failures_change_nothing_that_is_applied(
    moves: list[tuple[str, bool, Operation, Direction]],
    more: list[tuple[str, bool, Operation, Direction]],
) -> None:
    rows = _rows(moves)
    failed = tuple(
        row(version, len(rows) + n, success=False, operation=operation, direction=direction)
        for n, (version, _, operation, direction) in enumerate(more, start=1)
    )

    assert dict(state(*rows, *failed).recorded) == dict(state(*rows).recorded)


@given(_moves)
def test_repeating_the_last_good_rows_changes_nothing_but_their_order(
    moves: list[tuple[str, bool, Operation, Direction]],
) -> None:
    rows = _rows(moves)
    once = state(*rows).recorded

    again = state(*rows, *once.values()).recorded

    assert dict(again) == dict(once)
    assert list(again) == list(once)


@given(st.lists(st.integers(0, 6), max_size=12))
def test_a_number_collides_when_it_occurs_twice(sequences: list[int]) -> None:
    found = state(*(row("001_a", n) for n in sequences))

    assert set(found.conflicts) == {n for n in sequences if n and sequences.count(n) > 1}
    assert found.next_sequence > max(sequences, default=0)


@given(_moves, st.integers(0, 30))
def test_the_state_after_a_run_is_what_a_reader_would_find(
    moves: list[tuple[str, bool, Operation, Direction]], at: int
) -> None:
    before, run = _rows(moves)[:at], _rows(moves)[at:]
    good = [each for each in run if each.success]
    entries = tuple(
        JournalEntry(name, Direction.UP, 0, 1, JournalEvent.INTENT, "hash", "SELECT 1")
        for name in NAMES
    )
    after = LedgerState(Ground.EMPTY, tuple(before), entries=entries).after(good)
    assert (after.ground, after.rows) == (Ground.READY, (*before, *good))
    assert list(after.recorded) == list(state(*before, *good).recorded)
    unfinished = [name for name, _ in after.unfinished_runs]
    assert unfinished == [name for name in NAMES if name not in {each.version for each in good}]
