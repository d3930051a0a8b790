"""Databases with the same files on one cluster: what one has done is nobody else's doing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.aim import aim, drop_database, patiently
from tests.support.cluster import Cluster
from tests.support.killed_run import kill
from tests.support.project import Project

pytestmark = [pytest.mark.old, pytest.mark.timeout(600)]

CREATE = "CREATE TABLE c (a UInt32) ENGINE = MergeTree ORDER BY a"
ALTER = "ALTER TABLE c ADD COLUMN b UInt8"
COLUMNS = "SELECT count() FROM system.columns WHERE database = '{0}' AND table = 'c' AND name = 'b'"


@pytest.fixture
def tenants(pair: Cluster, database: str) -> Iterator[list[str]]:
    """Names of databases that are dropped at the end."""
    names = [f"{database}_{n}" for n in range(4)]
    yield names
    for name in names:
        drop_database(pair, name)


def write(project: Project) -> None:
    project.write_revision("001_c", None, CREATE)
    project.write_revision("002_b", "001_c", ALTER)


def columns(pair: Cluster, database: str) -> list[str]:
    return [node.query(COLUMNS.format(database)).strip() for node in pair.nodes]


def kill_before(project: Project, words: str) -> None:
    """Run an upgrade that is killed after the intent of a statement, and before it is sent."""
    config = str(project.path / "alembic.ini")
    kill({"config": config, "versions": [str(project.versions)]}, words)


def test_what_another_database_has_done_is_not_taken_for_ours(
    pair: Cluster, project: Project, tenants: list[str]
) -> None:
    write(project)
    mine, other = tenants[:2]
    aim(project, pair.nodes[0], mine, lock_lease="5")
    kill_before(project, "ADD COLUMN")
    aim(project, pair.nodes[0], other)
    ran = patiently(project, pair, "up")
    assert ran.returncode == 0, ran.output
    assert (columns(pair, mine), columns(pair, other)) == (["0", "0"], ["1", "1"])
    aim(project, pair.nodes[0], mine, lock_lease="5")
    ran = patiently(project, pair, "up")
    assert ran.returncode == 0, ran.output
    assert columns(pair, mine) == ["1", "1"]


def test_what_a_person_has_deleted_is_not_taken_for_our_update(
    pair: Cluster, project: Project, tenants: list[str]
) -> None:
    mine = tenants[0]
    create = "CREATE TABLE c (a UInt32, v UInt32) ENGINE = MergeTree ORDER BY a"
    project.write_revision("001_c", None, create)
    aim(project, pair.nodes[0], mine, lock_lease="5")
    assert patiently(project, pair, "up").returncode == 0
    pair.nodes[0].query(f"INSERT INTO {mine}.c VALUES (1, 0)")
    project.write_revision("002_b", "001_c", "ALTER TABLE c UPDATE v = v + 1 WHERE 1")
    kill_before(project, "UPDATE v")
    pair.nodes[0].query(f"ALTER TABLE {mine}.c ON CLUSTER crew DELETE WHERE a = 999")
    ran = patiently(project, pair, "up")
    # Two hosts of 18.16 sometimes both carry out one ALTER: then that is told.
    times = 2 if ran.returncode and "it ran twice" in ran.stderr else 1
    assert (ran.returncode == 0) is (times == 1), ran.output
    assert [node.query(f"SELECT v FROM {mine}.c").split() for node in pair.nodes] == [
        [f"{times}"]
    ] * 2


def test_tenants_at_the_same_time_have_their_own_columns_and_failures(
    pair: Cluster, project: Project, tenants: list[str]
) -> None:
    write(project)
    failing = tenants[-1]
    aim(project, pair.nodes[0], failing)
    assert patiently(project, pair, "up", "001_c").returncode == 0
    pair.nodes[0].query(f"ALTER TABLE {failing}.c ON CLUSTER crew ADD COLUMN b String")
    environments = [
        {
            "BUDEVAL_MIGRATIONS_URL": pair.nodes[n % 2].url(database=name),
            "BUDEVAL_MIGRATIONS_DATABASE": name,
        }
        for n, name in enumerate(tenants)
    ]
    started = [project.start("budeval_migrations", "up", env=env) for env in environments]
    outputs = [process.communicate(timeout=300) for process in started]
    codes = [process.returncode for process in started]
    if pair.revive():  # then those that found their host pending go on
        again = [patiently(project, pair, "up", env=env) for env in environments]
        outputs = [(done.stdout, done.stderr) for done in again]
        codes = [done.returncode for done in again]
    assert codes == [0, 0, 0, 6], outputs
    assert "ClickHouse 44" in outputs[-1][1] or "already exists" in outputs[-1][1], outputs[-1]
    for name in tenants:
        assert columns(pair, name) == ["1", "1"], name
