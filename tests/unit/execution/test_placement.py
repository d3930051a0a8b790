"""What becomes of a statement on the servers that there are."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.cluster.topology import Arrangement, Host, Topology
from budeval_migrations.errors import RevisionError
from budeval_migrations.execution.placement import Placement
from budeval_migrations.model import (
    Backfill,
    CompiledRevision,
    Direction,
    Operation,
    Reach,
    Statement,
    Step,
)

PAIR = (Host(1, 1, "a", 9000), Host(1, 2, "b", 9000))
OLD = Topology(Arrangement.ON_CLUSTER, "crew", PAIR, "{shard}-{replica}")
ATOMIC = Topology(Arrangement.ON_CLUSTER, "crew", PAIR, "{shard}-{replica}", uuids=True)
SHARDS = Topology(Arrangement.ON_CLUSTER, "crew", (*PAIR, Host(2, 1, "c", 9000)), "{replica}")
ITSELF = Topology(Arrangement.SELF_REPLICATING, hosts=PAIR, uuids=True)

CREATE = "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a"


def step(*statements: Statement, down: bool = False) -> Step:
    direction = Direction.DOWN if down else Direction.UP
    work = CompiledRevision("001_a", direction, "v/001_a.py", statements)
    if down:
        return Step("001_a", Operation.DOWNGRADE, direction, down=work)
    return Step("001_a", Operation.UPGRADE, direction, up=work)


def place(
    topology: Topology,
    *texts: str,
    reach: Reach = Reach.EVERYWHERE,
    engines: dict[str, str] | None = None,
    down: bool = False,
) -> list[Statement]:
    """Return the statements as they are placed; tables that are there have these engines."""
    known = engines or {}
    placement = Placement(topology, "d", lambda database, table: known.get(table, ""))
    statements = [
        Statement(text, "v/001_a.py", n, reach=reach) for n, text in enumerate(texts, start=1)
    ]
    [placed] = placement.place([step(*statements, down=down)])
    assert placed.work is not None
    return list(placed.work.statements)


def test_on_a_single_server_nothing_changes() -> None:
    [statement] = place(Topology(), CREATE)
    assert statement.placed is None
    assert statement.sent == CREATE


@pytest.mark.parametrize(
    ("topology", "down", "engine"),
    [
        (ATOMIC, False, "ReplicatedMergeTree ORDER BY a"),
        (
            OLD,
            False,
            "ReplicatedMergeTree('/clickhouse/tables/{shard}/d/t/001_a-1', '{shard}-{replica}') "
            "ORDER BY a",
        ),
        (
            OLD,
            True,
            "ReplicatedMergeTree('/clickhouse/tables/{shard}/d/t/001_a-1-down', "
            "'{shard}-{replica}') ORDER BY a",
        ),
    ],
)
def test_a_table_is_made_on_every_host_and_replicated(
    topology: Topology, down: bool, engine: str
) -> None:
    [statement] = place(topology, CREATE, down=down)
    assert statement.sent == f"CREATE TABLE t ON CLUSTER `crew` (a Int8) ENGINE = {engine}"
    assert statement.placed is not None
    assert statement.placed.queued


def test_a_database_that_replicates_itself_gets_no_on_cluster() -> None:
    [statement] = place(ITSELF, CREATE)
    assert statement.sent == "CREATE TABLE t (a Int8) ENGINE = ReplicatedMergeTree ORDER BY a"
    assert statement.placed is not None
    assert not statement.placed.queued


def test_every_table_that_parallel_with_makes_is_replicated() -> None:
    [statement] = place(ITSELF, f"{CREATE} PARALLEL WITH {CREATE.replace('t (', 'u (')}")
    assert statement.sent == (
        "CREATE TABLE t (a Int8) ENGINE = ReplicatedMergeTree ORDER BY a PARALLEL WITH "
        "CREATE TABLE u (a Int8) ENGINE = ReplicatedMergeTree ORDER BY a"
    )


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a Int8) ORDER BY a",
        "CREATE TABLE IF NOT EXISTS `engine` (a Int8 DEFAULT (1 AS x))",
        "CREATE OR REPLACE TABLE t (a Int8) PRIMARY KEY a",
        "CREATE TABLE t (a Int8) ORDER BY a EMPTY AS SELECT 1 AS a",
        "CREATE MATERIALIZED VIEW m ORDER BY a AS SELECT 1 AS a",
        f"{CREATE} PARALLEL WITH CREATE TABLE u (a Int8) ORDER BY a",
    ],
)
def test_a_table_without_an_engine_is_refused_on_a_cluster(text: str) -> None:
    for topology in (ATOMIC, ITSELF):
        with pytest.raises(RevisionError, match="The table has no ENGINE: each host would make"):
            place(topology, text)
    [alone] = place(Topology(), text)
    [as_written] = place(ITSELF, text, reach=Reach.UNREPLICATED)
    assert alone.sent == as_written.sent == text


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t AS u",
        "CREATE TABLE t ORDER BY a AS u",
        "CREATE TABLE t AS numbers(3)",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "CREATE MATERIALIZED VIEW m TO t AS SELECT 1 AS a",
        "CREATE MATERIALIZED VIEW m REFRESH EVERY 1 DAY TO t AS SELECT 1 AS a",
        "CREATE VIEW v AS SELECT 1 AS a",
        "CREATE DICTIONARY c (a Int8) PRIMARY KEY a SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
    ],
)
def test_what_needs_no_engine_of_its_own_is_sent_as_it_is(text: str) -> None:
    [statement] = place(ITSELF, text)
    assert statement.sent == text


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f AS x -> x + 1",
        "CREATE OR REPLACE FUNCTION f AS x -> x + 1",
        "DROP FUNCTION IF EXISTS f",
        "CREATE USER u IDENTIFIED WITH no_password",
        "GRANT SELECT ON t TO u",
        "CREATE ROW POLICY p ON t USING 1 TO u",
        "CREATE NAMED COLLECTION c AS a = 1",
        "ALTER NAMED COLLECTION c SET a = 2",
        "CREATE WORKLOAD w",
        "CREATE DATABASE more",
        "DROP DATABASE more",
        "TRUNCATE TABLE t PARALLEL WITH DROP FUNCTION f",
    ],
)
def test_a_replicated_database_does_not_replicate_what_is_not_in_it(text: str) -> None:
    with pytest.raises(RevisionError, match="Only one host would run it") as caught:
        place(ITSELF, text)
    assert caught.value.hint.startswith("Write ON CLUSTER `d` into the statement")
    [here] = place(ITSELF, text, reach=Reach.HERE)
    [alone] = place(Topology(), text)
    assert here.sent == alone.sent == text


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f ON CLUSTER d AS x -> x + 1",
        "CREATE DATABASE IF NOT EXISTS d ENGINE = Replicated('/d', 's', 'r')",
        "DROP TABLE function",
        "ALTER TABLE t ADD COLUMN named Int8",
    ],
)
def test_what_is_in_it_or_on_the_cluster_passes(text: str) -> None:
    [statement] = place(ITSELF, text)
    assert statement.sent == text


def test_what_makes_it_the_same_statement_is_what_the_file_says() -> None:
    [statement] = place(OLD, CREATE)
    assert statement.parts() == [CREATE]
    assert statement.text == CREATE


def test_a_reach_makes_it_another_statement() -> None:
    [statement] = place(OLD, CREATE, reach=Reach.HERE)
    assert statement.parts() == ["here", CREATE]


def test_a_revision_can_leave_an_engine_or_all_of_it_as_it_is() -> None:
    [each] = place(OLD, CREATE, reach=Reach.UNREPLICATED)
    assert each.sent == CREATE.replace("TABLE t", "TABLE t ON CLUSTER `crew`")
    [here] = place(OLD, CREATE, reach=Reach.HERE)
    assert here.sent == CREATE
    assert here.placed is not None
    assert not here.placed.queued


def test_on_cluster_that_was_written_by_hand_is_followed_too() -> None:
    text = "DROP TABLE t ON CLUSTER crew"
    for reach in Reach:
        [statement] = place(OLD, text, reach=reach)
        assert statement.sent == text
        assert statement.placed is not None
        assert statement.placed.queued


@pytest.mark.parametrize("engine", ["ReplicatedMergeTree", "SharedMergeTree", "Distributed", ""])
def test_rows_are_sent_once_into_tables_that_share_them(engine: str) -> None:
    text = "INSERT INTO t SELECT 1"
    [statement] = place(OLD, text, engines={"t": engine})
    assert statement.sent == text
    assert statement.placed is not None
    assert not statement.placed.queued


@pytest.mark.parametrize("engine", ["MergeTree", "Log", "Memory"])
def test_rows_that_would_be_on_one_host_are_refused_with_the_place(engine: str) -> None:
    with pytest.raises(RevisionError, match="The rows would be on one host only") as refused:
        place(OLD, "INSERT INTO t SELECT 1", engines={"t": engine})
    assert refused.value.message.startswith("001_a  statement 1 (v/001_a.py:1): ")


def test_a_table_is_known_by_the_statement_before_that_makes_it() -> None:
    _, inserted = place(OLD, CREATE, "INSERT INTO d.t SELECT 1", engines={"t": "Log"})
    assert inserted.placed is not None
    with pytest.raises(RevisionError, match="the table is a Log"):
        place(OLD, "CREATE TABLE u (a Int8) ENGINE = Log", "INSERT INTO u SELECT 1")


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        (["CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = Log"], False),
        (["DROP TABLE t", "CREATE TABLE t (a Int8) ENGINE = Log"], True),
        (["RENAME TABLE t TO old, logs TO t"], True),
        (["EXCHANGE TABLES t AND logs"], True),
        (["EXCHANGE TABLES t AND logs", "EXCHANGE TABLES t AND logs"], False),
    ],
)
def test_a_table_is_what_the_statements_before_have_made_of_it(
    before: list[str], refused: bool
) -> None:
    engines = {"t": "ReplicatedMergeTree", "logs": "Log"}
    statements = [*before, "INSERT INTO t SELECT 1"]
    if refused:
        with pytest.raises(RevisionError, match="the table is a Log"):
            place(OLD, *statements, engines=engines)
    else:
        assert place(OLD, *statements, engines=engines)[-1].sent == statements[-1]


@pytest.mark.parametrize("engine", ["ReplicatedMergeTree", ""])
def test_with_shards_rows_go_through_a_distributed_table(engine: str) -> None:
    with pytest.raises(RevisionError, match="in one of 2 shards only"):
        place(SHARDS, "INSERT INTO t SELECT 1", engines={"t": engine})
    [statement] = place(SHARDS, "INSERT INTO t SELECT 1", engines={"t": "Distributed"})
    assert statement.placed is not None
    [here] = place(SHARDS, "INSERT INTO t SELECT 1", engines={"t": engine}, reach=Reach.HERE)
    assert here.placed is not None


def test_a_backfill_is_left_to_who_runs_it() -> None:
    asked = Backfill("t", "SELECT 1 WHERE {chunk}", "s", "partition", 10)
    text = "INSERT INTO t SELECT 1 WHERE (1)"
    placement = Placement(OLD, "d", lambda database, table: "MergeTree")
    [placed] = placement.place([step(Statement(text, backfill=asked))])
    assert placed.work is not None
    [statement] = placed.work.statements
    assert statement.sent == text
    assert statement.placed is not None
    assert not statement.placed.queued


def test_a_step_that_changes_the_ledger_alone_is_left() -> None:
    stamped = Step("001_a", Operation.STAMP, Direction.UP)
    placement = Placement(OLD, "d", lambda database, table: "")
    assert placement.place([stamped]) == [stamped]
