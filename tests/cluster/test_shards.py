"""Shards: one history for all, and no rows that look inserted everywhere and are in one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import RevisionError
from tests.cluster.aim import (
    BOOKKEEPING,
    aim,
    catch_up,
    drop_database,
    heads,
    ledger,
    patiently,
    tables,
)
from tests.support import targets
from tests.support.cluster import Cluster
from tests.support.project import Project

pytestmark = [pytest.mark.old, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two shards, of two replicas and of one."""
    targets.require_old_server()
    targets.require_zookeeper()
    with Cluster(tmp_path_factory.mktemp("grid"), shards=(2, 1)) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def dropped(grid: Cluster, database: str) -> Iterator[None]:
    """Leaves the hosts without the test's database."""
    yield
    drop_database(grid, database)


def spread(project: Project, database: str) -> None:
    """Write revisions with a table in each shard and a Distributed one over them."""
    project.write_revision(
        "001_tables",
        None,
        [
            "CREATE TABLE local_events (id UInt64) ENGINE = MergeTree ORDER BY id",
            "CREATE TABLE events (id UInt64) "
            f"ENGINE = Distributed(crew, {database}, local_events, id)",
            "INSERT INTO events SELECT number FROM system.numbers LIMIT 10",
        ],
        ["DROP TABLE events", "DROP TABLE local_events"],
    )
    project.write_revision(
        "002_more",
        "001_tables",
        "ALTER TABLE local_events ADD COLUMN more UInt8",
        "ALTER TABLE local_events DROP COLUMN more",
    )


def test_there_is_one_history_for_all_shards(
    grid: Cluster, project: Project, database: str
) -> None:
    spread(project, database)
    aim(project, grid.nodes[2], database)
    done = patiently(project, grid, "up")
    assert done.returncode == 0, done.output
    status = project.cli("status")
    assert "cluster crew: 3 hosts in 2 shards" in status.stdout
    catch_up(grid.nodes, database)
    for node in grid.nodes:
        assert tables(node, database) == BOOKKEEPING | {"events", "local_events"}
        assert ledger(node, database) == [
            ("001_tables", "upgrade"),
            ("002_more", "upgrade"),
        ]
    assert heads(grid, database) == [["002_more"]] * 3
    aim(project, grid.nodes[0], database)
    validated = project.cli("validate")
    assert validated.returncode == 0, validated.output
    back = patiently(project, grid, "down", "base")
    assert back.returncode == 0, back.output
    for node in grid.nodes:
        assert tables(node, database) == BOOKKEEPING
    assert heads(grid, database) == [[], [], []]


def test_rows_that_would_be_in_one_shard_are_refused(
    grid: Cluster, project: Project, database: str
) -> None:
    spread(project, database)
    project.write_revision("003_rows", "002_more", "INSERT INTO local_events (id) SELECT 1")
    aim(project, grid.nodes[0], database)
    settings = {
        "url": grid.nodes[0].url(database=database),
        "database": database,
        "cluster": "crew",
        "versions": [str(project.versions)],
    }
    with pytest.raises(RevisionError, match="The rows would be in one of 2 shards only") as refused:
        bm.upgrade(**settings)  # type: ignore[arg-type]
    assert "op.execute_here" in refused.value.hint
    assert database not in grid.nodes[0].query("SHOW DATABASES")


def test_one_shard_can_be_meant(grid: Cluster, project: Project, database: str) -> None:
    spread(project, database)
    project.write_revision(
        "003_rows",
        "002_more",
        body="""
        def upgrade():
            op.execute_here("INSERT INTO local_events (id) SELECT 77")
        """,
    )
    aim(project, grid.nodes[1], database)
    done = patiently(project, grid, "up")
    assert done.returncode == 0, done.output
    for node in grid.nodes[:2]:
        assert "77" in node.query("SELECT id FROM local_events", database=database).split()
    assert "77" not in grid.nodes[2].query("SELECT id FROM local_events", database=database).split()
