"""What `effect` says of a statement against what ClickHouse does with it.

Users, roles and grants are not here: chDB has nowhere to keep them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budeval_migrations.sql.effects import Watch, effect
from tests.support.chdb_engine import connect

pytestmark = pytest.mark.embedded

STAGE = (
    "CREATE TABLE t (k UInt64, d Date, p UInt8, a Int8 DEFAULT 1 COMMENT 'x', s String,"
    " ex Int8, INDEX ix s TYPE bloom_filter GRANULARITY 1, PROJECTION pr (SELECT s, count() GROUP"
    " BY s), CONSTRAINT co CHECK k < 1000) ENGINE = MergeTree PARTITION BY p ORDER BY k SAMPLE BY"
    " k TTL d + INTERVAL 100 YEAR SETTINGS min_bytes_for_wide_part = 0",
    "ALTER TABLE t ADD STATISTICS a TYPE minmax",
    "INSERT INTO t VALUES (1, today(), 1, 1, 'a', 1), (2, today(), 2, 2, 'b', 2)",
    "CREATE TABLE u (k UInt64, s String) ENGINE = MergeTree PARTITION BY k % 2 ORDER BY k"
    " SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1",
    "INSERT INTO u VALUES (1, 'a'), (2, 'b')",
    "CREATE TABLE w AS u",
    "INSERT INTO w VALUES (3, 'c')",
    "CREATE VIEW v AS SELECT k FROM u",
    "CREATE TABLE sink (k UInt64, s String) ENGINE = MergeTree ORDER BY k",
    "CREATE MATERIALIZED VIEW mv TO sink AS SELECT k FROM u",
    "CREATE MATERIALIZED VIEW rv REFRESH EVERY 1 YEAR TO sink EMPTY AS SELECT k FROM u",
    "CREATE DICTIONARY dc (k UInt64, s String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'u'))"
    " LAYOUT(FLAT()) LIFETIME(0)",
)


class Play:
    """A database with something of everything in it."""

    def __init__(self, connection: Any, database: str) -> None:
        self._connection = connection
        self.database = database
        self.run(f"CREATE DATABASE {database}")
        self.run(f"USE {database}")
        for statement in STAGE:
            self.run(statement)

    def run(self, statement: str) -> str:
        """Run a statement in which ``{db}`` is the database."""
        sent = statement.replace("{db}", self.database)
        return str(self._connection.query(sent, "JSONCompact").data())

    def rows(self, query: str) -> list[list[Any]]:
        """Return what a query yields."""
        found: list[list[Any]] = json.loads(self.run(query))["data"]
        return found

    def schema(self) -> list[list[Any]]:
        """Return every table as it would be created."""
        return self.rows(
            "SELECT name, create_table_query FROM system.tables WHERE database = '{db}' ORDER BY 1"
        )

    def everything(self) -> list[object]:
        """Return the schema, the rows, the functions and the database's comment."""
        plain = [name for name, query in self.schema() if query.startswith("CREATE TABLE")]
        return [
            self.schema(),
            [self.rows(f"SELECT * FROM `{name}` ORDER BY ALL") for name in plain],
            self.functions(),
            self.rows("SELECT comment FROM system.databases WHERE name = '{db}'"),
            self.rows("SELECT name, collection FROM system.named_collections ORDER BY 1"),
        ]

    def functions(self) -> list[list[Any]]:
        """Return the functions of users."""
        return self.rows(
            "SELECT name, create_query FROM system.functions"
            " WHERE origin = 'SQLUserDefined' ORDER BY 1"
        )

    def mutations(self) -> list[list[Any]]:
        """Return the mutations of every table."""
        return self.rows(
            "SELECT table, mutation_id FROM system.mutations WHERE database = '{db}' ORDER BY ALL"
        )

    def seen_by(self, watch: Watch) -> list[list[Any]]:
        """Return the facts that a watch compares."""
        if watch is Watch.TABLES:
            return self.rows(
                "SELECT name, uuid, create_table_query FROM system.tables"
                " WHERE database = '{db}' ORDER BY 1"
            )
        if watch is Watch.PARTS:
            return self.rows(
                "SELECT table, name, rows FROM system.parts"
                " WHERE database = '{db}' AND active ORDER BY ALL"
            )
        if watch is Watch.MUTATIONS:
            return self.mutations()
        if watch is Watch.DATABASES:
            return self.rows("SELECT name, comment FROM system.databases ORDER BY 1")
        return self.functions()


