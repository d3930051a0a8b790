"""Write statements into a script for clickhouse-client. May import other modules of ``sql``."""

from __future__ import annotations

import re

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import TokenKind, scan
from budeval_migrations.visible import CONTROLS, visible

_COMMENTS = ("--", "#", "//")
_ESCAPED = (TokenKind.STRING, TokenKind.QUOTED_IDENTIFIER)
_IN_LITERAL = re.compile(rf"(?s)\\(?P<escaped>.)|(?P<bare>{CONTROLS.pattern})")


def terminated(text: str) -> str:
    """Return a statement as a script ends it.

    A comment on the last line would swallow the semicolon, and rows behind FORMAT would
    hold it: those end with an empty line.
    """
    if classify(text).to_the_end:
        return f"{text}\n"
    last = text.rsplit("\n", 1)[-1]
    return f"{text}\n;" if any(sign in last for sign in _COMMENTS) else f"{text};"


def printable_sql(text: str) -> str:
    """Return a statement that means the same, with fewer control characters.

    In literals and quoted names each becomes an escape of its bytes, in comments what
    `visible` makes of it. Rows and heredocs know no escapes, and stay as they are.
    """
    if not CONTROLS.search(text) or classify(text).inline_data:
        return text
    try:
        tokens = [(kind, text[start:end]) for kind, start, end in scan(text)]
    except StatementSyntaxError:
        return text
    return "".join(_printable_token(kind, token) for kind, token in tokens)


def _printable_token(kind: TokenKind, token: str) -> str:
    if kind is TokenKind.COMMENT:
        return visible(token)
    if kind in _ESCAPED and token[0] not in "\u2018\u201c":
        return _IN_LITERAL.sub(_in_literal, token)
    return token


def _in_literal(found: re.Match[str]) -> str:
    char = found["escaped"] or found["bare"]
    if not CONTROLS.match(char):
        return found[0]
    escapes = "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    # A backslash before a letter that needs none is a backslash; before a control it is nothing.
    return rf"\\{escapes}" if found["escaped"] and char > " " else escapes
