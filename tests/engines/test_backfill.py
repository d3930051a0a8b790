"""Every row exactly once: by partition and by range, with failures and kills in between."""

from __future__ import annotations

import json
import time
from io import StringIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    ChecksumMismatch,
    EngineError,
    RevisionCompileError,
    StatementFailed,
)
from budeval_migrations.events import BackfillProgress, Event
from budeval_migrations.execution.chunks import from_json, plan_chunks, to_json
from budeval_migrations.model import Backfill
from budeval_migrations.settings import Settings
from budeval_migrations.sql import quote
from budeval_migrations.sql.chunked import varying
from budeval_migrations.sql.effects import Name
from budeval_migrations.sql.splitter import split
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

engines = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
TARGET = "(p UInt8, k Int64, v String) ENGINE = MergeTree PARTITION BY p ORDER BY k"
ROWS = "INSERT INTO source SELECT number % 4, number - 500, toString(number) FROM numbers(1000)"
PREPARE = (f"CREATE TABLE source {TARGET}", f"CREATE TABLE target {TARGET}", ROWS)
SUMS = "SELECT count(), sum(k), sum(cityHash64(p, k, v)), uniqExact(k) FROM "


class Killed(BaseException):
    """Something stops the run."""


def write(workspace: Workspace, select: str, *, into: str = "target", **options: Any) -> None:
    arguments = {"source": "source", **options}
    listed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    workspace.project.write_revision(
        "001_fill",
        None,
        body=f"def upgrade() -> None:\n    op.backfill({into!r}, {select!r}, {listed})\n",
    )


def sums(workspace: Workspace, table: str) -> list[int]:
    return [int(n) for n in workspace.rows(SUMS + table)[0]]


def chunks(workspace: Workspace) -> list[dict[str, Any]]:
    rows = workspace.rows(
        "SELECT note FROM schema_migrations_journal WHERE event = 'chunk' ORDER BY sequence"
    )
    return [json.loads(str(note)) for (note,) in rows]


ALL = "SELECT p, k, v FROM source WHERE {chunk}"


@engines
@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4),
        ({"by": "k", "chunk_rows": 300}, 4),
        ({"by": "k", "chunk_rows": 1000}, 1),
        ({"by": "k", "chunk_rows": 999}, 2),
        ({"by": "v", "chunk_rows": 400}, 3),
        ({"by": "(p, k)", "chunk_rows": 400}, 3),
        ({"by": "cityHash64(v)", "chunk_rows": 400}, 3),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_every_row_arrives_once(workspace: Workspace, options: dict[str, Any], count: int) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, ALL, **options)
    told: list[Event] = []

    bm.upgrade(on_event=told.append, **workspace.options)

    assert sums(workspace, "target") == sums(workspace, "source")
    assert workspace.tables() == {"source", "target"}
    progress = [e for e in told if isinstance(e, BackfillProgress)]
    assert [e.chunk for e in progress] == list(range(1, count + 1))
    assert {e.chunks for e in progress} == {count}
    moved = [e.rows for e in progress]
    assert moved == sorted(moved)
    assert moved[-1] == progress[-1].rows_total
    assert abs(moved[-1] - 1000) < count  # ranges of equal size, rounded down
    assert (progress[-1].left_ms or 0) == 0
    [row] = workspace.rows(
        "SELECT event, rows_written, note FROM schema_migrations_journal WHERE event = 'applied'"
    )
    assert (row[0], int(row[1]), row[2]) == ("applied", 1000, f"{count} chunks")


@pytest.mark.parametrize(
    "said",
    [
        "SET limit = 2",
        "SET max_rows_to_read = 10, read_overflow_mode = 'break', max_block_size = 5",
        "SET max_execution_time = 1, timeout_overflow_mode = 'break', max_block_size = 1",
    ],
    ids=["limit", "rows", "time"],
)
@engines
def test_no_set_of_the_revision_leaves_rows_out(workspace: Workspace, said: str) -> None:
    if not workspace.target.modern and "limit =" in said:
        pytest.skip("18.16 has no such setting")
    workspace.prepare(*PREPARE)
    slow = " AND NOT ignore(sleepEachRow(0.0015))" if "time" in said else ""
    write(workspace, f"{ALL}{slow}", by="k")
    [revision] = workspace.project.versions.glob("001_*.py")
    revision.write_text(
        revision.read_text().replace(
            "    op.backfill", f'    op.execute("{said}")\n    op.backfill'
        )
    )

    bm.upgrade(**workspace.options)

    assert sums(workspace, "target") == sums(workspace, "source")