@pytest.fixture
def play(embedded_directory: Path, database: str) -> Iterator[Play]:
    """The workspace, set."""
    connection = connect(str(embedded_directory))
    try:
        yield Play(connection, database)
    finally:
        for kind, name in (
            ("DATABASE", database),
            ("DATABASE", f"{database}_2"),
            ("FUNCTION", f"{database}_f"),
            ("NAMED COLLECTION", f"{database}_c"),
        ):
            connection.query(f"DROP {kind} IF EXISTS {name}")
        connection.close()


REPEATABLE = (
    "CREATE TABLE IF NOT EXISTS x (a Int8) ENGINE = Memory",
    "CREATE TABLE IF NOT EXISTS x AS t",
    "CREATE TABLE IF NOT EXISTS x AS numbers(3)",
    "CREATE TABLE IF NOT EXISTS x ENGINE = Memory EMPTY AS SELECT 1 AS a",
    "CREATE TEMPORARY TABLE IF NOT EXISTS x (a Int8)",
    "CREATE VIEW IF NOT EXISTS x AS SELECT k FROM u",
    "CREATE OR REPLACE VIEW v AS SELECT * FROM u",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS x TO sink AS SELECT k FROM u",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS x ENGINE = MergeTree ORDER BY k AS SELECT k FROM u",
    "CREATE DICTIONARY IF NOT EXISTS x (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT())"
    " LIFETIME(0)",
    "CREATE OR REPLACE DICTIONARY dc (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT())"
    " LIFETIME(0)",
    "CREATE DATABASE IF NOT EXISTS {db}_2",
    "CREATE FUNCTION IF NOT EXISTS {db}_f AS x -> x",
    "CREATE OR REPLACE FUNCTION {db}_f AS x -> x",
    "CREATE NAMED COLLECTION IF NOT EXISTS {db}_c AS a = 1",
    "CREATE INDEX IF NOT EXISTS iy ON t (k) TYPE minmax GRANULARITY 1",
    "DROP TABLE IF EXISTS t",
    "DROP TABLE IF EXISTS t, w",
    "DROP VIEW IF EXISTS v",
    "DROP DICTIONARY IF EXISTS dc",
    "DROP DATABASE IF EXISTS {db}_2",
    "DROP FUNCTION IF EXISTS {db}_f",
    "DROP NAMED COLLECTION IF EXISTS {db}_c",
    "DROP INDEX IF EXISTS ix ON t",
    "RENAME TABLE IF EXISTS t TO x",
    "RENAME TABLE IF EXISTS t TO x, IF EXISTS w TO y",
    "RENAME DICTIONARY IF EXISTS dc TO x",
    "RENAME DATABASE IF EXISTS {db}_1 TO {db}_2",
    "ALTER DATABASE {db} MODIFY COMMENT 'x'",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8 DEFAULT 3",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8 AFTER k",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8 FIRST",
    "ALTER TABLE t ADD INDEX IF NOT EXISTS iy k TYPE minmax GRANULARITY 1 FIRST",
    "ALTER TABLE t ADD PROJECTION IF NOT EXISTS py (SELECT s, sum(k) GROUP BY s)",
    "ALTER TABLE t ADD CONSTRAINT IF NOT EXISTS cy CHECK k > 0",
    "ALTER TABLE t ADD STATISTICS IF NOT EXISTS k, p TYPE minmax",
    "ALTER TABLE t DROP COLUMN IF EXISTS ex",
    "ALTER TABLE t DROP INDEX IF EXISTS ix",
    "ALTER TABLE t DROP PROJECTION IF EXISTS pr",
    "ALTER TABLE t DROP CONSTRAINT IF EXISTS co",
    "ALTER TABLE t DROP STATISTICS IF EXISTS a",
    "ALTER TABLE t RENAME COLUMN IF EXISTS ex TO ey",
    "ALTER TABLE t COMMENT COLUMN a 'c'",
    "ALTER TABLE t COMMENT COLUMN IF EXISTS nope 'c'",
    "ALTER TABLE t MODIFY COLUMN ex Int16",
    "ALTER TABLE t MODIFY COLUMN IF EXISTS ex Nullable(Int16) DEFAULT 7 FIRST",
    "ALTER TABLE t MODIFY COLUMN ex Int8 AFTER k",
    "ALTER TABLE t MODIFY COLUMN ex CODEC(ZSTD(3))",
    "ALTER TABLE t MODIFY COLUMN ex TTL d + INTERVAL 100 YEAR",
    "ALTER TABLE t MODIFY COLUMN ex MODIFY SETTING max_compress_block_size = 100000,"
    " min_compress_block_size = 10000",
    "ALTER TABLE t MODIFY COLUMN ex RESET SETTING max_compress_block_size, min_compress_block_size",
    "ALTER TABLE t ALTER COLUMN ex TYPE Int16",
    "ALTER TABLE t MODIFY STATISTICS a TYPE uniq",
    "ALTER TABLE t MODIFY TTL d + INTERVAL 50 YEAR",
    "ALTER TABLE t MODIFY TTL d + INTERVAL 50 YEAR DELETE, d + INTERVAL 20 YEAR TO DISK 'default'",
    "ALTER TABLE t MODIFY SETTING parts_to_delay_insert = 100, parts_to_throw_insert = 300",
    "ALTER TABLE t RESET SETTING min_bytes_for_wide_part, parts_to_delay_insert",
    "ALTER TABLE t MODIFY ORDER BY k",
    "ALTER TABLE t MODIFY SAMPLE BY k",
    "ALTER TABLE t MODIFY COMMENT 'hello'",
    "ALTER TABLE t UNFREEZE WITH NAME 'nope'",
    "ALTER TABLE mv MODIFY QUERY SELECT k, s FROM u",
    "ALTER TABLE rv MODIFY REFRESH EVERY 2 YEAR",
    "ALTER TABLE v MODIFY SQL SECURITY INVOKER",
    "ALTER TABLE v MODIFY DEFINER = default SQL SECURITY DEFINER",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8, MODIFY ORDER BY (k, z)",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8, DROP COLUMN IF EXISTS ex",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8, MODIFY COLUMN z Int16",
    "ALTER TABLE t RENAME COLUMN IF EXISTS ex TO ey, ADD COLUMN IF NOT EXISTS z Int8",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8, ADD COLUMN IF NOT EXISTS y Int8 AFTER z",
    "ALTER TABLE t (MODIFY TTL d + INTERVAL 50 YEAR, d + INTERVAL 20 YEAR TO DISK 'default'),"
    " (ADD COLUMN IF NOT EXISTS z Int8)",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8 SETTINGS mutations_sync = 2, alter_sync = 1",
    "OPTIMIZE TABLE t FINAL",
    "SELECT 1",
    "SHOW TABLES",
    "DESCRIBE TABLE t",
    "EXISTS TABLE t",
    "EXPLAIN SELECT 1",
    "CHECK TABLE t",
    "SET max_threads = 1",
    "USE {db}",
    "KILL MUTATION WHERE database = '{db}'",
    "SYSTEM FLUSH LOGS",
    "SYSTEM RELOAD DICTIONARIES",
    "SYSTEM STOP MERGES {db}.t",
    "SYSTEM START MERGES {db}.t",
    "SYSTEM DROP MARK CACHE",
    "SYSTEM CLEAR MARK CACHE",
)
BEFORE = {
    "DROP DATABASE IF EXISTS {db}_2": "CREATE DATABASE {db}_2",
    "DROP FUNCTION IF EXISTS {db}_f": "CREATE FUNCTION {db}_f AS x -> x",
    "DROP NAMED COLLECTION IF EXISTS {db}_c": "CREATE NAMED COLLECTION {db}_c AS a = 1",
    "RENAME DATABASE IF EXISTS {db}_1 TO {db}_2": "CREATE DATABASE {db}_1",
}


