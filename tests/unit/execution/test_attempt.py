"""What is said and recorded of an attempt at a revision."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from budeval_migrations.errors import (
    ConfigError,
    EngineError,
    MutationFailed,
    RevisionError,
    StatementFailed,
    StatementOutcomeUnknown,
)
from budeval_migrations.execution.attempt import Progress
from budeval_migrations.execution.sender import Refused, said_of
from budeval_migrations.execution.task import Task
from budeval_migrations.interrupts import Interrupted
from budeval_migrations.model import Direction, LedgerRow, Operation, Statement, Step
from budeval_migrations.state.unfinished import ANSWERED, JournalEntry, JournalEvent, Recorded

SECRET = "hunter2secret"
STEP = Step("002_fill", Operation.UPGRADE, Direction.UP, checksum="sum", parents=("001_a",))
PLAIN = Statement("INSERT INTO t SELECT 1", file="versions/002_fill.py", line=11)
WITH_SECRET = Statement(
    f"CREATE TABLE t (a Int8) ENGINE = MySQL('h:3306', 'd', 't', 'me', '{SECRET}')"
)


def hidden(text: str) -> str:
    return text.replace("url-password", "***")


def task(statement: Statement = PLAIN, position: int = 2) -> Task:
    return Task(STEP, 0, position, 3, statement, statement.text)


def intent(position: int = 2) -> JournalEntry:
    return task(position=position).entry(
        JournalEvent.INTENT, query_id="q", run_id="r", lock_generation=1, before="", note=""
    )


def progress(statement: Statement = PLAIN) -> Progress:
    made = Progress(STEP, 3, applied=1)
    made.at(task(statement))
    return made


def refused(code: int = 44, *, clean: bool = True, statement: Statement = PLAIN) -> Refused:
    error = EngineError(f"it says no to '{SECRET}' and url-password", code=code)
    return Refused(error, task(statement), intent(), clean=clean, why="3 of 5 rows are there")


def test_a_refusal_is_a_sentence_about_its_statement() -> None:
    failure = progress().failure(refused(), hidden)
    assert type(failure) is StatementFailed
    assert (failure.revision, failure.index, failure.total) == ("002_fill", 2, 3)
    assert (failure.code, failure.file, failure.line) == (44, "versions/002_fill.py", 11)
    assert failure.outcome == (
        "1 statement of this revision took effect; the next run goes on at statement 2"
    )
    assert failure.hint == "Correct the statement, then run: budeval-migrate up"


def test_a_downgrade_that_failed_is_not_told_to_go_up() -> None:
    down = replace(STEP, operation=Operation.DOWNGRADE, direction=Direction.DOWN)
    made = Progress(down, 3, applied=1)
    made.at(task())
    assert made.failure(refused(), hidden).hint == (
        "Correct the statement, then run the downgrade again"
    )
    assert made.failure(refused(clean=False), hidden).hint.endswith(
        "and correct the statement. Then run the downgrade again"
    )


def test_neither_the_secrets_of_the_statement_nor_of_the_url_are_in_what_is_said() -> None:
    failure = progress(WITH_SECRET).failure(refused(statement=WITH_SECRET), hidden)
    for text in (failure.reason, failure.message, failure.summary):
        assert SECRET not in text
        assert "url-password" not in text
    assert "it says no to" in failure.reason


def test_what_a_server_quotes_of_a_statement_is_said_without_its_secrets() -> None:
    said = said_of(task(WITH_SECRET), EngineError(f"near '{SECRET}')", code=62))
    assert SECRET not in said
    assert said.startswith("near '")


def test_a_refusal_that_left_something_names_the_two_ways_to_settle_it() -> None:
    failure = progress().failure(refused(clean=False), hidden)
    assert failure.outcome == (
        "1 statement of this revision took effect, and statement 2 perhaps in part: 3 of 5 rows are there"
    )
    repair = "budeval-migrate repair --revision 002_fill --statement 2"
    assert failure.hint == (
        f"Look at the data first. If its effect is complete: {repair} --applied. If you have "
        f"removed what it left: {repair} --not-applied, and correct the statement. Then run: "
        "budeval-migrate up"
    )


@pytest.mark.parametrize("code", [15, 57, 60, 82, 160, 201, 225])
def test_some_refusals_have_a_hint_of_their_own(code: int) -> None:
    hint = progress().failure(refused(code), hidden).hint
    assert "Correct the statement" not in hint
    assert hint.endswith((".", "budeval-migrate up"))


def test_settings_of_the_profile_are_named_where_they_can_be_why() -> None:
    profile = ("limit", "max_rows_to_read")
    named = "The user's profile changes limit, max_rows_to_read. Correct the statement"
    assert progress().failure(refused(), hidden, profile).hint.startswith(named)
    syntax = progress().failure(refused(62), hidden, profile)
    assert syntax.hint == "Correct the statement, then run: budeval-migrate up"
    no_server = progress().failure(ValueError("x"), hidden, profile)
    assert "profile" not in no_server.hint


def _stopped(number: int, *, hurried: bool = False) -> Interrupted:
    return Interrupted(number, hurried=hurried)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such thing"), "ValueError: no such thing"),
        (RevisionError("It is dynamic.", hint="Do this."), "It is dynamic."),
        (_stopped(signal.SIGINT), "interrupted"),
        (_stopped(signal.SIGTERM), "stopped by SIGTERM"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=str,
)
def test_what_stopped_it_is_said_whatever_it_was(error: BaseException, reason: str) -> None:
    failure = progress().failure(error, hidden)
    assert (failure.reason, failure.code) == (reason, 0)
    if isinstance(error, RevisionError):
        assert failure.hint == "Do this."


def test_after_a_second_interrupt_nobody_knows_what_became_of_the_statement() -> None:
    failure = progress().failure(_stopped(signal.SIGINT, hurried=True), hidden)
    assert failure.outcome == (
        "1 statement of this revision took effect. Statement 2 may have taken effect, or may "
        "yet; the next run finds out"
    )


def test_a_mutation_that_fails_keeps_its_own_words() -> None:
    told: dict[str, Any] = {
        "revision": "002_fill", "index": 2, "total": 3, "reason": f"it fails at '{SECRET}'",
        "code": 341, "file": None, "line": None, "outcome": "It goes on.", "hint": "Kill it.",
    }  # fmt: skip
    failure = progress(WITH_SECRET).failure(MutationFailed(**told), hidden)
    assert type(failure) is MutationFailed
    assert failure.outcome == "1 statement of this revision took effect. It goes on."
    assert (failure.hint, failure.code) == ("Kill it.", 341)
    assert SECRET not in failure.reason


def test_an_unknown_outcome_is_passed_on_as_it_is() -> None:
    unknown = StatementOutcomeUnknown(
        revision="002_fill", index=2, total=3, reason="r", code=0, file=None, line=None,
        outcome="o", hint="h",
    )  # fmt: skip
    assert progress().failure(unknown, hidden) is unknown


def test_before_its_first_statement_it_is_about_the_first() -> None:
    failure = Progress(STEP, 3).failure(ValueError("x"), hidden)
    assert (failure.index, failure.file) == (1, None)
    assert failure.outcome == (
        "0 statements of this revision took effect; the next run goes on at statement 1"
    )


def _recorded(position: int, event: JournalEvent, elapsed_ms: int) -> Recorded:
    entry = replace(intent(position), event=event, elapsed_ms=elapsed_ms)
    return Recorded(last=entry, intent=None)


def test_the_row_of_a_revision_has_all_its_time_and_where_it_came_from() -> None:
    made = progress()
    made.before_ms = 400
    made._began -= 1.5
    row = made.row(9, "run", 4)
    assert 1900 <= row.execution_time_ms < 2900
    assert (row.version, row.checksum, row.success, row.error_message) == (
        "002_fill", "sum", True, None,
    )  # fmt: skip
    assert (row.statements_applied, row.statements_total) == (1, 3)
    assert (row.sequence, row.run_id, row.lock_generation, row.error_code) == (9, "run", 4, 0)
    assert (row.parents, row.operation, row.direction) == (
        ("001_a",), Operation.UPGRADE, Direction.UP,
    )  # fmt: skip
    assert abs((row.executed_at - datetime.now(timezone.utc)).total_seconds()) < 60
    failure = made.failure(refused(), hidden)
    failed = made.row(9, "run", 4, failure)
    assert 1500 <= failed.execution_time_ms < 1900 + 1000
    assert (failed.success, failed.error_code) == (False, 44)
    assert failed.error_message == failure.summary


def test_a_dynamic_revision_has_as_many_statements_as_it_has_come_to() -> None:
    made = Progress(STEP, None)
    made.at(task(position=5))
    assert made.row(1, "run", 1).statements_total == 5


def test_what_earlier_runs_applied_counts_where_it_cannot_go_on() -> None:
    made = Progress(STEP, 3)
    made.known = {
        1: _recorded(1, JournalEvent.APPLIED, 1),
        2: _recorded(2, JournalEvent.FAILED, 1),
    }
    made.stopped(2, task())
    assert (made.position, made.applied, made.current) == (2, 1, PLAIN)
    made.stopped(2, None)
    assert made.current is None


AT = datetime(2026, 11, 29, 12, 0, 0, tzinfo=timezone.utc)


def recorded(position: int, event: JournalEvent, run_id: str = "killed", **more: Any) -> Recorded:
    begun = replace(intent(position), run_id=run_id, at=AT.replace(second=position))
    last = replace(begun, event=event, at=AT.replace(second=10 * position), **more)
    return Recorded(begun if event is JournalEvent.INTENT else last, begun)


def row(run_id: str, version: str = "002_fill") -> LedgerRow:
    return LedgerRow(version, "sum", AT, 5, success=False, run_id=run_id)


def test_a_killed_run_gets_the_row_that_it_could_not_write() -> None:
    made = progress()
    made.known = {1: recorded(1, JournalEvent.APPLIED), 2: recorded(2, JournalEvent.INTENT)}
    assert made.rows_of_the_killed(7, [row("another"), row("killed", "001_a")]) == [
        LedgerRow(
            version="002_fill",
            checksum="sum",
            executed_at=AT.replace(second=1),
            execution_time_ms=9000,
            success=False,
            error_message="The run ended without a record of it, as a killed one does. "
            "Statement 2 may have taken effect.",
            operation=Operation.UPGRADE,
            direction=Direction.UP,
            parents=("001_a",),
            statements_applied=1,
            statements_total=3,
            sequence=7,
            run_id="killed",
            lock_generation=1,
        )
    ]


def test_a_killed_run_took_the_time_that_the_server_went_on_for() -> None:
    made = progress()
    begun = recorded(2, JournalEvent.INTENT)
    logged = replace(begun.last, event=JournalEvent.APPLIED, elapsed_ms=60_000)
    made.known = {1: recorded(1, JournalEvent.APPLIED), 2: replace(begun, last=logged)}
    [found] = made.rows_of_the_killed(7, [])
    assert found.execution_time_ms == 61_000


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (JournalEvent.APPLIED, "Statement 2 took effect."),
        (JournalEvent.FAILED, "Statement 2 did not take effect."),
    ],
)
def test_the_row_of_a_killed_run_says_what_was_found_out(event: JournalEvent, said: str) -> None:
    made = progress()
    made.known = {1: recorded(1, JournalEvent.APPLIED), 2: recorded(2, event)}
    [found] = made.rows_of_the_killed(7, [])
    assert found.error_message is not None and found.error_message.endswith(f" {said}")


def test_each_killed_run_gets_a_row_and_no_other_run_does() -> None:
    made = progress()
    made.known = {
        1: recorded(1, JournalEvent.APPLIED, "told"),
        2: Recorded(recorded(2, JournalEvent.FAILED, "repair", note=f"{ANSWERED}ada@here").last),
        3: recorded(3, JournalEvent.APPLIED, "first"),
        4: recorded(4, JournalEvent.INTENT, "second"),
    }
    found = made.rows_of_the_killed(7, [row("told")])
    assert [(each.run_id, each.sequence) for each in found] == [("first", 7), ("second", 8)]
    assert [each.statements_applied for each in found] == [1, 0]


def test_a_row_says_what_its_step_says() -> None:
    down = Step(
        "002_fill",
        Operation.DOWNGRADE,
        Direction.DOWN,
        checksum="sum",
        parents=("001_a",),
        statements_checksum="statements",
    )
    made = Progress(down, None, applied=2, position=4)

    found = made.row(9, "run", 3)

    assert (found.operation, found.direction) == (Operation.DOWNGRADE, Direction.DOWN)
    assert (found.statements_checksum, found.parents) == ("statements", ("001_a",))
    assert (found.statements_applied, found.statements_total) == (2, 4)


def test_a_killed_downgrade_gets_a_row_of_its_way() -> None:
    down = replace(STEP, operation=Operation.DOWNGRADE, direction=Direction.DOWN)
    made = replace(progress(), step=down, total=None)
    made.known = {1: recorded(1, JournalEvent.APPLIED)}

    [found] = made.rows_of_the_killed(7, [])

    assert (found.operation, found.direction) == (Operation.DOWNGRADE, Direction.DOWN)
    assert found.statements_total == 0


def test_the_time_of_a_failed_attempt_is_its_own_and_of_a_good_one_all_of_them() -> None:
    made = replace(progress(), before_ms=1_000_000)

    failed = made.row(9, "run", 3, made.failure(refused(), hidden))

    assert failed.execution_time_ms < 1_000_000 <= made.row(9, "run", 3).execution_time_ms


def test_a_refusal_that_left_something_behind_names_the_repair_of_its_statement() -> None:
    made = Progress(STEP, 3)
    failure = made.failure(refused(clean=False), hidden)
    assert "--revision 002_fill --statement 1 " in failure.hint


def test_the_reason_of_an_error_is_taken_before_its_message() -> None:
    error = EngineError("a long message", code=44, reason="the reason")
    failure = progress().failure(Refused(error, task(), intent()), hidden)
    assert failure.reason == "the reason"


def test_a_refused_backfill_names_how_it_goes_on_and_how_it_begins_anew() -> None:
    made = replace(progress(), applied=0, position=0)
    error = refused()
    error.moved = True
    failure = made.failure(error, hidden)
    assert failure.hint == (
        "Correct the rows of the source, then run: budeval-migrate up. To begin anew with another "
        "SELECT, remove the rows that it has moved, then: "
        "budeval-migrate repair --revision 002_fill --statement 1 --not-applied"
    )
    assert failure.outcome == (
        "0 statements of this revision took effect, and of statement 1 3 of 5 rows are there; the "
        "next run goes on there"
    )
    second = replace(made, position=2)
    assert " --statement 2 " in second.failure(error, hidden).hint
    down = replace(made, step=replace(STEP, direction=Direction.DOWN))
    assert "then run the downgrade again. To begin" in down.failure(error, hidden).hint


def test_an_error_of_no_server_has_no_hint_of_its_own() -> None:
    lost = ConfigError("no", hint="Look there.")
    assert progress().failure(lost, hidden).hint == (
        "Correct the statement, then run: budeval-migrate up"
    )


def test_a_dynamic_revision_counts_what_it_has_come_to_and_what_lies_behind() -> None:
    made = Progress(STEP, None)
    made.known = {n: _recorded(n, JournalEvent.APPLIED, 1) for n in (1, 2, 3)}
    made.stopped(2, task())
    assert made.applied == 2
    # The third, which an earlier run has applied, is still to come.
    assert made.failure(refused(), hidden).outcome == (
        "3 statements of this revision took effect; the next run goes on at statement 2"
    )
    static = Progress(STEP, 3)
    static.known = dict(made.known)
    static.stopped(2, task())
    assert static.applied == 3


def test_the_time_of_an_attempt_is_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(progress(), before_ms=40, _began=100.0)
    monkeypatch.setattr("budeval_migrations.execution.attempt.time.monotonic", lambda: 100.25)
    assert made.row(9, "run", 3).execution_time_ms == 290
    failed = made.row(9, "run", 3, made.failure(refused(), hidden))
    assert failed.execution_time_ms == 250


def test_the_row_of_a_killed_run_begins_and_ends_with_its_own_entries() -> None:
    made = progress()
    others = replace(intent(2), run_id="another", at=AT.replace(minute=59))
    later = recorded(2, JournalEvent.APPLIED)
    changed = replace(later.last, checksum="later", lock_generation=9)
    made.known = {
        1: recorded(1, JournalEvent.APPLIED),
        2: Recorded(changed, later.intent, (others,)),
    }
    [found] = made.rows_of_the_killed(7, [])
    assert (found.executed_at, found.execution_time_ms) == (AT.replace(second=1), 19_000)
    assert (found.checksum, found.lock_generation) == ("sum", 1)


def test_a_killed_run_whose_times_are_not_known_took_none() -> None:
    made = progress()
    without = replace(intent(1), run_id="killed", at=None)
    made.known = {1: Recorded(without, without)}
    [found] = made.rows_of_the_killed(7, [])
    assert (found.executed_at, found.execution_time_ms) == (made.began_at, 0)


def test_an_answer_about_a_run_that_was_killed_leaves_it_its_row() -> None:
    made = progress()
    answered = recorded(1, JournalEvent.APPLIED, note=f"{ANSWERED}ada@here")
    made.known = {1: answered}
    assert [row.run_id for row in made.rows_of_the_killed(7, [])] == ["killed"]
    alone = recorded(2, JournalEvent.APPLIED, "plain")
    made.known = {2: Recorded(alone.last)}
    assert [row.run_id for row in made.rows_of_the_killed(7, [])] == ["plain"]
