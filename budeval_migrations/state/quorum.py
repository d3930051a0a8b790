"""Read and write rows of the bookkeeping: on a cluster, no stale answers, and a majority.

A row is written when a majority of the hosts has it, and a reader gets no answer from a
host that lacks such a row: so it does not matter which of them is asked.

https://clickhouse.com/docs/operations/settings/settings#insert_quorum
https://clickhouse.com/docs/operations/settings/settings#select_sequential_consistency
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import BEHIND, NO_QUORUM, READONLY
from budeval_migrations.clickhouse.transports.base import NOTHING, Row
from budeval_migrations.errors import EngineError
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state import schema

# Seconds that a host may take to catch up before a reader, or a writer, gives up on it.
PATIENCE = 30.0
_POLL = 0.2
# Seconds that a row may take to reach the majority.
_QUORUM_TIMEOUT = 30
_SEQUENTIAL = {"select_sequential_consistency": "1"}


def read(session: Session, sql: str, *, own: bool = True) -> list[Row]:
    """Return the rows of a SELECT from tables of ours; on a cluster, all that were written.

    Args:
        own: As of :meth:`.Session.query`.

    A user with ``readonly = 1`` cannot ask for that and gets what the host has.

    Raises:
        EngineError: The server refused; or the host is behind, and stayed so.

    """
    if not session.settings.cluster or session.embedded:
        return session.query(sql, own=own)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return session.query(sql, settings=_SEQUENTIAL, own=own)
        except EngineError as error:
            if error.code == READONLY:
                return session.query(sql, own=own)
            if error.code not in BEHIND and not keeper.is_away(error):
                raise
            if time.monotonic() >= until:
                raise EngineError(
                    f"{session.shown} cannot tell for {PATIENCE:.0f} s whether it has all rows of "
                    f"the ledger: {error.message}",
                    code=error.code,
                    hint="Look at system.replicas and system.replication_queue on it, or ask "
                    "another host.",
                ) from error
        interrupts.sleep(_POLL)


def writing(session: Session) -> Mapping[str, str]:
    """Return the settings for an INSERT into a table of ours."""
    topology = session.topology
    if len(topology.hosts) < 2:
        return NOTHING
    settings = {
        **_SEQUENTIAL,
        "insert_quorum": str(topology.majority),
        "insert_quorum_timeout": str(_QUORUM_TIMEOUT * 1000),
    }
    if session.features.insert_quorum_parallel:
        # Parallel quorums promise nothing to sequential readers.
        settings["insert_quorum_parallel"] = "0"
    return settings


def insert(
    session: Session,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, str] = NOTHING,
) -> None:
    """Append rows to a table of ours that is not fenced; on a cluster, to a majority.

    Raises:
        EngineError: The server refused; or a majority of the hosts did not get the
            insert before this one in half a minute.

    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            session.insert(table, rows, settings={**writing(session), **settings})
            return
        except EngineError as error:
            if error.code not in NO_QUORUM or not session.topology.hosts:
                raise
            if time.monotonic() >= until:
                raise no_majority(session, error) from error
        interrupts.sleep(_POLL)


def no_majority(session: Session, error: EngineError) -> EngineError:
    """Return the error that says that too few hosts take what is written."""
    topology = session.topology
    unreachable = [] if keeper.is_away(error) else _inactive(session)
    named = f" (unreachable: {', '.join(unreachable)})" if unreachable else ""
    return EngineError(
        f"The bookkeeping cannot be written to {topology.majority} of the {len(topology.hosts)} "
        f"hosts of {topology.cluster or session.database}{named}: {error.message}",
        code=error.code,
        hint="Bring back the unreachable and lagging hosts (system.replicas), then run again.",
    )


def _inactive(session: Session) -> list[str]:
    """Return the hosts whose replica of the lock Keeper does not see, as ``name:port``."""
    path = f"{schema.keeper_path(session.database)}/{schema.LOCK}"
    return sorted(r.host for r in keeper.replicas(session, path) if not r.active)
