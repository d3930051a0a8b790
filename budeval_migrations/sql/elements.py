"""Read the definition of a table, as ClickHouse itself writes it, element by element.

May import the other modules of ``sql``.
"""

from __future__ import annotations

from budeval_migrations.sql.definition import MARKS
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, lexemes


def elements(definition: str) -> set[str]:
    """Return the keys of a table's columns, indices, projections and constraints.

    Args:
        definition: ``system.tables.create_table_query``, or the like of it.

    """
    found: set[str] = set()
    element: list[Lexeme] = []
    inside = False
    for lexeme in lexemes(definition):
        bracket = lexeme.depth == 0 and lexeme.kind in (TokenKind.OPEN, TokenKind.CLOSE)
        if inside and (bracket or (lexeme.depth == 1 and lexeme.kind is TokenKind.COMMA)):
            found.add(_key(Reader(definition, element)))
            element = []
            if bracket:
                break
        elif inside:
            element.append(lexeme)
        inside = inside or bracket
    return found


def _key(reader: Reader) -> str:
    first = reader.peek()
    words = {lexeme.word for lexeme in reader.rest[2:]}
    if reader.peek(1).kind in NAMES and words & MARKS.get(first.word, frozenset()):
        return f"{first.word.lower()} {reader.identifier(reader.peek(1))}"
    return f"column {reader.identifier(first)}"
