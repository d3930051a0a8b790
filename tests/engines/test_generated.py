"""Every kind of generated revision, applied, reverted, applied again, on a real engine."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations import op
from budeval_migrations.errors import ConfigError, EngineError, RevisionError, StatementFailed
from budeval_migrations.events import Event, StatementFinished
from budeval_migrations.model import Statement
from budeval_migrations.recipes.rebuild_table import rebuild_table
from budeval_migrations.recipes.view_history import view_with_history
from budeval_migrations.sql.effects import effect
from tests.engines.workspace import BOOKKEEPING, Workspace
from tests.support.targets import engine_parameters

on_embedded = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
on_both = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
EVENTS = (
    "CREATE TABLE IF NOT EXISTS events (id UInt64, site String, `from` String DEFAULT 'web',"
    " created_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY id COMMENT 'visits'"
)
ROWS = "INSERT INTO events (id, site) SELECT number, toString(number % 7) FROM numbers(1000)"


def begin(workspace: Workspace, *statements: str) -> None:
    """Apply 001, which makes the table, and fill it."""
    workspace.project.write_revision("001_events", None, EVENTS, "DROP TABLE IF EXISTS events")
    bm.upgrade(**workspace.options)
    workspace.prepare(ROWS, *statements)


def new(workspace: Workspace, kind: str, **options: Any) -> str:
    """Generate a revision, and return its id."""
    return bm.new(kind, **options, **workspace.options).revision


def schema(workspace: Workspace) -> dict[str, str]:
    """What SHOW CREATE says of everything, without the name of the database."""
    rows = workspace.rows(
        "SELECT name, create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND NOT startsWith(name, '.inner')"
    )
    return {
        str(name): str(sql).replace(f"{workspace.target.database}.", "")
        for name, sql in rows
        if name not in BOOKKEEPING
    }


def there_and_back(workspace: Workspace, revision: str) -> tuple[dict[str, str], dict[str, str]]:
    """Apply a revision, take it back, apply it again; return the schema before and after."""
    before = schema(workspace)
    assert bm.upgrade(**workspace.options).applied == (revision,)
    after = schema(workspace)
    bm.downgrade("-1", **workspace.options)
    assert schema(workspace) == before
    assert bm.upgrade(**workspace.options).applied == (revision,)
    assert schema(workspace) == after
    return before, after


def count(workspace: Workspace, sql: str) -> int:
    [[found]] = workspace.rows(sql)
    return int(found)


@on_embedded
def test_a_new_table(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(
        workspace,
        "create-table",
        table="visits",
        columns=["id UInt64, `order` String", "at DateTime DEFAULT now()"],
        order_by="(id, at)",
        engine="ReplacingMergeTree(at)",
        partition_by="toYYYYMM(at)",
        ttl="at + INTERVAL 6 MONTH",
        comment="it's new",
    )
    before, after = there_and_back(workspace, revision)
    assert after.keys() - before.keys() == {"visits"}
    assert after["visits"] == (
        "CREATE TABLE visits (`id` UInt64, `order` String, `at` DateTime DEFAULT now()) "
        "ENGINE = ReplacingMergeTree(at) PARTITION BY toYYYYMM(at) ORDER BY (id, at) "
        "TTL at + toIntervalMonth(6) SETTINGS index_granularity = 8192 COMMENT 'it\\'s new'"
    )


@on_embedded
def test_a_new_column(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(
        workspace,
        "add-column",
        table="events",
        column="status",
        type="LowCardinality(String)",
        default="'it''s'",
        codec="ZSTD(3)",
        comment="a 'quoted' \\ one",
        after="from",
    )
    _, after = there_and_back(workspace, revision)
    assert after["events"] == (
        "CREATE TABLE events (`id` UInt64, `site` String, `from` String DEFAULT 'web', "
        "`status` LowCardinality(String) DEFAULT 'it\\'s' COMMENT 'a \\'quoted\\' \\\\ one' "
        "CODEC(ZSTD(3)), `created_at` DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY id "
        "SETTINGS index_granularity = 8192 COMMENT 'visits'"
    )
    assert workspace.rows("SELECT DISTINCT status FROM events") == [("it's",)]


@on_embedded
def test_a_dropped_column_comes_back_where_it_was(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(workspace, "drop-column", table="events", column="from")
    _, after = there_and_back(workspace, revision)
    assert "`from`" not in after["events"]
    assert count(workspace, "SELECT count() FROM events") == 1000


@on_embedded
def test_the_first_column_comes_back_as_the_first(workspace: Workspace) -> None:
    begin(
        workspace,
        "CREATE TABLE odd (a String CODEC(ZSTD(3)), b UInt8) ENGINE = MergeTree ORDER BY b",
    )
    there_and_back(workspace, new(workspace, "drop-column", table="odd", column="a"))


@on_embedded
def test_a_modified_column_and_its_new_default_are_taken_back(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(
        workspace,
        "modify-column",
        table="events",
        column="site",
        type="LowCardinality(String)",
        default="'none'",
        codec="ZSTD(1)",
        comment="where",
    )
    _, after = there_and_back(workspace, revision)
    assert (
        "`site` LowCardinality(String) DEFAULT 'none' COMMENT 'where' CODEC(ZSTD(1))"
        in after["events"]
    )
    assert count(workspace, "SELECT uniqExact(site) FROM events") == 7


@on_embedded
def test_a_renamed_column(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(workspace, "rename-column", table="events", column="from", to="origin `of` it")
    _, after = there_and_back(workspace, revision)
    assert "`origin \\`of\\` it` String DEFAULT 'web'" in after["events"]
    assert "`from`" not in after["events"]


@on_embedded
def test_a_new_index_is_built_for_the_rows_that_are_there(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(
        workspace, "add-index", table="events", index="idx_from", on="from", type="set(9)"
    )
    _, after = there_and_back(workspace, revision)
    assert "INDEX idx_from `from` TYPE set(9) GRANULARITY 1" in after["events"]
    built = "SELECT count() FROM system.parts WHERE active AND table = 'events'"
    where = " AND database = currentDatabase() AND secondary_indices_compressed_bytes > 0"
    assert count(workspace, built + where) == count(
        workspace, built + " AND database = currentDatabase()"
    )


@on_embedded
def test_a_dropped_table_lies_in_the_trash_until_it_is_purged(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(workspace, "drop-table", table="events")
    _, after = there_and_back(workspace, revision)
    [trash] = after
    assert trash.startswith("_trash_events_2")
    assert count(workspace, f"SELECT count() FROM {trash}") == 1000
    purge = bm.new("drop-table", table=trash, purge=True, **workspace.options)
    assert f'destructive = "drops {trash} and what it holds"' in purge.text
    assert "irreversible = " in purge.text and "def downgrade" not in purge.text
    assert bm.upgrade(**workspace.options).applied == (purge.revision,)
    assert schema(workspace) == {}
    with pytest.raises(RevisionError, match="has no downgrade"):
        bm.downgrade("-1", **workspace.options)


@on_embedded
def test_a_table_that_was_rebuilt_can_be_dropped_on_the_same_day(workspace: Workspace) -> None:
    begin(workspace)
    new(workspace, "change-order-by", table="events", order_by="site")
    new(workspace, "drop-table", table="events")
    bm.upgrade(**workspace.options)
    rebuilt, dropped = sorted(schema(workspace))
    assert dropped == f"{rebuilt}_2"
    bm.downgrade("001_events", **workspace.options)
    assert count(workspace, "SELECT count() FROM events") == 1000


@on_embedded
def test_two_tables_are_exchanged_and_exchanged_back(workspace: Workspace) -> None:
    begin(workspace, "CREATE TABLE other (id UInt8) ENGINE = MergeTree ORDER BY id")
    before, after = there_and_back(workspace, new(workspace, "swap", table="events", other="other"))
    assert after["other"] == before["events"].replace("TABLE events", "TABLE other")
    assert count(workspace, "SELECT count() FROM other") == 1000


@on_embedded
def test_a_backfill_moves_what_its_select_takes(workspace: Workspace) -> None:
    begin(workspace, "CREATE TABLE sites (id UInt64, site String) ENGINE = MergeTree ORDER BY site")
    new(
        workspace,
        "backfill",
        table="sites",
        source="events",
        select="SELECT id, site FROM events AS e WHERE id < 400 OR id = 999",
        by="id",
        chunk_rows=100,
    )
    bm.upgrade(**workspace.options)
    assert count(workspace, "SELECT count() FROM sites") == 401
    assert count(workspace, "SELECT uniqExact(id) FROM sites") == 401


@on_embedded
def test_a_blank_revision_runs(workspace: Workspace) -> None:
    begin(workspace)
    there_and_back(workspace, new(workspace, "blank", message="nothing yet"))


@on_embedded
def test_odd_names_come_out_right(workspace: Workspace) -> None:
    begin(workspace)
    odd = "`ключ \"x\" 'y' \\`z\\` {n} %s :p`"
    new(workspace, "create-table", table=odd, columns=["`select` UInt8"], order_by="`select`")
    new(workspace, "add-column", table=odd, column="a-b \"c\" 'd'", type="String")
    new(
        workspace,
        "modify-column",
        table=odd,
        column="a-b \"c\" 'd'",
        type="Nullable(String)",
        was="String",
    )
    new(workspace, "add-index", table=odd, index="index", on="`select`", type="minmax")
    new(
        workspace,
        "change-order-by",
        table=odd,
        order_by="tuple()",
        from_ddl=str(
            ddl(
                workspace,
                f"CREATE TABLE {odd} (`select` UInt8) ENGINE = MergeTree ORDER BY `select`",
            )
        ),
    )
    with pytest.raises(StatementFailed, match="has other columns than this revision knows"):
        bm.upgrade(**workspace.options)
    name = "ключ \"x\" 'y' `z` {n} %s :p"
    columns = workspace.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND startsWith(table, 'ключ')"
    )
    assert [n for (n,) in columns] == ["select", "a-b \"c\" 'd'"]
    workspace.project.revision_file("006_rebuild_x_y_z_n_s_p").unlink()
    new(
        workspace,
        "change-order-by",
        table=odd,
        order_by="tuple()",
        from_ddl=str(ddl(workspace, LIVE.format(odd=odd))),
    )
    assert name in schema(workspace)


LIVE = (
    "CREATE TABLE {odd} (`select` UInt8, `a-b \"c\" 'd'` Nullable(String),"
    " INDEX `index` `select` TYPE minmax GRANULARITY 1) ENGINE = MergeTree ORDER BY `select`"
)


def ddl(workspace: Workspace, text: str) -> Any:
    path = workspace.project.path / "table.sql"
    path.write_text(text, encoding="utf-8")
    return path


class Writers:
    """Threads that insert without a pause, and send again what was refused."""

    def __init__(self, workspace: Workspace, threads: int = 2) -> None:
        self.workspace = workspace
        self.sent = 0
        self.refused: set[int] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(threads)
        ]

    def _run(self, number: int) -> None:
        with self.workspace.session() as session:
            at = 0
            while not self._stop.is_set():
                row = 1_000_000 * (number + 1) + at
                try:
                    session.execute(f"INSERT INTO events (id, site) VALUES ({row}, 'w')")
                except EngineError as error:
                    with self._lock:
                        self.refused.add(error.code)
                    continue
                at += 1
                with self._lock:
                    self.sent += 1

    @contextmanager
    def writing(self) -> Iterator[Writers]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


VIEW = (
    "CREATE TABLE seen (site String, n UInt64) ENGINE = SummingMergeTree ORDER BY site",
    "CREATE MATERIALIZED VIEW seeing TO seen AS SELECT site, count() AS n FROM events GROUP BY site",
)


@on_both
def test_a_rebuild_beside_writers_loses_and_doubles_no_row(workspace: Workspace) -> None:
    begin(workspace)
    before = schema(workspace)["events"]
    revision = new(workspace, "change-order-by", table="events", order_by="(site, id)")
    with Writers(workspace).writing() as writers:
        bm.upgrade(**workspace.options)
        rebuilt = schema(workspace)["events"]
        bm.downgrade("-1", **workspace.options)
        assert schema(workspace) == {"events": before}
        assert bm.upgrade(**workspace.options).applied == (revision,)
    assert rebuilt == before.replace("ORDER BY id", "ORDER BY (site, id)")
    assert schema(workspace)["events"] == rebuilt
    assert len(schema(workspace)) == 2  # the old one lies in the trash
    assert writers.refused <= {741}
    assert writers.sent > 0
    assert count(workspace, "SELECT count() FROM events") == 1000 + writers.sent
    assert count(workspace, "SELECT uniqExact(id) FROM events") == 1000 + writers.sent


@on_both
def test_a_view_that_reads_the_rebuilt_table_counts_every_row_once(workspace: Workspace) -> None:
    begin(workspace, "TRUNCATE TABLE events", *VIEW, ROWS)
    found = bm.new(
        "change-order-by",
        table="events",
        order_by="(site, id)",
        partition_by="id % 3",
        **workspace.options,
    )
    assert found.notices[0].startswith("seeing reads events: INSERTs will be refused")
    with Writers(workspace).writing() as writers:
        bm.upgrade(**workspace.options)
        bm.downgrade("-1", **workspace.options)
        bm.upgrade(**workspace.options)
    assert writers.refused <= {469, 741}
    everything = 1000 + writers.sent
    assert count(workspace, "SELECT count() FROM events") == everything
    assert count(workspace, "SELECT uniqExact(id) FROM events") == everything
    assert count(workspace, "SELECT sum(n) FROM seen") == everything


LATE = "INSERT INTO events SELECT 7000000 + (SELECT sleep(2.9)), 'late', 'web', now()"


@on_embedded
def test_a_view_counts_an_insert_that_finds_its_table_before_the_exchange_and_its_views_after_it(
    workspace: Workspace,
) -> None:
    begin(workspace, "TRUNCATE TABLE events", *VIEW)
    new(workspace, "change-order-by", table="events", order_by="(site, id)")
    with begun(workspace, LATE):
        bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT id FROM events") == [(7000000,)]
    assert workspace.rows("SELECT site, n FROM seen") == [("late", 1)]


@on_embedded
def test_a_pause_leaves_no_constraint_behind(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(workspace, "change-order-by", table="events", order_by="(site, id)", pause=True)
    _, after = there_and_back(workspace, revision)
    assert len(after) == 2  # the old one lies in the trash
    assert not any("CONSTRAINT" in sql for sql in after.values())


@on_both
def test_a_new_view_counts_every_row_once_beside_writers(workspace: Workspace) -> None:
    begin(workspace)
    revision = new(workspace, "materialized-view", **DAILY)
    with Writers(workspace).writing() as writers:
        assert bm.upgrade(**workspace.options).applied == (revision,)
    assert schema(workspace)["daily"] == (
        "CREATE MATERIALIZED VIEW daily TO daily_data (`site` String, `visits` UInt64) "
        "AS SELECT site, count() AS visits FROM events WHERE (id < 5) OR (id >= 0) GROUP BY site"
    )
    assert set(schema(workspace)) == {"events", "daily", "daily_data"}
    assert count(workspace, "SELECT sum(visits) FROM daily") == 1000 + writers.sent
    assert writers.refused == set()
    bm.downgrade("-1", **workspace.options)
    assert set(schema(workspace)) == {"events"}


DAILY: dict[str, Any] = {
    "view": "daily",
    "select": "SELECT site, count() AS visits FROM events WHERE id < 5 OR id >= 0 GROUP BY site",
    "order_by": "site",
    "engine": "SummingMergeTree",
    "time_column": "created_at",
}


SLOW = (
    "INSERT INTO events (id, site) SELECT 5000000 + number, concat('slow', toString(sleepEachRow(0.5)))"
    " FROM numbers(10) SETTINGS max_block_size = 1, min_insert_block_size_rows = 1"
)


@contextmanager
def begun(workspace: Workspace, insert: str) -> Iterator[None]:
    """An INSERT that takes some seconds, and has begun."""
    thread = threading.Thread(target=workspace.prepare, args=(insert,))
    thread.start()
    running = "SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO events%'"
    while not workspace.rows(running):
        assert thread.is_alive()
    yield
    thread.join()


@on_embedded
@pytest.mark.parametrize(
    ("kind", "options"),
    [("change-order-by", {"table": "events", "order_by": "site"}), ("materialized-view", DAILY)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_insert_that_began_before_is_waited_for(
    workspace: Workspace, kind: str, options: dict[str, Any]
) -> None:
    begin(workspace)
    new(workspace, kind, **options)
    with begun(workspace, SLOW):
        bm.upgrade(**workspace.options)
        # It has ended by now, and what it wrote is where it belongs.
        assert count(workspace, "SELECT count() FROM events") == 1010
        if kind == "materialized-view":
            assert count(workspace, "SELECT sum(visits) FROM daily") == 1010
    assert count(workspace, "SELECT uniqExact(id) FROM events") == 1010


@on_embedded
def test_a_view_without_history_takes_what_comes(workspace: Workspace) -> None:
    begin(workspace)
    options = {k: v for k, v in DAILY.items() if k != "time_column"}
    revision = new(workspace, "materialized-view", **options, backfill=False, target="days")
    there_and_back(workspace, revision)
    workspace.prepare("INSERT INTO events (id, site) VALUES (1, 'a')")
    assert count(workspace, "SELECT sum(visits) FROM days") == 1


@on_embedded
def test_rows_of_the_future_stop_a_new_view_before_it_counts(workspace: Workspace) -> None:
    begin(workspace, "INSERT INTO events (id, created_at) VALUES (1, now() + 86400)")
    new(workspace, "materialized-view", **DAILY)
    with pytest.raises(StatementFailed, match="lies in the future"):
        bm.upgrade(**workspace.options)
    workspace.prepare(
        "ALTER TABLE events DELETE WHERE created_at > now() SETTINGS mutations_sync = 1"
    )
    bm.upgrade(**workspace.options)
    assert count(workspace, "SELECT sum(visits) FROM daily") == 1000


class Killed(BaseException):
    """Something stops the run."""


def killer(after: int) -> Callable[[Event], None]:
    """Stop a run when a statement has taken effect and nobody has noted it yet."""
    seen = 0

    def hear(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, StatementFinished)
        if isinstance(event, StatementFinished) and seen == after:
            raise Killed

    return hear


@on_embedded
@pytest.mark.parametrize(
    "kills", [(2, 5, 6, 12), pytest.param(range(1, 15), marks=pytest.mark.exhaustive)], ids=str
)
def test_a_rebuild_that_is_killed_after_a_statement_ends_as_if_nothing_had_been(
    workspace: Workspace, kills: Iterable[int]
) -> None:
    begin(workspace, "TRUNCATE TABLE events", *VIEW, ROWS)
    new(workspace, "change-order-by", table="events", order_by="(site, id)")
    before = schema(workspace)
    for after in kills:
        with pytest.raises(Killed):
            bm.upgrade(on_event=killer(after), **workspace.options)
        bm.upgrade(**workspace.options)
        assert count(workspace, "SELECT count() FROM events") == 1000
        assert "ORDER BY (site, id)" in schema(workspace)["events"]
        with pytest.raises(Killed):
            bm.downgrade("-1", on_event=killer(after), **workspace.options)
        bm.downgrade("-1", **workspace.options)
        assert schema(workspace) == before
        assert count(workspace, "SELECT count() FROM events") == 1000
        assert count(workspace, "SELECT uniqExact(id) FROM events") == 1000
    assert count(workspace, "SELECT sum(n) FROM seen") == 1000


@on_embedded
@pytest.mark.parametrize(
    "after", [4, 21, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (3, 12, 29))]
)
def test_a_new_view_that_is_killed_still_counts_every_row_once(
    workspace: Workspace, after: int
) -> None:
    begin(workspace)
    new(workspace, "materialized-view", **DAILY)
    with Writers(workspace, threads=1).writing() as writers:
        with pytest.raises(Killed):
            bm.upgrade(on_event=killer(after), **workspace.options)
        bm.upgrade(**workspace.options)
    assert count(workspace, "SELECT sum(visits) FROM daily") == 1000 + writers.sent
    assert set(schema(workspace)) == {"events", "daily", "daily_data"}


class Twice:
    """Runs what a revision says, and each repeatable statement a second time."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def execute(self, sql: str) -> None:
        self.workspace.prepare(sql)
        if effect(sql).repeatable:
            self.workspace.prepare(sql)

    def execute_unless(self, probe: str, sql: str) -> None:
        for _ in range(2):
            if not self.workspace.rows(probe):
                self.workspace.prepare(sql)

    def backfill(self, into: str, select: str, columns: Any = (), **_: Any) -> None:
        listed = f"({', '.join(columns)}) " if columns else ""
        self.workspace.prepare(f"INSERT INTO {into} {listed}{select.replace('{chunk}', '1')}")

    def create_view_with_history(self, view: str, select: str, **options: Any) -> None:
        self.expand(view_with_history(view, select, **options))

    def rebuild_table(self, table: str, create: str, *, kept_as: str = "", **options: Any) -> None:
        self.expand(rebuild_table(table, create, options.pop("copy"), kept_as, **options))

    def expand(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            moved = statement.backfill
            if moved is not None:
                self.backfill(moved.into, moved.select, moved.columns)
            elif statement.unless is not None:
                self.execute_unless(statement.unless, statement.text)
            else:
                self.execute(statement.text)

    def __getattr__(self, name: str) -> Any:
        return getattr(op, name)  # op.History and its like

    def run(self, text: str, function: str) -> None:
        names: dict[str, Any] = {"op": self}
        exec(re.sub(r"from \w+ import op\n", "", text), names)
        names[function]()


EVERY: list[tuple[str, dict[str, Any]]] = [
    ("create-table", {"table": "t", "columns": ["a UInt8"], "order_by": "a"}),
    ("add-column", {"table": "events", "column": "x", "type": "UInt8", "first": True}),
    ("drop-column", {"table": "events", "column": "from"}),
    (
        "modify-column",
        {"table": "events", "column": "site", "type": "Nullable(String)", "default": "''"},
    ),
    ("rename-column", {"table": "events", "column": "site", "to": "where"}),
    ("add-index", {"table": "events", "index": "i", "on": "site"}),
    ("materialized-view", DAILY),
    ("change-order-by", {"table": "events", "order_by": "site", "pause": True}),
    ("drop-table", {"table": "events"}),
]


@on_embedded
@pytest.mark.parametrize(("kind", "options"), EVERY, ids=[kind for kind, _ in EVERY])
def test_each_statement_that_may_be_run_twice_is_the_same_as_once(
    workspace: Workspace, kind: str, options: dict[str, Any]
) -> None:
    begin(workspace)
    text = bm.new(kind, **options, dry_run=True, **workspace.options).text
    before, after = there_and_back(workspace, new(workspace, kind, **options))
    bm.downgrade("-1", **workspace.options)
    Twice(workspace).run(text, "upgrade")
    assert schema(workspace) == after
    Twice(workspace).run(text, "downgrade")
    assert schema(workspace) == before


@on_embedded
def test_an_engine_that_cannot_be_rebuilt_exactly_is_refused(workspace: Workspace) -> None:
    begin(
        workspace, "CREATE TABLE latest (a UInt8, v UInt8) ENGINE = ReplacingMergeTree ORDER BY a"
    )
    with pytest.raises(RevisionError, match="keeps the row that was inserted last"):
        new(workspace, "change-order-by", table="latest", order_by="(a, v)")
    found = bm.new(
        "change-order-by", table="latest", engine="ReplacingMergeTree(v)", **workspace.options
    )
    assert "irreversible = " in found.text and "def downgrade" not in found.text
    bm.upgrade(**workspace.options)
    assert "ReplacingMergeTree(v)" in schema(workspace)["latest"]


@on_embedded
def test_materialized_columns_keep_their_values_in_a_rebuild(workspace: Workspace) -> None:
    begin(
        workspace,
        "CREATE TABLE kept (a UInt32, r UInt64 MATERIALIZED rand64(), b UInt32 ALIAS a + 1,"
        " e UInt8 EPHEMERAL) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO kept (a) SELECT number FROM numbers(100)",
    )
    sums = "SELECT sum(a), sum(cityHash64(a, r)), sum(b) FROM kept"
    held = workspace.rows(sums)
    there_and_back(workspace, new(workspace, "change-order-by", table="kept", order_by="tuple()"))
    assert workspace.rows(sums) == held


RICH = """
CREATE TABLE rich
(
    `a` UInt32 CODEC(Delta(4), ZSTD(1)),
    `n.x` Array(UInt8),
    `n.y` Array(String),
    `s` LowCardinality(Nullable(String)) COMMENT 'it''s',
    `t` DateTime DEFAULT now(),
    `u` UInt8 TTL t + toIntervalYear(40),
    INDEX i s TYPE set(100) GRANULARITY 2,
    PROJECTION p (SELECT s, count() GROUP BY s),
    CONSTRAINT c CHECK a < 4000000000
)
ENGINE = MergeTree
PARTITION BY a % 3
PRIMARY KEY a
ORDER BY (a, t)
SAMPLE BY a
TTL t + toIntervalYear(50)
SETTINGS index_granularity = 1024
"""


@on_embedded
def test_everything_that_a_table_has_is_still_there_after_a_rebuild(workspace: Workspace) -> None:
    begin(
        workspace,
        RICH,
        "INSERT INTO rich (a, n.x, n.y, s) SELECT number, [1, 2], ['x', 'y'],"
        " if(number % 2 = 0, NULL, 'odd') FROM numbers(500)",
    )
    sums = "SELECT count(), sum(cityHash64(a, n.x, n.y, s, t)) FROM rich"
    held = workspace.rows(sums)
    revision = new(
        workspace, "change-order-by", table="rich", order_by="(a, s, t)", engine="MergeTree"
    )
    with pytest.raises(StatementFailed, match="allow_nullable_key"):
        bm.upgrade(**workspace.options)
    workspace.project.revision_file(revision).unlink()
    revision = new(workspace, "change-order-by", table="rich", order_by="(a, length(n.x))")
    before, after = there_and_back(workspace, revision)
    assert after["rich"] == before["rich"].replace(
        "PRIMARY KEY a ORDER BY (a, t)", "ORDER BY (a, length(n.x))"
    )
    assert workspace.rows(sums) == held


@on_embedded
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("add-column", {"column": "x", "type": "UInt8"}),
        ("drop-column", {"column": "from"}),
        ("drop-table", {}),
        ("change-order-by", {"order_by": "site"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_may_be_named_with_its_database(
    workspace: Workspace, kind: str, options: dict[str, Any]
) -> None:
    begin(workspace)
    there_and_back(
        workspace, new(workspace, kind, table=f"{workspace.target.database}.events", **options)
    )


@on_embedded
def test_a_view_and_its_table_may_be_named_with_their_database(workspace: Workspace) -> None:
    begin(workspace)
    database = workspace.target.database
    select = str(DAILY["select"]).replace("FROM events", f"FROM {database}.events")
    new(workspace, "materialized-view", **{**DAILY, "view": f"{database}.daily", "select": select})
    bm.upgrade(**workspace.options)
    assert count(workspace, "SELECT sum(visits) FROM daily") == 1000
    assert set(schema(workspace)) == {"events", "daily", "daily_data"}


@on_embedded
def test_a_rebuild_may_cut_a_table_into_more_partitions_than_an_insert_may_have(
    workspace: Workspace,
) -> None:
    begin(workspace)
    there_and_back(
        workspace,
        new(workspace, "change-order-by", table="events", partition_by="id % 120", by="id"),
    )
    assert count(workspace, "SELECT uniqExact(id) FROM events") == 1000
    assert count(workspace, "SELECT uniqExact(_partition_id) FROM events") == 120


@on_embedded
def test_a_server_that_is_behind_the_files_is_told(workspace: Workspace) -> None:
    begin(workspace)
    ahead = bm.new("add-column", table="events", column="x", type="UInt8", **workspace.options)
    assert ahead.notices == ()
    found = bm.new("drop-column", table="events", column="site", **workspace.options)
    assert found.notices == (
        "The server is at 001_events, not at 002_add_x_to_events: "
        "what it says of the table may be old.",
    )


@on_embedded
def test_a_table_that_another_has_changed_meanwhile_is_left_alone(workspace: Workspace) -> None:
    begin(workspace)
    new(workspace, "change-order-by", table="events", order_by="(site, id)")
    workspace.prepare("ALTER TABLE events ADD COLUMN late UInt8")
    before = schema(workspace)["events"]
    with pytest.raises(StatementFailed, match="has other columns than this revision knows"):
        bm.upgrade(**workspace.options)
    assert schema(workspace)["events"] == before


@on_embedded
def test_what_the_server_does_not_take_is_refused_before_anything_is_written(
    workspace: Workspace,
) -> None:
    begin(workspace)
    files = set(workspace.project.versions.iterdir())
    with pytest.raises(ConfigError, match=r"family: Strng\b.*\['String'\]\. \(UNKNOWN_TYPE\)$"):
        new(workspace, "add-column", table="events", column="x", type="Strng")
    with pytest.raises(ConfigError, match="Unknown data type family: Bar"):
        new(workspace, "create-table", table="t", columns=["a UInt8, b Bar"], order_by="a")
    with pytest.raises(ConfigError, match="no engine MergeTre") as raised:
        new(
            workspace, "create-table", table="t", columns="a UInt8", order_by="a", engine="MergeTre"
        )
    assert raised.value.hint == "Did you mean MergeTree?"
    with pytest.raises(ConfigError, match=r"Syntax error.*\. \(SYNTAX_ERROR\)$"):
        new(workspace, "add-column", table="events", column="x", type="String", default="1 +")
    with pytest.raises(ConfigError, match="has no column nope"):
        new(workspace, "drop-column", table="events", column="nope")
    with pytest.raises(ConfigError, match="has no column nope"):
        new(workspace, "add-column", table="events", column="x", type="UInt8", after="nope")
    with pytest.raises(ConfigError, match="has a column site already"):
        new(workspace, "add-column", table="events", column="site", type="UInt8")
    with pytest.raises(ConfigError, match="no server has the table"):
        new(workspace, "change-order-by", table="nope", order_by="a")
    with pytest.raises(ConfigError, match="cannot be told from what arrives meanwhile"):
        new(workspace, "materialized-view", **{**DAILY, "time_column": ""})
    assert set(workspace.project.versions.iterdir()) == files
