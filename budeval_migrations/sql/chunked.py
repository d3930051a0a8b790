"""Read the SELECT of a backfill: what the condition of a chunk would stand for in it."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, lexemes

_VALUES = frozenset({*NAMES, TokenKind.NUMBER, TokenKind.STRING, TokenKind.CLOSE})


_BEFORE_VALUE = ("SELECT", "DISTINCT")


def joins(select: str) -> bool:
    """Return whether a SELECT reads several tables side by side."""
    words = [lexeme.word for lexeme in lexemes(select)]
    return "JOIN" in words or _has_comma_join(lexemes(select), select)


def shadowed(select: str, by: str) -> str:
    """Return a name in the expression of the chunks that the SELECT gives to something else.

    A WHERE takes it for what the SELECT calls so, and not for the column of the table:
    https://clickhouse.com/docs/sql-reference/syntax#notes-on-usage
    """
    asked = {_name(by, each) for each in lexemes(by) if each.kind in NAMES}
    found = lexemes(select)
    for at, each in enumerate(found[1:-1], start=1):
        if each.kind in NAMES and _name(select, each) in asked and _is_alias(select, found, at):
            return _name(select, each)
    return ""


def _is_alias(select: str, found: Sequence[Lexeme], at: int) -> bool:
    """Return whether a name is given to something else than the column that is called so."""
    each, before, after = found[at], found[at - 1], found[at + 1]
    if before.word != "AS":
        ends = select[after.start : after.end] == "," or after.word == "FROM"
        return ends and before.kind in _VALUES and before.word not in _BEFORE_VALUE
    value, first = found[at - 2], found[at - 3]
    alone = first.word in _BEFORE_VALUE or select[first.start : first.end] in (",", ".")
    return not (alone and _name(select, value) == _name(select, each))


def _has_comma_join(found: Sequence[Lexeme], select: str) -> bool:
    depth = -1
    for each in found:
        if each.word == "FROM":
            depth = each.depth
        elif each.depth == depth and each.word in ("WHERE", "PREWHERE", "GROUP", "ORDER", "SELECT"):
            depth = -1
        elif each.depth == depth and select[each.start : each.end] == ",":
            return True
    return False


def _name(text: str, lexeme: Lexeme) -> str:
    return Reader(text).identifier(lexeme)
