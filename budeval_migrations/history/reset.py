"""Forget the bookkeeping: for development only."""

from __future__ import annotations

from budeval_migrations.engine.failures import UNKNOWN_DATABASE
from budeval_migrations.engine.session import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.history import schema


def forget_everything(session: Session) -> tuple[str, ...]:
    """Drop the ledger, the lock and the view, and return their names.

    Another tool's ``alembic_version`` table is left alone. A kill in between
    leaves some of them; the next call drops the rest.
    """
    tables = (schema.LEDGER, schema.JOURNAL, schema.LOCK, schema.KEEPER_LOCK)
    ours = {**dict.fromkeys(tables, False), schema.VERSION_VIEW: True}
    listed = ", ".join(f"'{name}'" for name in ours)
    try:
        found = session.query(
            "SELECT name, engine FROM system.tables "
            f"WHERE database = currentDatabase() AND name IN ({listed})"
        )
    except EngineError as error:
        if error.code == UNKNOWN_DATABASE:
            return ()
        raise
    dropped = []
    for name, engine in sorted((str(row[0]), str(row[1])) for row in found):
        if ours[name] and engine != "View":
            continue
        session.execute(f"DROP TABLE IF EXISTS {name}")
        dropped.append(name)
    return tuple(dropped)
