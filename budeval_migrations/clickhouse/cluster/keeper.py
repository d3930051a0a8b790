"""Ask what is in Keeper, through a server that may have lost it for a moment; read-only.

https://clickhouse.com/docs/operations/system-tables/zookeeper
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import (
    ABORTED,
    INVALID_STATE,
    KEEPER_EXCEPTION,
    NO_ZOOKEEPER,
    is_without_node,
)
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.errors import EngineError
from budeval_migrations.interrupts import interrupts
from budeval_migrations.sql import quote

# Seconds that Keeper may be away: an election, or a restart.
PATIENCE = 60.0
_POLL = 0.25
_T = TypeVar("_T")


@dataclass(frozen=True)
class Replica:
    """A replica of a table, as Keeper has it.

    Attributes:
        host: As ``name:port``, of the native protocol.
        active: Its host has a session with Keeper.

    """

    name: str
    host: str
    active: bool


def patiently(ask: Callable[[], _T]) -> _T:
    """Return an answer that needs Keeper, as soon as the server has it again.

    Args:
        ask: Asks what may be asked again.

    Raises:
        EngineError: The server refused; or it has had no Keeper for a minute.

    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except EngineError as error:
            if not is_away(error) or time.monotonic() >= until:
                raise
        interrupts.sleep(_POLL)


def query(session: Session, sql: str) -> list[Row]:
    """Return the rows of a SELECT that the server answers with Keeper's help.

    Raises:
        EngineError: See :func:`patiently`.

    """
    return patiently(lambda: session.query(sql))


def read_children(session: Session, path: str, columns: str = "name", where: str = "") -> list[Row]:
    """Return what ``system.zookeeper`` has below a path; nothing where there is no such path.

    Args:
        columns: Of ``system.zookeeper``, as in a SELECT.
        where: A further condition.

    Raises:
        EngineError: See :func:`patiently`.

    """
    also = f" AND {where}" if where else ""
    try:
        return query(
            session,
            f"SELECT {columns} FROM system.zookeeper WHERE path = {quote.string(path)}{also}",
        )
    except EngineError as error:
        if is_without_node(error):
            return []
        raise


def replicas(session: Session, path: str) -> list[Replica]:
    """Return the replicas that Keeper has of a table, whether their hosts are there or not.

    Args:
        path: Of the table, as ``system.replicas.zookeeper_path`` has it.

    Raises:
        EngineError: See :func:`patiently`.

    """
    found = []
    for (name,) in read_children(session, f"{path}/replicas"):
        rows = read_children(session, f"{path}/replicas/{name}", "name, value")
        held = {str(key): str(value) for key, value in rows}
        said = dict(line.partition(": ")[::2] for line in held.get("host", "").splitlines())
        host = f"{said.get('host', name)}:{said.get('tcp_port', '')}"
        found.append(Replica(str(name), host, "is_active" in held))
    return found


def is_away(error: EngineError) -> bool:
    """Return whether an error says that the server has no Keeper now."""
    if error.code == KEEPER_EXCEPTION:
        return not is_without_node(error) and "Node exists" not in error.message
    # A replica that opens a new session lets go of who waits for its queue.
    letting_go = error.code == ABORTED and "Shutdown is called" in error.message
    return letting_go or error.code in (NO_ZOOKEEPER, INVALID_STATE)
