"""Whatever the order in which statements end, it comes to what comes of one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from budeval_migrations.execution.schedule import Item, Schedule
from budeval_migrations.execution.task import Task
from budeval_migrations.model import (
    Backfill,
    CompiledRevision,
    Direction,
    Operation,
    Statement,
    Step,
)
from budeval_migrations.sql.access_set import UNTIED, dependencies_of

TABLES = ("a", "b", "c", "d", "e")
# What is written into a table goes on into another.
VIEWS = {"a": "b"}
TIES = dependencies_of(
    [(name, "MergeTree", "") for name in TABLES]
    + [("m", "MaterializedView", "CREATE MATERIALIZED VIEW x.m TO x.b AS SELECT k FROM x.a")]
)


@dataclass(frozen=True)
class Deed:
    """A statement whose meaning is known without reading it."""

    text: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def insert(into: str, source: str) -> Deed:
    writes = (into, VIEWS[into]) if into in VIEWS else (into,)
    return Deed(f"INSERT INTO {into} SELECT k FROM {source}", (source, *writes), writes)


def update(table: str) -> Deed:
    return Deed(f"ALTER TABLE {table} UPDATE v = v * 2 WHERE 1", (table,), (table,))


def view(of: str) -> Deed:
    # Nothing is apart from it, whatever it means.
    return Deed(f"CREATE VIEW v AS SELECT k FROM {of}", TABLES, TABLES)


tables = st.sampled_from(TABLES)
deeds = st.one_of(
    st.builds(insert, tables, tables), st.builds(update, tables), st.builds(view, tables)
)


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Step], list[list[Deed]]]:
    """Revisions with parents before them: chains, branches and merges."""
    steps, work = [], []
    for n in range(draw(st.integers(1, 6))):
        found = draw(st.lists(deeds, max_size=4))
        below = draw(st.sets(st.integers(0, n - 1), max_size=2)) if n else set()
        name = f"r{n}"
        statements = tuple(Statement(deed.text) for deed in found)
        up = CompiledRevision(name, Direction.UP, f"{name}.py", statements)
        parents = tuple(f"r{m}" for m in sorted(below))
        steps.append(Step(name, Operation.UPGRADE, Direction.UP, parents, up=up))
        work.append(found)
    return steps, work


def schedule_of(steps: Sequence[Step]) -> Schedule:
    return Schedule(
        steps,
        [
            [
                Task(step, 0, n, len(step.up.statements), statement, statement.text)
                for n, statement in enumerate(step.up.statements, start=1)
            ]
            for step in steps
            if step.up is not None
        ],
    )


@dataclass
class World:
    """Tables whose content is what was done to them, and in which order."""

    held: dict[str, object] = field(default_factory=lambda: dict.fromkeys(TABLES, ""))

    def look(self, deed: Deed) -> tuple[object, ...]:
        return tuple(self.held[name] for name in deed.reads)

    def write(self, deed: Deed, name: str, seen: tuple[object, ...]) -> None:
        for table in deed.writes:
            self.held[table] = hash((self.held[table], table, name, seen))


def in_turn(work: list[list[Deed]]) -> dict[str, object]:
    world = World()
    for n, found in enumerate(work):
        for m, deed in enumerate(found, start=1):
            world.write(deed, f"r{n} {m}", world.look(deed))
    return world.held


@settings(max_examples=400, deadline=None)
@given(plans(), st.integers(2, 4), st.randoms(use_true_random=False))
def test_any_order_of_ends_comes_to_the_same_as_one_after_the_other(plan, jobs, chance) -> None:  # type: ignore[no-untyped-def]
    steps, work = plan
    schedule, world = schedule_of(steps), World()
    begun: dict[Item, tuple[Deed, tuple[object, ...]]] = {}
    finished: list[int] = []
    while True:
        while (step := schedule.complete()) is not None:
            assert all(int(parent[1:]) in finished for parent in steps[step].parents)
            schedule.finish(step)
            finished.append(step)
        item = schedule.next(begun, TIES.apart) if len(begun) < jobs else None
        if item is not None and (not begun or chance.random() < 0.8):
            assert item.task is not None
            deed = work[item.step][item.task.position - 1]
            begun[item] = deed, world.look(deed)
        elif begun:
            ended = chance.choice(list(begun))
            deed, seen = begun.pop(ended)
            assert ended.task is not None
            world.write(deed, f"r{ended.step} {ended.task.position}", seen)
            schedule.done(ended)
        else:
            break
    assert sorted(finished) == list(range(len(steps)))
    assert world.held == in_turn(work)


def step(name: str, texts: Sequence[str], *parents: str, blocks: Sequence[int] = ()) -> Step:
    statements = tuple(
        Statement(text, block=blocks[n] if blocks else None) for n, text in enumerate(texts)
    )
    up = CompiledRevision(name, Direction.UP, f"{name}.py", statements)
    return Step(name, Operation.UPGRADE, Direction.UP, parents, up=up)


def all_at_once(steps: Sequence[Step]) -> list[tuple[str, int]]:
    """What may be sent before anything has ended."""
    schedule = schedule_of(steps)
    begun: dict[Item, None] = {}
    while (item := schedule.next(begun, UNTIED.apart)) is not None:
        begun[item] = None
    return [(steps[i.step].revision, i.task.position) for i in begun if i.task]


def test_statements_about_different_tables_may_be_sent_together() -> None:
    texts = ["INSERT INTO a SELECT 1", "INSERT INTO b SELECT 1", "INSERT INTO c SELECT k FROM a"]
    assert all_at_once([step("r", texts)]) == [("r", 1), ("r", 2)]


def test_a_later_statement_passes_one_that_has_to_wait() -> None:
    texts = ["INSERT INTO a SELECT 1", "INSERT INTO b SELECT k FROM a", "INSERT INTO c SELECT 1"]
    assert all_at_once([step("r", texts)]) == [("r", 1), ("r", 3)]


def test_nothing_passes_what_is_unclear() -> None:
    texts = ["INSERT INTO a SELECT 1", "DROP TABLE x", "INSERT INTO b SELECT 1"]
    assert all_at_once([step("r", texts)]) == [("r", 1)]
    assert all_at_once([step("r", texts[1:])]) == [("r", 1)]


def test_a_revision_waits_for_the_one_that_it_builds_on() -> None:
    one, other = (["INSERT INTO a SELECT 1"], ["INSERT INTO b SELECT 1"])
    assert all_at_once([step("r1", one), step("r2", other, "r1")]) == [("r1", 1)]
    assert all_at_once([step("r1", one), step("r2", other)]) == [("r1", 1), ("r2", 1)]


def test_on_the_way_down_a_revision_waits_for_those_that_build_on_it() -> None:
    def down(name: str, text: str, *parents: str) -> Step:
        work = CompiledRevision(name, Direction.DOWN, f"{name}.py", (Statement(text),))
        return Step(name, Operation.DOWNGRADE, Direction.DOWN, parents, down=work)

    steps = [down("r2", "TRUNCATE TABLE b", "r1"), down("r1", "TRUNCATE TABLE a")]
    tasks = [[Task(s, 0, 1, 1, s.down.statements[0], "")] for s in steps if s.down]
    schedule = Schedule(steps, tasks)
    first = schedule.next((), UNTIED.apart)
    assert first is not None
    assert schedule.next({first}, UNTIED.apart) is None
    schedule.done(first)
    schedule.finish(0)
    assert schedule.next((), UNTIED.apart) is not None


def test_in_a_block_the_author_knows_better() -> None:
    texts = ["DROP TABLE x", "DROP TABLE y", "INSERT INTO b SELECT 1"]
    assert all_at_once([step("r", texts, blocks=[1, 1, 1])]) == [("r", 1), ("r", 2), ("r", 3)]
    assert all_at_once([step("r", texts, blocks=[1, 1, 2])]) == [("r", 1), ("r", 2)]


def test_a_block_waits_for_what_stands_before_it() -> None:
    texts = ["INSERT INTO a SELECT 1", "DROP TABLE y", "INSERT INTO b SELECT k FROM a"]
    step_ = Step(
        "r",
        Operation.UPGRADE,
        Direction.UP,
        up=CompiledRevision(
            "r",
            Direction.UP,
            "r.py",
            (Statement(texts[0]), Statement(texts[1], block=1), Statement(texts[2], block=1)),
        ),
    )
    assert all_at_once([step_]) == [("r", 1)]


def together(*statements: Statement) -> int:
    up = CompiledRevision("r", Direction.UP, "r.py", statements)
    return len(all_at_once([Step("r", Operation.UPGRADE, Direction.UP, up=up)]))


def test_what_a_probe_reads_counts_as_read() -> None:
    insert = Statement("INSERT INTO a SELECT 1")
    assert together(insert, Statement("TRUNCATE TABLE b")) == 2
    assert together(insert, Statement("TRUNCATE TABLE b", unless="SELECT 1 FROM c")) == 2
    assert together(insert, Statement("TRUNCATE TABLE b", unless="SELECT 1 FROM a")) == 1
    assert together(insert, Statement("TRUNCATE TABLE b", unless="SELECT 1 FROM system.parts")) == 1


def test_the_source_that_a_backfill_is_cut_by_counts_as_read() -> None:
    text = "INSERT INTO b SELECT k FROM v WHERE 1"
    for source, by, count in (("s", "k", 2), ("a", "k", 1), ("s", "dictGet('a', 'v', k)", 1)):
        backfill = Backfill("b", "SELECT k FROM v WHERE {chunk}", source, by, 10)
        asked = Statement(text, backfill=backfill)
        assert together(Statement("INSERT INTO a SELECT 1"), asked) == count


def test_a_dynamic_revision_is_sent_alone() -> None:
    dynamic = Step(
        "r2",
        Operation.UPGRADE,
        Direction.UP,
        up=CompiledRevision("r2", Direction.UP, "r2.py", dynamic=True),
    )
    first = step("r1", ["INSERT INTO a SELECT 1"])
    task = Task(first, 0, 1, 1, Statement("INSERT INTO a SELECT 1"), "")
    schedule = Schedule([first, dynamic], [[task], None])
    item = schedule.next((), UNTIED.apart)
    assert item is not None and item.task is task
    assert schedule.next({item}, UNTIED.apart) is None
    schedule.done(item)
    live = schedule.next((), UNTIED.apart)
    assert live is not None and live.task is None


def test_a_setting_with_a_query_may_read_anything() -> None:
    filters = (("additional_table_filters", "{'u': 'a IN (SELECT a FROM t)'}"),)
    first, second = (
        Step(name, Operation.UPGRADE, Direction.UP, (), up=None) for name in ("001_a", "001_b")
    )
    fill = Task(first, 0, 1, 1, Statement("INSERT INTO t SELECT 1"), "")
    copy = Task(second, 0, 1, 1, Statement("INSERT INTO w SELECT a FROM u", settings=filters), "")
    schedule = Schedule([first, second], [[fill], [copy]])
    item = schedule.next((), UNTIED.apart)
    assert item is not None and item.task is fill
    assert schedule.next({item}, UNTIED.apart) is None
