"""See to it that the hosts of a cluster are there, and have what a statement may read.

https://clickhouse.com/docs/operations/system-tables/replicas
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import ConfigError, EngineError, HostsNotReady, LedgerError
from budeval_migrations.events import Listener, Notice
from budeval_migrations.execution.host_comparison import compare_hosts
from budeval_migrations.model import Reach
from budeval_migrations.sql import quote
from budeval_migrations.state import schema
from budeval_migrations.state.lock.lock import Lock

_OURS = (schema.LEDGER, schema.JOURNAL, schema.LOCK)


def check_hosts(session: Session, hosts: Hosts, emit: Listener) -> None:
    """Make sure that the hosts are there; read-only.

    Those that are unreachable and shall not be waited for are noted in the session.

    Raises:
        ConfigError: The database replicates itself, and the settings do not say so.
        HostsNotReady: A host is unreachable, or too few are there to record what runs.
        LedgerError: A host has the bookkeeping of a single server.

    """
    topology = session.topology
    if not session.settings.cluster:
        raise ConfigError(
            f"{session.database} is a {topology}, and cluster is not set.",
            hint="Set cluster = auto: other hosts' rows are then waited for.",
        )
    unreachable: dict[str, str] = {}
    for host in topology.hosts:
        try:
            hosts.ask_one(host, _check_ledger)
        except EngineError as error:
            unreachable[str(host)] = error.message
    there = len(topology.hosts) - len(unreachable)
    listed = "\n  ".join(unreachable.values())
    if there < topology.majority:
        raise HostsNotReady(
            f"{there} of {len(topology.hosts)} hosts of {topology.cluster or session.database} are "
            f"there, and what runs is recorded on a majority, {topology.majority}.\n  {listed}",
            hint="Nothing was run. Bring them back, then run again.",
            hosts=tuple(unreachable),
        )
    if unreachable and not session.settings.allow_inactive:
        raise HostsNotReady(
            f"Not every host of {topology} is there.\n  {listed}",
            hint="Nothing was run. Bring them back; or go on without them: --allow-inactive "
            "(they run what they missed when they are back).",
            hosts=tuple(unreachable),
        )
    session.absent = frozenset(unreachable)
    for sentence in unreachable.values():
        emit(Notice(f"Going on without a host. {sentence}"))


def check_sync(
    session: Session, hosts: Hosts, reaches: Mapping[str, Reach], emit: Listener
) -> None:
    """Make sure that the hosts that are there have the same; read-only.

    To be asked by who holds the lock: during somebody's run they differ.

    Args:
        reaches: What revisions want of the tables that they change.

    Raises:
        HostsNotReady: A host takes no writes, is behind by more than ``max_lag``
            seconds, or has not the tables that the others have.

    """
    ours = dict.fromkeys((*_OURS, schema.VERSION_VIEW, schema.KEEPER_LOCK), Reach.HERE)
    found = compare_hosts(session, hosts, {**reaches, **ours})
    serious = [difference for difference in found if difference.serious]
    if serious and not session.settings.allow_inactive:
        listed = "\n  ".join(str(difference) for difference in serious)
        raise HostsNotReady(
            f"The hosts of {session.topology} are not in sync.\n  {listed}",
            hint="Nothing was run. What brings them in sync: budeval-migrate repair --cluster. To "
            "go on as they are: --allow-inactive.",
            hosts=tuple(dict.fromkeys(difference.host for difference in serious)),
        )
    for difference in found:
        emit(Notice(f"Going on all the same. {difference}"))


def _check_ledger(session: Session) -> None:
    names = ", ".join(quote.string(name) for name in (*_OURS, schema.VERSION_VIEW))
    rows = session.ask(
        f"SELECT name, engine FROM system.tables WHERE database = {quote.string(session.database)} "
        f"AND name IN ({names}) AND engine NOT LIKE 'Replicated%' "
        "AND engine NOT LIKE 'Shared%' AND engine != 'View'"
    )
    if rows:
        listed = ", ".join(sorted(str(name) for name, _ in rows))
        raise LedgerError(
            f"{listed} on {session.shown} are tables of a single server, which no other host sees.",
            hint="Nothing was run. docs/cluster.md says how to move them to the cluster.",
        )


class Barrier:
    """Holds a statement back until every host has the rows that were written before it."""

    def __init__(self, session: Session, hosts: Hosts, lock: Lock) -> None:
        self._session = session
        self._hosts = hosts
        self._lock = lock
        # A run before this one may have written rows.
        self._open = not session.topology.on_cluster

    def lower(self) -> None:
        """Say that rows were written."""
        self._open = not self._session.topology.on_cluster

    def wait(self) -> None:
        """Wait until every host has what any host has.

        Raises:
            EngineError: A host cannot be asked, or does not catch up; it is named.

        """
        if self._open:
            return
        for _ in self._hosts.ask(self._sync):
            self._lock.check()
        self._open = True

    def _sync(self, session: Session) -> None:
        database = session.database
        rows = session.ask(
            f"SELECT table FROM system.replicas WHERE database = {quote.string(database)}"
        )
        for (table,) in rows:
            name = f"{quote.identifier(database)}.{quote.identifier(str(table))}"
            keeper.patiently(partial(session.execute, f"SYSTEM SYNC REPLICA {name}"))
