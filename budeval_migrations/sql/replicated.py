"""Turn a MergeTree engine into its Replicated twin.

Owns the reading of the ENGINE clause. Reads by tokens, never by substrings. May
import the other modules of ``sql``.
"""

from __future__ import annotations

import re

from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import Lexeme, Reader, begins_query, is_temporary

_FAMILY = re.compile(
    r"(Replacing|Summing|Aggregating|(Versioned)?Collapsing|Graphite|Coalescing)?MergeTree"
)
# A name comes behind them, such as that of a table called engine.
_BEFORE_NAME = frozenset({"TABLE", "EXISTS", "VIEW", "AS", "TO", "ON", "CLUSTER"})
_WITH_ENGINE = frozenset({Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW, Kind.ATTACH})


def replicate(text: str, path: str, replica: str) -> str:
    """Return a statement that makes a replicated table where it made a MergeTree.

    Engines that are replicated already, and those of other families, are left.

    Args:
        path: Where Keeper keeps the table, the same on all replicas of a shard; may
            hold macros. Empty: the server's own default, which knows Atomic's UUID.
        replica: The replica's name, unique among those; ``{replica}``.

    Raises:
        StatementSyntaxError: Something that had to be read is not closed.

    """
    kind = classify(text).kind
    if kind is Kind.PARALLEL:
        for part in reversed(parts(text)):
            end = part.offset + len(part.text)
            text = f"{text[: part.offset]}{replicate(part.text, path, replica)}{text[end:]}"
        return text
    engine = _engine(Reader(text)) if kind in _WITH_ENGINE else None
    if engine is None:
        return text
    name, bracket, empty = engine
    head = f"{text[: name.start]}Replicated{Reader(text).identifier(name)}"
    place = f"{quote.string(path)}, {quote.string(replica)}" if path else ""
    if bracket is None:
        return f"{head}({place}){text[name.end :]}" if place else f"{head}{text[name.end :]}"
    comma = ", " if place and not empty else ""
    return f"{head}{text[name.end : bracket.end]}{place}{comma}{text[bracket.end :]}"


def engine_of(text: str) -> str:
    """Return the name of the engine that a CREATE TABLE gives its table; empty without one."""
    if classify(text).kind not in _WITH_ENGINE:
        return ""
    found = named_engine(Reader(text))
    return Reader(text).identifier(found[0]) if found else ""


def server_chooses_engine(text: str) -> bool:
    """Tell whether a new table's engine is the server's ``default_table_engine``.

    That is MergeTree from 23.x on; before, such a statement fails. A copy of another
    table (``AS t``, ``CLONE AS t``) has its engine, and a table function needs none.
    """
    kind, reader = classify(text).kind, Reader(text)
    if kind not in (Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW):
        return False
    if is_temporary(reader.rest) or named_engine(Reader(text)) is not None:
        return False
    outer = [lexeme for lexeme in reader.rest if lexeme.depth == 0]
    words = [lexeme.word for lexeme in outer]
    end = words.index("AS") if "AS" in words else len(words)
    if kind is Kind.CREATE_MATERIALIZED_VIEW:
        return "TO" not in words[:end]
    return end == len(words) or begins_query(outer[end + 1 :])


def _engine(reader: Reader) -> tuple[Lexeme, Lexeme | None, bool] | None:
    """Find a MergeTree: its name, the bracket behind it, and whether nothing is in it."""
    found = named_engine(reader)
    if found is None or not _FAMILY.fullmatch(reader.identifier(found[0])):
        return None
    return found


def named_engine(reader: Reader) -> tuple[Lexeme, Lexeme | None, bool] | None:
    """Return the engine's name, the bracket behind it, and whether nothing is in it."""
    for index, lexeme in enumerate(reader.rest):
        if lexeme.depth:
            continue
        if lexeme.word == "AS" and begins_query(reader.rest[index + 1 : index + 2]):
            return None  # behind it, ENGINE is a column
        before = reader.rest[index - 1] if index else lexeme
        named = before.word in _BEFORE_NAME or before.kind in (TokenKind.DOT, TokenKind.COMMA)
        if lexeme.word != "ENGINE" or named:  # a table may be called so
            continue
        reader.at = index + 1
        equals = reader.peek()
        if reader.text[equals.start : equals.end] == "=":
            reader.at += 1
        name, bracket, inside = reader.peek(), reader.peek(1), reader.peek(2)
        if bracket.kind is not TokenKind.OPEN or reader.text[bracket.start] != "(":
            return name, None, True
        return name, bracket, inside.kind is TokenKind.CLOSE
    return None
