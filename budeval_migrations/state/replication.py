"""Keep the tables of the bookkeeping on every host of a cluster.

Each has one replica on every host, of all shards, under one path in Keeper.
"""

from __future__ import annotations

from budeval_migrations.clickhouse.cluster.ddl_queue import SUBMIT, run_everywhere
from budeval_migrations.clickhouse.cluster.topology import Arrangement
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports.base import Check
from budeval_migrations.errors import ConfigError
from budeval_migrations.sql.on_cluster import put_on_cluster
from budeval_migrations.sql.replicated import replicate
from budeval_migrations.state import schema


def create(session: Session, table: str, text: str) -> None:
    """Create a table or view of ours on every host; idempotent, as its DDL is.

    Args:
        table: Its name.
        text: Its DDL for a single server.

    Raises:
        ConfigError: The servers define no macro that tells their replicas apart.
        EngineError: A host refused, or has not done it in ``ddl_timeout`` seconds.

    """
    topology = session.topology
    if topology.arrangement is Arrangement.SELF_REPLICATING:
        session.execute(replicate(text, "", ""))
    elif topology.on_cluster:
        run_everywhere(session, put_on_cluster(_replicated(session, table, text), topology.cluster))
    else:
        session.execute(text)


def alter(session: Session, text: str) -> None:
    """Change a table of ours on every host; idempotent, as its DDL is.

    Args:
        text: The ALTER for a single server.

    """
    if session.topology.on_cluster:
        run_everywhere(session, put_on_cluster(text, session.topology.cluster))
    else:
        session.execute(text)


def drop(
    session: Session,
    table: str,
    *,
    check: Check | None = None,
    fence: str = "",
    patient: bool = True,
) -> None:
    """Drop a table or view of ours on every host; idempotent.

    Args:
        check: As of :meth:`.Session.execute`; on a cluster, called before it is submitted.
        fence: As there; not on a cluster.
        patient: Wait until every host has done it.

    """
    text = f"DROP TABLE IF EXISTS {table}"
    if not session.topology.on_cluster:
        session.execute(text, check=check, fence=fence)
        return
    if check is not None:
        check()
    text = put_on_cluster(text, session.topology.cluster)
    if patient:
        run_everywhere(session, text)
    else:
        session.execute(text, settings=SUBMIT)


def _replicated(session: Session, table: str, text: str) -> str:
    if not session.topology.replica:
        raise ConfigError(
            f"The hosts of {session.topology.cluster} define no macro {{replica}}, so that nothing "
            "tells their replicas apart.",
            hint="Define <macros><replica>…</replica></macros> on each, and {shard} where there "
            "are several.",
        )
    place = f"{schema.keeper_path(session.database)}/{table}"
    return replicate(text, place, session.topology.replica)
