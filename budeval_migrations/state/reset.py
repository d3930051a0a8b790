"""Forget the bookkeeping: for development only."""

from __future__ import annotations

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.events import Listener
from budeval_migrations.state import replication, schema
from budeval_migrations.state.lock.claims import forget_claims
from budeval_migrations.state.lock.lock import make_lock
from budeval_migrations.state.own_tables import read_engines


def forget_everything(session: Session, emit: Listener) -> tuple[str, ...]:
    """Drop the ledger, the lock and the view, and return their names.

    Waits for the lock, and drops it last, so that no runner loses its lock while it
    runs. Another tool's ``alembic_version`` table is left alone. A kill in between
    leaves some of the tables; the next call drops the rest.

    Raises:
        LockTimeout: A runner held the lock for longer than ``lock_timeout`` seconds.

    """
    if not _found(session):
        return ()
    lock = make_lock(session, emit)
    lock.acquire()
    try:
        names = _found(session)
        for name in names:
            if name == schema.LOCK:
                forget_claims(session)
            # The fence is in the tables of the lock.
            fence = "" if name in (schema.KEEPER_LOCK, schema.LOCK) else lock.fence
            replication.drop(session, name, check=lock.check, fence=fence)
        return tuple(names)
    finally:
        lock.release()


def _found(session: Session) -> list[str]:
    """Return our tables and the view that are there, the lock's tables last; read-only."""
    tables = (schema.LEDGER, schema.JOURNAL, schema.KEEPER_LOCK, schema.LOCK)
    engines = read_engines(session, (schema.VERSION_VIEW, *tables))
    view = [schema.VERSION_VIEW] if engines.get(schema.VERSION_VIEW) == "View" else []
    return view + [name for name in tables if name in engines]
