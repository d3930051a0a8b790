"""Which statements may run at the same time."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.access_set import (
    UNTIED,
    AccessSet,
    Dependencies,
    access_set,
    dependencies_of,
)

MV = "CREATE MATERIALIZED VIEW d.m TO d.b (`k` UInt8) AS SELECT k FROM d.a"


def are_apart(one: str, other: str, dependencies: Dependencies = UNTIED) -> bool:
    first, second = access_set(one), access_set(other)
    found = dependencies.apart(first, second)
    assert dependencies.apart(second, first) == found
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INSERT INTO a SELECT 1", "INSERT INTO b SELECT 1"),
        ("INSERT INTO a SELECT k FROM s", "INSERT INTO b SELECT k FROM s"),
        ("ALTER TABLE a UPDATE v = 1 WHERE k > 2", "ALTER TABLE b DELETE WHERE k > 2"),
        ("CREATE TABLE a (k Int8) ENGINE = Log", "CREATE TABLE b (k Int8) ENGINE = Log"),
        (
            "CREATE TABLE a (k Int8) ENGINE = ReplacingMergeTree ORDER BY k",
            "INSERT INTO b SELECT k FROM s",
        ),
        ("CREATE TABLE a (k Int8)", "INSERT INTO b SELECT k FROM s"),
        ("TRUNCATE TABLE a", "DELETE FROM b WHERE k = 1"),
        ("INSERT INTO a SELECT 1", "/* a */ INSERT INTO b SELECT 1 -- of a"),
    ],
)
def test_statements_about_different_tables_are_apart(one: str, other: str) -> None:
    assert are_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INSERT INTO a SELECT 1", "INSERT INTO a SELECT 2"),
        ("INSERT INTO a SELECT 1", "INSERT INTO b SELECT k FROM a"),
        ("INSERT INTO a SELECT 1", "INSERT INTO b SELECT k FROM other_database.a"),
        ("INSERT INTO a SELECT 1", "INSERT INTO `b` SELECT k FROM `a`"),
        ("INSERT INTO a SELECT 1", "ALTER TABLE b UPDATE v = 1 WHERE k IN (SELECT k FROM a)"),
        ("INSERT INTO a SELECT 1", "INSERT INTO b SELECT dictGet('d.a', 'v', k) FROM s"),
        ("INSERT INTO a SELECT 1", "INSERT INTO b SELECT * FROM remote('h', 'd.a')"),
        ("CREATE TABLE a (k Int8) ENGINE = Log", "CREATE TABLE b AS a"),
        ("ALTER TABLE a MOVE PARTITION 1 TO TABLE b", "INSERT INTO b SELECT 1"),
    ],
)
def test_statements_about_one_table_are_not_apart(one: str, other: str) -> None:
    assert not are_apart(one, other)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE a ENGINE = Alias('t')",
        "CREATE TABLE a (k Int8) ENGINE = Buffer(currentDatabase(), t, 1, 1, 1, 1, 1, 1, 1)",
        "CREATE TABLE a AS s ENGINE = Distributed(c, currentDatabase(), t)",
        "CREATE TABLE a AS s",
        "CREATE MATERIALIZED VIEW m TO b AS SELECT k FROM a",
        "CREATE DICTIONARY d (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
        "RENAME TABLE a TO b",
        "EXCHANGE TABLES a AND b",
        "DROP TABLE a",
        "SYSTEM RELOAD DICTIONARIES",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "INSERT INTO a SELECT count() FROM system.parts",
        "INSERT INTO a SELECT * FROM merge('d', '.*')",
        "INSERT INTO a SELECT generateSerialID('n')",
        "INSERT INTO a SELECT * FROM {t:Identifier}",
        "INSERT INTO a SELECT joinGet({j:String}, 'v', 1)",
        "INSERT INTO a SELECT joinGet(concat('d.', 'j'), 'v', 1)",
        "INSERT INTO a SELECT dictGet('d' || 'x', 'v', 1)",
        "INSERT INTO a SELECT * FROM remote('127.0.0.1', 'd', 'b')",
        "INSERT INTO a SELECT * FROM cluster('c', d, b)",
        "INSERT INTO a SELECT * FROM executable('x.py', TSV, 'k Int8')",
        "INSERT INTO a SELECT * FROM file('y.csv', 'CSV', 'a UInt64')",
        "INSERT INTO a SELECT * FROM s3Cluster('c', 'https://b/x.csv')",
        "INSERT INTO a SELECT * FROM mergeTreeIndex(currentDatabase(), char(97))",
        "CREATE TEMPORARY TABLE a (k Int8)",
        "INSERT INTO a FORMAT CSV\n1,'",
        "GRANT SELECT ON a TO u",
        "SELECT 1",
    ],
)
def test_nothing_is_apart_from_what_is_unclear(text: str) -> None:
    assert access_set(text).unclear
    assert not are_apart(text, "INSERT INTO elsewhere SELECT 1")


def test_nothing_at_all_is_apart_from_everything() -> None:
    assert UNTIED.apart(AccessSet(), AccessSet(unclear=True))


def test_tables_that_a_view_ties_are_one() -> None:
    dependencies = dependencies_of([("a", "MergeTree", ""), ("b", "MergeTree", ""), ("c", "MergeTree", ""),
                ("m", "MaterializedView", MV)])  # fmt: skip
    assert not are_apart("INSERT INTO a SELECT 1", "INSERT INTO b SELECT 1", dependencies)
    assert not are_apart(
        "INSERT INTO a SELECT 1", "ALTER TABLE m MODIFY QUERY SELECT 1", dependencies
    )
    assert are_apart("INSERT INTO a SELECT 1", "INSERT INTO c SELECT 1", dependencies)


def test_ties_reach_on_through_other_tables() -> None:
    dependencies = dependencies_of([
        ("a", "MergeTree", ""), ("b", "MergeTree", ""), ("x", "MergeTree", ""),
        ("m", "MaterializedView", MV),
        ("n", "MaterializedView", "CREATE MATERIALIZED VIEW d.n TO d.x (k UInt8) AS SELECT k FROM d.b"),
    ])  # fmt: skip
    assert not are_apart("INSERT INTO a SELECT 1", "INSERT INTO x SELECT 1", dependencies)


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("Distributed", "CREATE TABLE d.o (k UInt8) ENGINE = Distributed('crew', 'd', 'a', rand())"),
        ("Buffer", "CREATE TABLE d.o (k UInt8) ENGINE = Buffer('d', 'a', 1, 1, 1, 1, 1, 1, 1)"),
        ("Dictionary", "CREATE DICTIONARY d.o (k UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'a'))"),
        ("Dictionary", "CREATE DICTIONARY d.o (k UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY 'SELECT k FROM d.a'))"),
        ("MergeTree", "CREATE TABLE d.o (k UInt8 DEFAULT dictGet('d.a', 'v', 1)) ENGINE = MergeTree ORDER BY k"),
    ],
)  # fmt: skip
def test_an_engine_that_reads_or_feeds_another_table_ties(engine: str, text: str) -> None:
    dependencies = dependencies_of([("a", "MergeTree", ""), ("o", engine, text), ("c", "Log", "")])
    assert not are_apart("INSERT INTO a SELECT 1", "INSERT INTO o SELECT 1", dependencies)
    assert are_apart("INSERT INTO c SELECT 1", "INSERT INTO o SELECT 1", dependencies)


def test_what_reads_by_pattern_is_apart_from_nothing() -> None:
    merge = "CREATE TABLE d.o (k UInt8) ENGINE = Merge('d', '^x')"
    dependencies = dependencies_of([("a", "Log", ""), ("c", "Log", ""), ("o", "Merge", merge)])
    assert not are_apart("INSERT INTO a SELECT k FROM o", "INSERT INTO c SELECT 1", dependencies)
    assert are_apart("INSERT INTO a SELECT 1", "INSERT INTO c SELECT 1", dependencies)


@pytest.mark.parametrize("engine", ["File", "URL", "S3", "KeeperMap", "MySQL", "SomethingNew"])
def test_tables_over_what_no_name_tells_are_apart_from_nothing(engine: str) -> None:
    tied = dependencies_of([("f1", engine, ""), ("f2", engine, ""), ("b", "MergeTree", "")])
    first, second = access_set("INSERT INTO f1 SELECT 1"), access_set("INSERT INTO b SELECT 1")
    assert not tied.apart(first, access_set("INSERT INTO b SELECT * FROM f2"))
    assert tied.apart(second, access_set("INSERT INTO c SELECT 1"))


def test_a_view_of_a_file_is_apart_from_nothing() -> None:
    view = "CREATE VIEW v AS SELECT * FROM file('x.csv')"
    tied = dependencies_of([("v", "View", view), ("a", "Log", ""), ("b", "Log", "")])
    assert not tied.apart(
        access_set("INSERT INTO a SELECT 1"), access_set("INSERT INTO b SELECT * FROM v")
    )


def test_a_column_that_is_called_like_a_table_function_is_no_call() -> None:
    one = "CREATE TABLE t (url String, file String) ENGINE = MergeTree() ORDER BY url"
    assert not access_set(one).unclear
    assert not access_set("INSERT INTO t SELECT url, domain(file) FROM s").unclear


def test_a_view_that_is_fed_and_reads_by_pattern_makes_its_source_unclear() -> None:
    view = "CREATE MATERIALIZED VIEW d.m TO d.b (k UInt8) AS SELECT k FROM d.a, merge('d', '^x')"
    dependencies = dependencies_of([("a", "Log", ""), ("b", "Log", ""), ("c", "Log", ""), ("m", "MaterializedView", view)])  # fmt: skip
    assert not are_apart("INSERT INTO a SELECT 1", "INSERT INTO c SELECT 1", dependencies)


def test_the_inner_table_of_a_view_is_its_view() -> None:
    view = "CREATE MATERIALIZED VIEW d.m (k UInt8) ENGINE = Log AS SELECT k FROM d.a"
    dependencies = dependencies_of(
        [("a", "Log", ""), (".inner.m", "Log", ""), ("m", "MaterializedView", view)]
    )
    assert not are_apart("INSERT INTO a SELECT 1", "TRUNCATE TABLE `.inner.m`", dependencies)
