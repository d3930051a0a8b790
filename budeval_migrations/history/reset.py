"""Forget the bookkeeping: for development only."""

from __future__ import annotations

from budeval_migrations.engine.session import Session
from budeval_migrations.history import replication, schema
from budeval_migrations.history.claims import forget_claims
from budeval_migrations.history.tables import read_engines


def forget_everything(session: Session) -> tuple[str, ...]:
    """Drop the ledger, the lock and the view, and return their names.

    Another tool's ``alembic_version`` table is left alone. A kill in between
    leaves some of them; the next call drops the rest.
    """
    tables = (schema.LEDGER, schema.JOURNAL, schema.LOCK, schema.KEEPER_LOCK)
    ours = {**dict.fromkeys(tables, False), schema.VERSION_VIEW: True}
    dropped = []
    for name, engine in sorted(read_engines(session, ours).items()):
        if ours[name] and engine != "View":
            continue
        if name == schema.LOCK:
            forget_claims(session)
        replication.drop(session, name)
        dropped.append(name)
    return tuple(dropped)
