"""Take apart what PARALLEL WITH joins: several statements in one.

Its grammar is that of ClickHouse 26.9 (``src/Parsers/ParserParallelWithQuery.cpp``):
any statement without rows of its own may stand before it and after it. May import the
other modules of ``sql``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from budeval_migrations.sql.reader import lexemes

_JOINS = re.compile(r"(?i)\bparallel\b")
# Behind a column that is called ``parallel``: GROUP BY parallel WITH TOTALS, and so on.
_MODIFIERS = frozenset({"TOTALS", "ROLLUP", "CUBE", "FILL", "TIES"})


class Part(NamedTuple):
    """One of the joined statements, and where its first token is in the whole."""

    text: str
    offset: int


def parts(text: str) -> tuple[Part, ...]:
    """Return the statements that PARALLEL WITH joins; where it joins none, the one.

    Args:
        text: One statement that has no rows inline: those may be anything.

    Raises:
        StatementSyntaxError: Something is not closed.

    """
    if not _JOINS.search(text):
        return (Part(text, 0),)
    found = lexemes(text)
    if not found:
        return (Part(text, 0),)
    begins, ends = [0], list[int]()
    for at in range(1, len(found) - 2):
        first, second, following = found[at : at + 3]
        joins = (first.word, second.word) == ("PARALLEL", "WITH") and first.depth == 0
        if joins and following.word not in _MODIFIERS:
            ends.append(at)
            begins.append(at + 2)
    ends.append(len(found))
    return tuple(
        Part(text[found[begin].start : found[end - 1].end], found[begin].start)
        for begin, end in zip(begins, ends, strict=True)
    )
