"""Which store the lock is kept in, and what is true of both together.

Chooses KeeperMap or tokens, claims a generation there, reads the holder, and
breaks a lease. Every function looks at both tables, because a server may be
given a Keeper, or lose it, between two runs, or during one.
"""

from __future__ import annotations

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.data_directory import check_directory
from budeval_migrations.clickhouse.failures import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    NO_ELEMENTS_IN_CONFIG,
    UNKNOWN_STORAGE,
)
from budeval_migrations.clickhouse.url import embedded_path
from budeval_migrations.errors import EngineError, LockError
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state import replication, schema
from budeval_migrations.state.lock.claims import ClaimStore
from budeval_migrations.state.lock.lease import (
    BEAT,
    Claim,
    Holder,
    KeeperStore,
    LeaseStore,
    TokenStore,
)
from budeval_migrations.state.own_tables import read_engines

# KeeperMap came with 22.9, strict mode for claims and updates alike by 23.8.
_KEEPER_SINCE = (23, 8)

STORES: dict[str, LeaseStore] = {schema.LOCK: TokenStore(), schema.KEEPER_LOCK: KeeperStore()}


def stores(session: Session) -> dict[str, LeaseStore]:
    """Return how a lease is kept on this server, by the table that it is kept in."""
    if session.features.insert_deduplication_token:
        return STORES
    return {**STORES, schema.LOCK: ClaimStore()}


class LockPlace:
    """Where one claimant claims: chosen once, and again when it turns out to have moved.

    A server may be given a Keeper while somebody holds a lease by token. Whoever
    comes to Keeper first claims the next token for good, which it can only once
    that lease is over. Whoever claims a token looks for Keeper's table afterwards
    and gives way: of two that do this at once, one sees the other.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store: LeaseStore | None = None

    def read(self) -> Holder | None:
        """Return who has the lock, or had it last; creates the lock's table.

        Raises:
            EngineError: Keeper does not answer, or the user may not create the table.
            LockError: The lock is in Keeper, which this server no longer offers.

        """
        store = self._settle()
        newest = store.read(self._session) if store is not None else None
        # A new table in Keeper goes on where the tokens ended.
        return newest or read_holder(self._session)

    def claim(self, claim: Claim, doing: str) -> LeaseStore | None:
        """Claim a generation; None when it was not won: look again."""
        session, store = self._session, self._settle()
        if store is None:
            tokens = TokenStore()
            if tokens.claim(session, claim, doing):
                tokens.move(session, claim)
            return None
        if not store.claim(session, claim, doing):
            return None
        if store.table == schema.LOCK and schema.KEEPER_LOCK in read_tables(session):
            self._store = None
            store.release(session, claim, doing)
            return None
        return store

    def _settle(self) -> LeaseStore | None:
        """Choose the store; None while a lock by token is still to be moved to Keeper."""
        if self._store is None:
            store = choose_store(self._session)
            if store.table == schema.KEEPER_LOCK and _is_to_be_moved(self._session):
                return None
            self._store = store
        return self._store


def choose_store(session: Session) -> LeaseStore:
    """Return the store in which the next generation is to be claimed; creates it.

    KeeperMap wherever the server has it: only its words that it is not
    configured lead to tokens, and never after the lock was in Keeper once.
    """
    tables = read_tables(session)
    # On a cluster another host may lack what this one has.
    has = frozenset[str]() if session.topology.on_cluster else tables
    if schema.KEEPER_LOCK in has or _ensure_keeper(session):
        return stores(session)[schema.KEEPER_LOCK]
    if schema.LOCK in tables and TokenStore().is_moved(session):
        raise LockError(
            f"The lock of {session.database} was moved to Keeper, and this server has no "
            f"table {schema.KEEPER_LOCK} and no keeper_map_path_prefix any more.",
            hint="Configure keeper_map_path_prefix again; or, when nobody migrates anywhere, "
            f"DROP TABLE {schema.LOCK}.",
        )
    if schema.LOCK not in has:
        on_cluster = session.topology.on_cluster
        text = schema.create_lock(session.features, replicated=on_cluster)
        replication.create(session, schema.LOCK, text)
    return stores(session)[schema.LOCK]


def read_holder(session: Session) -> Holder | None:
    """Return who has the lock, or had it last; None where nobody ever had.

    Read-only, works for ``readonly = 1``, judged by the server's clock. The lock of
    chDB is in its process and has no holder here.

    Raises:
        ConnectionFailed: Another process has the directory of chDB open.
        EngineError: The lock is in Keeper, which does not answer.

    """
    if session.embedded:
        check_directory(embedded_path(session.url), session.shown)
        return None
    known = stores(session)
    found = [known[table].read(session) for table in sorted(read_tables(session))]
    holders = [holder for holder in found if holder is not None]
    return max(holders, key=lambda holder: (holder.alive, holder.generation), default=None)


def break_lock(session: Session, holder: Holder) -> None:
    """Take the lock from its holder and let the next one in.

    The holder notices at its next heartbeat, and its fence is false at once; a
    statement that it has sent already goes on. Nobody is let in before the holder
    must have noticed, and what it sent by then has arrived or never will; a kill in
    between leaves a lease that runs out.

    Raises:
        LockError: Meanwhile the lock is free, or somebody else's.

    """
    now = read_holder(session)
    asked = (holder.store, holder.generation, holder.owner)
    if now is None or not now.alive or (now.store, now.generation, now.owner) != asked:
        raise _changed(holder, now)
    store = stores(session)[holder.store]
    rest = session.late + BEAT
    claim = Claim(holder.generation + 1, lease_ms=int(2000 * rest))
    if not store.claim(session, claim, "unlock"):
        raise _changed(holder, read_holder(session))
    interrupts.sleep(rest)
    store.release(session, claim, "unlock")


def read_tables(session: Session) -> set[str]:
    """Return which tables of the lock are there; read-only."""
    return set(read_engines(session, (schema.LOCK, schema.KEEPER_LOCK)))


def _is_to_be_moved(session: Session) -> bool:
    # To be asked after Keeper's table was made, never before: see LockPlace.
    return schema.LOCK in read_tables(session) and not TokenStore().is_moved(session)


def _ensure_keeper(session: Session) -> bool:
    """Create the KeeperMap; False when the server says that it has no such thing."""
    if session.features.version < _KEEPER_SINCE:
        return False
    try:
        text = schema.create_keeper_lock(session.database)
        replication.create(session, schema.KEEPER_LOCK, text)
    except EngineError as error:
        not_configured = error.code == BAD_ARGUMENTS and "is disabled" in error.message
        if not_configured or error.code == UNKNOWN_STORAGE:
            return False
        if error.code == ACCESS_DENIED:
            error.hint = (
                "The lock wants a table in Keeper where there is one: GRANT CREATE TABLE on the "
                "database and TABLE ENGINE ON KeeperMap to this user. Another lock is not "
                "taken instead, because others may hold this one."
            )
        elif error.code == NO_ELEMENTS_IN_CONFIG:
            error.hint = (
                "The server has keeper_map_path_prefix without <zookeeper>: configure both, "
                "or neither."
            )
        raise
    return True


def _changed(asked: Holder, now: Holder | None) -> LockError:
    who = f"held by {now.name}" if now is not None and now.alive else "free"
    return LockError(
        f"The lock is not {asked.name}'s any more (generation {asked.generation}); "
        f"it is {who} now. Nothing was changed.",
        hint="Look with: budeval-migrate status.",
    )
