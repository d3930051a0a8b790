"""Point a project at a host of a cluster, and look at what the hosts have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from budeval_migrations.errors import DistributedDDLPending
from tests.support.cluster import Cluster, Node
from tests.support.project import Finished, Project
from tests.support.servers import OldServer, QueryError

# What every host has to have of our own.
BOOKKEEPING = {
    "alembic_version",
    "schema_migrations",
    "schema_migrations_journal",
    "schema_migrations_lock",
}

_TIMEOUT = 159  # TIMEOUT_EXCEEDED: a host has not answered for its part of an ON CLUSTER


def aim(project: Project, node: OldServer, database: str, **settings: str) -> None:
    """Write an ``alembic.ini`` that leads to one host of the cluster ``crew``."""
    settings = {"cluster": "crew", "ddl_timeout": "60", **settings}
    project.configure(url=node.url(database=database), database=database, **settings)


def patiently(
    project: Project, cluster: Cluster, *words: str, env: Mapping[str, str] | None = None
) -> Finished:
    """Run a command as an operator would who knows this server, and revives hosts."""
    return attempts(project, cluster, *words, env=env)[-1]


def attempts(
    project: Project, cluster: Cluster, *words: str, env: Mapping[str, str] | None = None
) -> list[Finished]:
    """Run a command as :func:`patiently` does; return every attempt, the last one at the end."""
    done = [project.cli(*words, env=env, timeout=300)]
    while done[-1].returncode == DistributedDDLPending.exit_code:
        dead = cluster.revive()
        if not dead:
            break
        said = done[-1]
        assert any(f"127.0.0.1:{node.tcp_port}" in said.stderr for node in dead), said.output
        done.append(project.cli(*words, env=env, timeout=300))
    return done


def drop_database(cluster: Cluster, database: str) -> None:
    """Drop a database on every host, and leave every host at work.

    18.16 finds its directory not empty while a table of it is still being dropped. A host
    that does not drop its own within the time is restarted: tests that come later need it.
    """
    drop = f"DROP DATABASE IF EXISTS {database} ON CLUSTER crew"
    for left in reversed(range(10)):
        cluster.revive()
        try:
            cluster.nodes[0].query(drop, distributed_ddl_task_timeout="50")
            return
        except QueryError as error:
            if not left or not ("not empty" in str(error) or error.code == _TIMEOUT):
                raise
            if error.code == _TIMEOUT:
                for node in cluster.nodes:
                    node.restart()
            time.sleep(0.5)


def tables(node: OldServer, database: str) -> set[str]:
    """The tables of a database on one host, without the claims of the lock."""
    found = node.query("SHOW TABLES", database=database).split()
    return {name for name in found if not name.startswith("schema_migrations_claim_")}


def catch_up(nodes: Iterable[OldServer], database: str, *tables: str) -> None:
    """Wait until hosts have fetched what others have: a majority of three is two."""
    for node in nodes:
        for table in ("schema_migrations", *tables):
            node.query(f"SYSTEM SYNC REPLICA {database}.{table}")


def heads(cluster: Cluster, database: str) -> list[list[str]]:
    """What ``alembic_version`` says on each host."""
    catch_up(cluster.nodes, database)
    query = "SELECT version_num FROM alembic_version ORDER BY version_num"
    return [node.query(query, database=database).split() for node in cluster.nodes]


def ledger(node: OldServer, database: str) -> list[tuple[str, str]]:
    """Version and operation of every good row, in order, as one host has them."""
    lines = node.query(
        "SELECT version, operation FROM schema_migrations WHERE success = 1 ORDER BY sequence",
        database=database,
    ).splitlines()
    return [tuple(line.split("\t")) for line in lines]  # type: ignore[misc]


def count(nodes: Iterable[Node], database: str, table: str) -> list[int]:
    """How many rows of a table each host has."""
    return [int(n.query(f"SELECT count() FROM {table}", database=database)) for n in nodes]
