"""ON CLUSTER is put in its place, or the statement is refused."""

from __future__ import annotations

import pytest

from budeval_migrations.errors import RevisionError
from budeval_migrations.sql.on_cluster import put_on_cluster


@pytest.mark.parametrize(
    ("statement", "placed"),
    [
        ("CREATE TABLE t(a Int8)", "CREATE TABLE t ON CLUSTER `c`(a Int8)"),
        ("DROP TABLE a, b SYNC", "DROP TABLE a, b ON CLUSTER `c` SYNC"),
        ("alter table d.t\n  add column x Int8", "alter table d.t ON CLUSTER `c`\n  add column x Int8"),
        ("RENAME TABLE a TO b, c TO d", "RENAME TABLE a TO b, c TO d ON CLUSTER `c`"),
        ("OPTIMIZE TABLE t /* on cluster x */ FINAL", "OPTIMIZE TABLE t ON CLUSTER `c` /* on cluster x */ FINAL"),
    ],
)  # fmt: skip
def test_it_stands_behind_the_name_and_nothing_else_changes(statement: str, placed: str) -> None:
    assert put_on_cluster(statement, "c") == placed


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ON CLUSTER '{cluster}' (a Int8) ENGINE = Log",
        "create table d.t on /* my */ cluster x (a Int8) engine = Log",
        "CREATE TABLE t ON CLUSTER x ENGINE = Log AS SELECT 1 AS a",
        "CREATE USER u IDENTIFIED BY 'x' ON CLUSTER x",
        "GRANT ON CLUSTER x SELECT ON d.t TO u",
        "BACKUP TABLE t ON CLUSTER x TO Disk('d', 'p')",
        "SYSTEM FLUSH LOGS ON CLUSTER x",
    ],
)
def test_what_stands_there_already_is_left(statement: str) -> None:
    assert put_on_cluster(statement, "c") == statement


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM t JOIN u ON x = y",
        "INSERT INTO t SELECT * FROM u",
        "INSERT INTO t VALUES (1)",
        "SET max_threads = 1",
        "SHOW TABLES",
        "CHECK TABLE t",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "CREATE OR REPLACE TEMPORARY TABLE t (a Int8)",
        "DROP TEMPORARY TABLE t",
        "-- nothing\n",
    ],
)
def test_what_reads_inserts_or_belongs_to_the_session_is_left(statement: str) -> None:
    assert put_on_cluster(statement, "c") == statement


@pytest.mark.parametrize(
    "statement",
    [
        "BACKUP TABLE t TO Disk('d', 'p')",
        "RESTORE TABLE t FROM Disk('d', 'p')",
        "SYSTEM SHUTDOWN",
        "SYSTEM WHATEVER IS NEW",
        "MOVE USER u TO s",
        "SET DEFAULT ROLE r TO u",
        "DROP WORKLOAD w",
        "ALTER TEMPORARILY t ADD COLUMN a Int8",
        "FROBNICATE TABLE t",
        "CREATE TABLE",
        "ALTER TABLE {t:Identifier} DROP COLUMN a",
        "TRUNCATE DATABASE {d:Identifier}",
        "TRUNCATE temporary",
        "TRUNCATE table",
        "TRUNCATE database",
        "TRUNCATE view",
        "DROP ROW POLICY a ON cluster",
        "DROP ROW POLICY a, {p:Identifier} ON t",
    ],
)
def test_what_cannot_be_placed_is_refused_with_a_way_out(statement: str) -> None:
    with pytest.raises(RevisionError, match="no place known for ON CLUSTER") as refused:
        put_on_cluster(statement, "c")
    assert statement in refused.value.message
    assert refused.value.hint == (
        "Write ON CLUSTER into the statement; or, where one host is meant, op.execute_here."
    )


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ENGINE = Log AS SELECT 1 AS a",
        "CREATE TABLE t (a Int8) ENGINE = Log AS (SELECT 1)",
        "CREATE TABLE t CLONE AS u",
        "CREATE MATERIALIZED VIEW v ENGINE = Log POPULATE AS SELECT 1 AS a",
    ],
)
def test_a_table_that_every_host_would_fill_is_refused(statement: str) -> None:
    with pytest.raises(RevisionError, match="each host would fill") as refused:
        put_on_cluster(statement, "c")
    assert refused.value.hint == "Create it empty, then fill it with INSERT … SELECT."
