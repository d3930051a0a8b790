"""Several statements at a time: faster, and otherwise the same."""

from __future__ import annotations

import random
import threading
from itertools import pairwise
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ConfigError, RevisionCompileError, StatementFailed
from budeval_migrations.events import Event, RevisionFinished, StatementFinished, StatementStarted
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
embedded = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)

TABLE = "CREATE TABLE {} (k UInt64, v UInt64) ENGINE = MergeTree ORDER BY k"
SLOW = "INSERT INTO {} SELECT number, sleepEachRow(0.1) FROM numbers(6) SETTINGS max_block_size = 1"
BROKEN = "INSERT INTO {} SELECT nowhere"


def upgrade(workspace: Workspace, jobs: int = 4, **settings: Any) -> tuple[bm.Report, list[Event]]:
    told: list[Event] = []
    report = bm.upgrade(jobs=jobs, on_event=told.append, **{**workspace.options, **settings})
    return report, told


def fail(workspace: Workspace, told: list[Event] | None = None) -> StatementFailed:
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(jobs=4, on_event=(told if told is not None else []).append, **workspace.options)
    return caught.value


def seen(told: list[Event]) -> list[tuple[str, str, int]]:
    """Which statements began and ended, in order."""
    return [
        ("begins" if isinstance(e, StatementStarted) else "ends", e.revision, e.index)
        for e in told
        if isinstance(e, (StatementStarted, StatementFinished))
    ]


