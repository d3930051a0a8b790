"""Which tables of ours are there."""

from __future__ import annotations

from collections.abc import Iterable

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import UNKNOWN_DATABASE
from budeval_migrations.errors import EngineError
from budeval_migrations.sql import quote


def read_engines(session: Session, names: Iterable[str]) -> dict[str, str]:
    """Return the engines of those tables that are there, by name; read-only.

    None are there where the database is missing.
    """
    listed = ", ".join(quote.string(name) for name in names)
    try:
        rows = session.query(
            "SELECT name, engine FROM system.tables "
            f"WHERE database = currentDatabase() AND name IN ({listed})"
        )
    except EngineError as error:
        if error.code == UNKNOWN_DATABASE:
            return {}
        raise
    return {str(name): str(engine) for name, engine in rows}
