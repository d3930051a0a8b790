"""Cut SQL into the tokens that ClickHouse's own lexer sees.

Owns the rules of ``src/Parsers/Lexer.cpp`` (ClickHouse 26) as far as they decide
where a token begins and ends, so that a ``;`` in a string or a comment is never
mistaken for the end of a statement. ``tests/engines/test_parser_agreement.py``
holds it against the real one. May import ``errors`` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from budeval_migrations.errors import StatementSyntaxError


class TokenKind(Enum):
    """What a token is; only what matters for reading statements is told apart."""

    WHITESPACE = "whitespace"
    COMMENT = "comment"
    WORD = "word"
    QUOTED_IDENTIFIER = "quoted identifier"
    STRING = "string"
    HEREDOC = "heredoc"
    NUMBER = "number"
    COMMA = "comma"
    DOT = "dot"
    OPEN = "opening bracket"
    CLOSE = "closing bracket"
    SEMICOLON = "semicolon"
    VERTICAL = "vertical delimiter"
    DOUBLE_AT = "double at"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Token:
    """One token as a half-open range of character offsets."""

    kind: TokenKind
    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the token's characters; ``text`` is what was tokenized."""
        return text[self.start : self.end]


INSIGNIFICANT = frozenset({TokenKind.WHITESPACE, TokenKind.COMMENT})
"""The kinds that ClickHouse's parser never sees."""

BLOCK_COMMENT = r"/\*(?:(?!\*/)(?s:.)){0,1000}\*/"
"""A pattern of a comment that holds no other. It has a bound: many that are not closed would each
be read to the end of the text."""