@pytest.mark.parametrize("statement", REPEATABLE)
def test_what_is_called_repeatable_is_the_same_twice(play: Play, statement: str) -> None:
    assert effect(statement.replace("{db}", "db")).repeatable
    play.run(BEFORE.get(statement, "SELECT 1"))
    play.run(statement)
    once = play.everything()
    play.run(statement)
    assert play.everything() == once


@pytest.mark.parametrize(
    "statement", [s for s in REPEATABLE if s.startswith(("ALTER T", "DROP I"))]
)
def test_a_mutation_that_appears_was_announced(play: Play, statement: str) -> None:
    before = play.mutations()
    play.run(statement)
    assert effect(statement).mutation or play.mutations() == before


ONCE = (
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE OR REPLACE TABLE w (k UInt64, s String) ENGINE = MergeTree ORDER BY k",
    "CREATE MATERIALIZED VIEW x ENGINE = Log POPULATE AS SELECT k FROM u",
    "CREATE DATABASE {db}_2",
    "CREATE FUNCTION {db}_f AS x -> x",
    "CREATE INDEX iy ON t (k) TYPE minmax GRANULARITY 1",
    "DROP TABLE w",
    "DROP INDEX ix ON t",
    "RENAME TABLE w TO x",
    "EXCHANGE TABLES u AND w",
    "DETACH TABLE w",
    "INSERT INTO u VALUES (5, 'e')",
    "TRUNCATE TABLE u",
    "DELETE FROM u WHERE k = 1",
    "UPDATE u SET s = 'x' WHERE k = 1",
    "ALTER TABLE t ADD COLUMN z Int8",
    "ALTER TABLE t DROP COLUMN ex",
    "ALTER TABLE t DROP STATISTICS a",
    "ALTER TABLE t RENAME COLUMN ex TO ey",
    "ALTER TABLE t MODIFY COLUMN a REMOVE DEFAULT",
    "ALTER TABLE t REMOVE TTL",
    "ALTER TABLE t REMOVE SAMPLE BY",
    "ALTER TABLE t CLEAR COLUMN ex",
    "ALTER TABLE t CLEAR COLUMN IF EXISTS ex IN PARTITION 1",
    "ALTER TABLE t CLEAR INDEX ix",
    "ALTER TABLE t CLEAR PROJECTION pr",
    "ALTER TABLE t CLEAR STATISTICS a",
    "ALTER TABLE t MATERIALIZE COLUMN a",
    "ALTER TABLE t MATERIALIZE INDEX ix",
    "ALTER TABLE t MATERIALIZE PROJECTION pr",
    "ALTER TABLE t MATERIALIZE STATISTICS a",
    "ALTER TABLE t MATERIALIZE TTL",
    "ALTER TABLE t APPLY DELETED MASK",
    "ALTER TABLE t APPLY PATCHES",
    "ALTER TABLE t REWRITE PARTS",
    "ALTER TABLE t UPDATE ex = ex + 1 WHERE 1",
    "ALTER TABLE t DELETE IN PARTITION 1 WHERE k = 1",
    "ALTER TABLE t UPDATE ex = 1, a = 2 WHERE 1, ADD COLUMN z Int8",
    "ALTER TABLE t DROP PARTITION 1",
    "ALTER TABLE t DETACH PARTITION 1",
    "ALTER TABLE t DROP PART '1_1_1_0'",
    "ALTER TABLE u ATTACH PARTITION 1 FROM w",
    "ALTER TABLE u REPLACE PARTITION 1 FROM w",
    "ALTER TABLE u MOVE PARTITION 1 TO TABLE w",
)


