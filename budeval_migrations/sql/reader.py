"""A cursor over the significant tokens of a statement, and the names that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.lexer import INSIGNIFICANT, TokenKind


class Lexeme(NamedTuple):
    """A significant token; ``word`` is in capitals, and empty unless it is a bare word."""

    kind: TokenKind
    start: int
    end: int
    word: str
    depth: int


NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED_IDENTIFIER})


def lexemes(text: str, tokens: Iterable[tuple[TokenKind, int, int]]) -> Iterator[Lexeme]:
    """Yield the significant tokens of the first statement; brackets lie outside themselves."""
    depth = 0
    for kind, start, end in tokens:
        if kind in INSIGNIFICANT:
            continue
        if kind is TokenKind.SEMICOLON:
            return
        depth -= kind is TokenKind.CLOSE
        word = text[start:end].upper() if kind is TokenKind.WORD else ""
        yield Lexeme(kind, start, end, word, depth)
        depth += kind is TokenKind.OPEN


def begins_query(found: Sequence[Lexeme]) -> bool:
    """Tell whether a query, and not a name, comes next."""
    return bool(found) and (
        found[0].kind is TokenKind.OPEN or found[0].word in ("SELECT", "WITH", "FROM")
    )


END = Lexeme(TokenKind.SEMICOLON, 0, 0, "", -1)
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|(?s:.))")
_CONTROLS = dict(zip(b"bfnrt0ave", b"\b\f\n\r\t\0\a\v\x1b", strict=True))


def _unescaped(found: re.Match[bytes]) -> bytes:
    char: bytes = found[1]
    if len(char) == 3:
        return bytes([int(char[1:], 16)])
    if char[0] in _CONTROLS:
        return bytes([_CONTROLS[char[0]]])
    return char if char in b"\\'\"`/=" or char < b" " else found[0]


class Reader:
    """A cursor over the lexemes of one statement or one clause."""

    __slots__ = ("at", "rest", "text")

    def __init__(self, text: str, rest: list[Lexeme]) -> None:
        self.text = text
        self.rest = rest
        self.at = 0

    def peek(self, ahead: int = 0) -> Lexeme:
        """Return a lexeme that is yet to come; behind the last one, an end."""
        at = self.at + ahead
        return self.rest[at] if at < len(self.rest) else END

    def accept(self, *words: str) -> bool:
        """Step over these words if they come next, all of them."""
        if any(self.peek(i).word != word for i, word in enumerate(words)):
            return False
        self.at += len(words)
        return True

    def accept_comma(self) -> bool:
        """Step over a comma if one comes next."""
        comma = self.peek().kind is TokenKind.COMMA
        self.at += comma
        return comma

    def left(self) -> list[Lexeme]:
        """Return what is yet to come."""
        return self.rest[self.at :]

    def outer(self) -> list[str]:
        """Return the bare words to come that stand outside brackets."""
        depth = self.peek().depth
        return [lexeme.word for lexeme in self.left() if lexeme.word and lexeme.depth == depth]

    def identifier(self, lexeme: Lexeme) -> str:
        """Return a name without its quotes."""
        raw = self.text[lexeme.start : lexeme.end]
        if lexeme.kind is TokenKind.WORD:
            return raw
        inside = raw[1:-1].replace(raw[0] * 2, raw[0]).encode("utf-8", "surrogatepass")
        return _ESCAPE.sub(_unescaped, inside).decode("utf-8", "backslashreplace")

    def name(self) -> Name | None:
        """Step over ``[db.]name [ON CLUSTER c]``; None if there is no plain name."""
        first = self.peek()
        if first.kind not in NAMES:
            return None
        self.at += 1
        name = Name(self.identifier(first))
        if self.peek().kind is TokenKind.DOT:
            second = self.peek(1)
            if second.kind not in NAMES:
                return None
            self.at += 2
            name = Name(self.identifier(second), name.name)
        if self.accept("ON", "CLUSTER"):
            self.at += 1
        return name