# ASCII white space and what skipWhitespacesUTF8 adds to it (the BOM among it).
WHITESPACE = (
    " \t\n\r\f\v\u0085\u00a0\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""Every character that ClickHouse takes for white space."""

_DIGITS = r"[0-9](?:_?[0-9])*"
_HEX = r"[0-9A-Fa-f](?:_?[0-9A-Fa-f])*"
# The mark and the sign of an exponent count only when something follows them.
_EXPONENT = rf"(?=(?s:.))(?:[+-](?=(?s:.)))?(?:{_DIGITS})?"
_NUMBER = (
    rf"0[xX]{_HEX}(?:\.(?:{_HEX})?)?(?:[pP]{_EXPONENT})?"
    rf"|(?:0[bB](?=[01]))?{_DIGITS}(?:\.(?:{_DIGITS})?)?(?:[eE]{_EXPONENT})?"
)

_RULES: tuple[tuple[TokenKind, str], ...] = (
    (TokenKind.WHITESPACE, rf"[{WHITESPACE}]+"),
    (TokenKind.COMMA, r","),
    # A word may swallow a number's digits, so the literals with a prefix come first.
    (TokenKind.STRING, r"[xX]'[0-9A-Fa-f]*'|[bB]'[01]*'"),
    (TokenKind.OTHER, r"[xXbB]'(?=(?s:.))"),  # not closed: see _refuse
    (TokenKind.WORD, r"[A-Za-z_][A-Za-z0-9_$]*"),
    (TokenKind.NUMBER, rf"(?:{_NUMBER})[A-Za-z0-9_]*"),
    (TokenKind.STRING, r"'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*'(?!')|\u2018[^\u2019]*\u2019"),
    (TokenKind.OPEN, r"[(\[{]"),
    (TokenKind.CLOSE, r"[)\]}]"),
    (TokenKind.DOT, r"\."),
    (TokenKind.SEMICOLON, r";"),
    (
        TokenKind.QUOTED_IDENTIFIER,
        r"`[^`\\]*(?:(?:\\(?s:.)|``)[^`\\]*)*`(?!`)"
        r'|"[^"\\]*(?:(?:\\(?s:.)|"")[^"\\]*)*"(?!")'
        r"|\u201c[^\u201d]*\u201d",
    ),
    (TokenKind.COMMENT, r"(?:--|//|#[ !])[^\n]*"),
    (TokenKind.COMMENT, r"/\*"),
    (TokenKind.HEREDOC, r"\$[A-Za-z0-9_]*\$"),
    (TokenKind.WORD, r"\$[A-Za-z0-9_][A-Za-z0-9_$]*"),
    (TokenKind.VERTICAL, r"\\G"),
    (TokenKind.DOUBLE_AT, r"@@"),
    (TokenKind.OTHER, r"(?s:.)"),
)
_TOKEN = re.compile("|".join(f"({pattern})" for _, pattern in _RULES))
_KINDS = (TokenKind.OTHER, *(kind for kind, _ in _RULES))
_BAD_HEX = 1 + next(i for i, (_, p) in enumerate(_RULES) if p.startswith("[xXbB]"))

# All of it: the search for a second atom must not cut a word, ``e1$$``, in two.
_WHOLE_WORD = r"(?![xXbB]')[A-Za-z_][A-Za-z0-9_$]*(?![A-Za-z0-9_$])"

# Stretches that hold nothing a splitter looks at, in one match. Each atom stops
# where its token stops; what needs more context (``1e-5``, ``x.1``) is left out.
# A name is bounded: where a longer one fails, the match begins anew at each of its words.
_RUN = re.compile(
    r"(?:"
    rf"[{WHITESPACE},=<>*+%?:|]+"
    rf"|{_WHOLE_WORD}(?:\.{_WHOLE_WORD}){{0,9}}"
    r"|[0-9]+\.[0-9]+(?![0-9A-Za-z_.])"
    r"|[0-9][0-9A-Za-z_]*(?![0-9A-Za-z_.]|(?<=[eEpP])[+-])"
    r"|'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*'(?!')"
    r"|-(?!-)|/(?![/*])"
    r"|\([0-9A-Za-z_, ]*\)"
    r"){2,5000}"
)

_WORD_REST = re.compile(r"[A-Za-z0-9_$]*")
_ALL_WORD = re.compile(r"[A-Za-z0-9_]+\Z")
_ALL_NUMBER = re.compile(_NUMBER)
_DIGITS_ONLY = re.compile(_DIGITS)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_HEREDOC_MARK = re.compile(r"(?=(\$[A-Za-z0-9_]*\$))")
_NUMBER_AFTER_DOT = re.compile(rf"{_DIGITS}[A-Za-z0-9_]*")
_NUMBER_FROM_DOT = re.compile(rf"\.(?:{_DIGITS})?(?:[eE]{_EXPONENT})?")

_UNCLOSED = {
    "'": "the single-quoted string is not closed",
    '"': "the double-quoted identifier is not closed",
    "`": "the backtick-quoted identifier is not closed",
    "\u2018": "the string in curly quotes is not closed",
    "\u201c": "the identifier in curly quotes is not closed",
}


def position(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column, in characters, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def refuse(text: str, offset: int, reason: str) -> NoReturn:
    """Raise StatementSyntaxError for what stands at ``offset``."""
    line, column = position(text, offset)
    raise StatementSyntaxError(reason, line=line, column=column)


def tokenize(text: str) -> list[Token]:
    """Return every token of ``text``, white space and comments included.

    The tokens follow each other without gaps, from 0 to ``len(text)``.

    Raises:
        StatementSyntaxError: A quote, a comment or a ``$$`` heredoc is not
            closed; line and column are those of where it opens.

    """
    return [Token(kind, start, end) for kind, start, end in scan(text)]


def scan(text: str) -> Iterator[tuple[TokenKind, int, int]]:
    """Yield ``(kind, start, end)`` for each token, lazily; see `tokenize`.

    Raises:
        StatementSyntaxError: As `tokenize` does, when the iteration gets there.

    """
    return iter(Scanner(text))


class Scanner:
    """A walk over the tokens of one text, which can be told to hurry.

    Args:
        start: Where to begin; no token may have begun before it.

    Attributes:
        hurry: While set, stretches of tokens among which there is no comment, no
            separator and no unbalanced bracket may come as one OTHER.

    """

    __slots__ = ("_start", "_text", "hurry")

    def __init__(self, text: str, start: int = 0) -> None:
        self._text = text
        self._start = start
        self.hurry = False

    def __iter__(self) -> Iterator[tuple[TokenKind, int, int]]:
        """Yield ``(kind, start, end)`` for each token or stretch."""
        text = self._text
        heredocs = _Heredocs(text)
        match, match_run = _TOKEN.match, _RUN.match
        kinds = _KINDS
        previous, previous_end = TokenKind.OTHER, 0
        start, size = self._start, len(text)
        while start < size:
            if self.hurry:
                run = match_run(text, start)
                if run is not None:
                    significant = run.group().rstrip(WHITESPACE)
                    if significant:
                        previous = _last_kind(significant[-1])
                        previous_end = start + len(significant)
                    end = run.end()
                    yield TokenKind.OTHER, start, end
                    start = end
                    continue
            found = match(text, start)
            assert found is not None  # the last rule takes any character
            index = found.lastindex or 0
            kind, end = kinds[index], found.end()
            if kind is TokenKind.NUMBER:
                kind, end = _number(text, start, end, previous)
            elif kind is TokenKind.DOT:
                if _starts_number(text, start, previous, previous_end):
                    kind, end = TokenKind.NUMBER, _end_of(_NUMBER_FROM_DOT, text, start)
            elif kind is TokenKind.HEREDOC:
                kind, end = heredocs.read(start, end)
            elif kind is TokenKind.COMMENT and text.startswith("/*", start):
                end = _comment_end(text, start)
            elif kind is TokenKind.OTHER:
                _check_closed(text, start, index)
            yield kind, start, end
            if kind not in INSIGNIFICANT:
                previous, previous_end = kind, end
            start = end


def _number(text: str, start: int, end: int, previous: TokenKind) -> tuple[TokenKind, int]:
    """Return what a number is after all, and where it ends."""
    digits = _ALL_NUMBER
    if previous is TokenKind.DOT:
        digits, end = _DIGITS_ONLY, _end_of(_NUMBER_AFTER_DOT, text, start)
    if _end_of(digits, text, start) == end:
        return TokenKind.NUMBER, end
    # ``1_a`` is a word, ``1.5a`` is nothing.
    return TokenKind.WORD if _ALL_WORD.match(text, start, end) else TokenKind.OTHER, end


def _check_closed(text: str, start: int, index: int) -> None:
    """Refuse a quote that opens something and does not close it."""
    if index == _BAD_HEX:
        refuse(text, start, "the hexadecimal or binary string is not closed")
    reason = _UNCLOSED.get(text[start])
    if reason is not None:
        refuse(text, start, reason)


def _last_kind(char: str) -> TokenKind:
    """Return the kind of the token that ends a stretch, as far as numbers need it."""
    if char == ")":
        return TokenKind.CLOSE
    # A number counts as a word here: what may follow them is the same.
    return TokenKind.WORD if char.isalnum() or char in "_$" else TokenKind.OTHER


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return where a pattern that is known to match ends."""
    found = pattern.match(text, start)
    return found.end() if found else start + 1


def _starts_number(text: str, start: int, previous: TokenKind, previous_end: int) -> bool:
    """Tell the ``.`` of ``.5`` from the one of ``a.5`` and ``f(x).5``."""
    if start == 0:
        return True
    if not "0" <= text[start + 1 : start + 2] <= "9":
        return False
    if previous is TokenKind.CLOSE:
        return text[previous_end - 1] == "}"
    return previous not in (TokenKind.WORD, TokenKind.QUOTED_IDENTIFIER, TokenKind.NUMBER)


def _comment_end(text: str, start: int) -> int:
    """Return where a ``/* */`` comment ends; they nest."""
    depth, at = 1, start + 2
    while depth:
        edge = _COMMENT_EDGE.search(text, at)
        if edge is None:
            refuse(text, start, "the comment is not closed (comments nest in ClickHouse)")
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


class _Heredocs:
    """Finds the end of heredocs in one text, in linear time altogether."""

    __slots__ = ("_last", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._last: dict[str, int] | None = None

    def read(self, start: int, end: int) -> tuple[TokenKind, int]:
        """Return the kind and the end of what begins with ``$tag$``.

        Raises:
            StatementSyntaxError: A ``$$`` is not closed.

        """
        if self._last is None:
            # Where each mark stands last: an unclosed one must not cost a search each.
            self._last = {m.group(1): m.start() for m in _HEREDOC_MARK.finditer(self._text)}
        mark = self._text[start:end]
        if self._last.get(mark, -1) >= end:
            return TokenKind.HEREDOC, self._text.index(mark, end) + len(mark)
        if mark == "$$":
            refuse(self._text, start, "the heredoc is not closed")
        # ClickHouse reads ``$tag$`` without an end as a name.
        return TokenKind.WORD, _end_of(_WORD_REST, self._text, start)