@pytest.mark.parametrize("statement", ONCE)
def test_what_is_done_once_shows_where_it_is_watched(play: Play, statement: str) -> None:
    said = effect(statement.replace("{db}", "db"))
    before = {watch: play.seen_by(watch) for watch in said.watches}
    mutations = play.mutations()
    play.run(statement)
    changed = [watch for watch in said.watches if play.seen_by(watch) != before[watch]]
    assert not said.repeatable
    assert tuple(changed) == said.watches != ()
    assert said.mutation or play.mutations() == mutations


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8, DROP COLUMN IF EXISTS z",
        "ALTER TABLE t RENAME COLUMN IF EXISTS ex TO ey, ADD COLUMN IF NOT EXISTS ex Int8",
        "ALTER TABLE t DROP COLUMN IF EXISTS ex, ADD COLUMN IF NOT EXISTS ex Int8",
    ],
)
def test_clauses_that_are_repeatable_alone_can_differ_together(play: Play, statement: str) -> None:
    assert not effect(statement).repeatable
    play.run(statement)
    once = play.everything()
    play.run(statement)
    assert play.everything() != once


def test_a_new_type_that_does_not_fit_stays_although_the_server_refused_it(play: Play) -> None:
    before = play.schema()
    statement = "ALTER TABLE w MODIFY COLUMN s Int8"
    with pytest.raises(Exception, match="Cannot parse string"):
        play.run(statement)
    assert play.schema() != before
    assert not effect(statement).atomic
    play.run("KILL MUTATION WHERE database = '{db}' FORMAT Null")