def overlap(told: list[Event], one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether both had begun before either ended."""
    order = seen(told)
    begins = max(order.index(("begins", *one)), order.index(("begins", *other)))
    return begins < min(order.index(("ends", *one)), order.index(("ends", *other)))


def journal(workspace: Workspace) -> list[tuple[str, int, str]]:
    rows = workspace.rows(
        "SELECT revision, position, argMax(event, sequence) FROM schema_migrations_journal "
        "GROUP BY revision, position ORDER BY revision, position"
    )
    return [(str(r), int(p), str(e)) for r, p, e in rows]


def counts(workspace: Workspace, *tables: str) -> list[int]:
    return [int(workspace.rows(f"SELECT count() FROM {name}")[0][0]) for name in tables]


def test_statements_about_different_tables_are_on_their_way_together(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [TABLE.format("a"), TABLE.format("b")])
    workspace.project.write_revision(
        "002_b", "001_a", [SLOW.format("a"), SLOW.format("b"), "INSERT INTO b SELECT k, v FROM a"]
    )
    report, told = upgrade(workspace)
    assert report.applied == ("001_a", "002_b")
    assert overlap(told, ("002_b", 1), ("002_b", 2))
    order = seen(told)
    assert order.index(("begins", "002_b", 3)) > order.index(("ends", "002_b", 1))
    assert order.index(("begins", "002_b", 3)) > order.index(("ends", "002_b", 2))
    assert counts(workspace, "a", "b") == [6, 12]
    assert [r.state.value for r in bm.status(**workspace.options).revisions] == ["applied"] * 2


@embedded
def test_a_function_ties_its_callers_to_the_tables_that_it_reads(workspace: Workspace) -> None:
    database = workspace.target.database
    count = f"CREATE FUNCTION {database}_count AS x -> x + (SELECT count() FROM {database}.a)"
    workspace.project.write_revision("001_a", None, [*map(TABLE.format, "ab"), count])
    workspace.project.write_revision(
        "002_b", "001_a", [SLOW.format("a"), f"INSERT INTO b SELECT {database}_count(1), 1"]
    )
    try:
        upgrade(workspace)
    finally:
        workspace.rows(f"DROP FUNCTION {database}_count")
    assert workspace.rows("SELECT k FROM b") == [(7,)]


def test_with_one_job_nothing_overlaps(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a", None, [TABLE.format("a"), TABLE.format("b"), SLOW.format("a"), SLOW.format("b")]
    )
    _, told = upgrade(workspace, jobs=1)
    order = seen(told)
    assert order == [(word, "001_a", n) for n in (1, 2, 3, 4) for word in ("begins", "ends")]


def test_branches_go_on_beside_one_another_and_a_merge_waits_for_both(workspace: Workspace) -> None:
    write = workspace.project.write_revision
    write("001_base", None, [TABLE.format("a"), TABLE.format("b")])
    write("002_a", "001_base", SLOW.format("a"))
    write("002_b", "001_base", SLOW.format("b"))
    write("003_a", "002_a", SLOW.format("a"))
    write("003_b", "002_b", SLOW.format("b"))
    write("004_merge", ("003_a", "003_b"), "INSERT INTO a SELECT k, v FROM b")
    report, told = upgrade(workspace)
    assert overlap(told, ("002_a", 1), ("002_b", 1))
    assert overlap(told, ("003_a", 1), ("003_b", 1))
    order = seen(told)
    for branch in "ab":
        first, second = (
            order.index(("ends", f"002_{branch}", 1)),
            order.index(("begins", f"003_{branch}", 1)),
        )
        assert first < second
    assert order.index(("begins", "004_merge", 1)) == len(order) - 2
    finished = [e.revision for e in told if isinstance(e, RevisionFinished)]
    assert tuple(finished) == report.applied
    assert counts(workspace, "a", "b") == [24, 12]
    assert report.current == ("004_merge",)
    down: list[Event] = []
    bm.downgrade("001_base", jobs=4, on_event=down.append, **workspace.options)
    assert bm.status(**workspace.options).current == ("001_base",)


def test_a_view_ties_what_the_statements_do_not_name(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            *map(TABLE.format, "abc"),
            "CREATE MATERIALIZED VIEW m TO b AS SELECT k, v FROM a",
            SLOW.format("a"),
            SLOW.format("c"),
            "ALTER TABLE b ADD COLUMN w UInt8 DEFAULT 7",
        ],
    )
    _, told = upgrade(workspace)
    assert overlap(told, ("001_a", 5), ("001_a", 6))
    assert not overlap(told, ("001_a", 5), ("001_a", 7))
    assert counts(workspace, "a", "b", "c") == [6, 6, 6]


def test_when_one_fails_the_others_come_to_their_end_and_nothing_more_is_sent(
    workspace: Workspace,
) -> None:
    workspace.project.write_revision("001_a", None, [*map(TABLE.format, "abc")])
    workspace.project.write_revision(
        "002_b",
        "001_a",
        [SLOW.format("a"), BROKEN.format("b"), "INSERT INTO c SELECT k, v FROM a"],
    )
    error = fail(workspace)
    assert (error.revision, error.index) == ("002_b", 2)
    assert "1 statement of this revision took effect; the next run goes on at" in error.outcome
    assert counts(workspace, "a", "b", "c") == [6, 0, 0]
    assert [e for e in journal(workspace) if e[0] == "002_b"] == [
        ("002_b", 1, "applied"),
        ("002_b", 2, "failed"),
    ]
    workspace.project.write_revision(
        "002_b",
        "001_a",
        [SLOW.format("a"), SLOW.format("b"), "INSERT INTO c SELECT k, v FROM a"],
    )
    _, told = upgrade(workspace)
    assert [e.index for e in told if isinstance(e, StatementStarted)] == [2, 3]
    assert counts(workspace, "a", "b", "c") == [6, 6, 6]


def test_every_failure_is_told_and_the_first_in_the_plan_is_the_error(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [*map(TABLE.format, "abc")])
    late = "INSERT INTO {} SELECT number, throwIf(number = 3 AND sleepEachRow(0.3) = 0) "
    late += "FROM numbers(6) SETTINGS max_block_size = 1"
    workspace.project.write_revision(
        "002_b", "001_a", [late.format("a"), late.format("b"), SLOW.format("c")]
    )
    error = fail(workspace)
    assert error.index == 1
    assert error.report is not None
    [notice] = error.report.notices
    assert notice.startswith("002_b failed in more than one place: statement 2 ")
    assert "ClickHouse 395" in notice
    assert {e[1]: e[2] for e in journal(workspace) if e[0] == "002_b"}[3] == "applied"


def test_a_branch_that_was_stopped_by_another_says_so_and_goes_on_later(
    workspace: Workspace,
) -> None:
    write = workspace.project.write_revision
    write("001_base", None, [TABLE.format("a"), TABLE.format("b")])
    write("002_a", "001_base", BROKEN.format("a"))
    write("002_b", "001_base", [SLOW.format("b"), "INSERT INTO b SELECT 9, 9"])
    error = fail(workspace)
    assert (error.revision, error.index) == ("002_a", 1)
    found = {r.revision: r for r in bm.status(**workspace.options).revisions}
    assert found["002_b"].state.value == "failed"
    assert found["002_b"].error is not None
    assert "It was not sent, since 002_a failed." in found["002_b"].error
    assert counts(workspace, "b") == [6]
    write("002_a", "001_base", SLOW.format("a"))
    _, told = upgrade(workspace)
    started = [(e.revision, e.index) for e in told if isinstance(e, StatementStarted)]
    assert sorted(started) == [("002_a", 1), ("002_b", 2)]
    assert counts(workspace, "a", "b") == [6, 7]


@modern
def test_two_mutations_are_on_their_way_together(workspace: Workspace) -> None:
    workspace.prepare(
        *(TABLE.format(name) for name in "ab"),
        *(f"INSERT INTO {name} SELECT number, 0 FROM numbers(4)" for name in "ab"),
    )
    slow = "ALTER TABLE {} UPDATE v = 1 + sleepEachRow(0.1) WHERE 1"
    workspace.project.write_revision("001_a", None, [slow.format("a"), slow.format("b")])
    _, told = upgrade(workspace)
    assert overlap(told, ("001_a", 1), ("001_a", 2))
    assert (
        workspace.rows("SELECT sum(v) FROM a") == workspace.rows("SELECT sum(v) FROM b") == [(4,)]
    )


@modern
def test_two_backfills_are_on_their_way_together(workspace: Workspace) -> None:
    workspace.prepare(
        *(TABLE.format(name) for name in "sab"),
        "INSERT INTO s SELECT number, number FROM numbers(40)",
    )
    call = (
        'op.backfill("{}", "SELECT k, v + sleepEachRow(0.01) FROM s WHERE {{chunk}}", '
        'source="s", by="k", chunk_rows=10)'
    )
    workspace.project.write_revision(
        "001_a",
        None,
        body=f"def upgrade():\n    {call.format('a')}\n    {call.format('b')}\n"
        "def downgrade():\n    pass\n",
    )
    _, told = upgrade(workspace)
    assert overlap(told, ("001_a", 1), ("001_a", 2))
    sums = "SELECT count(), sum(k), sum(v) FROM "
    assert workspace.rows(sums + "a") == workspace.rows(sums + "b") == workspace.rows(sums + "s")


@embedded
def test_in_a_block_what_is_unclear_goes_together(workspace: Workspace) -> None:
    workspace.prepare(*(TABLE.format(name) for name in "abc"))
    workspace.project.write_revision(
        "001_a",
        None,
        body='def upgrade():\n    with op.parallel():\n        op.execute("DROP TABLE a")\n'
        f'        op.execute("{SLOW.format("b")}")\n    op.execute("DROP TABLE c")\n'
        "def downgrade():\n    pass\n",
    )
    _, told = upgrade(workspace)
    assert overlap(told, ("001_a", 1), ("001_a", 2))
    assert seen(told)[-2:] == [("begins", "001_a", 3), ("ends", "001_a", 3)]
    assert workspace.tables() == {"b"}


@embedded
@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ('op.execute("INSERT INTO a SELECT 1")\n        op.execute("TRUNCATE TABLE a")', "a is changed here and in line 11"),
        ("with op.parallel():\n            pass", "op.parallel() stands in another op.parallel()"),
    ],
)  # fmt: skip
def test_a_block_that_nobody_could_resume_is_refused(
    workspace: Workspace, block: str, complaint: str
) -> None:
    body = f"def upgrade():\n    with op.parallel():\n        {block}\ndef downgrade():\n    pass\n"
    workspace.project.write_revision("001_a", None, body=body)
    with pytest.raises(RevisionCompileError) as caught:
        upgrade(workspace, jobs=1)
    assert complaint in caught.value.message
    assert workspace.project.path.name in caught.value.message or "001_a.py" in caught.value.message


@embedded
def test_a_dynamic_revision_is_alone_on_its_way(workspace: Workspace) -> None:
    write = workspace.project.write_revision
    write("001_base", None, [TABLE.format("a"), TABLE.format("b")])
    write("002_a", "001_base", SLOW.format("a"))
    write(
        "002_b",
        "001_base",
        body="def upgrade():\n    n = op.get_bind().exec_driver_sql('SELECT count() FROM a').scalar()\n"
        "    op.execute(f'INSERT INTO b SELECT {n}, 1')\ndef downgrade():\n    pass\n",
    )
    write("003_c", ("002_a", "002_b"), "INSERT INTO b SELECT 1, 1")
    report, _ = upgrade(workspace)
    assert set(report.applied) == {"001_base", "002_a", "002_b", "003_c"}
    assert workspace.rows("SELECT k FROM b ORDER BY k") in ([(1,), (6,)], [(0,), (1,)])


@embedded
@pytest.mark.parametrize("dynamic", ["", "    op.get_bind()\n"])
def test_what_a_revision_sets_holds_for_it_alone(workspace: Workspace, dynamic: str) -> None:
    write, emit = workspace.project.write_revision, "SELECT toUInt64(value), 1 FROM system.settings"
    insert = f"INSERT INTO {{}} {emit} WHERE name = 'max_block_size'"
    write("001_base", None, [*map(TABLE.format, "ab")])
    write(
        "002_b",
        "001_base",
        body=f"def upgrade():\n{dynamic}    op.execute('SET max_block_size = 7')\n"
        f"    op.execute({insert.format('b')!r})\ndef downgrade():\n    pass\n",
    )
    write("003_c", "002_b", insert.format("a"))
    report, _ = upgrade(workspace)
    assert report.notices == ()
    assert workspace.rows("SELECT k FROM b") == [(7,)]
    assert workspace.rows("SELECT k > 60000 FROM a") == [(1,)]


@embedded
@pytest.mark.parametrize("jobs", ["0", "many", "-1", "1000"])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(workspace: Workspace, jobs: str) -> None:
    with pytest.raises(ConfigError, match="jobs must be a number from 1 to 64"):
        upgrade(workspace, jobs=jobs)  # type: ignore[arg-type]


# --- the law ----------------------------------------------------------------------------------

_TABLES = "abcd"


def _statement(chance: random.Random) -> str:
    one, other = chance.choice(_TABLES), chance.choice(_TABLES)
    n = chance.randrange(1000)
    return chance.choice(
        [
            f"INSERT INTO {one} (k, v) SELECT number + {n}, {n} FROM numbers({n % 7 + 1})",
            f"INSERT INTO {one} (k, v) SELECT k + {n}, v FROM {other} ORDER BY k, v LIMIT 20",
            f"INSERT INTO {one} (k, v) SELECT {n}, sum(v) FROM {other}",
            f"ALTER TABLE {one} UPDATE v = v + {n} WHERE k % 2 = {n % 2}",
            f"ALTER TABLE {one} DELETE WHERE k % 5 = {n % 5}",
            f"ALTER TABLE {one} ADD COLUMN IF NOT EXISTS w{n % 3} UInt64 DEFAULT k + v",
            f"TRUNCATE TABLE {one}",
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS m{n % 2} TO {one} AS "
            f"SELECT k + 1 AS k, v FROM {other} WHERE k % 3 = 0"
            if one > other
            else f"INSERT INTO {one} (k, v) SELECT {n}, {n}",
            f"DROP VIEW IF EXISTS m{n % 2}",
        ]
    )


def _plan(workspace: Workspace, chance: random.Random) -> list[str]:
    """Write revisions in branches; return their names."""
    for file in workspace.project.versions.glob("*.py"):
        file.unlink()
    names = ["000_base"]
    base = [TABLE.format(name) for name in _TABLES]
    base += [f"INSERT INTO {name} SELECT number, 1 FROM numbers(5)" for name in _TABLES]
    workspace.project.write_revision("000_base", None, base)
    tips = ["000_base"]
    for n in range(1, chance.randint(2, 5)):
        name = f"{n:03}_step"
        below = chance.choice([*tips, chance.choice(names)])
        texts = [_statement(chance) for _ in range(chance.randint(1, 4))]
        workspace.project.write_revision(name, below, texts)
        tips = [tip for tip in tips if tip != below] + [name]
        names.append(name)
    return names


def _content(workspace: Workspace, database: str) -> list[object]:
    return [
        workspace.rows(f"SELECT * FROM {database}.{name} ORDER BY ALL") for name in _TABLES
    ] + workspace.rows(
        f"SELECT replaceAll(create_table_query, '{database}', '') FROM system.tables "
        f"WHERE database = '{database}' AND name NOT LIKE '%migration%' "
        "AND name != 'alembic_version' ORDER BY name"
    )


@embedded
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "seeds",
    [
        range(16),
        *(pytest.param(range(n, n + 40), marks=pytest.mark.exhaustive) for n in range(16, 400, 40)),
    ],
    ids=str,
)
def test_several_at_a_time_come_to_the_same_as_one_after_the_other(
    workspace: Workspace, seeds: range
) -> None:
    together = 0
    workspace.prepare()
    for seed in seeds:
        chance = random.Random(seed)
        names = _plan(workspace, chance)
        found = []
        for jobs in (1, 4):
            database = f"{workspace.target.database}_{seed}_{jobs}"
            report, told = upgrade(workspace, jobs=jobs, database=database)
            assert sorted(report.applied) == names
            order = [word for word, _, _ in seen(told)]
            together += jobs == 4 and ("begins", "begins") in pairwise(order)
            found.append(_content(workspace, database))
        assert found[0] == found[1], f"seed {seed}"
        workspace.prepare(
            *(f"DROP DATABASE {workspace.target.database}_{seed}_{n} SYNC" for n in (1, 4))
        )
    assert together > len(seeds) / 2  # plans in which there was something to do at the same time


def test_events_come_one_after_the_other(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [*map(TABLE.format, "abcd")])
    inside = threading.Lock()

    def told(event: Event) -> None:
        assert inside.acquire(blocking=False), "two at once"
        inside.release()

    bm.upgrade(jobs=4, on_event=told, **workspace.options)
    assert workspace.tables() >= set("abcd")
