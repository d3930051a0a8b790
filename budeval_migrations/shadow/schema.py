"""What a database has, as its server prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.sql import quote
from budeval_migrations.state import schema as bookkeeping


@dataclass(frozen=True)
class Schema:
    """Tables, views and dictionaries of one database, and the server's SQL functions.

    Attributes:
        tables: The CREATE statement of each, by name.
        functions: The CREATE FUNCTION of each, by name.

    """

    database: str
    tables: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)


def is_ours(name: str) -> bool:
    """Return whether a table is bookkeeping, or the inner table of a view."""
    return bookkeeping.is_own(name) or name.startswith((bookkeeping.KEPT_VERSION_TABLE, ".inner"))


def read_schema(session: Session, database: str = "", *, functions: bool = True) -> Schema:
    """Return what a database has, without our bookkeeping; read-only.

    Args:
        database: Another one than the session's.
        functions: Also the server's SQL functions; to look for them takes 20 ms.

    Raises:
        EngineError: The server cannot be asked.

    """
    database = database or session.database
    # Sorted here, and temporary tables are of no database: 5 ms in place of 7.
    rows = session.ask(
        "SELECT name, create_table_query FROM system.tables "
        f"WHERE database = {quote.string(database)}"
    )
    found: Sequence[Row] = ()
    if functions and session.features.functions:
        found = session.ask(
            "SELECT name, create_query FROM system.functions "
            "WHERE origin = 'SQLUserDefined' ORDER BY name"
        )
    return Schema(
        database,
        {
            str(name): str(create)
            for name, create in sorted(map(tuple, rows))
            if create and not is_ours(str(name))
        },
        {str(name): str(create) for name, create in found},
    )
