"""A cluster is found from its system tables, and shown."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ConfigError
from tests.support.cluster import Cluster
from tests.support.project import Project

pytestmark = pytest.mark.old


@pytest.mark.parametrize("name", ["crew", "auto", "{cluster}"])
@pytest.mark.parametrize("node", [0, 1])
def test_status_shows_the_cluster(
    pair: Cluster, project: Project, database: str, name: str, node: int
) -> None:
    project.write_revision("001_a", None, "SELECT 1")
    server = pair.nodes[node]
    project.configure(url=server.url(database=database), database=database, cluster=name)
    status = project.cli("status")
    assert status.returncode == 0, status.output
    assert "cluster crew: 2 hosts in 1 shard" in status.output


def test_a_cluster_that_the_server_does_not_know_is_named(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision("001_a", None, "SELECT 1")
    with pytest.raises(ConfigError, match="knows no cluster crow") as refused:
        bm.status(
            url=pair.nodes[0].url(database=database),
            versions=[str(project.versions)],
            cluster="crow",
        )
    assert refused.value.hint == "Did you mean crew?"