@engines
def test_an_empty_source_leaves_an_empty_target(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE[:2])
    write(workspace, ALL, by="k")
    assert bm.upgrade(**workspace.options).applied == ("001_fill",)
    assert sums(workspace, "target")[0] == 0
    assert workspace.tables() == {"source", "target"}


@engines
def test_a_select_that_finds_nothing_moves_nothing(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, "SELECT p, k, v FROM source WHERE k > 10000 AND {chunk}")
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target")[0] == 0
    assert workspace.tables() == {"source", "target"}


@engines
def test_rows_that_are_there_already_stay(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE, "INSERT INTO target SELECT 1, 7, 'mine'")
    write(workspace, ALL)
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target")[0] == 1001


@engines
def test_an_aggregate_is_filled_by_its_own_key(workspace: Workspace) -> None:
    workspace.prepare(
        *PREPARE,
        "CREATE TABLE totals (p UInt8, rows SimpleAggregateFunction(sum, UInt64), "
        "greatest AggregateFunction(max, Int64)) ENGINE = AggregatingMergeTree ORDER BY p",
    )
    select = "SELECT p, count(), maxState(k) FROM source WHERE {chunk} GROUP BY p"
    write(workspace, select, into="totals", by="k", chunk_rows=130)
    bm.upgrade(**workspace.options)
    found = workspace.rows(
        "SELECT p, sum(rows), maxMerge(greatest) FROM totals GROUP BY p ORDER BY p"
    )
    assert [tuple(map(int, row)) for row in found] == [
        (0, 250, 496),
        (1, 250, 497),
        (2, 250, 498),
        (3, 250, 499),
    ]


@engines
def test_the_columns_that_are_named_are_filled_and_the_others_have_their_defaults(
    workspace: Workspace,
) -> None:
    workspace.prepare(
        *PREPARE[:1],
        "CREATE TABLE target (k Int64, w String DEFAULT 'none', p UInt8) "
        "ENGINE = MergeTree PARTITION BY p ORDER BY k",
        ROWS,
    )
    select = "SELECT p, k FROM source WHERE {chunk}"
    write(workspace, select, columns=["p", "k"])
    bm.upgrade(**workspace.options)
    found = workspace.rows("SELECT w, count(), sum(k), sum(p) FROM target GROUP BY w")
    assert [(w, int(a), int(b), int(c)) for w, a, b, c in found] == [("none", 1000, -500, 1500)]


@engines
def test_names_with_a_database_and_quotes_are_taken_as_written(workspace: Workspace) -> None:
    workspace.prepare(
        f"CREATE TABLE `a-source` {TARGET}",
        f"CREATE TABLE `a.target` {TARGET}",
        ROWS.replace("source", "`a-source`"),
    )
    name = workspace.target.database
    write(
        workspace,
        f"SELECT p, k, v FROM {name}.`a-source` WHERE {{chunk}}",
        into=f"{name}.`a.target`",
        source=f"{name}.`a-source`",
    )
    bm.upgrade(**workspace.options)
    assert sums(workspace, "`a.target`") == sums(workspace, "`a-source`")
    assert workspace.tables() == {"a-source", "a.target"}


def fail_at(value: int) -> str:
    return (
        f"SELECT p, if(throwIf(k = {value}, 'stop') = 0, k, k) AS k, v FROM source WHERE {{chunk}}"
    )


