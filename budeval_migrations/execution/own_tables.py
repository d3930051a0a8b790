"""Refuse statements that would change the tables of this package. Pure."""

from __future__ import annotations

from budeval_migrations.errors import RevisionError
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import Reader
from budeval_migrations.state import schema

_OWN = frozenset(
    {schema.LEDGER, schema.JOURNAL, schema.LOCK, schema.KEEPER_LOCK, schema.VERSION_VIEW}
)
# With a database they take away every table in it.
_TAKES_AWAY = (Kind.DROP, Kind.DETACH, Kind.RENAME)


def check_own_tables(text: str, database: str) -> None:
    """Refuse a statement that would change what tells which revisions are applied.

    A name that is a query parameter is not seen.

    Args:
        text: One statement.
        database: Where the tables of this package are.

    Raises:
        RevisionError: Names the table, or the database that it is in.

    """
    kind = classify(text).kind
    if kind is Kind.PARALLEL:
        for part in parts(text):
            check_own_tables(part.text, database)
        return
    if kind is Kind.TRUNCATE:
        emptied = _emptied_database(text)
        if emptied == database:
            raise _refusal(f"every table of {database}", database)
        if emptied:
            return
    found = effect(text)
    whole = kind in _TAKES_AWAY and _is_database(text)
    for name in found.targets:
        if whole and name.name == database:
            raise _refusal(f"the database {database}", database)
        own = name.name in _OWN or name.name.startswith(schema.CLAIM)
        if own and (name.database or database) == database and not whole:
            raise _refusal(name.name, database)


def _is_database(text: str) -> bool:
    return Reader(text).peek(1).word == "DATABASE"


def _emptied_database(text: str) -> str:
    """Return the database whose tables a TRUNCATE empties; nothing where it names one table."""
    reader = Reader(text)
    reader.at += 1
    reader.accept("ALL")
    if not (reader.accept("TABLES", "FROM") or reader.accept("DATABASE")):
        return ""
    reader.accept("IF", "EXISTS")
    name = reader.name()
    return name.name if name else ""


def _refusal(what: str, database: str) -> RevisionError:
    return RevisionError(
        f"The statement would change {what}, and with it the record of what is applied.",
        hint=f"Leave out the tables of this package, which are in {database}. "
        "To remove the record, run: budeval-migrate reset",
    )
