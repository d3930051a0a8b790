"""Read the SELECT of a backfill: what the condition of a chunk would stand for in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from budeval_migrations.model import Backfill
from budeval_migrations.sql.reader import END, NAMES, OPERANDS, Lexeme, Reader, lexemes

_BEFORE_VALUE = ("SELECT", "DISTINCT")
# What says something of all rows together.
_OF_ALL = ("LIMIT", "OFFSET", "DISTINCT", "UNION", "EXCEPT", "INTERSECT", "QUALIFY", "FILL", "OVER")
# How functions begin that do not give a row the same value each time, or one value: those that
# ``system.functions`` calls not deterministic (26.9) and that read nothing but themselves.
_VARYING = re.compile(
    "arrayjoin|arraypartialshuffle|arrayrandomsample|arrayshuffle|block|curdate|current_date|"
    "current_?query|current_timestamp|filesystem|fuzzbits|generate|initial_?query|localtime|"
    "neighbor|now|query_?id|rand|rownumberin|running|today|unnest|uptime|utc_?timestamp|yesterday",
    re.IGNORECASE,
)
_ENDS_FROM = ("WHERE", "PREWHERE", "GROUP", "ORDER", "SELECT", "ARRAY")


def joins(select: str) -> bool:
    """Return whether a SELECT, or one in it, reads several tables side by side."""
    return _joins(lexemes(select), select)


def joins_source(select: str) -> bool:
    """Return whether the SELECT that the condition of a chunk is in reads several tables."""
    return _joins(_around_chunk(lexemes(select), select), select)


def not_by_chunks(select: str) -> str:
    """Return why a SELECT says something else of each chunk than of all rows; empty if it does not.

    Looks at the SELECT that the condition of a chunk stands in: it has to be one of the
    conditions that are joined by AND, and every row must come out by itself. A GROUP BY may
    stand there: what its groups come to in several chunks is the target's to merge.
    """
    found = _around_chunk(lexemes(select), select)
    at = _place_of_chunk(found, select)
    before = found[at - 1].word if at else ""
    if before not in ("WHERE", "PREWHERE", "AND"):
        return "{chunk} must stand behind WHERE or AND"
    words = [each.word for each in found]
    for word in ("OR", "XOR"):
        if word in words:
            return f"{word} beside {{chunk}} lets rows into every chunk; put brackets around it"
    if before == "PREWHERE" and "FINAL" in words:
        return "{chunk} in PREWHERE is asked before FINAL; put it into WHERE"
    return next(
        (f"{word} would hold for each chunk alone" for word in _OF_ALL if word in words), ""
    )


def merges_partitions(select: str) -> bool:
    """Return whether a row of one partition may be taken for an older one of another (FINAL).

    https://clickhouse.com/docs/sql-reference/statements/select/from#final-modifier
    """
    words = {each.word for each in lexemes(select)}
    return "FINAL" in words and "DO_NOT_MERGE_ACROSS_PARTITIONS_SELECT_FINAL" not in words


def varying(by: str) -> str:
    """Return a function in the expression of the chunks that may put a row into another chunk.

    Such as ``rand``; a row would be copied twice or not at all. Empty where there is none.
    """
    reader = Reader(by)
    for at, each in enumerate(reader.rest):
        name = reader.identifier(each) if each.kind in NAMES else ""
        after = reader.peek(at + 1)
        called = by[after.start : after.end] == "("
        if called and _VARYING.match(name):
            return name
    return ""


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


def _joins(found: Sequence[Lexeme], select: str) -> bool:
    """Find JOIN, but for ARRAY JOIN, and a comma between FROM and what follows it."""
    froms: list[int] = []  # the depths at which tables are listed
    for before, each in pairwise([END, *found]):
        if each.word == "JOIN" and before.word != "ARRAY":
            return True
        if each.word == "FROM":
            froms.append(each.depth)
        elif each.depth in froms and each.word in _ENDS_FROM:
            froms.remove(each.depth)
        elif each.depth in froms and select[each.start : each.end] == ",":
            return True
    return False


def _place_of_chunk(found: Sequence[Lexeme], select: str) -> int:
    offset = select.find(Backfill.PLACEHOLDER)
    return next((n for n, each in enumerate(found) if each.start == offset), 0)


def _around_chunk(found: Sequence[Lexeme], select: str) -> Sequence[Lexeme]:
    """Return what stands in the same brackets as the condition of a chunk, and in no others."""
    at = _place_of_chunk(found, select)
    depth = found[at].depth if found else 0
    begin = next((n for n in range(at, -1, -1) if found[n].depth < depth), -1) + 1
    end = next((n for n in range(at, len(found)) if found[n].depth < depth), len(found))
    return [each for each in found[begin:end] if each.depth == depth]
