"""Tell one server from two that answer at one address; read-only."""

from __future__ import annotations

from budeval_migrations.clickhouse.cluster.topology import Arrangement
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError

# Requests over one connection that must all reach one server.
_LOOKS = 4
# Seconds by which the start of one server may seem to differ.
_TOLERANCE = 2


def check_one_server(session: Session) -> None:
    """Raise where two servers answer at the address that do not belong together.

    A balancer before such servers makes tables come and go. One that sends each
    connection to another server is found too, since a second connection asks as well;
    one that seldom changes is not found for sure.

    Raises:
        EngineError: Names both.

    """
    if session.embedded or session.topology.arrangement is not Arrangement.SINGLE:
        return
    found = [_identity(session) for _ in range(_LOOKS)]
    other = session.twin()
    try:
        found.append(_identity(other))
    finally:
        other.close()
    first = found[0]
    for each in found[1:]:
        if (each[0], each[1]) != first[:2] or abs(each[2] - first[2]) > _TOLERANCE:
            raise EngineError(
                f"Two servers answer at {session.shown}: {_shown(first)} and {_shown(each)}. "
                "What one of them has, the other may lack.",
                hint="Name one of them in the URL. If they are a cluster, set cluster in "
                "[budeval_migrations] of alembic.ini.",
            )


def _identity(session: Session) -> tuple[str, str, int]:
    """Return a server's host, its id where it has one, and when it started, in seconds."""
    # Since when there is serverUUID() is not known; 22.8 has it.
    uuid = "toString(serverUUID())" if session.features.version >= (22, 8) else "''"
    [[host, name, start]] = session.ask(
        f"SELECT hostName(), {uuid}, toString(toInt64(toUnixTimestamp(now())) - uptime())"
    )
    return str(host), str(name), int(start)


def _shown(identity: tuple[str, str, int]) -> str:
    host, uuid, _ = identity
    return f"{host} ({uuid})" if uuid else host
