"""What changes under a name between a kill and the next run is not the statement's effect."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ChecksumMismatch, StatementOutcomeUnknown
from tests.engines.workspace import Workspace
from tests.support.killed_run import kill
from tests.support.targets import engine_parameters

over_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
T = "(a Int64, d DateTime) ENGINE = MergeTree ORDER BY a TTL d + INTERVAL 1 YEAR"
# As a refreshable view does with its table.
SWAP = ["CREATE TABLE t2 AS t", "INSERT INTO t2 SELECT * FROM t", "EXCHANGE TABLES t AND t2"]
SWAP += ["DROP TABLE t2"]


def killed(workspace: Workspace, statement: str, when: str = "before") -> None:
    kill({**workspace.options, "lock_lease": 5.0}, statement, when)


@over_http
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE t",
        "DROP TABLE t SYNC",
        "DETACH TABLE t PERMANENTLY",
        "ALTER TABLE t REMOVE TTL",
        "ALTER TABLE t ADD STATISTICS a TYPE tdigest",
        "EXCHANGE TABLES t AND u",
        "RENAME TABLE t TO v",
    ],
)
def test_a_table_that_was_swapped_for_another_leaves_the_outcome_unknown(
    workspace: Workspace, statement: str
) -> None:
    workspace.prepare(
        f"CREATE TABLE t {T}", f"CREATE TABLE u {T}", "INSERT INTO t VALUES (1, now())"
    )
    workspace.project.write_revision("001_a", None, statement)
    killed(workspace, statement)
    workspace.prepare(*SWAP)

    with pytest.raises(StatementOutcomeUnknown):
        bm.upgrade(**workspace.options)

    assert workspace.rows("SELECT count() FROM t") == [(1,)]


@over_http
def test_a_drop_that_was_not_sent_is_sent_though_somebody_has_altered_the_table(
    workspace: Workspace,
) -> None:
    workspace.prepare(f"CREATE TABLE t {T}")
    workspace.project.write_revision("001_a", None, "DROP TABLE t")
    killed(workspace, "DROP TABLE t")
    workspace.prepare("ALTER TABLE t ADD COLUMN b Int8")

    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert "t" not in workspace.tables()


@over_http
@pytest.mark.parametrize("when", ["before", "after"])
def test_tables_whose_names_differ_by_a_dot_are_two(workspace: Workspace, when: str) -> None:
    database = f"{workspace.target.database}.b"
    table = "(p UInt8, a UInt64) ENGINE = MergeTree PARTITION BY p ORDER BY a"
    workspace.prepare(f"CREATE TABLE `b.c` {table}", "INSERT INTO `b.c` VALUES (1, 1)")
    workspace.prepare(f"CREATE DATABASE `{database}`", f"CREATE TABLE `{database}`.c {table}")
    try:
        workspace.prepare(f"INSERT INTO `{database}`.c VALUES (1, 2)")
        statement = f"ALTER TABLE `b.c` ATTACH PARTITION 1 FROM `{database}`.c"
        workspace.project.write_revision("001_a", None, statement)
        killed(workspace, statement, when)
        bm.upgrade(**workspace.options)
        assert workspace.rows("SELECT a FROM `b.c` ORDER BY a") == [(1,), (2,)]
    finally:
        workspace.prepare(f"DROP DATABASE `{database}`")


@over_http
@pytest.mark.parametrize(
    "edited",
    [
        ["INSERT INTO n SELECT 5", "INSERT INTO n SELECT 2"],
        ["INSERT INTO n SELECT 2", "INSERT INTO n SELECT 1"],
    ],
    ids=["another statement", "swapped"],
)
def test_what_a_person_says_is_about_the_statement_that_was_shown(
    workspace: Workspace, edited: list[str]
) -> None:
    workspace.prepare("CREATE TABLE m (a Int64) ENGINE = MergeTree ORDER BY a")
    # A table that keeps nothing tells nothing.
    workspace.prepare("CREATE TABLE n (a Int64) ENGINE = Null")
    workspace.prepare("CREATE MATERIALIZED VIEW v TO m AS SELECT a FROM n")
    first = "INSERT INTO n SELECT 1"
    workspace.project.write_revision("001_a", None, [first, "INSERT INTO n SELECT 2"])
    killed(workspace, first, "after")
    with pytest.raises(StatementOutcomeUnknown) as unknown:
        bm.upgrade(**workspace.options)
    assert first in str(unknown.value)
    workspace.project.write_revision("001_a", None, edited)
    bm.repair_statement("001_a", 1, applied=True, **workspace.options)

    with pytest.raises(ChecksumMismatch, match=r"It took effect on .* and was edited afterwards"):
        bm.upgrade(**workspace.options)

    workspace.project.write_revision("001_a", None, [first, *edited])
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT a FROM m ORDER BY a") == sorted(
        [(1,), *((int(text[-1]),) for text in edited)]
    )