@engines
@pytest.mark.parametrize("options", [{"by": "partition"}, {"by": "k", "chunk_rows": 250}])
def test_a_failed_chunk_is_done_again_and_those_before_it_are_not(
    workspace: Workspace, options: dict[str, Any]
) -> None:
    workspace.prepare(*PREPARE, "CREATE TABLE bad (k Int64) ENGINE = MergeTree ORDER BY k")
    # It is in the third chunk, by partition and by range.
    workspace.prepare("INSERT INTO bad VALUES (98)")
    select = "SELECT p, k, v FROM source WHERE {chunk} AND throwIf(k IN (SELECT k FROM bad)) = 0"
    write(workspace, select, **options)

    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)

    assert caught.value.code == 395
    assert (
        "2 of 4 chunks are done"
        in workspace.rows("SELECT note FROM schema_migrations_journal WHERE event = 'failed'")[0][0]
    )
    assert sums(workspace, "target")[0] == 500
    before = [c["staging"] for c in chunks(workspace) if "staging" in c]
    assert len(before) == 2

    workspace.prepare("TRUNCATE TABLE bad")
    told: list[Event] = []
    assert bm.upgrade(on_event=told.append, **workspace.options).applied == ("001_fill",)

    assert sums(workspace, "target") == sums(workspace, "source")
    filled = [(c["chunk"], c["rows"]) for c in chunks(workspace) if "staging" in c]
    assert filled == [(0, 250), (1, 250), (2, 250), (3, 250)]
    assert len([c for c in chunks(workspace) if "plan" in c]) == 1
    assert workspace.tables() == {"source", "target", "bad"}
    assert [e.chunk for e in told if isinstance(e, BackfillProgress)][-1] == 4


@engines
@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_run_that_is_stopped_between_chunks_goes_on_where_it_was(
    workspace: Workspace, at: int
) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, ALL)

    def stop(event: Event) -> None:
        if isinstance(event, BackfillProgress) and event.chunk == at:
            raise Killed

    with pytest.raises(Killed):
        bm.upgrade(on_event=stop, **workspace.options)
    assert sums(workspace, "target")[0] == 250 * at

    told: list[Event] = []
    bm.upgrade(on_event=told.append, **workspace.options)
    assert sums(workspace, "target") == sums(workspace, "source")
    assert workspace.tables() == {"source", "target"}
    assert [c["chunk"] for c in chunks(workspace) if "staging" in c] == [0, 1, 2, 3]


@engines
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("word", ["CREATE TABLE", "INSERT INTO `budeval", "MOVE PARTITION", "DROP"])
def test_a_kill_around_any_statement_of_a_chunk_loses_and_doubles_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, word: str, after: bool
) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, ALL, by="k", chunk_rows=250)
    seen = 0
    dead = False

    def execute(self: Session, sql: str, **more: Any) -> Any:
        nonlocal seen, dead
        if dead:
            raise Killed
        meant = "budeval_backfill" in sql and word in sql
        seen += meant
        dead = meant and seen == 3
        if dead and not after:
            raise Killed
        done = real(self, sql, **more)
        if dead:
            raise Killed
        return done

    def insert(self: Session, *arguments: Any, **more: Any) -> Any:
        if dead:
            raise Killed
        return real_insert(self, *arguments, **more)

    real, real_insert = Session.execute, Session.insert
    with monkeypatch.context() as patch:
        patch.setattr(Session, "execute", execute)
        patch.setattr(Session, "insert", insert)
        with pytest.raises(Killed):
            bm.upgrade(**{**workspace.options, "lock": "off"})
    assert seen == 3

    bm.upgrade(**{**workspace.options, "lock": "off"})
    assert sums(workspace, "target") == sums(workspace, "source")
    assert workspace.tables() == {"source", "target"}


@engines
def test_an_edited_backfill_begins_anew(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, fail_at(0))
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    assert sums(workspace, "target")[0] == 0
    write(workspace, ALL, by="k", chunk_rows=500)
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target") == sums(workspace, "source")
    assert len([c for c in chunks(workspace) if "plan" in c]) == 2


@engines
@pytest.mark.parametrize(
    ("engine", "name"), [("Memory", "Memory"), ("Log", "Log"), ("Null", "Null")]
)
def test_a_target_that_has_no_partitions_is_refused(
    workspace: Workspace, engine: str, name: str
) -> None:
    workspace.prepare(
        *PREPARE[:1], ROWS, f"CREATE TABLE target (p UInt8, k Int64, v String) ENGINE = {engine}"
    )
    write(workspace, ALL)
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert f"target is a {name} table" in caught.value.reason
    assert workspace.tables() == {"source", "target"}


@engines
@pytest.mark.parametrize(
    "select", ["SELECT p, k, v FROM source", "SELECT p, k, v FROM source WHERE {chunk} OR {chunk}"]
)
def test_the_chunk_must_stand_in_the_select_once(workspace: Workspace, select: str) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, select)
    with pytest.raises(RevisionCompileError) as caught:
        bm.upgrade(**workspace.options)
    assert "{chunk} exactly once" in caught.value.message
    assert caught.value.exit_code == 3


