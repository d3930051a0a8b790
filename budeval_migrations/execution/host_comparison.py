"""Compare what the hosts of a cluster have, and propose what brings them in sync; read-only.

Each host is asked by itself. A table that most of them have is taken for right; one
that only some have is proposed to the others, since a proposal never drops a table
with rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.cluster.topology import Host
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.model import HostDifference, Reach
from budeval_migrations.sql import quote
from budeval_migrations.sql.on_cluster import put_uuid
from budeval_migrations.state import schema

_VIEWS = ("View", "MaterializedView", "LiveView")
_NO_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class _Table:
    engine: str
    text: str
    uuid: str = ""


@dataclass(frozen=True)
class _Look:
    """What one host has.

    Attributes:
        known: Whether it has the database.
        trouble: Of its replicas, by table: what is the matter, and what helps.

    """

    known: bool
    tables: Mapping[str, _Table]
    trouble: Mapping[str, tuple[str, str]]


def compare_hosts(
    session: Session, hosts: Hosts, reaches: Mapping[str, Reach]
) -> list[HostDifference]:
    """Return where the hosts differ, in the order in which it should be mended.

    Hosts that the session counts as absent are left out.

    Args:
        reaches: What revisions want of the tables that they make; those with
            ``HERE`` are not compared.

    """
    looks: dict[Host, _Look] = {}
    found: list[HostDifference] = []
    for host in session.topology.hosts:
        if str(host) in session.absent:
            continue
        try:
            looks[host] = hosts.ask_one(host, _look)
        except EngineError as error:
            reason = error.message.removeprefix(f"Host {host}: ")
            found.append(HostDifference(str(host), "", f"is unreachable: {reason}"))
    database = quote.identifier(session.database)
    if any(look.known for look in looks.values()):
        for host, look in looks.items():
            if not look.known:
                create = f"CREATE DATABASE IF NOT EXISTS {database}"
                found.append(HostDifference(str(host), "", "lacks the database", (create,)))
    apart = {name for name, reach in reaches.items() if reach is Reach.HERE}
    names = sorted(
        {name for look in looks.values() for name in look.tables} - apart,
        key=lambda name: (_is_view(name, looks), name),
    )
    for name in names:
        for difference in _compare(session, name, looks, known=name in reaches):
            found.append(_with_dead_replica(session, hosts, difference, looks))
    for host, look in looks.items():
        for name, (what, helps) in look.trouble.items():
            table = f"{database}.{quote.identifier(name)}"
            found.append(HostDifference(str(host), name, what, (f"{helps} {table}",)))
    return found


def _compare(
    session: Session, name: str, looks: Mapping[Host, _Look], *, known: bool
) -> list[HostDifference]:
    held = {host: look.tables[name] for host, look in looks.items() if name in look.tables}
    [(right, _)] = Counter((t.engine, t.text) for t in held.values()).most_common(1)
    pattern = next(t for t in held.values() if (t.engine, t.text) == right)
    create = put_uuid(pattern.text, pattern.uuid) if "{uuid}" in pattern.text else pattern.text
    table = f"{quote.identifier(session.database)}.{quote.identifier(name)}"
    shared = pattern.engine.startswith(("Replicated", "Shared"))
    found = []
    for host in looks:
        mend: list[str] = []
        if host not in held:
            what, mend = "is missing", [session.redact(create)]
        elif (held[host].engine, held[host].text) != right:
            what = f"differs: {session.redact(held[host].text)}"
            if pattern.engine == held[host].engine == "View":
                mend = [f"DROP TABLE {table}", session.redact(create)]
            elif shared:
                mend = [f"SYSTEM RESTART REPLICA {table}"]
        else:
            continue
        found.append(HostDifference(str(host), name, what, tuple(mend), serious=known or shared))
    return found


def _with_dead_replica(
    session: Session, hosts: Hosts, difference: HostDifference, looks: Mapping[Host, _Look]
) -> HostDifference:
    """Return a difference with what has to go before a table can be made again.

    A host that was set up anew, with the name that it had, is refused its tables as long as
    Keeper has the replicas of the old one (253, REPLICA_ALREADY_EXISTS).
    """
    name = difference.table
    at = {str(host): host for host in looks}[difference.host]
    if name in looks[at].tables:
        return difference
    for peer, look in looks.items():
        table = look.tables.get(name)
        if peer.shard != at.shard or table is None or not table.engine.startswith("Replicated"):
            continue
        dead = hosts.ask_one(peer, lambda there: _dead_replica(there, name, difference.host))
        if dead is None:
            return difference
        path, replica = dead
        what = f"is missing, and Keeper still has its replica {replica}"
        if session.features.drop_replica:
            drop = f"SYSTEM DROP REPLICA {quote.string(replica)} FROM ZKPATH {quote.string(path)}"
            statements = (drop, *difference.statements)
        else:
            what += f": with a Keeper client, first delete {path}/replicas/{replica}"
            statements = difference.statements
        return replace(difference, what=what, statements=statements)
    return difference


def _dead_replica(session: Session, table: str, host: str) -> tuple[str, str] | None:
    """Return path and name of the replica that a host has in Keeper and does not serve."""
    paths = session.ask(
        "SELECT zookeeper_path FROM system.replicas "
        f"WHERE database = {quote.string(session.database)} AND table = {quote.string(table)}"
    )
    for (path,) in paths:
        for replica in keeper.replicas(session, str(path)):
            if replica.host == host and not replica.active:
                return str(path), replica.name
    return None


def _is_view(name: str, looks: Mapping[Host, _Look]) -> bool:
    return any(look.tables[name].engine in _VIEWS for look in looks.values() if name in look.tables)


def _look(session: Session) -> _Look:
    database = quote.string(session.database)
    uuid = "toString(uuid)" if session.features.atomic_databases else "''"
    tables = session.ask(
        f"SELECT name, engine, create_table_query, {uuid} FROM system.tables "
        f"WHERE database = {database}"
    )
    replicas = session.ask(
        "SELECT table, is_readonly, absolute_delay FROM system.replicas "
        f"WHERE database = {database}"
    )
    trouble: dict[str, tuple[str, str]] = {}
    for name, readonly, delay in replicas:
        if int(readonly):
            trouble[str(name)] = ("cannot be written (is_readonly)", "SYSTEM RESTART REPLICA")
        elif int(delay) > session.settings.max_lag:
            trouble[str(name)] = (f"is {int(delay)} s behind", "SYSTEM SYNC REPLICA")
    known = session.ask(f"SELECT count() FROM system.databases WHERE name = {database}")
    return _Look(
        bool(int(known[0][0])),
        {
            str(name): _Table(str(engine), str(text), "" if uid == _NO_UUID else str(uid))
            for name, engine, text, uid in tables
            if not str(name).startswith((schema.CLAIM, ".inner"))
        },
        trouble,
    )
