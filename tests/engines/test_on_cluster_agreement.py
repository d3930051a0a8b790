"""Where ON CLUSTER goes, against ClickHouse's own parser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from budeval_migrations.sql.on_cluster import put_on_cluster, take_off_cluster
from tests.support.parser_judge import Judge

pytestmark = pytest.mark.embedded

PLACED = (
    "CREATE DATABASE d",
    "CREATE DATABASE IF NOT EXISTS `d d` ENGINE = Atomic COMMENT 'x'",
    "ATTACH DATABASE d",
    "DROP DATABASE IF EXISTS d SYNC",
    "DETACH DATABASE d PERMANENTLY",
    "RENAME DATABASE a TO b",
    "ALTER DATABASE d MODIFY SETTING x = 1",
    "ALTER DATABASE d MODIFY COMMENT 'on cluster c'",
    "CREATE TABLE t(a Int8) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE IF NOT EXISTS d.`t` -- ON CLUSTER x\n(a Int8) ENGINE = Log",
    "CREATE TABLE t UUID '11111111-1111-1111-1111-111111111111' (a Int8) ENGINE = Log",
    "CREATE OR REPLACE TABLE t (cluster Int8, on Int8) ENGINE = Memory",
    "REPLACE TABLE t (a Int8) ENGINE = Memory",
    "CREATE TABLE t AS d.u",
    "CREATE TABLE t AS d.u ENGINE = Memory",
    "CREATE TABLE t AS numbers(3)",
    "CREATE TABLE t EMPTY AS SELECT 1 AS a",
    "CREATE TABLE `on` (`cluster` Int8) ENGINE = Log",
    "ATTACH TABLE t",
    "ATTACH TABLE IF NOT EXISTS t",
    "ATTACH TABLE t FROM 'p/q' (a Int8) ENGINE = MergeTree ORDER BY a",
    "CREATE VIEW v AS SELECT a.x FROM a JOIN b ON cluster = x",
    "CREATE OR REPLACE VIEW v (a Int8) AS SELECT 1 AS a",
    "CREATE VIEW IF NOT EXISTS d.v AS (SELECT 1) UNION ALL (SELECT 2)",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO d.t AS SELECT 1 AS a",
    "CREATE MATERIALIZED VIEW v ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
    "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 HOUR TO t AS SELECT 1 AS a",
    "CREATE DICTIONARY IF NOT EXISTS d.x (id UInt64) PRIMARY KEY id "
    "SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE FUNCTION IF NOT EXISTS f AS (x) -> x + 1",
    "CREATE OR REPLACE FUNCTION f AS (x) -> x + 1",
    "DROP FUNCTION IF EXISTS f",
    "CREATE NAMED COLLECTION n AS a = 1",
    "ALTER NAMED COLLECTION IF EXISTS n SET a = 2",
    "DROP NAMED COLLECTION n",
    "CREATE INDEX IF NOT EXISTS i ON d.t (a) TYPE minmax GRANULARITY 1",
    "CREATE INDEX i ON t (a) TYPE minmax",
    "DROP INDEX IF EXISTS i ON d.t",
    "DROP TABLE t",
    "DROP TABLE IF EXISTS d.t, u SYNC",
    "DROP TABLE IF EMPTY t",
    "DROP VIEW v",
    "DROP VIEW IF EXISTS v NO DELAY",
    "DROP DICTIONARY IF EXISTS d.x",
    "DETACH TABLE t PERMANENTLY",
    "DETACH VIEW IF EXISTS v SYNC",
    "UNDROP TABLE t",
    "UNDROP TABLE t UUID '11111111-1111-1111-1111-111111111111'",
    "RENAME TABLE a TO b",
    "RENAME TABLE a TO d.b, IF EXISTS c TO e",
    "RENAME DICTIONARY a TO b",
    "RENAME `table` TO `tables`",
    "EXCHANGE TABLES a AND d.b",
    "EXCHANGE DICTIONARIES a AND b",
    "TRUNCATE TABLE t",
    "TRUNCATE TABLE IF EXISTS d.t SYNC",
    "TRUNCATE d.t",
    "TRUNCATE VIEW IF EXISTS d.t",
    "TRUNCATE DICTIONARY d.t",
    "TRUNCATE DATABASE IF EXISTS d",
    "TRUNCATE ALL TABLES FROM d LIKE '%x'",
    "TRUNCATE TABLES FROM IF EXISTS d",
    "OPTIMIZE TABLE d.t PARTITION 1 FINAL DEDUPLICATE BY a",
    "OPTIMIZE TABLE t",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8 DEFAULT 1 AFTER b, DROP COLUMN c",
    "ALTER TABLE d.t UPDATE a = 1 WHERE b IN (SELECT x FROM u JOIN w ON cluster = x)",
    "ALTER TABLE t (DELETE WHERE 1)",
    "ALTER TABLE t MODIFY QUERY SELECT 1 AS a",
    "ALTER TABLE t DROP PARTITION ID 'x'",
    "ALTER TABLE t REPLACE PARTITION 1 FROM d.u",
    "ALTER TABLE t MODIFY TTL a + INTERVAL 1 DAY",
    "DELETE FROM d.t WHERE a = 1",
    "DELETE FROM t IN PARTITION 1 WHERE a = 1",
    "UPDATE t SET a = 1 WHERE b = 2",
    "KILL MUTATION WHERE table = 't' SYNC",
    "KILL QUERY WHERE query_id = 'x'",
    "CREATE USER IF NOT EXISTS u@'%', 'v' IDENTIFIED WITH sha256_password BY 'p' HOST ANY",
    "CREATE USER OR REPLACE u DEFAULT ROLE r",
    "ALTER USER IF EXISTS u RENAME TO v",
    "DROP USER IF EXISTS u, v",
    "DROP USER storage FROM memory",
    "DROP ROLE IF EXISTS r, s FROM local_directory",
    "DROP PROFILE p FROM memory",
    "CREATE USER u IN memory",
    "CREATE ROLE r SETTINGS max_threads = 1",
    "ALTER ROLE r RENAME TO s",
    "DROP ROLE r",
    "CREATE ROW POLICY IF NOT EXISTS p ON d.t USING 1 TO ALL",
    "CREATE POLICY p ON t USING a = 1 AS restrictive TO u",
    "ALTER ROW POLICY p ON t USING 0",
    "DROP ROW POLICY IF EXISTS p ON d.t",
    "DROP ROW POLICY a ON t FROM memory",
    "DROP ROW POLICY a ON `cluster`",
    "CREATE ROW POLICY a ON d.cluster FOR SELECT USING 1 TO ALL",
    "DROP INDEX i ON cluster",
    "CREATE INDEX cluster ON cluster (a) TYPE minmax",
    "ALTER TABLE cluster ADD COLUMN a Int8",
    "DROP ROW POLICY a, b ON t",
    "DROP ROW POLICY a ON t, b ON d.u",
    "DROP ROW POLICY a ON d.*",
    "CREATE ROW POLICY a ON d.*, b ON u USING 1 TO ALL",
    "GRANT CREATE TEMPORARY TABLE ON *.* TO u",
    "GRANT SELECT(a) ON cluster TO u",
    "REVOKE SELECT ON cluster FROM u",
    "CREATE TABLE temporary (a Int8) ENGINE = Log",
    "CREATE VIEW temporary AS SELECT 1",
    "DROP TABLE temporary",
    "DROP TABLE temporary, b",
    "ALTER TABLE temporary ADD COLUMN temporary Int8",
    "RENAME TABLE a TO temporary",
    "TRUNCATE TABLE temporary",
    "DELETE FROM temporary WHERE 1",
    "SYSTEM DROP QUERY CACHE TAG 'x'",
    "SYSTEM CLEAR QUERY CACHE",
    "ALTER TABLE t DROP COLUMN a FORMAT Null",
    "CREATE QUOTA q FOR INTERVAL 1 hour MAX queries = 3 TO u",
    "DROP QUOTA q",
    "CREATE SETTINGS PROFILE IF NOT EXISTS s SETTINGS max_threads = 1 TO u",
    "ALTER SETTINGS PROFILE s SETTINGS max_threads = 2",
    "DROP SETTINGS PROFILE IF EXISTS s",
    "GRANT SELECT(a), INSERT ON d.t TO u WITH GRANT OPTION",
    "GRANT r TO u",
    "REVOKE GRANT OPTION FOR SELECT ON d.t FROM u",
    "SYSTEM STOP MERGES d.t",
    "SYSTEM START TTL MERGES",
    "SYSTEM RELOAD DICTIONARY d.x",
    "SYSTEM RELOAD DICTIONARIES",
    "SYSTEM FLUSH LOGS",
    "SYSTEM FLUSH DISTRIBUTED d.t",
    "SYSTEM SYNC REPLICA t",
    "SYSTEM RESTART REPLICA t",
    "SYSTEM DROP MARK CACHE",
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as asked:
        yield asked


@pytest.mark.parametrize("statement", PLACED)
def test_the_statement_is_the_same_but_for_its_cluster(judge: Judge, statement: str) -> None:
    placed = put_on_cluster(statement, "my cluster")
    mark = " ON CLUSTER `my cluster`"
    assert placed.replace(mark, "", 1) == statement
    [plain, distributed] = judge.formats([statement, placed])
    assert plain.accepted, plain.error
    assert distributed.accepted, (placed, distributed.error)
    assert distributed.result.count(mark) == 1, distributed.result
    assert distributed.result.replace(mark, "", 1) == plain.result


@pytest.mark.parametrize("statement", PLACED)
def test_what_was_put_in_can_be_taken_out(statement: str) -> None:
    assert take_off_cluster(put_on_cluster(statement, "my cluster")) == statement
    assert take_off_cluster(statement) == statement


@pytest.mark.parametrize("statement", PLACED)
def test_what_has_its_cluster_is_left(judge: Judge, statement: str) -> None:
    placed = put_on_cluster(statement, "other")
    assert put_on_cluster(placed, "my cluster") == placed