@engines
def test_a_script_holds_one_insert(workspace: Workspace) -> None:
    from alembic import command
    from alembic.config import Config

    workspace.prepare(*PREPARE)
    write(workspace, ALL, columns=["p", "k", "v"])
    config = Config(workspace.project.ini, output_buffer=StringIO())
    command.upgrade(config, "head", sql=True)
    script = config.output_buffer.getvalue()
    inserts = [s.text for s in split(script) if "schema_migrations" not in s.text]
    [insert] = [text for text in inserts if "INSERT INTO" in text]
    assert insert.endswith("INSERT INTO target (p, k, v) SELECT p, k, v FROM source WHERE (1)")
    assert "budeval_backfill" not in script


# --- the cut --------------------------------------------------------------------------------

_numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
_floats = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")])
_texts = st.text(max_size=5) | st.sampled_from(["", "'", "\\", "a\nb", "Ж", "{x}", "%s"])
_bytes = st.binary(max_size=4)
_seconds = st.integers(1729900000, 1729999999) | st.integers(1729987200, 1729994400)  # DST ends


def _float(value: float) -> str:
    if value != value:
        return "nan"
    return {float("inf"): "inf", float("-inf"): "-inf"}.get(value, repr(value))


def _optional(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return values | st.just("NULL")


KEYS: dict[str, st.SearchStrategy[str]] = {
    "Int64": _numbers.map(str),
    "Nullable(Int64)": _optional(_numbers.map(str)),
    "Float64": _floats.map(_float),
    "Nullable(Float32)": _optional(st.floats(width=32).map(_float)),
    "String": _texts.map(quote.string),
    "Nullable(String)": _optional(_texts.map(quote.string)),
    "LowCardinality(String)": _texts.map(quote.string),
    "FixedString(4)": _bytes.map(lambda b: f"unhex('{b.hex()}')"),
    "Date": st.integers(0, 30000).map(lambda n: f"toDate({n})"),
    "DateTime('Europe/Berlin')": _seconds.map(lambda n: f"toDateTime({n})"),
    "DateTime64(3, 'Europe/Berlin')": _seconds.map(lambda n: f"fromUnixTimestamp64Milli({n}123)"),
    "UUID": st.uuids().map(lambda u: f"'{u}'"),
    "Enum8('b' = 1, 'a' = 2, 'c' = -1)": st.sampled_from(["'a'", "'b'", "'c'"]),
    "Decimal(18, 4)": st.integers(-(10**12), 10**12).map(lambda n: f"{n}::Decimal(18, 4) / 10000"),
    "Tuple(Int8, String)": st.tuples(st.integers(-3, 3), _texts).map(
        lambda t: f"({t[0]}, {quote.string(t[1])})"
    ),
    "Tuple(Nullable(Int8), Float64)": st.tuples(st.integers(-2, 2), _floats).map(
        lambda t: f"({t[0] if t[0] else 'NULL'}, {_float(t[1])})"
    ),
    "Bool": st.booleans().map(str),
    "IPv4": st.integers(0, 2**32 - 1).map(lambda n: f"toIPv4(toUInt32({n}))"),
}


@pytest.fixture(scope="module")
def embedded(embedded_directory: Any) -> Any:
    with Session(Settings(url=f"chdb:///{embedded_directory}", database="chunks")) as session:
        session.ensure_database()
        yield session
        session.execute("DROP DATABASE IF EXISTS chunks")


@pytest.mark.parametrize("kind", KEYS)
@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data(), chunk_rows=st.integers(1, 5))
def test_the_chunks_hold_every_row_once(
    embedded: Session, kind: str, data: st.DataObject, chunk_rows: int
) -> None:
    values = data.draw(st.lists(KEYS[kind], min_size=1, max_size=12))
    embedded.execute("DROP TABLE IF EXISTS source")
    embedded.execute(f"CREATE TABLE source (k {kind}, n UInt32) ENGINE = Memory")
    rows = " UNION ALL ".join(
        f"SELECT CAST({v} AS {kind}) AS k, toUInt32({n}) AS n" for n, v in enumerate(values)
    )
    embedded.execute(f"INSERT INTO source {rows}")
    asked = Backfill("target", ALL, "source", "k", chunk_rows)

    found = plan_chunks(embedded, asked, Name("source"))

    assert from_json(to_json(found)) == found
    listed = [
        int(n)
        for chunk in found
        for (n,) in embedded.query(f"SELECT n FROM source WHERE {chunk.condition}")
    ]
    assert sorted(listed) == list(range(len(values)))


