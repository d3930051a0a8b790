"""What the rows of the system tables mean."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.cluster.topology import Arrangement, Host, Topology, arrange
from budeval_migrations.errors import ConfigError

PAIR = (Host(1, 1, "a", 9000, local=True), Host(1, 2, "b", 9000))
GRID = (*PAIR, Host(2, 1, "c", 9000), Host(2, 2, "d", 9000))
ALONE = (Host(1, 1, "localhost", 9000, local=True),)


@pytest.mark.parametrize("wanted", ["", "auto"])
def test_without_a_cluster_it_is_a_single_server(wanted: str) -> None:
    found = arrange(wanted, "d", "Atomic", {"default": ALONE}, {})
    assert found == Topology()
    assert not str(found)


def test_clusters_do_not_matter_unless_one_is_asked_for() -> None:
    assert arrange("", "d", "Atomic", {"crew": PAIR}, {"cluster": "crew"}) == Topology()


def test_a_named_cluster_is_taken_with_all_its_hosts() -> None:
    found = arrange("crew", "d", "Atomic", {"crew": GRID, "other": PAIR}, {})
    assert found == Topology(Arrangement.ON_CLUSTER, "crew", GRID, replica="", uuids=True)
    assert (found.on_cluster, found.shards, found.majority) == (True, 2, 3)
    assert str(found) == "cluster crew: 4 hosts in 2 shards"


def test_a_cluster_of_one_host_is_one_too_when_it_is_named() -> None:
    found = arrange("default", "d", "Atomic", {"default": ALONE}, {})
    assert str(found) == "cluster default: 1 host in 1 shard"


def test_macros_in_the_name_are_the_servers() -> None:
    found = arrange("{who}-{shard}", "d", "", {"crew-1": PAIR}, {"who": "crew", "shard": "1"})
    assert found.cluster == "crew-1"


def test_auto_takes_what_the_macro_says() -> None:
    found = arrange("auto", "d", "", {"crew": PAIR, "all": GRID}, {"cluster": "crew"})
    assert found.cluster == "crew"


def test_auto_takes_the_only_cluster_that_this_host_is_in() -> None:
    elsewhere = (Host(1, 1, "x", 9000), Host(1, 2, "y", 9000))
    clusters = {"crew": PAIR, "away": elsewhere, "default": ALONE, "test_shard_localhost": GRID}
    assert arrange("auto", "d", "Atomic", clusters, {}).cluster == "crew"


def test_auto_asks_where_there_are_several() -> None:
    with pytest.raises(ConfigError, match="could mean several: all, crew"):
        arrange("auto", "d", "Atomic", {"crew": PAIR, "all": GRID}, {})


@pytest.mark.parametrize(
    ("clusters", "hint"),
    [
        ({"crew": PAIR}, "Did you mean crew?"),
        ({"other": PAIR, "all": GRID}, "Known: all, other."),
        ({}, "It has none in remote_servers."),
    ],
)
def test_a_cluster_that_is_not_there_is_an_error(
    clusters: dict[str, tuple[Host, ...]], hint: str
) -> None:
    with pytest.raises(ConfigError, match="knows no cluster crw") as refused:
        arrange("crw", "d", "Atomic", clusters, {})
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("macros", "replica"),
    [
        ({"shard": "1", "replica": "a"}, "{shard}-{replica}"),
        ({"replica": "a"}, "{replica}"),
        ({"shard": "1"}, ""),
        ({}, ""),
    ],
)
def test_replicas_are_told_apart_by_the_macros_that_there_are(
    macros: dict[str, str], replica: str
) -> None:
    assert arrange("crew", "d", "Atomic", {"crew": PAIR}, macros).replica == replica


@pytest.mark.parametrize(("engine", "uuids"), [("Atomic", True), ("Ordinary", False), ("", False)])
def test_only_an_atomic_database_gives_uuids(engine: str, uuids: bool) -> None:
    assert arrange("crew", "d", engine, {"crew": PAIR}, {}).uuids is uuids


@pytest.mark.parametrize(("count", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_two_majorities_have_a_host_in_common(count: int, majority: int) -> None:
    hosts = tuple(Host(1, n, "h", n) for n in range(count))
    assert Topology(Arrangement.ON_CLUSTER, "crew", hosts).majority == majority


@pytest.mark.parametrize("engine", ["Replicated", "Shared"])
@pytest.mark.parametrize("wanted", ["", "auto", "crew"])
def test_a_database_that_replicates_itself_is_never_told_on_cluster(
    wanted: str, engine: str
) -> None:
    found = arrange(wanted, "d", engine, {"crew": GRID, "d": PAIR}, {"cluster": "crew"})
    assert found == Topology(Arrangement.SELF_REPLICATING, "", PAIR, uuids=True)
    assert str(found) == "replicated database: 2 hosts in 1 shard"
