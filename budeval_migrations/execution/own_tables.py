"""Refuse statements that would change the tables of this package. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.errors import RevisionError
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.definition import read_definition
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import NAMES, Reader, read_head
from budeval_migrations.state import schema

_OWN = frozenset(
    {schema.LEDGER, schema.JOURNAL, schema.LOCK, schema.KEEPER_LOCK, schema.VERSION_VIEW}
)
# With a database they take away every table in it.
_TAKES_AWAY = (Kind.DROP, Kind.DETACH, Kind.RENAME)
# They read, or change nothing that is in a table.
_READS = frozenset(
    {Kind.SELECT, Kind.SHOW, Kind.DESCRIBE, Kind.EXISTS, Kind.EXPLAIN, Kind.CHECK, Kind.SET}
    | {Kind.USE, Kind.EMPTY, Kind.KILL, Kind.CREATE_VIEW, Kind.CREATE_FUNCTION}
    | {Kind.CREATE_DATABASE, Kind.CREATE_NAMED_COLLECTION, Kind.BACKUP}
)
_CREATES = frozenset({Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW, Kind.CREATE_DICTIONARY})


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
    if kind is Kind.TRUNCATE and _emptied_database(text) == database:
        raise _refusal(f"every table of {database}", database)
    whole = kind in _TAKES_AWAY and _is_database(text)
    if whole and database in {name.name for name in effect(text).targets}:
        raise _refusal(f"the database {database}", database)
    if whole or kind in _READS:
        return
    if kind is Kind.ACCESS:
        _check_policy(text, database)
        return
    for own in _mentioned(text, kind, database):
        raise _refusal(own, database)


def _mentioned(text: str, kind: Kind, database: str) -> Iterator[str]:
    """Yield our tables that a statement changes, or gives another table's rows to."""
    if kind is Kind.INSERT:
        target = effect(text).targets
        if target:
            yield from (n.name for n in target if _is_own(n.name, n.database, database))
        else:  # a table function: remote('h', 'db', 'table')
            yield from _names(Reader(text, read_head(text)[0]), database, strings=True)
    elif kind in _CREATES:
        definition = read_definition(text)
        if definition is not None:
            name = definition.name
            if _is_own(name.name, name.database, database):
                yield name.name
            # ENGINE = Alias('t'), Buffer(db, t, …), Merge(db, '^t'); or a view TO t.
            for word in ("ENGINE", "TO"):
                yield from _names(Reader(definition.clauses.get(word, "")), database, strings=True)
    else:
        yield from _names(Reader(text), database, strings=kind is Kind.RESTORE)


def _names(reader: Reader, database: str, *, strings: bool) -> Iterator[str]:
    """Yield the names of our tables among the tokens of a text."""
    kinds = {*NAMES, TokenKind.STRING} if strings else NAMES
    for at, lexeme in enumerate(reader.rest):
        name = reader.identifier(lexeme) if lexeme.kind in kinds else ""
        dotted = at > 1 and reader.rest[at - 1].kind is TokenKind.DOT
        before = reader.identifier(reader.rest[at - 2]) if dotted else None
        if name and _is_own(name, before, database):
            yield name


def _is_own(name: str, named_database: str | None, database: str) -> bool:
    own = name in _OWN or name.startswith(schema.CLAIM)
    return own and named_database in (None, database)


def _check_policy(text: str, database: str) -> None:
    """Refuse a row policy, which would hide rows of our tables from us."""
    reader = Reader(text)
    words = [lexeme.word for lexeme in reader.rest[:6]]
    if "POLICY" not in words or words[0] not in ("CREATE", "ALTER"):
        return
    for at, lexeme in enumerate(reader.rest):
        if lexeme.word != "ON" or lexeme.depth:
            continue
        first, *others = (text[lx.start : lx.end] for lx in reader.rest[at + 1 : at + 4])
        everywhere = others == [".", "*"] and reader.identifier(reader.rest[at + 1]) == database
        if first == "*" or everywhere:
            raise _refusal(f"what is read of every table of {database}", database)
    for own in _names(reader, database, strings=False):
        raise _refusal(f"what is read of {own}", database)


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
