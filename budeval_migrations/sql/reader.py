"""A cursor over the significant tokens of a statement, and the names that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.insert import InsertData, InsertHead
from budeval_migrations.sql.lexer import INSIGNIFICANT, TokenKind, scan
from budeval_migrations.sql.remembered import remembered


class Lexeme(NamedTuple):
    """A significant token; ``word`` is in capitals, and empty unless it is a bare word."""

    kind: TokenKind
    start: int
    end: int
    word: str
    depth: int


NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED_IDENTIFIER})
# What an operand can end with.
OPERANDS = frozenset({*NAMES, TokenKind.NUMBER, TokenKind.STRING, TokenKind.CLOSE})


@remembered
def lexemes(text: str) -> tuple[Lexeme, ...]:
    """Return the significant tokens of the first statement; brackets lie outside themselves.

    Raises:
        StatementSyntaxError: A quote, a comment or a heredoc is not closed.

    """
    return tuple(walk(text))


def walk(text: str) -> Iterator[Lexeme]:
    """Yield the same, and read no further than is asked for: rows may be anything."""
    depth = 0
    for kind, start, end in scan(text):
        if kind in INSIGNIFICANT:
            continue
        if kind is TokenKind.SEMICOLON:
            return
        depth -= kind is TokenKind.CLOSE
        word = text[start:end].upper() if kind is TokenKind.WORD else ""
        yield Lexeme(kind, start, end, word, depth)
        depth += kind is TokenKind.OPEN


def read_head(text: str) -> tuple[list[Lexeme], InsertData]:
    """Return what stands between INSERT and its rows or its query, and where the rows are."""
    head = InsertHead()
    found: list[Lexeme] = []
    for lexeme in walk(text):
        data = head.feed(lexeme.kind, text[lexeme.start : lexeme.end])
        if head.begun:
            found.append(lexeme)
        if data is not InsertData.UNDECIDED:
            return found, data
    return found, InsertData.UNDECIDED


def begins_query(found: Sequence[Lexeme]) -> bool:
    """Tell whether a query, and not a name, comes next."""
    return bool(found) and (
        found[0].kind is TokenKind.OPEN or found[0].word in ("SELECT", "WITH", "FROM")
    )


_OF_TEMPORARY = frozenset({"CREATE", "REPLACE", "ATTACH", "DETACH", "DROP", "ALTER", "TRUNCATE"})


def is_temporary(found: Sequence[Lexeme]) -> bool:
    """Tell whether a statement is about a temporary table or view, by its first words."""
    words = [lexeme.word for lexeme in found[:5]]
    at = 3 if words[1:3] == ["OR", "REPLACE"] else 1
    # A table may be called temporary: TRUNCATE temporary.
    named = len(found) > at + 1 and found[at + 1].kind in NAMES
    return (
        words[:1] != [] and words[0] in _OF_TEMPORARY and words[at:][:1] == ["TEMPORARY"] and named
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
    if char == b"N":
        return b""  # stands for NULL, as in ClickHouse's ReadHelpers.cpp
    return char if char in b"\\'\"`/=" or char < b" " else found[0]


_NO_NUMBER = re.compile(r"(?<!\\)(?:\\\\)*\\x(?![0-9A-Fa-f]{2})")


def _unquoted(raw: str) -> bytes:
    inside = raw[1:-1].replace(raw[0] * 2, raw[0]).encode("utf-8", "surrogatepass")
    return _ESCAPE.sub(_unescaped, inside)


def value_of(literal: str) -> str:
    """Return the text that a string literal stands for: in quotes, x'…', b'…' or a heredoc.

    Raises:
        ValueError: It holds other digits than it may.

    """
    if literal[0] in "xXbB":
        digits, size = literal[2:-1], 16 if literal[0] in "xX" else 2
        width = (len(digits) * (4 if size == 16 else 1) + 7) // 8
        return int(digits or "0", size).to_bytes(width, "big").decode("utf-8", "replace")
    if literal[0] == "$":
        mark = literal[: literal.index("$", 1) + 1]
        return literal[len(mark) : -len(mark)]
    if literal[0] in "\u2018\u201c":
        return literal[1:-1]  # between them nothing is an escape
    return _unquoted(literal).decode("utf-8", "backslashreplace")


class Reader:
    """A cursor over the lexemes of one statement or one clause.

    Args:
        rest: Some of the text's lexemes; without, all of them.

    """

    __slots__ = ("at", "rest", "text")

    def __init__(self, text: str, rest: Sequence[Lexeme] | None = None) -> None:
        self.text = text
        self.rest = lexemes(text) if rest is None else rest
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

    def left(self) -> Sequence[Lexeme]:
        """Return what is yet to come."""
        return self.rest[self.at :]

    def outer(self) -> list[str]:
        """Return the bare words to come that stand outside brackets."""
        depth = self.peek().depth
        return [lexeme.word for lexeme in self.left() if lexeme.word and lexeme.depth == depth]

    def identifier(self, lexeme: Lexeme) -> str:
        """Return a name without its quotes."""
        raw = self.text[lexeme.start : lexeme.end]
        if lexeme.kind is TokenKind.WORD or not raw:
            return raw
        quoted = lexeme.kind in NAMES or lexeme.kind is TokenKind.STRING
        return value_of(raw) if quoted else raw[1:-1]

    def _is_name(self, lexeme: Lexeme) -> bool:
        """Tell whether it is a name that is read here as the server reads it."""
        if lexeme.kind is TokenKind.WORD:
            return True
        raw = self.text[lexeme.start : lexeme.end]
        if lexeme.kind not in NAMES or raw[0] == "\u201c" or "\\" not in raw:
            return lexeme.kind in NAMES
        try:
            _unquoted(raw).decode()
        except UnicodeDecodeError:
            return False
        return _NO_NUMBER.search(raw) is None

    def name(self) -> Name | None:
        """Step over ``[db.]name [ON CLUSTER c]``; None if there is no plain name."""
        first = self.peek()
        if not self._is_name(first):
            return None
        self.at += 1
        name = Name(self.identifier(first))
        if self.peek().kind is TokenKind.DOT:
            second = self.peek(1)
            if not self._is_name(second):
                return None
            self.at += 2
            name = Name(self.identifier(second), name.name)
        if self.accept("ON", "CLUSTER"):
            self.at += 1
        return name
