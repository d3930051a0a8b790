"""Forms of DDL that 18.16 runs ON CLUSTER, put there by the tool and run on two hosts."""

from __future__ import annotations

import threading

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import DistributedDDLPending
from budeval_migrations.events import Event, StatementWaiting
from tests.cluster.aim import aim, count, patiently, tables
from tests.support.cluster import Cluster
from tests.support.project import Project

pytestmark = [pytest.mark.old, pytest.mark.timeout(600), pytest.mark.usefixtures("dropped")]


def forms(database: str) -> list[str]:
    """Statements that follow each other; the last of each kind leaves something to look at."""
    return [
        f"CREATE DATABASE {database}_b",
        f"DROP DATABASE {database}_b",
        "CREATE TABLE a (d Date, k UInt64, v UInt64) "
        "ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY k",
        "CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = Log",
        "CREATE TABLE sums (k UInt64, v UInt64) ENGINE = SummingMergeTree(v) ORDER BY k",
        f"CREATE MATERIALIZED VIEW mv TO {database}.sums AS SELECT k, v FROM {database}.a",
        f"CREATE VIEW v AS SELECT k FROM {database}.a",
        "CREATE TABLE log (x Int8) ENGINE = Log",
        f"CREATE TABLE like_log AS {database}.log",
        "INSERT INTO a SELECT toDate('2026-01-15') + number * 31, number, 1 "
        "FROM system.numbers LIMIT 3",
        "ALTER TABLE a ADD COLUMN note String AFTER k",
        "ALTER TABLE a MODIFY COLUMN note String DEFAULT 'x'",
        "ALTER TABLE a ADD COLUMN gone Int8",
        "ALTER TABLE a DROP COLUMN gone",
        "ALTER TABLE a DROP PARTITION 202601",
        "ALTER TABLE a DELETE WHERE k = 1",
        "OPTIMIZE TABLE a",
        "RENAME TABLE log TO renamed, like_log TO renamed_too",
        "DETACH TABLE renamed",
        "ATTACH TABLE renamed",
        "TRUNCATE TABLE renamed",
        "DROP TABLE IF EXISTS missing",
        "DROP TABLE renamed_too",
    ]


def test_each_form_is_done_on_every_host(pair: Cluster, project: Project, database: str) -> None:
    project.write_revision("001_forms", None, forms(database))
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up", "--verbose")
    assert done.returncode == 0, done.output
    for node in pair.nodes:
        assert {"a", "sums", "mv", "v", "renamed"} == {
            name for name in tables(node, database) if not name.startswith(("schema_", "alembic_"))
        }
        described = node.query(
            "SELECT name FROM system.columns WHERE table = 'a'", database=database
        )
        assert described.split() == ["d", "k", "note", "v"]
    assert count(pair.nodes, database, "a") == [1, 1]
    assert count(pair.nodes, database, "v") == [1, 1]
    assert count(pair.nodes, database, "sums") == [3, 3]


def test_a_mutation_is_waited_for_on_every_host(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision(
        "001_a",
        None,
        [
            "CREATE TABLE a (k UInt64) ENGINE = MergeTree ORDER BY k",
            "INSERT INTO a SELECT number FROM system.numbers LIMIT 10",
        ],
    )
    aim(project, pair.nodes[0], database)
    assert patiently(project, pair, "up").returncode == 0
    project.write_revision("002_b", "001_a", "ALTER TABLE a DELETE WHERE k < 4")
    late = pair.nodes[1]
    late.query(f"SYSTEM STOP REPLICATION QUEUES {database}.a")
    waited: list[str] = []
    go = threading.Timer(4, late.query, (f"SYSTEM START REPLICATION QUEUES {database}.a",))

    def listen(event: Event) -> None:
        if isinstance(event, StatementWaiting):
            waited.append(event.what)

    go.start()
    try:
        bm.upgrade(
            url=pair.nodes[0].url(database=database),
            database=database,
            cluster="crew",
            versions=[str(project.versions)],
            on_event=listen,
        )
    except DistributedDDLPending:
        assert pair.revive()  # 18.16 has lost the worker that takes it from the queue
        assert patiently(project, pair, "up").returncode == 0
    finally:
        go.join()
    assert any("to do" in doing or "waiting for" in doing for doing in waited), waited
    assert count(pair.nodes, database, "a") == [6, 6]
