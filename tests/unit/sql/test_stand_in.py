"""What a statement becomes where there is nothing around the server."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.on_cluster import put_on_cluster, take_off_cluster
from budeval_migrations.sql.stand_in import NOTHING, stand_in

SAME = [
    "CREATE TABLE t (a UInt8 COMMENT 'ON CLUSTER c') ENGINE = ReplacingMergeTree(a) ORDER BY a",
    "CREATE TABLE t (a UInt8) ENGINE = Distributed('crew', 'shop', 'local')",
    "INSERT INTO t SELECT s3, url FROM remote",
    "INSERT INTO t FORMAT CSV\n1,'-- FROM s3('x",
    "SELECT file('x') FROM t JOIN u ON cluster = t.id",
    "ALTER TABLE t ADD COLUMN mysql String",
    "CREATE VIEW v SQL SECURITY INVOKER AS SELECT 1",
]


@pytest.mark.parametrize("text", SAME)
def test_what_needs_nothing_from_outside_stays_to_the_byte(text: str) -> None:
    assert stand_in(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (
            "CREATE TABLE t ON CLUSTER '{cluster}' (a UInt8) "
            "ENGINE = ReplicatedReplacingMergeTree('/t/{shard}', '{replica}', a) ORDER BY a",
            "CREATE TABLE t (a UInt8) ENGINE = ReplacingMergeTree(a) ORDER BY a",
        ),
        (
            "CREATE TABLE t (a UInt8) ENGINE = ReplicatedMergeTree ORDER BY a",
            "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a",
        ),
        (
            "CREATE TABLE t (a UInt8) ENGINE = SharedSummingMergeTree('/p', 'r', (b, c)) ORDER BY a",
            "CREATE TABLE t (a UInt8) ENGINE = SummingMergeTree((b, c)) ORDER BY a",
        ),
        (
            "CREATE TABLE t (a UInt8) ENGINE = ReplicatedReplacingMergeTree(a) ORDER BY a",
            "CREATE TABLE t (a UInt8) ENGINE = ReplacingMergeTree(a) ORDER BY a",
        ),
        ("DROP TABLE t ON CLUSTER crew SYNC", "DROP TABLE t SYNC"),
        ("ALTER TABLE db.t ON CLUSTER `c-1` DROP COLUMN a", "ALTER TABLE db.t DROP COLUMN a"),
        (
            "CREATE MATERIALIZED VIEW v TO t DEFINER = app SQL SECURITY DEFINER AS SELECT 1 AS a",
            "CREATE MATERIALIZED VIEW v TO t  SQL SECURITY DEFINER AS SELECT 1 AS a",
        ),
    ],
)
def test_what_belongs_to_a_cluster_or_to_users_is_taken_off(text: str, becomes: str) -> None:
    assert stand_in(text) == (becomes, "")


@pytest.mark.parametrize(
    ("text", "becomes", "note"),
    [
        (
            "CREATE TABLE k (a UInt8) ENGINE = Kafka('h:1', 't') SETTINGS a = 1 COMMENT 'q'",
            "CREATE TABLE k (a UInt8) ENGINE = Null COMMENT 'q'",
            "ENGINE = Null stands for Kafka",
        ),
        (
            "CREATE TABLE k (a UInt8) ENGINE = KeeperMap('/k') PRIMARY KEY a",
            "CREATE TABLE k (a UInt8) ENGINE = Null",
            "ENGINE = Null stands for KeeperMap",
        ),
        (
            "CREATE MATERIALIZED VIEW m (a UInt8) ENGINE = S3('u') AS SELECT 1 AS a",
            "CREATE MATERIALIZED VIEW m (a UInt8) ENGINE = Null AS SELECT 1 AS a",
            "ENGINE = Null stands for S3",
        ),
        (
            "INSERT INTO FUNCTION s3('u', 'k', 's') SELECT * FROM t",
            NOTHING,
            "not run: it reaches outside with s3(…)",
        ),
        (
            "INSERT INTO FUNCTION s3('u', 'k', 's') FORMAT TSV\nit's",
            NOTHING,
            "not run: it reaches outside with s3(…)",
        ),
        (
            "INSERT INTO t SELECT * FROM remoteSecure('h', db.t)",
            NOTHING,
            "not run: it reaches outside with remoteSecure(…)",
        ),
        (
            "CREATE VIEW v AS SELECT * FROM t JOIN url('u') USING id",
            NOTHING,
            "not run: it reaches outside with url(…)",
        ),
        (
            "CREATE TABLE t AS s3('u', 'k', 's')",
            NOTHING,
            "not run: it reaches outside with s3(…)",
        ),
        (
            "SELECT * FROM t INTO OUTFILE '/tmp/x'",
            NOTHING,
            "not run: it reaches outside with INTO OUTFILE",
        ),
        (
            "CREATE DATABASE IF NOT EXISTS m ENGINE = MySQL('h:1', 'd', 'u', 'p') COMMENT 'c'",
            "CREATE DATABASE IF NOT EXISTS m COMMENT 'c'",
            "an empty database stands for MySQL",
        ),
        (
            "CREATE DATABASE d ON CLUSTER c ENGINE = Replicated('/d', '{shard}', '{replica}')",
            "CREATE DATABASE d",
            "",
        ),
        (
            "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(path = '/x')",
            "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
            "the default disk stands for disk(…)",
        ),
        (
            "CREATE TABLE t (a Int8) ENGINE = ReplicatedMergeTree('/p', 'r') ORDER BY a "
            "SETTINGS DISK = Disk(type = cache, disk = disk(type = s3)), max_parts_in_total = 3",
            "CREATE TABLE t (a Int8) ENGINE = MergeTree() ORDER BY a SETTINGS max_parts_in_total = 3",
            "the default disk stands for disk(…)",
        ),
        (
            "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a "
            "SETTINGS max_parts_in_total = 3, disk = disk(path = '/x') COMMENT 'c'",
            "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a "
            "SETTINGS max_parts_in_total = 3 COMMENT 'c'",
            "the default disk stands for disk(…)",
        ),
        (
            "ALTER TABLE t MODIFY SETTING disk = disk(path = '/x')",
            NOTHING,
            "the default disk stands for disk(…)",
        ),
        ("CREATE USER u IDENTIFIED BY 'x'", NOTHING, "not run: it is about users"),
        ("GRANT SELECT ON * TO u", NOTHING, "not run: it is about users"),
        ("SYSTEM SHUTDOWN", NOTHING, "not run: it is about the server"),
        ("BACKUP TABLE t TO Disk('d', 'x')", NOTHING, "not run: it writes a backup"),
    ],
)
def test_what_would_reach_outside_has_a_stand_in_and_is_told(
    text: str, becomes: str, note: str
) -> None:
    assert stand_in(text) == (becomes, note)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE DATABASE d",
        "ALTER TABLE t UPDATE a = 1 WHERE b = 'ON CLUSTER x'",
        "DROP VIEW IF EXISTS v SYNC",
        "RENAME TABLE a TO b",
        "EXCHANGE TABLES a AND b",
        "TRUNCATE TABLE t",
        "OPTIMIZE TABLE t FINAL",
        "CREATE FUNCTION f AS (a) -> a",
        "CREATE INDEX i ON t (a) TYPE minmax",
    ],
)
def test_what_was_put_on_a_cluster_is_taken_off_again(text: str) -> None:
    assert take_off_cluster(put_on_cluster(text, "the crew")) == text
