"""Clusters of Debian's old servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.aim import drop_database
from tests.support import targets
from tests.support.cluster import Cluster


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One shard, two replicas. Do not stop a node: make a :class:`Cluster` of your own."""
    targets.require_old_server()
    targets.require_zookeeper()
    with Cluster(tmp_path_factory.mktemp("pair")) as cluster:
        yield cluster


@pytest.fixture
def dropped(pair: Cluster, database: str) -> Iterator[None]:
    """Leaves the hosts of the session without the test's database."""
    yield
    drop_database(pair, database)
