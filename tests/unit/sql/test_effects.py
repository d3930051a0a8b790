"""What statements change, and which may be run twice, by tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Element, Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.effects import Change, Effect, Name, Watch, effect
from budeval_migrations.sql.lexer import INSIGNIFICANT, TokenKind, tokenize

T, P, M = Watch.TABLES, Watch.PARTS, Watch.MUTATIONS
D, F = Watch.DATABASES, Watch.FUNCTIONS
t, u, v = Name("t"), Name("u"), Name("v")
d_t, d_u = Name("t", "d"), Name("u", "d")
law = settings(max_examples=200, deadline=None)


def apart_from_elements(text: str) -> Effect:
    """The effect but for its elements, which have tests of their own."""
    return replace(effect(text), elements=())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS x SELECT x",
        "SHOW TABLES",
        "DESCRIBE TABLE t",
        "EXISTS TABLE t",
        "EXPLAIN SELECT 1",
        "CHECK TABLE t",
        "SET a = 1",
        "SET ROLE r",
        "USE d",
        "OPTIMIZE TABLE t FINAL",
        "OPTIMIZE TABLE t PARTITION 1 FINAL",
        "KILL MUTATION WHERE table = 't'",
        "SYSTEM FLUSH LOGS",
        "SYSTEM RELOAD DICTIONARIES",
        "SYSTEM SYNC REPLICA d.t",
        "SYSTEM STOP MERGES t",
        "SYSTEM START MERGES",
        "SYSTEM DROP MARK CACHE",
        "SYSTEM DROP QUERY CACHE TAG 'x'",
        "SYSTEM CLEAR MARK CACHE",
        "GRANT SELECT ON d.* TO u",
        "REVOKE ALL ON *.* FROM u",
        "CREATE USER IF NOT EXISTS u IDENTIFIED BY 'x'",
        "CREATE OR REPLACE USER u",
        "CREATE USER OR REPLACE u",
        "CREATE ROLE IF NOT EXISTS r",
        "CREATE ROW POLICY IF NOT EXISTS p ON t USING 1",
        "CREATE SETTINGS PROFILE IF NOT EXISTS p",
        "DROP USER IF EXISTS u",
        "DROP SETTINGS PROFILE IF EXISTS p",
        "CREATE NAMED COLLECTION IF NOT EXISTS c AS a = 1",
        "ALTER NAMED COLLECTION IF EXISTS c SET a = 1",
        "DROP NAMED COLLECTION IF EXISTS c",
        "DROP WORKLOAD IF EXISTS w",
        "CREATE TEMPORARY TABLE IF NOT EXISTS t (a Int8)",
        "DROP TEMPORARY TABLE IF EXISTS t",
        "ALTER TABLE t UNFREEZE WITH NAME 'x'",
        "SELECT 'INTO OUTFILE'",
        "-- nothing",
        "",
    ],
)
def test_what_can_be_run_twice_and_leaves_nothing_to_watch(text: str) -> None:
    assert apart_from_elements(text) == Effect(classify(text).kind, repeatable=True)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 INTO OUTFILE 'x'",
        "SYSTEM DROP REPLICA 'cache'",
        "SYSTEM DROP REPLICA 'r' FROM TABLE cache",
        "SYSTEM DROP DATABASE REPLICA 'r' FROM DATABASE cache",
        "SYSTEM RESTART REPLICA t",
        "SYSTEM REFRESH VIEW v",
        "SYSTEM SHUTDOWN",
        "CREATE USER u",
        "CREATE USER `IF` IDENTIFIED BY 'IF NOT EXISTS'",
        "ALTER USER u IDENTIFIED BY 'x'",
        "DROP USER u",
        "MOVE USER u TO disk",
        "CREATE NAMED COLLECTION c AS a = 1",
        "ALTER NAMED COLLECTION c DELETE a",
        "ALTER NAMED COLLECTION c SET a = 1 DELETE b",
        "DROP NAMED COLLECTION c",
        "CREATE WORKLOAD IF NOT EXISTS w",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "CREATE TEMPORARY TABLE IF NOT EXISTS t AS SELECT 1",
        "CREATE TABLE",
        "CREATE TABLE IF NOT EXISTS",
        "CREATE TABLE IF NOT EXISTS {n:Identifier} (a Int8)",
        "ALTER",
        "ALTER TABLE",
        "ALTER TABLE t",
        "ALTER TABLE t,",
        "ALTER TABLE t ()",
        "ALTER TABLE t ADD",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8,",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8, b Int8",
        "ALTER TABLE t DROP COLUMN IF EXISTS a, b",
        "ALTER TABLE t (ADD COLUMN IF NOT EXISTS a Int8), DROP COLUMN IF EXISTS b",
        "ALTER TABLE t (ADD COLUMN IF NOT EXISTS a Int8, ADD COLUMN IF NOT EXISTS b Int8)",
        "ALTER TABLE t (ADD COLUMN IF NOT EXISTS a Int8) (ADD COLUMN IF NOT EXISTS b Int8)",
        "ALTER TABLE t )",
        "ALTER TABLE t FROBNICATE x",
        "ALTER t ADD COLUMN IF NOT EXISTS a Int8",
        "ALTER TABLE t FREEZE",
        "ALTER TABLE t FREEZE PARTITION 1 WITH NAME 'x'",
        "ALTER TABLE t DROP DETACHED PART 'x'",
        "ALTER TABLE t FORGET PARTITION 1",
        "ALTER TABLE t DROP PARTITION",
        "ALTER LIVE VIEW v REFRESH",
        "RENAME TABLE a",
        "RENAME TABLE a TO",
        "EXCHANGE TABLES a",
        "DELETE",
        "frobnicate",
        "`SELECT`",
        "CREATE",
        "(",
        ")",
    ],
)
def test_what_is_not_provably_the_same_twice_and_cannot_be_watched(text: str) -> None:
    found = effect(text)
    assert (found.kind, found.repeatable) == (classify(text).kind, False)
    assert (found.watches, found.targets) == ((), ())


@pytest.mark.parametrize(
    ("text", "watch", "targets"),
    [
        ("CREATE TABLE IF NOT EXISTS d.t (a Int8) ENGINE = Memory", T, (d_t,)),
        ("CREATE TABLE IF NOT EXISTS t AS u", T, (t,)),
        ("CREATE TABLE IF NOT EXISTS t AS numbers(3)", T, (t,)),
        ("CREATE TABLE IF NOT EXISTS t ENGINE = Memory EMPTY AS SELECT 1", T, (t,)),
        ("CREATE TABLE IF NOT EXISTS t (a Int8 DEFAULT (SELECT 1), `as` Int8)", T, (t,)),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", T, (v,)),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", T, (v,)),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1", T, (v,)),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v TO `populate` AS SELECT 1", T, (v,)),
        ("CREATE DICTIONARY IF NOT EXISTS t (a Int8)", T, (t,)),
        ("CREATE OR REPLACE DICTIONARY t (a Int8)", T, (t,)),
        ("CREATE DATABASE IF NOT EXISTS t ENGINE = Atomic", D, (t,)),
        ("CREATE FUNCTION IF NOT EXISTS t AS x -> x", F, (t,)),
        ("CREATE OR REPLACE FUNCTION t AS x -> x", F, (t,)),
        ("CREATE INDEX IF NOT EXISTS i ON d.t (a) TYPE minmax", T, (d_t,)),
        ("DROP TABLE IF EXISTS d.t SYNC", T, (d_t,)),
        ("DROP TABLE IF EXISTS IF EMPTY t", T, (t,)),
        ("DROP VIEW IF EXISTS v", T, (v,)),
        ("DROP DICTIONARY IF EXISTS t", T, (t,)),
        ("DROP FUNCTION IF EXISTS t", F, (t,)),
        ("RENAME TABLE IF EXISTS t TO u", T, (t, u)),
        ("RENAME DICTIONARY IF EXISTS t TO u", T, (t, u)),
        ("RENAME DATABASE IF EXISTS t TO u", D, (t, u)),
        ("ALTER DATABASE t MODIFY COMMENT 'x'", D, (t,)),
        ("ALTER TABLE d.t ADD COLUMN IF NOT EXISTS a Int8 DEFAULT 1 AFTER b", T, (d_t,)),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS a Enum8('a' = 1, 'b,c' = 2)", T, (t,)),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8 SETTINGS x = 1, y = 2", T, (t,)),
        ("ALTER TABLE t ADD INDEX IF NOT EXISTS i (a, b) TYPE minmax GRANULARITY 1", T, (t,)),
        ("ALTER TABLE t ADD PROJECTION IF NOT EXISTS p (SELECT a, b)", T, (t,)),
        ("ALTER TABLE t ADD CONSTRAINT IF NOT EXISTS c CHECK a > 0", T, (t,)),
        ("ALTER TABLE t ADD STATISTICS IF NOT EXISTS a, b TYPE tdigest", T, (t,)),
        ("ALTER TABLE t MODIFY STATISTICS a, b TYPE tdigest", T, (t,)),
        ("ALTER TABLE t DROP CONSTRAINT IF EXISTS c", T, (t,)),
        ("ALTER TABLE t COMMENT COLUMN IF EXISTS a 'x, y'", T, (t,)),
        ("ALTER TABLE t COMMENT COLUMN a 'x'", T, (t,)),
        ("ALTER TABLE t MODIFY COMMENT 'x'", T, (t,)),
        ("ALTER TABLE t MODIFY ORDER BY (a, b)", T, (t,)),
        ("ALTER TABLE t MODIFY SAMPLE BY a", T, (t,)),
        ("ALTER TABLE t MODIFY SETTING a = 1, b = 2", T, (t,)),
        ("ALTER TABLE t RESET SETTING a, b", T, (t,)),
        ("ALTER TABLE v MODIFY QUERY SELECT a, b FROM t", T, (v,)),
        ("ALTER TABLE v MODIFY REFRESH EVERY 1 DAY DEPENDS ON a, b", T, (v,)),
        ("ALTER TABLE v MODIFY SQL SECURITY DEFINER", T, (v,)),
        ("ALTER TABLE t (MODIFY COMMENT 'x')", T, (t,)),
    ],
)
def test_what_changes_the_catalogue_once(
    text: str, watch: Watch, targets: tuple[Name, ...]
) -> None:
    kind = classify(text).kind
    assert apart_from_elements(text) == Effect(
        kind, repeatable=True, watches=(watch,), targets=targets
    )


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t DROP COLUMN IF EXISTS a",
        "ALTER TABLE t DROP INDEX IF EXISTS a",
        "ALTER TABLE t DROP PROJECTION IF EXISTS a",
        "ALTER TABLE t DROP STATISTICS IF EXISTS a, b",
        "ALTER TABLE t RENAME COLUMN IF EXISTS a TO b",
        "ALTER TABLE t RENAME COLUMN IF EXISTS n.a TO n.b",
        "ALTER TABLE t MODIFY COLUMN a Int16",
        "ALTER TABLE t MODIFY COLUMN IF EXISTS a Nullable(Int16) DEFAULT 1 AFTER b",
        "ALTER TABLE t MODIFY COLUMN a MODIFY SETTING x = 1, y = 2",
        "ALTER TABLE t MODIFY COLUMN a RESET SETTING x, y",
        "ALTER TABLE t ALTER COLUMN a TYPE Int16",
        "ALTER TABLE t MODIFY TTL d + INTERVAL 1 DAY DELETE, d + INTERVAL 2 DAY TO DISK 'x'",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8, DROP COLUMN IF EXISTS b",
        "ALTER TABLE t (ADD COLUMN IF NOT EXISTS a Int8), (DROP COLUMN IF EXISTS b)",
        "ALTER TABLE t (MODIFY TTL x, y TO DISK 'z'), (ADD COLUMN IF NOT EXISTS a Int8)",
        "ALTER TABLE t RENAME COLUMN IF EXISTS a TO b, RENAME COLUMN IF EXISTS x TO y",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8, MODIFY COLUMN a Int16",
        "ALTER TABLE t MODIFY COLUMN a Int16, MODIFY COLUMN b Int16",
        "ALTER TABLE t DROP COLUMN IF EXISTS a, DROP COLUMN IF EXISTS b",
    ],
)
def test_what_is_the_same_twice_but_can_leave_a_mutation_and_fail_with_it(text: str) -> None:
    expected = Effect(
        Kind.ALTER, repeatable=True, watches=(T,), targets=(t,), mutation=True, atomic=False
    )
    assert apart_from_elements(text) == expected


@pytest.mark.parametrize(
    ("text", "mutation"),
    [
        ("ADD COLUMN IF NOT EXISTS a Int8, DROP COLUMN IF EXISTS a", True),
        ("DROP COLUMN IF EXISTS a, ADD COLUMN IF NOT EXISTS a String", True),
        ("DROP COLUMN IF EXISTS a, MODIFY COLUMN a String", True),
        ("DROP COLUMN IF EXISTS `n`, ADD COLUMN IF NOT EXISTS n.a String", True),
        ("DROP COLUMN IF EXISTS n, ADD COLUMN IF NOT EXISTS `n.a` String", True),
        ("RENAME COLUMN IF EXISTS a TO b, ADD COLUMN IF NOT EXISTS a Int8", True),
        ("RENAME COLUMN IF EXISTS a TO b, ADD COLUMN IF NOT EXISTS c Int8 AFTER b", True),
        ("RENAME COLUMN IF EXISTS a TO b, RENAME COLUMN IF EXISTS b TO a", True),
        ("MODIFY COLUMN a Int8, MODIFY COLUMN a Int16", True),
        ("MODIFY COLUMN a Int8 AFTER b, MODIFY COLUMN b Int8 AFTER c", True),
        ("ADD COLUMN IF NOT EXISTS a Int8, ADD COLUMN b Int8", False),
        ("(ADD COLUMN a Int8), (DROP COLUMN b)", True),
    ],
)
def test_clauses_that_undo_each_other_are_not_the_same_twice(text: str, mutation: bool) -> None:
    assert apart_from_elements(f"ALTER TABLE t {text}") == Effect(
        Kind.ALTER, repeatable=False, watches=(T,), targets=(t,), mutation=mutation, atomic=False
    )


@pytest.mark.parametrize(
    ("text", "watches", "mutation"),
    [
        ("ADD COLUMN a Int8", (T,), False),
        ("ADD COLUMN `IF NOT EXISTS` Int8", (T,), False),
        ("ADD COLUMN a String DEFAULT 'IF NOT EXISTS'", (T,), False),
        ("ADD INDEX i (a) TYPE minmax GRANULARITY 1", (T,), False),
        ("ADD COLUMN IF EXISTS a Int8", (T,), False),
        ("DROP CONSTRAINT c", (T,), False),
        ("REMOVE TTL", (T,), False),
        ("REMOVE SAMPLE BY", (T,), False),
        ("DROP COLUMN a", (T,), True),
        ("DROP INDEX i", (T,), True),
        ("RENAME COLUMN a TO b", (T,), True),
        ("MODIFY COLUMN a REMOVE DEFAULT", (T,), True),
        ("MODIFY COLUMN IF EXISTS a REMOVE TTL", (T,), True),
        ("CLEAR COLUMN IF EXISTS a", (M,), True),
        ("CLEAR COLUMN a IN PARTITION 1", (M,), True),
        ("CLEAR INDEX i", (M,), True),
        ("CLEAR PROJECTION IF EXISTS p IN PARTITION ID 'x'", (M,), True),
        ("CLEAR STATISTICS IF EXISTS a, b", (M,), True),
        ("MATERIALIZE COLUMN a", (M,), True),
        ("MATERIALIZE INDEX i IN PARTITION 1", (M,), True),
        ("MATERIALIZE PROJECTION p", (M,), True),
        ("MATERIALIZE STATISTICS ALL", (M,), True),
        ("MATERIALIZE TTL", (M,), True),
        ("APPLY DELETED MASK", (M,), True),
        ("APPLY PATCHES", (M,), True),
        ("REWRITE PARTS", (M,), True),
        ("UPDATE a = 1, b = 2 WHERE c IN (1, 2)", (M,), True),
        ("UPDATE a = 1, update = 2 IN PARTITION 1 WHERE 1", (M,), True),
        ("DELETE WHERE a = 1", (M,), True),
        ("DELETE IN PARTITION 1 WHERE a = 1", (M,), True),
        ("DELETE WHERE a SETTINGS mutations_sync = 2, alter_sync = 2", (M,), True),
        ("UPDATE a = 1, b = 2 WHERE c, DELETE WHERE d", (M,), True),
        ("ADD COLUMN a Int8, UPDATE b = 1 WHERE 1", (T, M), True),
        ("ADD COLUMN IF NOT EXISTS a Int8, MATERIALIZE COLUMN a", (T, M), True),
    ],
)
def test_an_alter_that_is_not_the_same_twice_can_be_watched(
    text: str, watches: tuple[Watch, ...], mutation: bool
) -> None:
    one_metadata_clause = watches == (T,) and not mutation
    assert apart_from_elements(f"ALTER TABLE d.t {text}") == Effect(
        Kind.ALTER, False, watches, (d_t,), mutation=mutation, atomic=one_metadata_clause
    )


@pytest.mark.parametrize(
    ("text", "change", "partition", "source", "atomic"),
    [
        ("DROP PARTITION 1", Change.DROP_PARTITION, "1", None, True),
        ("DROP PARTITION ID '202401'", Change.DROP_PARTITION, "ID '202401'", None, True),
        ("DROP PARTITION ALL", Change.DROP_PARTITION, "ALL", None, True),
        ("DROP PARTITION ('a', 1) -- x", Change.DROP_PARTITION, "('a', 1)", None, True),
        ("DROP PART 'all_1_1_0'", Change.DROP_PARTITION, "'all_1_1_0'", None, True),
        ("DETACH PARTITION tuple( 1 )", Change.DETACH_PARTITION, "tuple( 1 )", None, False),
        ("DETACH PART 'all_1_1_0'", Change.DETACH_PARTITION, "'all_1_1_0'", None, False),
        ("ATTACH PARTITION 1", Change.ATTACH_PARTITION, "1", None, False),
        ("ATTACH PART 'all_1_1_0'", Change.ATTACH_PARTITION, None, None, False),
        ("ATTACH PARTITION 1 FROM d.u", Change.ATTACH_FROM, "1", d_u, True),
        ("ATTACH PARTITION ALL FROM u", Change.ATTACH_FROM, "ALL", u, False),
        ("REPLACE PARTITION 'x' FROM u", Change.REPLACE_PARTITION, "'x'", u, True),
        ("MOVE PARTITION 1 TO TABLE d.u", Change.MOVE_PARTITION, "1", d_u, True),
        ("MOVE PARTITION 'TO TABLE x' TO TABLE u", Change.MOVE_PARTITION, "'TO TABLE x'", u, True),
    ],
)
def test_a_partition_operation_says_which_partition_and_which_tables(
    text: str, change: Change, partition: str | None, source: Name | None, atomic: bool
) -> None:
    targets = (t, source) if source else (t,)
    assert apart_from_elements(f"ALTER TABLE t {text}") == Effect(
        Kind.ALTER, False, (P,), targets, False, change, partition, source, atomic=atomic
    )


def test_several_partition_operations_keep_what_they_have_in_common() -> None:
    found = effect("ALTER TABLE t DROP PARTITION 1, DROP PARTITION 2")
    assert found == Effect(
        Kind.ALTER, False, (P,), (t,), change=Change.DROP_PARTITION, atomic=False
    )
    found = effect("ALTER TABLE t DROP PARTITION 1, ATTACH PARTITION 1 FROM u")
    assert found == Effect(Kind.ALTER, False, (P,), (t, u), source=u, atomic=False)


def test_a_move_to_a_disk_leaves_the_same_parts() -> None:
    assert apart_from_elements("ALTER TABLE t MOVE PARTITION 1 TO DISK 'x'") == Effect(
        Kind.ALTER, repeatable=False, partition="1"
    )


@pytest.mark.parametrize(
    ("text", "watch", "targets", "atomic"),
    [
        ("CREATE TABLE t (a Int8)", T, (t,), True),
        ("CREATE TABLE t AS u", T, (t,), True),
        ("CREATE TABLE `IF NOT EXISTS` (a Int8)", T, (Name("IF NOT EXISTS"),), True),
        ("CREATE OR REPLACE TABLE d.t (a Int8)", T, (d_t,), True),
        ("REPLACE TABLE t (a Int8)", T, (t,), True),
        ("CREATE TABLE IF NOT EXISTS t ENGINE = Memory AS SELECT 1", T, (t,), False),
        ("CREATE TABLE IF NOT EXISTS t ENGINE = Memory AS (SELECT 1)", T, (t,), False),
        ("CREATE TABLE IF NOT EXISTS t AS WITH 1 AS x SELECT x", T, (t,), False),
        ("CREATE TABLE IF NOT EXISTS t AS FROM u SELECT a", T, (t,), False),
        ("CREATE TABLE IF NOT EXISTS t CLONE AS u", T, (t,), False),
        ("CREATE VIEW v AS SELECT 1", T, (v,), True),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = Log POPULATE AS SELECT 1",
            T,
            (v,),
            False,
        ),
        ("CREATE OR REPLACE MATERIALIZED VIEW v TO t AS SELECT 1", T, (v,), True),
        ("CREATE DATABASE t", D, (t,), True),
        ("CREATE FUNCTION t AS x -> x", F, (t,), True),
        ("CREATE UNIQUE INDEX i ON t (a)", T, (t,), True),
        ("CREATE INDEX i ON table (a) TYPE minmax", T, (Name("table"),), True),
        ("DROP TABLE t", T, (t,), True),
        ("DROP TABLE t, d.u", T, (t, d_u), False),
        ("DROP DATABASE t", D, (t,), False),
        ("DROP FUNCTION t", F, (t,), True),
        ("ATTACH TABLE t", T, (t,), True),
        ("ATTACH TABLE IF NOT EXISTS t", T, (t,), True),
        ("DETACH TABLE IF EXISTS t PERMANENTLY", T, (t,), True),
        ("DETACH VIEW v", T, (v,), True),
        ("UNDROP TABLE d.t", T, (d_t,), True),
        ("RENAME TABLE t TO u", T, (t, u), True),
        ("RENAME t TO u", T, (t, u), True),
        ("RENAME TABLE t TO u, d.t TO d.u", T, (t, u, d_t, d_u), False),
        ("RENAME TABLE IF EXISTS t TO u, v TO w", T, (t, u, v, Name("w")), False),
        ("RENAME TABLE IF EXISTS t TO u, IF EXISTS v TO t", T, (t, u, v, t), False),
        ("RENAME DATABASE t TO u", D, (t, u), True),
        ("EXCHANGE TABLES d.t AND u", T, (d_t, u), True),
        ("EXCHANGE DICTIONARIES t AND u", T, (t, u), True),
        ("UPDATE t SET a = 1 WHERE b", P, (t,), False),
        ("ALTER DATABASE t MODIFY SETTING a = 1", D, (t,), True),
    ],
)
def test_what_is_done_once_can_be_seen_in_the_catalogue(
    text: str, watch: Watch, targets: tuple[Name, ...], atomic: bool
) -> None:
    kind = classify(text).kind
    assert apart_from_elements(text) == Effect(kind, False, (watch,), targets, atomic=atomic)


def test_an_index_that_is_dropped_leaves_a_mutation() -> None:
    again = Effect(Kind.DROP, True, (T,), (d_t,), mutation=True, atomic=False)
    assert apart_from_elements("DROP INDEX IF EXISTS i ON d.t") == again
    once = Effect(Kind.DROP, False, (T,), (d_t,), mutation=True, atomic=False)
    assert apart_from_elements("DROP INDEX i ON d.t") == once


def test_a_lightweight_delete_is_a_mutation() -> None:
    expected = Effect(Kind.DELETE, False, (M,), (d_t,), mutation=True, atomic=False)
    assert apart_from_elements("DELETE FROM d.t ON CLUSTER c WHERE a = 1") == expected


@pytest.mark.parametrize(
    ("text", "targets", "atomic"),
    [
        ("TRUNCATE TABLE t", (t,), True),
        ("TRUNCATE d.t", (d_t,), True),
        ("TRUNCATE VIEW d.t", (d_t,), True),
        ("TRUNCATE dictionary IF EXISTS t", (t,), True),
        ("TRUNCATE view", (Name("view"),), True),
        ("TRUNCATE TABLE IF EXISTS d.t ON CLUSTER c", (d_t,), False),
        ("TRUNCATE DATABASE d", (), False),
        ("TRUNCATE ALL TABLES FROM d", (), False),
        ("TRUNCATE TABLES FROM d LIKE 'x'", (), False),
        ("TRUNCATE TEMPORARY TABLE t", (), True),
    ],
)
def test_a_truncate_is_seen_in_the_parts(
    text: str, targets: tuple[Name, ...], atomic: bool
) -> None:
    watches = (P,) if targets else ()
    expected = Effect(Kind.TRUNCATE, False, watches, targets, change=Change.TRUNCATE, atomic=atomic)
    assert apart_from_elements(text) == expected


@pytest.mark.parametrize(
    ("text", "target", "rows"),
    [
        ("INSERT INTO t VALUES (1)", t, 1),
        ("INSERT INTO t VALUES (1), (2)", t, 2),
        ("INSERT INTO t (a, b) VALUES (1, '(), (') , (2, 'it''s \\') (')", t, 2),
        ("INSERT INTO TABLE d.t (a) VALUES ((1, (2, 3))), ([(1), (2)])", d_t, 2),
        ('INSERT INTO `d`."t" FORMAT Values (1), (2), (3)', d_t, 3),
        ("INSERT INTO t (values) VALUES (1) -- (2)", t, 1),
        ("INSERT INTO t VALUES (1), /* (2), */ (3);", t, 2),
        ("INSERT INTO t VALUES ($x$)$x$), (`a`), ((((((1))))))", t, 3),
        ("INSERT INTO t VALUES (1) (2)", t, 2),
        ("INSERT INTO t VALUES (1 - 2, 3/4), (-5)", t, 2),
        ("INSERT INTO t VALUES (1) x", t, None),
        ("INSERT INTO t VALUES (1", t, None),
        ("INSERT INTO t VALUES", t, 0),
        ("INSERT INTO t SETTINGS async_insert = 0 VALUES (1)", t, 1),
        ("INSERT INTO t FORMAT CSV\n1", t, None),
        ("INSERT INTO t SELECT (1), (2)", t, None),
        ("INSERT INTO d.t (SELECT 1)", d_t, None),
        ("WITH insert AS (SELECT 1) INSERT INTO t SELECT * FROM insert", t, None),
        ("WITH 1 AS x INSERT INTO t VALUES (1)", t, 1),
        ("INSERT INTO FUNCTION file('x') SELECT 1", None, None),
        ("INSERT INTO TABLE FUNCTION null('a Int8') VALUES (1)", None, 1),
        ("INSERT INTO {n:Identifier} VALUES (1)", None, 1),
        ("INSERT", None, None),
    ],
)
def test_an_insert_names_its_table_and_counts_its_rows(
    text: str, target: Name | None, rows: int | None
) -> None:
    assert apart_from_elements(text) == Effect(
        Kind.INSERT,
        repeatable=False,
        watches=(P,) if target else (),
        targets=(target,) if target else (),
        change=Change.INSERT,
        rows=rows,
        atomic=False,
    )


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE IF NOT EXISTS t ON CLUSTER '{c}' (a Int8)",
        "DROP TABLE IF EXISTS t ON CLUSTER c",
        "ALTER TABLE t ON CLUSTER c ADD COLUMN IF NOT EXISTS a Int8",
        "ALTER TABLE t ON CLUSTER `c` (ADD COLUMN IF NOT EXISTS a Int8)",
    ],
)
def test_a_cluster_can_take_half_of_a_statement(text: str) -> None:
    kind = classify(text).kind
    assert apart_from_elements(text) == Effect(
        kind, repeatable=True, watches=(T,), targets=(t,), atomic=False
    )


@pytest.mark.parametrize("text", ["BACKUP TABLE t TO Disk('a', 'b')", "RESTORE TABLE t FROM x"])
def test_a_backup_is_neither_repeatable_nor_watched(text: str) -> None:
    assert apart_from_elements(text) == Effect(classify(text).kind, repeatable=False, atomic=False)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("`a``b`", "a`b"),
        ('`a""b`', 'a""b'),
        ('"a""b"', 'a"b'),
        (r"`a\`b`", "a`b"),
        (r"`a\\b`", "a\\b"),
        (r"`a\nb`", "a\nb"),
        (r"`\xE6\x97\xA5é`", "日é"),
        (r"`a\qb`", r"a\qb"),
        ("\u201ca b\u201d", "a b"),
        ("\u201ca\\x62\u201d", "a\\x62"),
        ("\u201ca\u201c\u201cb\u201d", "a\u201c\u201cb"),
        (r'"d\Ne"', "de"),
        ("`a.b`", "a.b"),
    ],
)
def test_a_quoted_name_is_read_as_clickhouse_reads_it(written: str, name: str) -> None:
    assert effect(f"DROP TABLE {written}").targets == (Name(name),)


@pytest.mark.parametrize("written", [r'"c\xff"', r"`a\xZZb`", r'd."a\\\xE6"', r'"x\x6"'])
def test_a_name_of_bytes_that_are_no_text_is_no_known_name(written: str) -> None:
    for text in (
        f"INSERT INTO {written} VALUES (1)",
        f"ALTER TABLE {written} UPDATE a = 1 WHERE 1",
    ):
        assert effect(text).targets == ()
        assert effect(text).watches == ()


@pytest.mark.parametrize(
    "text",
    [
        "TRUNCATE TABLE {t:Identifier}",
        "TRUNCATE VIEW {t:Identifier}",
        "TRUNCATE TABLE {d:Identifier}.t",
        "TRUNCATE DATABASE {d:Identifier}",
        "DROP TABLE a, d.{t:Identifier}",
        "DROP TABLE {t:Identifier}, a",
    ],
)
def test_what_a_parameter_names_is_not_known(text: str) -> None:
    assert effect(text).targets == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "DELETE FROM {t:Identifier} WHERE 1",
            Effect(Kind.DELETE, False, mutation=True, atomic=False),
        ),
        ("UPDATE {t:Identifier} SET a = 1 WHERE 1", Effect(Kind.UPDATE, False, atomic=False)),
        (
            "ALTER TABLE {t:Identifier} DROP COLUMN a",
            Effect(Kind.ALTER, False, mutation=True, atomic=False),
        ),
        ("ALTER TABLE t FROBNICATE", Effect(Kind.ALTER, False, mutation=True, atomic=False)),
        ("ALTER DATABASE {d:Identifier} MODIFY COMMENT 'x'", Effect(Kind.ALTER, False)),
        ("ALTER TEMPORARY TABLE t ADD COLUMN a Int8", Effect(Kind.ALTER, False)),
        ("DROP RESOURCE IF EXISTS r", Effect(Kind.DROP, True)),
        ("DROP FROBNICATION IF EXISTS r", Effect(Kind.DROP, False)),
        ("DROP TEMPORARY TABLE t", Effect(Kind.DROP, False)),
        ("FROBNICATE TABLE t", Effect(Kind.OTHER, False, atomic=False)),
        ("EXPLAIN ANALYZE INSERT INTO t SELECT 1", Effect(Kind.EXPLAIN, False)),
        ("EXPLAIN SELECT analyze FROM t", Effect(Kind.EXPLAIN, True)),
        ("OPTIMIZE TABLE t FINAL CLEANUP", Effect(Kind.OPTIMIZE, False)),
        ("SELECT deduplicate, cleanup FROM t", Effect(Kind.SELECT, True)),
        ("SYSTEM DROP DATABASE REPLICA 'r' FROM DATABASE cache", Effect(Kind.SYSTEM, False)),
        ("SYSTEM DROP DISK METADATA CACHE 'd'", Effect(Kind.SYSTEM, False)),
        ("SYSTEM FLUSH ASYNC INSERT QUEUE cache", Effect(Kind.SYSTEM, True)),
        ("SYSTEM FLUSH CACHE", Effect(Kind.SYSTEM, False)),
    ],
)
def test_what_is_not_fully_known_is_not_repeatable_and_shows_nothing(
    text: str, found: Effect
) -> None:
    assert apart_from_elements(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "CREATE USER {}",
        "CREATE USER IF NOT EXISTS {} IDENTIFIED BY 'x', sha256_password BY 'y'",
        "CREATE USER OR REPLACE {} DEFAULT ROLE r, s",
        "CREATE OR REPLACE USER {} HOST LOCAL, NAME 'h'",
        "ALTER USER {} SETTINGS a = 1, b = 2",
        "ALTER USER IF EXISTS {} ADD SETTINGS a = 1, b = 2",
        "DROP USER IF EXISTS {}",
        "CREATE ROLE {} SETTINGS a = 1, b = 2",
        "ALTER SETTINGS PROFILE {} SETTINGS a = 1, b = 2",
        "CREATE PROFILE {} TO a, b",
        "CREATE QUOTA {} KEYED BY user_name, ip_address TO a, b",
        "DROP ROLE {} ON CLUSTER c",
    ],
)
@pytest.mark.parametrize(
    ("names", "several"),
    [
        *[(name, False) for name in ("u", "default", "host", "to", "`a,b`", "'a,b'")],
        *[(name, True) for name in ("u, v", "default,to", "host , `as`", "'a', b")],
    ],
)
def test_several_users_roles_or_quotas_are_changed_one_by_one(
    text: str, names: str, several: bool
) -> None:
    assert effect(text.format(names), on_one_host=True).atomic is not several


@pytest.mark.parametrize(
    ("text", "atomic"),
    [
        ("CREATE USER u@'h', v", False),
        ("CREATE USER u@'h' SETTINGS a = 1, b = 2", True),
        ("CREATE USER u ON CLUSTER c, v", False),
        ("ALTER USER u RENAME TO w, v", False),
        ("ALTER USER u RENAME TO w SETTINGS a = 1, b = 2", True),
        ("CREATE ROW POLICY p ON t USING a IN (1, 2) TO r, s", True),
        ("CREATE ROW POLICY p ON t, u USING 1", False),
        ("CREATE POLICY IF NOT EXISTS p ON d.*, t USING 1", False),
        ("CREATE POLICY p ON d.* TO r, s", True),
        ("DROP ROW POLICY p, q ON t", False),
        ("DROP ROW POLICY p ON t, u", False),
        ("DROP POLICY p ON t, q ON u", False),
        ("CREATE ROW POLICY p ON CLUSTER c ON t, u USING 1", False),
        ("CREATE NAMED COLLECTION c AS a = 1, b = 2", True),
        ("GRANT SELECT ON t TO u", True),
        ("GRANT SELECT, INSERT ON t TO u", False),
        ("GRANT SELECT(a, b) ON t TO u", True),
        ("REVOKE r FROM u, v", False),
    ],
)
def test_what_is_said_of_one_user_or_policy_is_one_step(text: str, atomic: bool) -> None:
    assert effect(text, on_one_host=True).atomic is atomic


def test_what_is_not_closed_is_refused_by_the_lexer() -> None:
    with pytest.raises(StatementSyntaxError):
        effect("ALTER TABLE t COMMENT COLUMN a 'x")


def test_a_large_insert_is_not_counted() -> None:
    assert effect("INSERT INTO t VALUES " + "(1, 'a'), " * 1_000_000).rows is None


def test_what_a_parameter_names_is_no_whole_statement() -> None:
    dropped = effect("DROP TABLE a, {t:Identifier}")
    assert (dropped.targets, dropped.atomic) == ((), False)
    altered = effect("ALTER TABLE {t:Identifier} DELETE WHERE a")
    assert (altered.mutation, altered.atomic, altered.repeatable) == (True, False, False)


@pytest.mark.parametrize(
    "before", ["IS NOT DISTINCT FROM", "REGEXP", "IS DISTINCT FROM", "AT TIME ZONE"]
)
def test_a_column_that_is_called_empty_is_no_keyword(before: str) -> None:
    text = f"CREATE TABLE IF NOT EXISTS t ENGINE = MergeTree ORDER BY x {before} empty AS SELECT 1"
    assert (effect(text).repeatable, effect(text).atomic) == (False, False)


@pytest.mark.timeout(120)  # with the square of their number it would take hours
def test_brackets_without_end_are_read_in_a_time_that_grows_with_their_number() -> None:
    for rows in ("(" * 900_000, "(((('a'" * 120_000, "(1, ('a', (2, 'x')), " * 40_000):
        assert effect("INSERT INTO t VALUES " + rows).targets == (t,)


# Every word that is not quoted is ClickHouse's own here, so that capitals do not matter.
TEMPLATES = (
    "CREATE TABLE IF NOT EXISTS `d`.`t` (`a` Int8) ENGINE = Memory AS SELECT 1",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS `v` TO `t` AS SELECT 1",
    "CREATE OR REPLACE FUNCTION `f` AS (`x`) -> `x`",
    "DROP TABLE IF EXISTS `d`.`t`, `u` SYNC",
    "DROP INDEX IF EXISTS `i` ON `d`.`t`",
    "RENAME TABLE IF EXISTS `a` TO `b`",
    "EXCHANGE TABLES `a` AND `d`.`b`",
    "TRUNCATE TABLE `d`.`t` ON CLUSTER 'c'",
    "INSERT INTO TABLE `d`.`t` (`a`, `b`) VALUES (1, 'x'), (2, 'y')",
    "DELETE FROM `t` WHERE `a` = 1",
    "ALTER TABLE `t` (ADD COLUMN IF NOT EXISTS `a` Int8), (DROP COLUMN IF EXISTS `b`)",
    "ALTER TABLE `t` ADD COLUMN IF NOT EXISTS `a` Enum8('x' = 1, 'y' = 2), MODIFY COLUMN `b` Int8",
    "ALTER TABLE `t` RENAME COLUMN IF EXISTS `a` TO `b`, ADD COLUMN IF NOT EXISTS `a` Int8",
    "ALTER TABLE `t` UPDATE `a` = 1, `b` = 2 IN PARTITION 1 WHERE 1, DELETE WHERE `a`",
    "ALTER TABLE `t` MODIFY TTL `a` + INTERVAL 1 DAY DELETE, `a` TO DISK 'x'",
    "ALTER TABLE `t` MODIFY SETTING `a` = 1, `b` = 2",
    "ALTER TABLE `t` REPLACE PARTITION 'x' FROM `d`.`u`",
    "ALTER TABLE `t` MOVE PARTITION 1 TO TABLE `d`.`u`",
    "CREATE USER IF NOT EXISTS `u` IDENTIFIED BY 'x'",
    "SYSTEM DROP MARK CACHE",
)
gaps = st.sampled_from(
    [" ", "\n", "\t \u00a0", "/* DROP TABLE x, (' */", "-- IF EXISTS (\n", " # '\n"]
)


@law
@given(st.sampled_from(TEMPLATES), st.data())
def test_comments_white_space_and_capitals_do_not_matter(text: str, data: st.DataObject) -> None:
    written = []
    for token in tokenize(text):
        said = token.of(text)
        if token.kind in INSIGNIFICANT:
            said = data.draw(gaps)
        elif token.kind is TokenKind.WORD and data.draw(st.booleans()):
            said = said.lower() if data.draw(st.booleans()) else said.swapcase()
        elif token.kind in (TokenKind.COMMA, TokenKind.OPEN, TokenKind.CLOSE, TokenKind.DOT):
            said = data.draw(st.just("") | gaps) + said + data.draw(st.just("") | gaps)
        written.append(said)
    assert effect("".join(written)) == effect(text)


@law
@given(
    st.sampled_from(
        [
            "CREATE TABLE IF NOT EXISTS {} (a Int8)",
            "DROP TABLE {}",
            "ALTER TABLE {} ADD COLUMN a Int8",
            "INSERT INTO {} VALUES (1)",
            "TRUNCATE TABLE {}",
            "DELETE FROM {} WHERE 1",
            "DROP INDEX i ON {}",
            "UNDROP TABLE {}",
        ]
    ),
    st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z").filter(
        lambda name: name not in {"if", "table", "function", "on", "temporary", "all", "tables"}
    ),
    st.booleans(),
)
def test_quotes_around_a_name_do_not_change_it(form: str, name: str, database: bool) -> None:
    bare = f"db.{name}" if database else name
    quoted = f"`db`.`{name}`" if database else f'"{name}"'
    assert effect(form.format(quoted)) == effect(form.format(bare))
    assert effect(form.format(bare)).targets == (Name(name, "db" if database else None),)


@law
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_that_is_quoted_is_read_back(name: str) -> None:
    assert effect(f"DROP TABLE {quote.identifier(name)}").targets == (Name(name),)


@law
@given(
    st.lists(
        st.sampled_from(
            [
                "ALTER",
                "TABLE",
                "t",
                "d",
                ".",
                ",",
                "(",
                ")",
                "ADD",
                "DROP",
                "MODIFY",
                "RENAME",
                "COLUMN",
                "IF",
                "NOT",
                "EXISTS",
                "TO",
                "TTL",
                "SETTING",
                "CREATE",
                "OR",
                "REPLACE",
                "VIEW",
                "AS",
                "SELECT",
                "INSERT",
                "INTO",
                "VALUES",
                "TRUNCATE",
                "MOVE",
                "PARTITION",
                "FROM",
                "UPDATE",
                "DELETE",
                "WHERE",
                "=",
                "1",
                "'x'",
                "`y`",
                ";",
                "ON",
                "CLUSTER",
                "FREEZE",
                "WITH",
                "EXCHANGE",
                "SYSTEM",
                "GRANT",
            ]
        ),
        max_size=14,
    )
)
def test_no_heap_of_words_is_too_odd(words: list[str]) -> None:
    found = effect(" ".join(words))
    assert isinstance(found, Effect)
    assert bool(found.watches) == bool(found.targets)


def _element(key: str, *, appears: bool) -> Element:
    what, _, name = key.partition(" ")
    return Element(what, name, appears)


@pytest.mark.parametrize(
    ("text", "there", "gone"),
    [
        ("ALTER TABLE t ADD COLUMN a Int8 DEFAULT b AFTER c", ["column a"], []),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS `a b` Int8", ["column a b"], []),
        ("ALTER TABLE t ADD COLUMN n.a Array(Int8)", ["column n.a"], []),
        ("ALTER TABLE t DROP COLUMN IF EXISTS `n.a`", [], ["column n.a"]),
        ("ALTER TABLE t RENAME COLUMN a TO n.b", ["column n.b"], ["column a"]),
        ("ALTER TABLE t ADD INDEX i a TYPE minmax, DROP INDEX j", ["index i"], ["index j"]),
        ("ALTER TABLE t ADD PROJECTION p (SELECT a ORDER BY a)", ["projection p"], []),
        ("ALTER TABLE t DROP CONSTRAINT c", [], ["constraint c"]),
        ("CREATE INDEX IF NOT EXISTS i ON t (a) TYPE minmax", ["index i"], []),
        ("DROP INDEX i ON t", [], ["index i"]),
        # Something else as well, the same twice, or not known.
        ("ALTER TABLE t ADD COLUMN a Int8, MODIFY COLUMN b Int8", [], []),
        ("ALTER TABLE t ADD COLUMN a Int8, DROP COLUMN a", [], []),
        ("ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a", [], []),
        ("ALTER TABLE t ADD COLUMN n Nested(a Int8)", [], []),
        ("ALTER TABLE t ADD COLUMN n `Nested`(a Int8)", [], []),
        ("ALTER TABLE t MODIFY COLUMN a Int16", [], []),
        ("ALTER TABLE t DROP PARTITION 1", [], []),
        ("CREATE TABLE t (a Int8) ENGINE = Log", [], []),
    ],
)
def test_what_is_added_and_taken_away_is_named(
    text: str, there: list[str], gone: list[str]
) -> None:
    wanted = {_element(key, appears=True) for key in there}
    assert set(effect(text).elements) == wanted | {_element(key, appears=False) for key in gone}


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW TABLES INTO OUTFILE 'f'",
        "DESCRIBE TABLE t INTO OUTFILE 'f' FORMAT CSV",
        "CREATE TABLE IF NOT EXISTS a (b Int8) ENGINE = Log INTO OUTFILE 'f'",
        "DROP TABLE IF EXISTS a INTO OUTFILE 'f'",
        "EXPLAIN SELECT 1 into outfile 'f'",
        "OPTIMIZE TABLE t INTO OUTFILE 'f'",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8 INTO OUTFILE 'f'",
    ],
)
def test_nothing_that_writes_a_file_is_repeatable(statement: str) -> None:
    assert not effect(statement).repeatable
    assert effect(statement.partition("INTO")[0].partition("into")[0]).repeatable


@pytest.mark.parametrize(
    ("clause", "element"),
    [
        ("ADD COLUMN format String", Element("column", "format", True)),
        ("ADD COLUMN IF NOT EXISTS format String FORMAT Null", Element("column", "format", True)),
        ("DROP COLUMN a FORMAT Null", Element("column", "a", False)),
        ("DROP COLUMN format FORMAT Null SETTINGS a = 1", Element("column", "format", False)),
        ("DROP COLUMN format", Element("column", "format", False)),
    ],
)
def test_the_format_of_the_answer_is_no_part_of_the_last_clause(
    clause: str, element: Element
) -> None:
    assert effect(f"ALTER TABLE t {clause}").elements == (element,)


@pytest.mark.parametrize(
    "statement", ["TRUNCATE temporary", "TRUNCATE TABLE temporary", "TRUNCATE temporary.t"]
)
def test_a_table_may_be_called_temporary(statement: str) -> None:
    assert effect(statement).targets


@pytest.mark.parametrize(
    "statement",
    [
        "DROP FROBNICATE IF EXISTS t",
        "CREATE FROBNICATE IF NOT EXISTS t AS SELECT 1",
        "CREATE OR REPLACE FROBNICATE t",
        "ALTER FROBNICATE t ADD COLUMN IF NOT EXISTS a Int8",
        "ALTER TABLE t FROBNICATE COLUMN IF EXISTS a",
        "ALTER TABLE t ADD FROBNICATE IF NOT EXISTS a",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a Int8, FROBNICATE a",
        "ALTER DATABASE d FROBNICATE COMMENT 'x'",
        "SYSTEM FROBNICATE t",
        "SYSTEM STOP FROBNICATING t",
        "SYSTEM RELOAD FROBNICATION",
        "FROBNICATE TABLE IF EXISTS t",
        "UNDROP FROBNICATION t",
        "DETACH FROBNICATION IF EXISTS t",
        "GRANT SELECT ON t TO u PARALLEL WITH FROBNICATE t",
    ],
)
def test_a_word_that_is_not_known_makes_the_statement_unknown(statement: str) -> None:
    assert not effect(statement).repeatable
    assert effect(statement).elements == ()


@pytest.mark.parametrize(
    "statement",
    [
        "WITH 1 AS from INSERT INTO t SELECT from",
        "WITH 1 AS select INSERT INTO t SELECT select",
        "WITH from AS (SELECT 1) INSERT INTO t SELECT * FROM from",
        "WITH 1 AS insert, 2 AS into INSERT INTO t SELECT insert",
    ],
)
def test_a_name_in_with_may_be_a_keyword(statement: str) -> None:
    assert effect(statement).kind is Kind.INSERT
    assert effect(statement).targets == (t,)


def test_statements_that_are_joined_are_one_of_a_kind_of_its_own() -> None:
    assert effect("DROP TABLE a PARALLEL WITH DROP TABLE b") == Effect(
        Kind.PARALLEL, repeatable=False, targets=(Name("a"), Name("b")), atomic=False
    )


@pytest.mark.parametrize("end", ["empty", "clone", "x"])
def test_a_table_that_is_filled_at_once_is_not_the_same_twice(end: str) -> None:
    found = effect(f"CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS {end}")
    assert (found.repeatable, found.atomic) == (False, False)


@pytest.mark.parametrize("kind", ["LIVE", "WINDOW"])
def test_a_view_of_another_kind_is_a_view(kind: str) -> None:
    again = Effect(Kind.CREATE_VIEW, True, (T,), (v,))
    assert effect(f"CREATE {kind} VIEW IF NOT EXISTS v AS SELECT 1") == again


def test_what_removes_rows_that_came_in_between_is_not_repeatable() -> None:
    assert not effect("OPTIMIZE TABLE t FINAL DEDUPLICATE BY a, b").repeatable
    assert not effect(
        "CREATE TABLE IF NOT EXISTS t (empty Int8) ENGINE = MergeTree ORDER BY empty AS SELECT 1"
    ).repeatable


def test_an_alter_of_many_clauses_is_read_in_linear_time() -> None:
    text = "ALTER TABLE t " + ", ".join(f"DROP COLUMN IF EXISTS c{n}" for n in range(20_000))
    assert effect(text).repeatable
    assert not effect(f"{text}, ADD COLUMN IF NOT EXISTS c1 Int8").repeatable


@pytest.mark.parametrize(
    ("end", "filled"),
    [
        ("ORDER BY a TTL empty", True),
        ("ORDER BY a % empty", True),
        ("ORDER BY NOT empty", True),
        ("ORDER BY -empty", True),
        ("ORDER BY a EMPTY", False),
        ("ORDER BY (a) EMPTY", False),
        ("ORDER BY a TTL d EMPTY", False),
        ("", True),
        ("EMPTY", False),
    ],
)
def test_a_column_called_empty_does_not_make_a_table_empty(end: str, filled: bool) -> None:
    engine = f" ENGINE = MergeTree {end}" if "ORDER" in end else f" {end}"
    text = f"CREATE TABLE IF NOT EXISTS t{engine} AS SELECT 1 AS a"
    assert effect(text).repeatable is not filled
