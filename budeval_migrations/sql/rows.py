"""Count the rows that stand behind VALUES, by tokens."""

from __future__ import annotations

import re

from budeval_migrations.sql.lexer import INSIGNIFICANT, WHITESPACE, TokenKind, scan

_COUNTED = 1_000_000  # characters; more rows than that are not worth the time
_SCANNED = 50_000
_PLAIN = r"[^()'\"`$#;/\\\-\u2018\u201c]*"
_BITS = r"'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*'(?!')|-(?!-)|/(?![/*])"
# Each stretch can be read in one way only, so that no text takes more than linear time.
_TUPLE = rf"\({_PLAIN}(?:(?:{_BITS}){_PLAIN})*\)"
for _ in range(3):
    _TUPLE = rf"\({_PLAIN}(?:(?:{_BITS}|{_TUPLE}){_PLAIN})*\)"
_ROW = re.compile(rf"[{WHITESPACE}]*(?:,[{WHITESPACE}]*)?{_TUPLE}")


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
