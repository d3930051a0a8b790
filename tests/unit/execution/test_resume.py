"""Unfinished revisions: what was applied beside what the file says now, and what they forbid."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.errors import ChecksumMismatch, LedgerError
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.problems import (
    ON_THE_WAY_DOWN,
    check_downgrade,
    find_problems,
    refuse,
)
from budeval_migrations.execution.resume import (
    Applied,
    check_resumable,
    check_steps,
    repair_command,
    short,
)
from budeval_migrations.execution.statuses import revision_statuses
from budeval_migrations.execution.task import Task
from budeval_migrations.model import (
    CompiledRevision,
    Direction,
    LedgerRow,
    Operation,
    RevisionFile,
    RevisionNode,
    RevisionState,
    Statement,
    Step,
)
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.lock.lock import Holder
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, Recorded, UnfinishedRun

APPLIED, FAILED, INTENT = JournalEvent.APPLIED, JournalEvent.FAILED, JournalEvent.INTENT
DOUBTFUL = JournalEvent.DOUBTFUL
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NAMES = ("one", "two", "three")


def step(*texts: str, dynamic: bool = False, direction: Direction = Direction.UP) -> Step:
    statements = tuple(Statement(text, "versions/001_a.py", n) for n, text in enumerate(texts, 9))
    work = CompiledRevision("001_a", direction, "versions/001_a.py", statements, dynamic)
    if direction is Direction.UP:
        return Step("001_a", Operation.UPGRADE, direction, up=work)
    return Step("001_a", Operation.DOWNGRADE, direction, down=work)


def tasks(of: Step) -> list[Task]:
    assert of.work is not None
    total = len(of.work.statements)
    return [
        Task(of, 0, n, total, statement, statement.text)
        for n, statement in enumerate(of.work.statements, start=1)
    ]


def unfinished(*events: JournalEvent | None, of: Step | None = None) -> UnfinishedRun:
    """What became of the statements one, two, three; None: nothing was written of it."""
    done = tasks(of or step(*NAMES))
    known = {
        task.position: Recorded(replace(task.entry(event), at=AT))
        for task, event in zip(done, events, strict=False)
        if event is not None
    }
    return UnfinishedRun("001_a", Direction.UP, known)


def check(now: Step, so_far: UnfinishedRun) -> None:
    check_resumable(now, so_far, tasks(now))


def test_the_file_as_it_was_goes_on() -> None:
    check(step(*NAMES), unfinished(APPLIED, APPLIED, FAILED))


def test_an_edited_statement_that_took_effect_is_refused_with_both_texts() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        check(step("one", "another", "three"), unfinished(APPLIED, APPLIED, FAILED))

    error = caught.value
    assert error.message == (
        "001_a  statement 2  (versions/001_a.py:10)\n"
        "  It took effect on 2026-01-02 03:04:05 UTC and was edited afterwards; nothing was sent.\n"
        "  applied: two\n"
        "  file:    another"
    )
    assert error.hint == (
        "Restore the statement as it was and write the change as a statement after it. "
        "To have it run again as it is now: "
        "budeval-migrate repair --revision 001_a --statement 2 --not-applied"
    )
    assert error.details == {
        "revision": "001_a",
        "statement": 2,
        "applied": "two",
        "now": "another",
    }
    assert error.exit_code == 4


def test_a_statement_that_is_not_there_any_more_is_refused() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        check(step("one"), unfinished(APPLIED, APPLIED))

    assert "statement 2\n" in caught.value.message
    assert caught.value.message.endswith("file:    (there is no such statement any more)")
    assert (caught.value.details["applied"], caught.value.details["now"]) == ("two", None)


def test_a_statement_that_was_put_before_applied_ones_is_refused() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        check(step("zero", *NAMES), unfinished(APPLIED, APPLIED, FAILED))

    assert (caught.value.details["statement"], caught.value.details["now"]) == (1, "zero")


def test_the_revisions_that_an_earlier_run_left_are_checked() -> None:
    session: Any = SimpleNamespace(redact=lambda text: text)
    done, failed = tasks(step("one", "two"))
    left = LedgerState(
        Ground.READY,
        entries=(
            replace(done.entry(APPLIED), at=AT, sequence=1),
            replace(failed.entry(FAILED), at=AT, sequence=2),
        ),
    )

    check_steps(session, left, [step("one", "corrected")])
    check_steps(session, LedgerState(Ground.READY), [step("edited", "two")])
    with pytest.raises(ChecksumMismatch, match="file:    edited"):
        check_steps(session, left, [step("edited", "two")])


def test_what_a_statement_moved_is_of_no_matter_once_it_is_applied() -> None:
    so_far = _backfilled(APPLIED)
    last = replace(so_far.statements[1].last, hash=tasks(step("another"))[0].hash)
    check(
        step("another"), replace(so_far, statements={1: replace(so_far.statements[1], last=last)})
    )


def _backfilled(event: JournalEvent) -> UnfinishedRun:
    """What became of the statement one, of which a chunk was filled."""
    [task] = tasks(step("one"))
    last = replace(task.entry(event), at=AT)
    chunk = replace(task.entry(JournalEvent.CHUNK), at=AT, note='{"staging": "s"}')
    return UnfinishedRun("001_a", Direction.UP, {1: Recorded(last, None, (chunk,))})


@pytest.mark.parametrize("event", [INTENT, FAILED])
def test_an_edited_backfill_that_has_moved_rows_is_refused(event: JournalEvent) -> None:
    check(step("one"), _backfilled(event))
    for now, found in (
        (step("another"), "another"),
        (step(), "(there is no such statement any more)"),
    ):
        with pytest.raises(ChecksumMismatch) as caught:
            check(now, _backfilled(event))
        where = "  (versions/001_a.py:9)" if found == "another" else ""
        assert caught.value.message == (
            f"001_a  statement 1{where}\n"
            "  It has moved rows on 2026-01-02 03:04:05 UTC and was edited afterwards; nothing was "
            "sent.\n"
            "  applied: one\n"
            f"  file:    {found}"
        )
        assert caught.value.hint.endswith(
            "To have it run again as it is now: remove the rows that it has moved, then: "
            "budeval-migrate repair --revision 001_a --statement 1 --not-applied"
        )


def test_an_edited_backfill_that_is_applied_is_refused_as_any_other() -> None:
    with pytest.raises(ChecksumMismatch, match="It took effect on"):
        check(step("another"), _backfilled(APPLIED))
    check(step("one"), _backfilled(APPLIED))


def test_a_statement_is_shown_on_one_line_of_at_most_400_characters() -> None:
    assert short("SELECT\n  1") == "SELECT 1"
    assert short("x" * 400) == "x" * 400
    assert short("x" * 401) == "x" * 399 + "…"


def test_applied_statements_that_changed_places_are_refused() -> None:
    with pytest.raises(ChecksumMismatch):
        check(step("two", "one", "three"), unfinished(APPLIED, APPLIED))


@pytest.mark.parametrize("event", [FAILED, INTENT, DOUBTFUL, None])
def test_what_is_not_known_to_be_applied_may_be_edited(event: JournalEvent | None) -> None:
    check(step("one", "another", "three"), unfinished(APPLIED, event))


def test_a_failed_statement_may_become_several_or_none() -> None:
    check(step("one", "two a", "two b", "three"), unfinished(APPLIED, FAILED))
    check(step("one"), unfinished(APPLIED, FAILED))


def test_what_comes_after_the_failed_statement_may_be_edited() -> None:
    check(step("one", "two", "else"), unfinished(APPLIED, FAILED))


def test_the_first_of_several_edited_statements_is_named() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        check(step("x", "y", "z"), unfinished(APPLIED, APPLIED, APPLIED))

    assert caught.value.details["statement"] == 1


def test_a_hole_before_an_applied_statement_does_not_hide_it() -> None:
    with pytest.raises(ChecksumMismatch) as caught:
        check(step("one", "two", "z"), unfinished(None, FAILED, APPLIED))

    assert caught.value.details["statement"] == 3


def test_long_texts_are_shown_on_one_short_line_and_kept_in_full() -> None:
    long = "SELECT\n  " + "1 + " * 400 + "1"
    was = step(long)

    with pytest.raises(ChecksumMismatch) as caught:
        check(step("one"), unfinished(APPLIED, of=was))

    [line] = [x for x in caught.value.message.splitlines() if x.startswith("  applied: ")]
    assert len(line) == len("  applied: ") + 400
    assert line.endswith("…")
    assert caught.value.details["applied"] == long


def test_texts_that_differ_only_in_what_is_not_shown_are_shown_without_secrets() -> None:
    now = step("CREATE USER u IDENTIFIED BY 'new'")
    shown = [Task(now, 0, 1, 1, t.statement, "CREATE USER u IDENTIFIED BY ***") for t in tasks(now)]

    with pytest.raises(ChecksumMismatch) as caught:
        check_resumable(now, unfinished(APPLIED), shown)

    assert "new" not in str(caught.value.as_dict())


def test_a_statement_that_differs_by_its_secret_alone_is_told_so() -> None:
    shown = "CREATE USER u IDENTIFIED BY '[HIDDEN]'"
    was = step("CREATE USER u IDENTIFIED BY 'old'")
    now = step("CREATE USER u IDENTIFIED BY 'new'")
    found = unfinished(APPLIED, of=was)
    told = {
        n: replace(r, last=replace(r.last, statement=shown)) for n, r in found.statements.items()
    }

    with pytest.raises(ChecksumMismatch) as caught:
        check_resumable(
            now,
            replace(found, statements=told),
            [Task(now, 0, 1, 1, t.statement, shown) for t in tasks(now)],
        )

    repair = "budeval-migrate repair --revision 001_a --statement 1"
    assert caught.value.message == (
        "001_a  statement 1  (versions/001_a.py:9)\n"
        "  It took effect with another secret than it has now, and is the same otherwise; "
        "nothing was sent.\n"
        f"  applied: {shown}"
    )
    assert caught.value.hint == (
        "If the server knows the new secret, or shall keep the old one: "
        f"{repair} --applied. To have it run again with the new one: {repair} --not-applied"
    )
    assert caught.value.details == {
        "revision": "001_a",
        "statement": 1,
        "applied": shown,
        "now": shown,
    }


@pytest.mark.parametrize(
    ("text", "shown", "what", "kept"),
    [
        ("one", "one", "probe or option of its directive", "it is not to run again"),
        (
            "CREATE USER u IDENTIFIED BY 'x'",
            "CREATE USER u IDENTIFIED BY '[HIDDEN]'",
            "secret or probe",
            "the server knows the new secret, or shall keep the old one",
        ),
    ],
)
def test_another_probe_is_not_called_another_secret(
    text: str, shown: str, what: str, kept: str
) -> None:
    now = step(text)
    [task] = tasks(now)
    probed = Task(now, 0, 1, 1, replace(task.statement, unless="SELECT 1"), shown)
    last = replace(task.entry(APPLIED), statement=shown)
    so_far = UnfinishedRun("001_a", Direction.UP, {1: Recorded(last)})
    with pytest.raises(ChecksumMismatch) as caught:
        check_resumable(now, so_far, [probed])

    assert f"It took effect with another {what} than it has now" in caught.value.message
    assert caught.value.hint.startswith(f"If {kept}: budeval-migrate repair")


def test_a_statement_of_an_unknown_time_took_effect_before() -> None:
    found = unfinished(APPLIED)
    timeless = {n: replace(r, last=replace(r.last, at=None)) for n, r in found.statements.items()}

    with pytest.raises(ChecksumMismatch, match="It took effect on before and was edited"):
        check(step("x"), replace(found, statements=timeless))


def test_a_dynamic_revision_is_compared_as_it_runs() -> None:
    check_resumable(step(dynamic=True), unfinished(APPLIED, APPLIED), [])


def test_a_revision_that_became_dynamic_is_compared_as_it_runs() -> None:
    check_resumable(step("one", dynamic=True), unfinished(APPLIED, APPLIED), [])


def test_a_step_without_statements_is_not_compared() -> None:
    check_resumable(Step("001_a", Operation.STAMP, Direction.UP), unfinished(APPLIED), [])


def test_a_downgrade_is_compared_like_an_upgrade() -> None:
    with pytest.raises(ChecksumMismatch):
        check(step("x", direction=Direction.DOWN), unfinished(APPLIED))


def test_the_command_that_settles_names_revision_and_statement() -> None:
    assert repair_command("001_a", 2, "--applied") == (
        "budeval-migrate repair --revision 001_a --statement 2 --applied"
    )


# --- dynamic revisions ----------------------------------------------------------------------


def known(*texts: str, event: JournalEvent = APPLIED) -> list[Recorded]:
    return [Recorded(task.entry(event)) for task in tasks(step(*texts))]


def test_a_dynamic_revision_finds_its_statements_in_any_order() -> None:
    done = Applied(known("one", "two"))

    assert [done.take(t) for t in tasks(step("two", "three", "one"))] == [True, False, True]


def test_a_statement_that_was_applied_twice_is_found_twice() -> None:
    done = Applied(known("one", "one"))

    assert [done.take(t) for t in tasks(step("one", "one", "one"))] == [True, True, False]


@pytest.mark.parametrize("event", [FAILED, INTENT, DOUBTFUL, JournalEvent.CHUNK])
def test_what_is_not_known_to_be_applied_is_not_found(event: JournalEvent) -> None:
    assert not Applied(known("one", event=event)).take(tasks(step("one"))[0])


_texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8)


@given(_texts, _texts)
def test_each_text_runs_as_often_as_it_is_wanted_and_was_not_yet_applied(
    before: list[str], wanted: list[str]
) -> None:
    done = Applied(known(*before))
    sent = [t.statement.text for t in tasks(step(*wanted)) if not done.take(t)]

    for text in "abc":
        assert sent.count(text) == max(0, wanted.count(text) - before.count(text))


@given(_texts, st.integers(0, 8), _texts)
def test_a_file_is_accepted_exactly_when_it_begins_with_what_was_applied(
    before: list[str], count: int, now: list[str]
) -> None:
    was, count = step(*before), min(count, len(before))
    so_far = unfinished(*[APPLIED] * count, of=was) if before else unfinished(of=was)
    accepted = True
    try:
        check(step(*now), so_far)
    except ChecksumMismatch:
        accepted = False

    assert accepted == (now[:count] == before[:count])


# --- where a database stands while a revision is unfinished ------------------------------------

CHAIN = {"001_a": (), "002_b": ("001_a",), "003_c": ("002_b",)}


def row(version: str, sequence: int, **other: object) -> LedgerRow:
    made = LedgerRow(
        version, f"sum {version}", AT, 12, True, parents=CHAIN[version], sequence=sequence
    )
    return replace(made, **other)  # type: ignore[arg-type]


def said(
    revision: str, direction: Direction, *events: JournalEvent, since: int = 0
) -> tuple[JournalEntry, ...]:
    """An entry for each statement of a move, numbered on."""
    return tuple(
        JournalEntry(
            revision, direction, since, n, event, f"hash {n}", f"text {n}", sequence=n, at=AT
        )
        for n, event in enumerate(events, start=1)
    )


def standing(applied: int, *entries: JournalEntry, files: int = 3) -> Position:
    """A database with the first revisions applied, and files for the first ones."""
    names = list(CHAIN)
    rows = tuple(row(name, n) for n, name in enumerate(names[:applied], start=1))
    found = {n: RevisionFile(n, f"/versions/{n}.py", f"sum {n}") for n in names[:files]}
    graph = {n: RevisionNode(n, CHAIN[n]) for n in names[:files]}
    return Position(LedgerState(Ground.READY, rows, entries=entries), found, graph)


def never(revision: str) -> str:
    raise AssertionError(f"{revision} was compiled for nothing")


BEGUN = [(APPLIED,), (INTENT,), (DOUBTFUL,), (APPLIED, FAILED), (FAILED, DOUBTFUL)]


@pytest.mark.parametrize("events", BEGUN)
def test_a_downgrade_that_was_begun_is_half_taken_back(events: tuple[JournalEvent, ...]) -> None:
    here = standing(3, *said("003_c", Direction.DOWN, *events, since=3))

    assert [(e.revision, e.direction) for e in here.half_reverted] == [("003_c", Direction.DOWN)]
    assert here.half_applied == ()


def test_a_downgrade_of_which_nothing_took_effect_is_nothing() -> None:
    here = standing(3, *said("003_c", Direction.DOWN, FAILED, since=3))

    assert (here.half_reverted, here.half_applied) == ((), ())
    assert find_problems(here, never) == ([], [])


@pytest.mark.parametrize("events", BEGUN)
def test_an_upgrade_that_was_begun_is_half_applied(events: tuple[JournalEvent, ...]) -> None:
    here = standing(2, *said("003_c", Direction.UP, *events))

    assert [e.revision for e in here.half_applied] == ["003_c"]
    assert here.half_reverted == ()


def test_a_half_taken_back_revision_is_a_problem_that_stops_an_upgrade_alone() -> None:
    here = standing(3, *said("003_c", Direction.DOWN, APPLIED, APPLIED, INTENT, since=3))

    [problem], warnings = find_problems(here, never)

    assert (problem.revision, problem.kind, warnings) == ("003_c", "half_reverted", [])
    assert problem.message == (
        "A downgrade of 003_c was begun and not finished: 2 statements took effect, "
        "the outcome of statement 3 is not known."
    )
    with pytest.raises(LedgerError) as caught:
        refuse(here, never)
    assert type(caught.value) is LedgerError
    assert refuse(here, never, ON_THE_WAY_DOWN) == [problem.message]


def test_a_half_applied_revision_is_told_when_its_file_is_gone() -> None:
    entries = said("003_c", Direction.UP, APPLIED, FAILED)

    assert find_problems(standing(2, *entries), never) == ([], [])
    problems, [warning] = find_problems(standing(2, *entries, files=2), never)
    assert (problems, warning.kind, warning.revision) == ([], "half_applied", "003_c")
    assert "(1 statement took effect)" in warning.message


@pytest.mark.parametrize("leaving", [["001_a"], ["002_b", "001_a"], ["002_b"]])
def test_what_a_half_applied_revision_builds_on_stays(leaving: list[str]) -> None:
    here = standing(2, *said("003_c", Direction.UP, FAILED, APPLIED, INTENT))

    with pytest.raises(LedgerError) as caught:
        check_downgrade(here, leaving)

    assert caught.value.details == {"revision": "003_c"}
    assert "repair --revision 003_c --statement 2 --not-applied" in caught.value.hint


def test_what_a_half_applied_revision_does_not_build_on_may_go() -> None:
    here = standing(2, *said("003_c", Direction.UP, APPLIED))

    check_downgrade(here, [])
    check_downgrade(standing(2, *said("003_c", Direction.UP, FAILED)), ["002_b"])
    check_downgrade(standing(3, *said("003_c", Direction.DOWN, APPLIED, since=3)), ["002_b"])


@pytest.mark.parametrize(
    ("applied", "direction", "events", "state", "statement", "count"),
    [
        (2, Direction.UP, (APPLIED, FAILED), RevisionState.FAILED, None, 1),
        (2, Direction.UP, (APPLIED, INTENT), RevisionState.UNKNOWN, 2, 1),
        (2, Direction.UP, (DOUBTFUL, APPLIED, INTENT), RevisionState.UNKNOWN, 1, 1),
        (2, Direction.UP, (FAILED,), RevisionState.PENDING, None, None),
        (3, Direction.DOWN, (APPLIED,), RevisionState.FAILED, None, 1),
        (3, Direction.DOWN, (APPLIED, DOUBTFUL), RevisionState.UNKNOWN, 2, 1),
        (3, Direction.DOWN, (FAILED,), RevisionState.APPLIED, None, 0),
    ],
)
def test_a_line_of_the_status_says_how_an_unfinished_revision_stands(
    applied: int,
    direction: Direction,
    events: tuple[JournalEvent, ...],
    state: RevisionState,
    statement: int | None,
    count: int | None,
) -> None:
    here = standing(applied, *said("003_c", direction, *events, since=3 if applied == 3 else 0))

    line = revision_statuses(here, never, None)[-1]

    assert (line.revision, line.state, line.statement) == ("003_c", state, statement)
    assert line.statements_applied == count


def test_a_line_says_who_runs_a_revision_and_at_which_statement() -> None:
    here = standing(2, *said("003_c", Direction.UP, APPLIED, INTENT))
    holder = Holder(7, "o", "u@h pid 1", AT, True, doing="003_c statement 2 of 5")

    line = revision_statuses(here, never, holder)[-1]

    assert (line.state, line.statement) == (RevisionState.RUNNING, 2)
    assert (line.holder, line.since) == ("u@h pid 1", AT)


def test_a_revision_that_was_begun_and_has_no_file_has_a_line() -> None:
    here = standing(2, *said("003_c", Direction.UP, APPLIED), files=2)

    assert [line.revision for line in revision_statuses(here, never, None)] == list(CHAIN)
