"""Find out how many servers a database lives on, and how they keep together; read-only."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from budeval_migrations.counting import counted
from budeval_migrations.errors import ConfigError
from budeval_migrations.sql import quote

if TYPE_CHECKING:
    from budeval_migrations.clickhouse.connection import Session

AUTO = "auto"


class Arrangement(Enum):
    """How a change of the schema reaches every server."""

    SINGLE = "single server"
    ON_CLUSTER = "on cluster"  # each statement says ON CLUSTER
    SHADOW = "shadow"  # an embedded server in the place of another: stand-ins for what it lacks
    SELF_REPLICATING = "replicated database"  # the database engine does it; ON CLUSTER is refused


# Database engines that carry DDL to every replica by themselves; Shared is ClickHouse Cloud's.
# https://clickhouse.com/docs/engines/database-engines/replicated
_SELF_REPLICATING = frozenset({"Replicated", "Shared"})


@dataclass(frozen=True, order=True)
class Host:
    """A server as ``system.clusters`` names it.

    Attributes:
        port: Of the native protocol.
        local: It is the one that was asked.

    """

    shard: int
    replica: int
    name: str
    port: int
    local: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Topology:
    """The servers of a database.

    Attributes:
        cluster: The name for ON CLUSTER; empty where none is to be said.
        hosts: All of them, by shard and replica; empty for a single server.
        replica: What names a replica in Keeper, in macros; no two hosts have the same.
            Empty where the servers define no macro for it.
        uuids: The database gives its tables UUIDs, the same on every host.

    """

    arrangement: Arrangement = Arrangement.SINGLE
    cluster: str = ""
    hosts: tuple[Host, ...] = ()
    replica: str = ""
    uuids: bool = False

    @property
    def on_cluster(self) -> bool:
        """Each change of the schema has to say ON CLUSTER."""
        return self.arrangement is Arrangement.ON_CLUSTER

    @property
    def shards(self) -> int:
        """How many parts the data is in."""
        return len({host.shard for host in self.hosts}) or 1

    @property
    def majority(self) -> int:
        """How many hosts any two majorities have at least one of in common."""
        return len(self.hosts) // 2 + 1

    def __str__(self) -> str:
        if self.arrangement in (Arrangement.SINGLE, Arrangement.SHADOW):
            return ""
        named = f" {self.cluster}" if self.cluster else ""
        kind = "cluster" if self.arrangement is Arrangement.ON_CLUSTER else self.arrangement.value
        hosts = counted(len(self.hosts), "host")
        return f"{kind}{named}: {hosts} in {counted(self.shards, 'shard')}"


def read_topology(session: Session) -> Topology:
    """Return the servers of the target database; asks system tables only.

    chDB is always a single server, so that a laptop can share a configuration.

    Raises:
        ConfigError: The cluster of the settings is not known to the server, or
            ``auto`` finds several.
        EngineError: The server cannot be asked.

    """
    if session.embedded:
        return Topology()
    wanted = session.settings.cluster
    name = quote.string(session.database)
    engines = session.ask(f"SELECT engine FROM system.databases WHERE name = {name}")
    fresh = "Atomic" if session.features.atomic_by_default else ""
    engine = str(engines[0][0]) if engines else fresh
    if not wanted and engine not in _SELF_REPLICATING:
        return Topology()  # without a look at what a plain user may not read
    clusters: dict[str, list[Host]] = {}
    for cluster, shard, replica, host, port, local in session.ask(
        "SELECT cluster, shard_num, replica_num, host_name, port, is_local FROM system.clusters"
    ):
        found = Host(int(shard), int(replica), str(host), int(port), bool(int(local)))
        clusters.setdefault(str(cluster), []).append(found)
    macros = session.ask("SELECT macro, substitution FROM system.macros")
    return arrange(
        wanted,
        session.database,
        engine,
        {name: tuple(sorted(hosts)) for name, hosts in clusters.items()},
        {str(macro): str(value) for macro, value in macros},
    )


def arrange(
    wanted: str,
    database: str,
    engine: str,
    clusters: Mapping[str, tuple[Host, ...]],
    macros: Mapping[str, str],
) -> Topology:
    """Return the topology that these rows of the system tables mean; pure.

    Args:
        wanted: The setting ``cluster``: a name, perhaps with macros, ``auto``, or empty.
        engine: The engine of the target database, or of the one that would be made.

    Raises:
        ConfigError: See :func:`read_topology`.

    """
    if engine in _SELF_REPLICATING:
        # The server lists each Replicated database as a cluster of its own.
        hosts = clusters.get(database, ())
        return Topology(Arrangement.SELF_REPLICATING, hosts=hosts, uuids=True)
    if not wanted:
        return Topology()
    name = _expanded(wanted, macros) if wanted != AUTO else _found(clusters, macros)
    if not name:
        return Topology()
    if name not in clusters:
        raise ConfigError(f"The server knows no cluster {name}.", hint=_near(name, list(clusters)))
    return Topology(
        Arrangement.ON_CLUSTER, name, clusters[name], _replica(macros), engine == "Atomic"
    )


def _replica(macros: Mapping[str, str]) -> str:
    if "replica" not in macros:
        return ""
    # Some installations count replicas within a shard, others through all of them.
    return "{shard}-{replica}" if "shard" in macros else "{replica}"


def _expanded(name: str, macros: Mapping[str, str]) -> str:
    for macro, value in macros.items():
        name = name.replace(f"{{{macro}}}", value)
    return name


def _found(clusters: Mapping[str, tuple[Host, ...]], macros: Mapping[str, str]) -> str:
    """Return the cluster that ``auto`` means: what the macro says, or the only one there is."""
    if macros.get("cluster") in clusters:
        return macros["cluster"]
    several = sorted(
        name
        for name, hosts in clusters.items()
        if len(hosts) > 1 and any(host.local for host in hosts) and not name.startswith("test_")
    )
    if len(several) > 1:
        raise ConfigError(
            f"cluster = auto could mean several: {', '.join(several)}.",
            hint="Name one of them, or define the macro {cluster} on the servers.",
        )
    return several[0] if several else ""


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known: {', '.join(sorted(known))}." if known else "It has none in remote_servers."
