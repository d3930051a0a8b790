"""The laws of what is durable when, with a journal and a ledger that are lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.clickhouse.cluster.topology import Topology
from budeval_migrations.clickhouse.fingerprint import Fingerprint
from budeval_migrations.errors import LockLost
from budeval_migrations.execution import recorder as recorder_module
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.task import Task
from budeval_migrations.model import (
    Backfill,
    CompiledRevision,
    Direction,
    LedgerRow,
    Operation,
    Statement,
    Step,
)
from budeval_migrations.state.ledger import Attempt
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, fold

UP, DOWN = Direction.UP, Direction.DOWN
INTENT, APPLIED, FAILED = JournalEvent.INTENT, JournalEvent.APPLIED, JournalEvent.FAILED
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """Everything that happens, in order; dies at a write when it is told so.

    Attributes:
        lives: How many writes and sends it survives; None: all.
        sent: The tasks that were sent, with the journal as it was durable then.

    """

    lives: int | None = None
    entries: list[JournalEntry] = field(default_factory=list)
    rows: list[LedgerRow] = field(default_factory=list)
    sent: list[tuple[Task, tuple[JournalEntry, ...]]] = field(default_factory=list)
    fingerprints: list[tuple[Any, ...]] = field(default_factory=list)
    writes: int = 0
    fence: str = ""
    generation: int = 7

    def breathe(self) -> None:
        if self.lives is not None:
            if self.lives <= 0:
                raise Killed
            self.lives -= 1

    # What the recorder takes for a journal, a ledger and a lock.

    def append(self, found: Iterable[JournalEntry] | Sequence[Attempt], fence: str = "") -> None:
        found = list(found)
        if not found:
            return
        self.breathe()
        self.writes += 1
        for each in found:
            if isinstance(each, JournalEntry):
                self.entries.append(replace(each, sequence=len(self.entries) + 1))
            else:
                self.rows.append(each.row)

    def check(self) -> None:
        pass

    def send(self, task: Task) -> None:
        self.breathe()
        self.sent.append((task, tuple(self.entries)))


SESSION: Any = SimpleNamespace(database="d", topology=Topology())


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "take", lambda _, effects: [Fingerprint()] * len(effects))
    ticks = count(1)
    monkeypatch.setattr(
        recorder_module, "time", SimpleNamespace(monotonic=lambda: float(next(ticks)) / 1e6)
    )


def make_steps(
    *revisions: Sequence[str], direction: Direction = UP
) -> list[tuple[Step, list[Task]]]:
    made = []
    for number, texts in enumerate(revisions, start=1):
        name = f"{number:03}_r"
        statements = tuple(Statement(text) for text in texts)
        work = CompiledRevision(name, direction, f"{name}.py", statements)
        if direction is UP:
            step = Step(name, Operation.UPGRADE, UP, up=work)
        else:
            step = Step(name, Operation.DOWNGRADE, DOWN, down=work)
        tasks = [
            Task(step, 0, n, len(texts), statement, statement.text)
            for n, statement in enumerate(statements, start=1)
        ]
        made.append((step, tasks))
    return made


def good_row(step: Step, sequence: int) -> Attempt:
    row = LedgerRow(step.revision, "", AT, 1, True, direction=step.direction, sequence=sequence)
    return Attempt(row)


def run(
    world: World,
    steps: list[tuple[Step, list[Task]]],
    outcomes: Iterable[JournalEvent] = (),
) -> Recorder:
    """Do what the executor does: intend, send, note, and finish; stop at the first failure."""
    queue = [task for _, tasks in steps for task in tasks]
    recorder = Recorder(SESSION, world, world, world, "run", queue)  # type: ignore[arg-type]
    told = iter(outcomes)
    for number, (step, tasks) in enumerate(steps, start=1):
        for task in tasks:
            intent = recorder.intend(task)
            world.send(task)
            outcome = next(told, APPLIED)
            entry = replace(intent, event=outcome, before="")
            if outcome is not APPLIED:
                recorder.record(entry)
                recorder.abandon()
                failed = good_row(step, number)
                recorder.finish(Attempt(replace(failed.row, success=False)))
                recorder.flush()
                return recorder
            recorder.note(task, entry)
        recorder.finish(good_row(step, number))
    recorder.flush()
    return recorder


def about(task: Task, entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    return [e for e in entries if (e.revision, e.position) == (task.step.revision, task.position)]


# --- one by one -----------------------------------------------------------------------------

TABLE = "CREATE TABLE {} (k Int8) ENGINE = Log"
GUARDED = "CREATE TABLE IF NOT EXISTS {} (k Int8) ENGINE = Log"
INSERT = "INSERT INTO {} SELECT 1"
ADD = "ALTER TABLE {} ADD COLUMN IF NOT EXISTS c Int8"


def test_tables_that_are_made_one_after_another_share_their_writes() -> None:
    world = World()

    run(world, make_steps(*[[TABLE.format(f"t{n}")] for n in range(40)]))

    assert len(world.sent) == 40
    assert world.writes == 3  # all intents, then all outcomes, then all rows of the ledger
    assert len(world.rows) == 40


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ("CREATE OR REPLACE VIEW v AS SELECT * FROM a", ADD.format("a"), True),
        ("CREATE OR REPLACE VIEW v AS SELECT * FROM a", ADD.format("b"), False),
        (
            "CREATE OR REPLACE VIEW v AS SELECT f(1)",
            "CREATE OR REPLACE FUNCTION f AS x -> x",
            True,
        ),
        (
            "ALTER TABLE v MODIFY QUERY SELECT * FROM a",
            "CREATE OR REPLACE VIEW a AS SELECT 1",
            True,
        ),
        ("CREATE OR REPLACE VIEW v AS SELECT * FROM merge('^x')", GUARDED.format("x1"), True),
    ],
)
def test_what_reads_a_thing_is_written_down_before_that_changes(
    first: str, second: str, known: bool
) -> None:
    world = World()
    run(world, make_steps([first, second]))
    durable = world.sent[1][1]
    assert (APPLIED in [e.event for e in durable if e.position == 1]) is known


def test_more_than_fifty_intents_are_not_written_at_once() -> None:
    world = World()

    run(world, make_steps(*[[TABLE.format(f"t{n}")] for n in range(120)]))

    first = next(n for n, (_, durable) in enumerate(world.sent) if len(durable) > 50)
    assert first == 50
    assert len([e for e in world.sent[0][1] if e.event is INTENT]) == 50


def test_an_insert_is_written_down_before_and_after() -> None:
    world = World()

    run(world, make_steps([INSERT.format("t"), INSERT.format("t")]))

    (_, before_first), (_, before_second) = world.sent
    assert [e.event for e in before_first] == [INTENT]
    assert [e.event for e in before_second] == [INTENT, APPLIED, INTENT]


def test_a_prompt_recorder_writes_each_outcome_at_once() -> None:
    [(_, tasks)] = make_steps([TABLE.format("a"), TABLE.format("b")])
    for prompt, durable in ((True, [INTENT, INTENT, APPLIED]), (False, [INTENT, INTENT])):
        world = World()
        recorder = Recorder(
            SESSION,
            world,  # type: ignore[arg-type]
            world,  # type: ignore[arg-type]
            world,  # type: ignore[arg-type]
            "run",
            tasks,
            prompt=prompt,
        )
        intent = recorder.intend(tasks[0])
        recorder.note(tasks[0], replace(intent, event=APPLIED))
        assert [entry.event for entry in world.entries] == durable


def test_an_entry_that_is_written_is_durable_after_what_waits() -> None:
    [(_, [first, second])] = make_steps([TABLE.format("a"), TABLE.format("b")])
    world = World()
    recorder = Recorder(SESSION, world, world, world, "run", [])  # type: ignore[arg-type]
    recorder.record(first.entry(FAILED))

    recorder.write(second.entry(APPLIED))

    assert [(e.position, e.event) for e in world.entries] == [(1, FAILED), (2, APPLIED)]
    assert world.writes == 1


def test_an_intent_that_was_written_ahead_is_sent_without_another_write() -> None:
    world = World()
    [(_, tasks)] = make_steps([TABLE.format("a"), TABLE.format("b")])
    recorder = Recorder(SESSION, world, world, world, "run", tasks)  # type: ignore[arg-type]
    first = recorder.intend(tasks[0])
    recorder.record(first.outcome(APPLIED))

    recorder.intend(tasks[1])

    assert [entry.event for entry in world.entries] == [INTENT, INTENT]


def test_an_intent_is_written_ahead_up_to_what_any_earlier_statement_changes() -> None:
    world = World()

    texts = [TABLE.format("a"), TABLE.format("b"), "DROP TABLE a", TABLE.format("c")]
    run(world, make_steps(texts))

    _, durable = world.sent[0]
    assert [entry.statement for entry in durable] == texts[:2]


def test_a_repeatable_statement_needs_no_intent_on_the_way_up() -> None:
    world = World()

    run(world, make_steps([GUARDED.format("t"), "CREATE OR REPLACE VIEW v AS SELECT 1"]))

    assert [e.event for e in world.entries] == [APPLIED, APPLIED]


def test_a_repeatable_statement_has_an_intent_on_the_way_down() -> None:
    world = World()

    run(world, make_steps(["DROP TABLE IF EXISTS t"], direction=DOWN))

    assert [e.event for e in world.sent[0][1]] == [INTENT]
    assert world.entries[0].note == "repeatable"


def test_a_table_that_is_made_and_altered_is_looked_at_in_between() -> None:
    world = World()

    run(world, make_steps([TABLE.format("t"), "ALTER TABLE t ADD COLUMN z Int8"]))

    assert [e.position for e in world.sent[0][1]] == [1]


def test_a_table_with_and_without_its_database_is_one_table() -> None:
    world = World()

    run(world, make_steps(["ALTER TABLE t ADD COLUMN y Int8", "ALTER TABLE d.t ADD COLUMN z Int8"]))

    assert [e.position for e in world.sent[0][1]] == [1]


def test_what_stands_behind_an_insert_is_not_looked_at_before_it() -> None:
    world = World()

    run(world, make_steps([TABLE.format("t"), INSERT.format("t"), TABLE.format("u")]))

    assert [e.position for e in world.sent[0][1]] == [1]
    assert [e.position for e in world.sent[1][1]][-1] == 2


def test_an_intent_that_was_written_ahead_is_taken_back_at_a_failure() -> None:
    world = World()

    run(world, make_steps([TABLE.format(n) for n in "abc"]), [APPLIED, FAILED])

    [unfinished] = fold(world.entries).values()
    assert [(p, s.last.event, s.last.note) for p, s in sorted(unfinished.statements.items())] == [
        (1, APPLIED, ""),
        (2, FAILED, ""),
        (3, FAILED, "was not sent"),
    ]
    assert unfinished.doubtful == ()


class Writer:
    """A journal, a ledger or a lock that says when it is used."""

    def __init__(self, name: str, used: list[str], *, lost: bool = False) -> None:
        self.name, self.used, self.lost = name, used, lost
        self.generation, self.fence = 7, "it is ours"

    def check(self) -> None:
        self.used.append(self.name)
        if self.lost:
            raise LockLost("It was taken away.")

    def append(self, found: Sequence[Any], fence: str = "") -> None:
        if found:
            self.used.append(f"{self.name} {fence}".strip())


def _with_something_to_write(used: list[str], *, lost: bool = False) -> Recorder:
    journal, ledger = Writer("journal", used), Writer("ledger", used)
    lock = Writer("lock", used, lost=lost)
    [(step, [task])] = make_steps([INSERT.format("t")])
    made = Recorder(SESSION, ledger, journal, lock, "run", [task])  # type: ignore[arg-type]
    made.record(task.entry(APPLIED))
    made.finish(good_row(step, 1), lambda: used.append("told"))
    return made


def test_the_lock_is_looked_at_then_the_journal_written_then_the_ledger_then_it_is_told() -> None:
    used: list[str] = []
    _with_something_to_write(used).flush()
    assert used == ["lock", "journal", "ledger it is ours", "told"]


def test_who_lost_the_lock_writes_nothing_and_tells_nothing() -> None:
    used: list[str] = []
    with pytest.raises(LockLost):
        _with_something_to_write(used, lost=True).flush()
    assert used == ["lock"]


def test_every_entry_says_whose_run_it_was() -> None:
    world = World()

    run(world, make_steps([INSERT.format("t")]))

    assert {(e.run_id, e.lock_generation) for e in world.entries} == {("run", 7)}
    assert len({e.query_id for e in world.entries}) == 1
    assert world.entries[0].query_id


def test_an_intent_keeps_what_the_catalogue_says_before_its_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Fingerprint(objects={"d.t": "Log 0 hash"})
    monkeypatch.setattr(recorder_module, "take", lambda _, effects: [found] * len(effects))
    world = World()

    run(world, make_steps([INSERT.format("t"), INSERT.format("u")]))

    assert [e.before for e in world.entries] == [found.as_json(), "", found.as_json(), ""]
    # Each statement is sent under a name of its own.
    assert len({e.query_id for e in world.entries}) == 2
    assert all(len(e.query_id) == 36 for e in world.entries)


def test_the_intent_of_a_backfill_says_so() -> None:
    world = World()
    [(step, [task])] = make_steps([INSERT.format("t")])
    asked = Backfill("t", "SELECT 1", "s", "k", 10)
    task = replace(task, statement=replace(task.statement, backfill=asked))

    recorder = Recorder(SESSION, world, world, world, "run", [task])  # type: ignore[arg-type]

    assert recorder.intend(task).note == "backfill"
    assert step.revision == "001_r"


def test_a_statement_that_nobody_knows_ends_the_row_of_intents() -> None:
    world = World()
    [(_, tasks)] = make_steps([TABLE.format(name) for name in "abc"])
    queue = [tasks[0], None, tasks[2]]

    recorder = Recorder(SESSION, world, world, world, "run", queue)  # type: ignore[arg-type]
    recorder.intend(tasks[0])

    assert [e.position for e in world.entries] == [1]


@pytest.mark.parametrize(("seconds", "written"), [(0.24, 0), (0.25, 1), (9.0, 1)])
def test_what_waits_is_written_after_a_quarter_of_a_second(
    monkeypatch: pytest.MonkeyPatch, seconds: float, written: int
) -> None:
    now = 100.0
    monkeypatch.setattr(recorder_module, "time", SimpleNamespace(monotonic=lambda: now))
    world = World()
    [(step, [task])] = make_steps([TABLE.format("t")])
    recorder = Recorder(SESSION, world, world, world, "run", [task])  # type: ignore[arg-type]
    recorder.record(task.entry(APPLIED))
    now += seconds
    recorder.finish(good_row(step, 1))

    assert len(world.rows) == written
    recorder.flush()
    now += 60
    recorder.finish(good_row(step, 2))  # the time of what is written counts no more
    assert len(world.rows) == 1


# --- laws -----------------------------------------------------------------------------------

_STATEMENTS = [
    TABLE.format("a"),
    TABLE.format("b"),
    GUARDED.format("a"),
    GUARDED.format("c"),
    "ALTER TABLE a ADD COLUMN y Int8",
    "ALTER TABLE d.a ADD COLUMN z Int8",
    "ALTER TABLE a ADD COLUMN IF NOT EXISTS x Int8",
    "RENAME TABLE b TO c",
    "DROP TABLE c",
    "DROP TABLE IF EXISTS a",
    "CREATE FUNCTION f AS x -> x",
    INSERT.format("a"),
    "ALTER TABLE a UPDATE k = 1 WHERE 1",
    "OPTIMIZE TABLE a",
    "TRUNCATE TABLE b",
]
_revisions = st.lists(st.lists(st.sampled_from(_STATEMENTS), max_size=5), max_size=5)
_directions = st.sampled_from(Direction)
_outcomes = st.lists(st.sampled_from([APPLIED, APPLIED, APPLIED, APPLIED, FAILED]), max_size=12)


def lived(
    revisions: list[list[str]],
    direction: Direction,
    outcomes: list[JournalEvent],
    lives: int | None,
) -> World:
    world = World(lives)
    with suppress(Killed):
        run(world, make_steps(*revisions, direction=direction), outcomes)
    return world


@given(_revisions, _directions, _outcomes, st.integers(0, 60))
def test_nothing_is_sent_before_its_intent_is_durable(
    revisions: list[list[str]], direction: Direction, outcomes: list[JournalEvent], lives: int
) -> None:
    for task, durable in lived(revisions, direction, outcomes, lives).sent:
        if task.needs_intent:
            assert about(task, durable)[-1].event is INTENT
        elif not task.repeatable:
            raise AssertionError("neither repeatable nor intended")


@given(_revisions, _directions, _outcomes, st.integers(0, 60))
def test_an_outcome_that_the_catalogue_cannot_tell_is_durable_before_the_next_is_sent(
    revisions: list[list[str]], direction: Direction, outcomes: list[JournalEvent], lives: int
) -> None:
    sent = lived(revisions, direction, outcomes, lives).sent
    for (earlier, _), (_, durable) in pairwise(sent):
        if not (earlier.quick or earlier.repeatable):
            assert about(earlier, durable)[-1].event is APPLIED


@given(_revisions, _directions, _outcomes, st.integers(0, 60))
def test_what_is_durable_is_the_beginning_of_what_happened(
    revisions: list[list[str]], direction: Direction, outcomes: list[JournalEvent], lives: int
) -> None:
    world = lived(revisions, direction, outcomes, lives)
    sent = [(t.step.revision, t.position) for t, _ in world.sent]
    steps = make_steps(*revisions, direction=direction)
    order = [(t.step.revision, t.position) for _, tasks in steps for t in tasks]
    assert sent == order[: len(sent)]

    said = [(e.revision, e.position) for e in world.entries if e.event is APPLIED]
    assert said == [s for s in sent if s in set(said)], "outcomes are in their order, once each"
    assert said == sent[: len(said)], "and none is left out"
    for row in world.rows:
        if row.success:
            own = [t for _, tasks in steps for t in tasks if t.step.revision == row.version]
            for task in own:
                assert about(task, world.entries)[-1].event is APPLIED
    finished = [row.version for row in world.rows if row.success]
    assert finished == [s.revision for s, _ in steps][: len(finished)]


@given(_revisions, _directions, _outcomes, st.integers(0, 60))
def test_intents_that_wait_together_touch_different_things(
    revisions: list[list[str]], direction: Direction, outcomes: list[JournalEvent], lives: int
) -> None:
    world = lived(revisions, direction, outcomes, lives)
    tasks = {
        (t.step.revision, t.position): t
        for _, found in make_steps(*revisions, direction=direction)
        for t in found
    }
    for _, durable in world.sent:
        waiting = [
            tasks[s.last.revision, s.last.position]
            for unfinished in fold(durable).values()
            for s in unfinished.doubtful
        ]
        names = [
            name
            for task in waiting
            for name in {(n.database or "d", n.name) for n in task.effect.targets}
        ]
        if len(waiting) > 1:
            assert len(names) == len(set(names))


@given(_revisions, _directions, st.integers(0, 60))
def test_nothing_in_doubt_was_both_unsent_and_indistinguishable(
    revisions: list[list[str]], direction: Direction, lives: int
) -> None:
    """After a kill only what is quick may be in doubt together with another."""
    world = lived(revisions, direction, [], lives)
    tasks = {
        (t.step.revision, t.position): t
        for _, found in make_steps(*revisions, direction=direction)
        for t in found
    }
    doubtful = [
        tasks[s.last.revision, s.last.position]
        for unfinished in fold(world.entries).values()
        for s in unfinished.doubtful
    ]

    assert sum(not task.quick for task in doubtful) <= 1


@given(_revisions, _directions, _outcomes)
def test_a_run_that_is_not_killed_leaves_nothing_in_doubt(
    revisions: list[list[str]], direction: Direction, outcomes: list[JournalEvent]
) -> None:
    world = lived(revisions, direction, outcomes, None)

    assert [e.doubtful for e in fold(world.entries).values() if e.doubtful] == []