def test_a_nan_inside_a_tuple_is_in_one_chunk(embedded: Session) -> None:
    embedded.execute("DROP TABLE IF EXISTS source")
    embedded.execute(
        "CREATE TABLE source (k Tuple(Int8, Float64), n UInt32) ENGINE = MergeTree ORDER BY n"
    )
    embedded.execute(
        "INSERT INTO source VALUES ((1, 0.), 0), ((1, nan), 1), ((-1, 0.), 2), ((-1, 0.), 3)"
    )
    found = plan_chunks(embedded, Backfill("t", ALL, "source", "k", 1), Name("source"))
    assert len(found) > 1
    listed = [
        int(n)
        for chunk in found
        for (n,) in embedded.query(f"SELECT n FROM source WHERE {chunk.condition}")
    ]
    assert sorted(listed) == [0, 1, 2, 3]


def test_of_many_rows_a_sample_is_sorted_and_the_chunks_are_about_as_large_as_asked(
    embedded: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.chunks._MOST_SORTED", 100_000)
    embedded.execute("DROP TABLE IF EXISTS source")
    embedded.execute("CREATE TABLE source (k String, n UInt32) ENGINE = MergeTree ORDER BY n")
    embedded.execute(
        "INSERT INTO source SELECT hex(sipHash64(number)), number FROM numbers(300000)"
    )
    found = plan_chunks(embedded, Backfill("t", ALL, "source", "k", 50_000), Name("source"))
    assert 5 <= len(found) <= 7
    sizes = [
        [int(v) for v in row]
        for chunk in found
        for row in embedded.query(f"SELECT count(), sum(n) FROM source WHERE {chunk.condition}")
    ]
    assert sum(count for count, _ in sizes) == 300_000
    assert sum(total for _, total in sizes) == 299_999 * 150_000
    # 200 values a chunk: 14 more or fewer are one standard deviation.
    assert all(25_000 < count < 75_000 for count, _ in sizes[:-1])


def test_a_source_without_rows_has_no_chunks(embedded: Session) -> None:
    embedded.execute("DROP TABLE IF EXISTS source")
    embedded.execute("CREATE TABLE source (k Int8) ENGINE = MergeTree ORDER BY k")
    for by in ("k", "partition"):
        assert plan_chunks(embedded, Backfill("t", ALL, "source", by, 1), Name("source")) == ()


def test_the_hour_that_comes_twice_is_cut_once(embedded: Session) -> None:
    embedded.execute("DROP TABLE IF EXISTS source")
    embedded.execute(
        "CREATE TABLE source (k DateTime('Europe/Berlin')) ENGINE = MergeTree ORDER BY tuple()"
    )
    embedded.execute(
        "INSERT INTO source SELECT toDateTime(1729983600 + number * 600) FROM numbers(30)"
    )
    found = plan_chunks(embedded, Backfill("t", ALL, "source", "k", 4), Name("source"))
    counts = [
        int(embedded.query(f"SELECT count() FROM source WHERE {chunk.condition}")[0][0])
        for chunk in found
    ]
    assert sum(counts) == 30


# -- what is refused rather than moved in part ------------------------------------------------


def fail_after_chunks(workspace: Workspace) -> None:
    """Move 700 of 1,000 rows."""
    workspace.prepare(
        "CREATE TABLE source (k Int64, v String) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE target (k Int64, v Int64) ENGINE = MergeTree ORDER BY k",
        "INSERT INTO source SELECT number, if(number = 777, 'bad', '1') FROM numbers(1000)",
    )
    write(workspace, "SELECT k, toInt64(v) FROM source WHERE {chunk}", by="k", chunk_rows=100)
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert "and of statement 1 7 of 10 chunks are done" in caught.value.outcome
    assert "To begin anew with another SELECT, remove the rows" in caught.value.hint


@engines
@pytest.mark.parametrize("shifted", [False, True], ids=["edited", "another place"])
def test_a_backfill_that_has_moved_rows_is_not_edited(workspace: Workspace, shifted: bool) -> None:
    fail_after_chunks(workspace)
    again = "SELECT k, toInt64{} FROM source WHERE {{chunk}}".format(
        "(v)" if shifted else "OrZero(v)"
    )
    before = '    op.execute("SELECT 1")\n' if shifted else ""
    call = f"op.backfill('target', {again!r}, source='source', by='k', chunk_rows=100)"
    workspace.project.write_revision(
        "001_fill", None, body=f"def upgrade() -> None:\n{before}    {call}\n"
    )
    with pytest.raises(ChecksumMismatch) as caught:
        bm.upgrade(**workspace.options)
    assert "It has moved rows on " in caught.value.message
    assert "remove the rows that it has moved, then: budeval-migrate repair" in caught.value.hint
    assert workspace.rows("SELECT count(), uniqExact(k) FROM target") == [(700, 700)]


@engines
def test_a_backfill_that_a_person_takes_back_begins_anew(workspace: Workspace) -> None:
    fail_after_chunks(workspace)
    workspace.prepare("TRUNCATE TABLE target")
    bm.repair_statement("001_fill", 1, applied=False, **workspace.options)
    write(workspace, "SELECT k, toInt64OrZero(v) FROM source WHERE {chunk}", by="k", chunk_rows=100)
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT count(), uniqExact(k) FROM target") == [(1000, 1000)]


@engines
@pytest.mark.parametrize(
    "source",
    [
        "CREATE VIEW seen AS SELECT * FROM source",
        "CREATE TABLE seen ENGINE = Log AS SELECT * FROM source",
    ],
    ids=["view", "log"],
)
def test_a_source_without_partitions_is_refused(workspace: Workspace, source: str) -> None:
    workspace.prepare(*PREPARE, source)
    write(workspace, "SELECT p, k, v FROM seen WHERE {chunk}", source="seen")
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert "The server shows no partitions of seen, which has 1000 rows" in caught.value.reason
    write(
        workspace, "SELECT p, k, v FROM seen WHERE {chunk}", source="seen", by="k", chunk_rows=100
    )
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target") == sums(workspace, "source")


@engines
def test_a_source_that_is_not_there_is_an_error(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE)
    write(workspace, ALL, source="sources")
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert caught.value.code == 60
    write(workspace, ALL, source="(SELECT 1)")
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert "is not the name of one" in caught.value.reason


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
@pytest.mark.parametrize(
    ("select", "options", "words"),
    [
        ("SELECT p, -k AS k, v FROM source WHERE {chunk}", {"by": "k"}, "calls something else k"),
        ("SELECT p, -k k, v FROM source WHERE {chunk}", {"by": "k + 1"}, "calls something else k"),
        ("SELECT p, k, v AS `k` FROM source WHERE {chunk}", {"by": "`k`"}, "something else k"),
        ("SELECT p, k, v FROM source AS a JOIN b USING p WHERE {chunk}", {}, "several tables"),
        ("SELECT p, k, v FROM source AS a, b WHERE {chunk}", {}, "several tables"),
        ("SELECT p, k, v FROM source FINAL WHERE {chunk}", {}, "reads FINAL, and a chunk is a"),
        (ALL, {"by": "rand() % 5"}, "rand does not give a row one value that stays"),
        (ALL, {"by": "k + toUnixTimestamp(NOW())"}, "NOW does not give a row one value"),
    ],
)
def test_a_condition_that_is_not_about_the_source_is_refused(
    workspace: Workspace, select: str, options: dict[str, Any], words: str
) -> None:
    write(workspace, select, **options)
    with pytest.raises(RevisionCompileError, match=words):
        bm.upgrade(**workspace.options)


@engines
@pytest.mark.parametrize(
    ("by", "partition", "settings"),
    [
        ("k", "number % 7", ""),  # versions of a key are in several partitions
        ("partition", "number % 3", "do_not_merge_across_partitions_select_final = 1"),
    ],
)
def test_replaced_rows_are_not_copied(
    workspace: Workspace, by: str, partition: str, settings: str
) -> None:
    workspace.prepare(
        *PREPARE[:2],
        "CREATE TABLE versions (p UInt8, k Int64, v String, n UInt64) "
        "ENGINE = ReplacingMergeTree(n) PARTITION BY p ORDER BY k",
        f"INSERT INTO versions SELECT {partition}, number % 30, toString(number), number "
        "FROM numbers(100)",
    )
    select = "SELECT p, k, v FROM versions FINAL WHERE {chunk}"
    select += f" SETTINGS {settings}" if settings else ""
    write(workspace, select, source="versions", by=by, chunk_rows=7)
    bm.upgrade(**workspace.options)

    latest = "SELECT p, k, v FROM versions FINAL ORDER BY k"
    assert workspace.rows("SELECT p, k, v FROM target ORDER BY k") == workspace.rows(latest)


@engines
def test_names_that_stay_what_they_are_are_no_others(workspace: Workspace) -> None:
    workspace.prepare(*PREPARE)
    select = "SELECT p, k AS k, concat(v, '') AS v FROM source WHERE p IN (0, 1, 2, 3) AND {chunk}"
    write(workspace, select, by="k", chunk_rows=300)
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target") == sums(workspace, "source")


@engines
def test_keys_that_the_join_makes_null_are_in_one_chunk(workspace: Workspace) -> None:
    workspace.prepare(
        *PREPARE,
        "CREATE TABLE names (k Int64, n Int64) ENGINE = MergeTree ORDER BY k",
        "INSERT INTO names SELECT number, number FROM numbers(5)",
    )
    select = "SELECT source.p, source.k, source.v FROM source LEFT JOIN names USING k WHERE {chunk}"
    call = f"op.backfill('target', {select!r}, source='names', by='names.n', chunk_rows=2)"
    workspace.project.write_revision(
        "001_fill",
        None,
        body=f"def upgrade() -> None:\n    op.execute('SET join_use_nulls = 1')\n    {call}\n",
    )
    bm.upgrade(**workspace.options)
    assert sums(workspace, "target") == sums(workspace, "source")


@engines
def test_a_key_that_is_called_staging_is_taken_up(workspace: Workspace) -> None:
    workspace.prepare(
        "CREATE TABLE source (staging Int64, v String) ENGINE = MergeTree ORDER BY staging",
        "CREATE TABLE target (k Int64, v Int64) ENGINE = MergeTree ORDER BY k",
        "INSERT INTO source SELECT number, if(number = 777, 'bad', '1') FROM numbers(1000)",
    )
    select = "SELECT staging, toInt64(v) FROM source WHERE {chunk}"
    write(workspace, select, by="staging", chunk_rows=100)
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    workspace.prepare(
        "ALTER TABLE source UPDATE v = '1' WHERE v = 'bad' SETTINGS mutations_sync = 1"
    )
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT count(), uniqExact(k) FROM target") == [(1000, 1000)]


@engines
def test_points_with_a_nan_are_moved(workspace: Workspace) -> None:
    workspace.prepare(
        "CREATE TABLE source (k Int64, at Point) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE target (k Int64, at Point) ENGINE = MergeTree ORDER BY k",
        "INSERT INTO source SELECT number, (if(number % 5 = 0, nan, number), 1.) FROM numbers(1000)",
    )
    write(workspace, "SELECT k, at FROM source WHERE {chunk}", by="at", chunk_rows=100)
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT count(), uniqExact(k) FROM target") == [(1000, 1000)]


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_functions_that_give_a_row_two_values_are_refused_by_name(workspace: Workspace) -> None:
    workspace.prepare("SELECT 1")
    names = [str(n) for (n,) in workspace.rows("SELECT name FROM system.functions ORDER BY name")]
    changed = set[str]()

    def values(session: Session, name: str) -> list[Any]:
        rows = session.query(f"SELECT toString({name}()) FROM numbers(2)")
        return sorted(str(value) for (value,) in rows)

    with workspace.session() as session:
        for name in names:
            try:
                first = values(session, name)
                time.sleep(0.002)
                second = values(session, name)
            except EngineError:
                continue  # it takes arguments, or is an aggregate
            if first != second or (len(set(first)) > 1):
                changed.add(name)

    assert {"generateUUIDv4", "rand", "rand64", "rowNumberInAllBlocks"} <= changed
    assert {name for name in changed if not varying(f"{name}()")} == set()
