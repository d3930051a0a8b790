"""Read an ALTER TABLE into its clauses, and the columns that they declare.

May import the other modules of ``sql``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from budeval_migrations.sql.alter import Clause, clauses, without_output
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.definition import Column, pairs, read_column
from budeval_migrations.sql.reader import Lexeme, Reader

_DECLARES = frozenset({("ADD", "COLUMN"), ("MODIFY", "COLUMN"), ("ALTER", "COLUMN")})
# What may follow a column's name in place of its declaration.
_OTHERWISE = frozenset({"REMOVE", "MODIFY", "RESET"})


@dataclass(frozen=True, slots=True)
class Alteration:
    """What an ALTER TABLE says.

    Attributes:
        clauses: In order.
        settings: Those of the query, which stand at its end.

    """

    table: Name
    clauses: tuple[Clause, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def read_alteration(text: str) -> Alteration | None:
    """Return what an ALTER TABLE says; None for any other statement, and when unsure.

    Raises:
        StatementSyntaxError: A quote or a comment is not closed.

    """
    if classify(text).kind is not Kind.ALTER:
        return None
    reader = Reader(text)
    reader.at = 1
    reader.accept("TEMPORARY")
    table = reader.name() if reader.accept("TABLE") else None
    found = clauses(reader) if table else None
    if table is None or found is None:
        return None
    behind = reader.left()[len(without_output(reader.left())) :]
    while behind and behind[0].word != "SETTINGS":
        behind = behind[1:]
    settings = pairs(text[behind[1].start : behind[-1].end]) if behind else {}
    return Alteration(table, tuple(found), settings)


def column_of(clause: Clause) -> Column | None:
    """Return the column that ADD, MODIFY or ALTER COLUMN declares; None for other clauses.

    What the clause does not say is empty: ``MODIFY COLUMN c CODEC(ZSTD)`` has no type.
    """
    if clause.head not in _DECLARES:
        return None
    found = _without_position(clause.reader.left())
    if not found:
        return None
    name = 1
    while name + 1 < len(found) and not found[name].word and found[name].depth == found[0].depth:
        if clause.reader.text[found[name].start] != ".":
            break
        name += 2
    following = found[name].word if name < len(found) else ""
    if following in _OTHERWISE:
        found = found[:name]
    elif following == "TYPE" and clause.head[0] == "ALTER":
        found = [*found[:name], *found[name + 1 :]]
    return read_column(clause.reader.text, found)


def _without_position(found: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """Leave out ``FIRST`` and ``AFTER name`` at the end; a column may have these names."""
    for at in range(len(found) - 1, 1, -1):
        word, left = found[at].word, len(found) - 1 - at
        if found[at].depth == found[0].depth and (
            (word == "FIRST" and not left) or (word == "AFTER" and left % 2 and left <= 5)
        ):
            return list(found[:at])
    return list(found)
