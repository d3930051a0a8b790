"""Read the SELECT of a backfill: what the condition of a chunk would stand for in it."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.sql.reader import NAMES, OPERANDS, Lexeme, Reader, lexemes

_BEFORE_VALUE = ("SELECT", "DISTINCT")


def joins(select: str) -> bool:
    """Return whether a SELECT reads several tables side by side."""
    found = lexemes(select)
    return any(each.word == "JOIN" for each in found) or _has_comma_join(found, select)


def merges_partitions(select: str) -> bool:
    """Return whether a row of one partition may be taken for an older one of another (FINAL).

    https://clickhouse.com/docs/sql-reference/statements/select/from#final-modifier
    """
    words = {each.word for each in lexemes(select)}
    return "FINAL" in words and "DO_NOT_MERGE_ACROSS_PARTITIONS_SELECT_FINAL" not in words


def shadowed(select: str, by: str) -> str:
    """Return a name in the expression of the chunks that the SELECT gives to something else.

    A WHERE takes it for what the SELECT calls so, and not for the column of the table:
    https://clickhouse.com/docs/sql-reference/syntax#notes-on-usage
    """
    key, reader = Reader(by), Reader(select)
    asked = {key.identifier(each) for each in key.rest if each.kind in NAMES}
    for at, each in enumerate(reader.rest[1:-1], start=1):
        name = reader.identifier(each) if each.kind in NAMES else ""
        if name in asked and _is_alias(reader, at):
            return name
    return ""


def _is_alias(reader: Reader, at: int) -> bool:
    """Return whether a name is given to something else than the column that is called so."""
    select, found = reader.text, reader.rest
    each, before, after = found[at], found[at - 1], found[at + 1]
    if before.word != "AS":
        ends = select[after.start : after.end] == "," or after.word == "FROM"
        return ends and before.kind in OPERANDS and before.word not in _BEFORE_VALUE
    value, first = found[at - 2], found[at - 3]
    alone = first.word in _BEFORE_VALUE or select[first.start : first.end] in (",", ".")
    return not (alone and reader.identifier(value) == reader.identifier(each))


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
