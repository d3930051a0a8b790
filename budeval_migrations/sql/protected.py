"""Find the protected tables that a statement would change, empty, replace or hide.

May import the other modules of ``sql``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify, joined
from budeval_migrations.sql.definition import read_definition
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader, read_head

# With a database they take away every table in it.
_TAKES_AWAY = (Kind.DROP, Kind.DETACH, Kind.RENAME)
# They read, or change nothing that is in a table.
_READS = frozenset(
    {Kind.SELECT, Kind.SHOW, Kind.DESCRIBE, Kind.EXISTS, Kind.EXPLAIN, Kind.CHECK, Kind.SET}
    | {Kind.USE, Kind.EMPTY, Kind.KILL, Kind.CREATE_FUNCTION}
    | {Kind.CREATE_DATABASE, Kind.CREATE_NAMED_COLLECTION, Kind.BACKUP}
)
_CREATES = frozenset(
    {Kind.CREATE_TABLE, Kind.CREATE_VIEW, Kind.CREATE_MATERIALIZED_VIEW, Kind.CREATE_DICTIONARY}
)


@dataclass(frozen=True)
class Protected:
    """Tables that a statement must not change.

    Attributes:
        database: Where they are; names without a database are in it too.
        is_one: Tells them by their names.

    """

    database: str
    is_one: Callable[[str], bool]

    def changed_by(self, text: str) -> str:
        """Return what a statement would change, in words; empty where it is none of them.

        A name that is a query parameter is not seen.
        """
        return next((what for one in joined(text) for what in self._changes(one)), "")

    def _changes(self, text: str) -> Iterator[str]:
        kind = classify(text).kind
        if kind is Kind.TRUNCATE and _emptied_database(text) == self.database:
            yield f"every table of {self.database}"
        whole = kind in _TAKES_AWAY and Reader(text).peek(1).word == "DATABASE"
        if whole and self.database in {name.name for name in effect(text).targets}:
            yield f"the database {self.database}"
        if whole or kind in _READS:
            return
        if kind is Kind.ACCESS:
            yield from self._hidden(text)
        elif kind is Kind.INSERT:
            reader = Reader(text, read_head(text)[0])
            # A table function takes names as arguments: remote('h', 'db', 'table').
            function = "FUNCTION" in {lexeme.word for lexeme in reader.rest if not lexeme.depth}
            yield from self._named(reader, strings=function, inside=function)
        elif kind in _CREATES:
            yield from self._created(text)
        else:
            yield from self._named(Reader(text), strings=kind is Kind.RESTORE)

    def _created(self, text: str) -> Iterator[str]:
        definition = read_definition(text)
        if definition is None:
            return
        name = definition.name
        if self.is_one(name.name) and name.database in (None, self.database):
            yield name.name
        # ENGINE = Alias('t'), Buffer(db, t, …), Merge(db, '^t'); or a view TO t.
        for word in ("ENGINE", "TO"):
            yield from self._named(Reader(definition.clauses.get(word, "")), strings=True)

    def _hidden(self, text: str) -> Iterator[str]:
        """Yield the tables of which a row policy would hide rows."""
        reader = Reader(text)
        words = [lexeme.word for lexeme in reader.rest[:6]]
        if "POLICY" not in words or words[0] not in ("CREATE", "ALTER"):
            return
        for at, lexeme in enumerate(reader.rest):
            if lexeme.word != "ON" or lexeme.depth:
                continue
            first, *others = (text[lx.start : lx.end] for lx in reader.rest[at + 1 : at + 4])
            all_of = reader.identifier(reader.rest[at + 1]) if others == [".", "*"] else ""
            if first == "*" or all_of == self.database:
                yield f"what is read of every table of {self.database}"
        yield from (f"what is read of {name}" for name in self._named(reader))

    def _named(
        self, reader: Reader, *, strings: bool = False, inside: bool = True
    ) -> Iterator[str]:
        """Yield their names among the tokens of a text.

        Args:
            strings: A string can be a name.
            inside: Look into brackets too.

        """
        kinds = {*NAMES, TokenKind.STRING} if strings else NAMES
        for at, lexeme in enumerate(reader.rest):
            if lexeme.kind not in kinds or (lexeme.depth and not inside):
                continue
            dotted = at > 1 and reader.rest[at - 1].kind is TokenKind.DOT
            database = reader.identifier(reader.rest[at - 2]) if dotted else self.database
            name = reader.identifier(lexeme)
            if database == self.database and self.is_one(name):
                yield name


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
