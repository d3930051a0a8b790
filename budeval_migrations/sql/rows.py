"""Where the rows of an INSERT end, and how many there are. May import ``sql.lexer``."""

from __future__ import annotations

import re
from typing import NamedTuple

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.lexer import (
    BLOCK_COMMENT,
    INSIGNIFICANT,
    WHITESPACE,
    Scanner,
    TokenKind,
    refuse,
    scan,
)

_COUNTED = 1_000_000  # characters; more rows than that are not worth the time
_SCANNED = 50_000
_PLAIN = r"[^()'\"`$#;/\\\-\u2018\u201c]*"
_BITS = r"'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*'(?!')|-(?!-)|/(?![/*])"
# Each stretch can be read in one way only, so that no text takes more than linear time.
_TUPLE = rf"\({_PLAIN}(?:(?:{_BITS}){_PLAIN})*\)"
for _ in range(3):
    _TUPLE = rf"\({_PLAIN}(?:(?:{_BITS}|{_TUPLE}){_PLAIN})*\)"
_ROW = re.compile(rf"[{WHITESPACE}]*(?:,[{WHITESPACE}]*)?{_TUPLE}")


_HEAD_END = re.compile(r"[ \t\f]*\r?\n?")
_VERBS = (
    "ALTER|ATTACH|BACKUP|CREATE|DELETE|DESC|DESCRIBE|DETACH|DROP|EXCHANGE|EXISTS|EXPLAIN|GRANT"
    "|INSERT|KILL|MOVE|OPTIMIZE|RENAME|REPLACE|RESTORE|REVOKE|SELECT|SET|SHOW|SYSTEM|TRUNCATE"
    "|UNDROP|UPDATE|USE|WITH|CHECK"
)
_BEGINS = re.compile(rf"(?i)(?:{_VERBS})\b")
_THINGS = "TABLES?|VIEW|MATERIALIZED|DATABASE|DICTIONARY|FUNCTION|USER|ROLE|INDEX|OR|TEMPORARY"
# What reads as a statement at the beginning of a line or behind a semicolon; and any verb
# behind a line that a semicolon ends, or one of white space.
_COMMENTS = rf"(?:{BLOCK_COMMENT}[ \t]*|(?:--|#[ !])[^\n]{{0,1000}}\n[ \t]*){{0,50}}"
_SWALLOWED = re.compile(
    rf"(?i)(?<=[\n;])[ \t]*{_COMMENTS}(?P<s>(?:ALTER|ATTACH|CREATE|DETACH|DROP|RENAME|TRUNCATE"
    rf"|UNDROP)\s+(?:{_THINGS})\s|INSERT\s+INTO\s|OPTIMIZE\s+TABLE\s|DELETE\s+FROM\s"
    rf"|EXCHANGE\s+(?:TABLES|DICTIONARIES)\s|(?:GRANT|REVOKE)\s+\w+[^\n]{{0,1000}}\s(?:TO|FROM)\s"
    r"|SYSTEM\s+(?:STOP|START|FLUSH|RELOAD|DROP|SYNC|RESTART)\s|UPDATE\s+\S+\s+SET\s"
    r"|SET\s+\w+\s*=)"
    rf"|(?:;|\n[ \t\r])[ \t\r]*\n[ \t]*{_COMMENTS}(?P<v>(?:{_VERBS})\b)"
)
_LIKE = "what looks like a statement is among the rows of the INSERT"


class Rows(NamedTuple):
    """Where the rows behind FORMAT end, and where the script goes on."""

    end: int
    next: int


def find_rows(text: str, name_end: int) -> Rows:
    """Return where the rows of ``INSERT ... FORMAT <name>`` end.

    They end before the first empty line with a statement behind it, or with the script.

    Args:
        name_end: Where the name of the format ends in the script.

    Raises:
        StatementSyntaxError: It may be meant to end elsewhere.

    """
    # ClickHouse skips one blank and then refuses the ``;``; send nothing it refuses.
    first = name_end + (text[name_end : name_end + 1] in tuple(" \t\f"))
    if text.startswith(";", first):
        refuse(text, first, "a ';' stands between FORMAT and the data of the INSERT")
    begin = _begin(text, name_end)
    empty = text.find("\n\n", begin)
    swallowed = _SWALLOWED.search(text, begin, empty if empty >= 0 else len(text))
    if swallowed is not None:
        at = swallowed.start("s" if swallowed["s"] else "v")
        refuse(text, at, f"{_LIKE}: end the rows with an empty line, or write them with VALUES")
    if empty >= 0:
        rest = _significant(text, empty)
        if rest is not None and not _BEGINS.match(text, rest):
            refuse(
                text,
                rest,
                "an empty line ends the rows of the INSERT, and no statement begins here: "
                "write rows that hold empty lines with VALUES",
            )
        return Rows(empty, empty + 2)
    if not text[name_end:].strip(WHITESPACE):
        return Rows(name_end, len(text))
    kept = text.rstrip(WHITESPACE)
    if kept.endswith(";"):
        refuse(
            text,
            len(kept) - 1,
            "this ';' would be a part of the last row: remove it, or, where "
            "it is a part of the row, write an empty line behind the row",
        )
    last_line = text.rfind("\n", name_end) + 1
    blank = last_line and not text[last_line:].strip(" \t\r")
    return Rows(last_line if blank else len(text), len(text))


def _begin(text: str, name_end: int) -> int:
    """Return where the data begins: white space and one end of line belong to the head."""
    found = _HEAD_END.match(text, name_end)
    return found.end() if found else name_end


def _significant(text: str, at: int) -> int | None:
    """Return where something stands that is neither white space, a comment nor a ``;``."""
    rest = text[at:]
    begin = at + len(rest) - len(rest.lstrip(WHITESPACE))
    try:
        skipped = {*INSIGNIFICANT, TokenKind.SEMICOLON}
        return next((start for kind, start, _ in Scanner(text, at) if kind not in skipped), None)
    except StatementSyntaxError:
        return begin


def count_rows(text: str, start: int) -> int | None:
    """Count the rows behind VALUES; None if there are too many to look at, or it is odd."""
    if len(text) - start > _COUNTED:
        return None
    rows, at = 0, start
    while (row := _ROW.match(text, at)) is not None:
        rows, at = rows + 1, row.end()
    if not text[at:].strip(WHITESPACE + ";"):
        return rows
    if len(text) - at > _SCANNED:
        return None
    depth = 0
    for kind, _, _ in scan(text[at:]):  # comments, heredocs, deeper brackets
        if kind is TokenKind.SEMICOLON and depth == 0:
            break
        if kind is TokenKind.CLOSE:
            depth -= 1
        elif kind is TokenKind.OPEN:
            rows += depth == 0
            depth += 1
        elif depth == 0 and kind not in INSIGNIFICANT and kind is not TokenKind.COMMA:
            return None
    return rows if depth == 0 else None
