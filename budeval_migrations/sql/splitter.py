"""Cut a script into statements where ClickHouse would.

Owns the answer to "how many statements is this text, and where is each". May
import ``errors`` and the other modules of ``sql``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from budeval_migrations.sql.insert import INPUT, InsertData, InsertHead
from budeval_migrations.sql.lexer import WHITESPACE, Scanner, TokenKind, refuse
from budeval_migrations.sql.rows import find_rows

_INSERT = re.compile(r"(?i)\binsert\b")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a script.

    Attributes:
        text: The statement to the byte, without the ``;`` and outer white space.
            The data of ``INSERT ... FORMAT`` keeps its white space, which may
            mean something; only an unfinished last line that is blank is left out,
            and so is the empty line that ends it.
        offset: Index of ``text`` in the script.
        line: 1-based line of the first character that is neither white space
            nor in a comment.
        column: 1-based column of that character, in characters.

    """

    text: str
    offset: int
    line: int
    column: int


def split(text: str) -> list[Piece]:
    """Return the statements of a script, in order.

    Cuts at each ``;`` outside strings, quoted identifiers, heredocs and comments.
    Pieces without a statement (only white space and comments) are dropped. The
    rows of ``INSERT ... FORMAT <name>`` run to the first empty line, as they do in
    clickhouse-client (``ClientBase.cpp``, since 24.8), or to the end of the script,
    whatever they hold; ``Values`` is read as SQL. Takes linear time.

    Raises:
        StatementSyntaxError: Something is not closed, brackets do not match, a ``;``
            stands between FORMAT and its data, or it is not clear where rows end.

    """
    return _Splitter(text).run()


def _trimmed(text: str, begin: int, end: int, comment: int) -> str:
    """Return a statement without the white space behind it.

    The blank of a bare ``# `` at the end stays: without it there is no comment.
    """
    kept = max(begin, comment + 2) if comment >= begin else begin
    return text[begin:kept] + text[kept:end].rstrip(WHITESPACE)


class _Splitter:
    """The state of one walk over a script."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces: list[Piece] = []
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._next: dict[re.Pattern[str], int] = {}

    def run(self) -> list[Piece]:
        """Walk the script once."""
        at = 0
        while at < len(self._text):
            at = self._walk(at)
        return self._pieces

    def _walk(self, at: int) -> int:
        """Cut from a place to the end of the script, or of rows; return where that is."""
        text = self._text
        begin = end = significant = comment = -1
        brackets: list[int] = []
        head: InsertHead | None = None
        scanner = Scanner(text, at)
        for kind, start, stop in scanner:
            if kind is TokenKind.WHITESPACE:
                continue
            if kind is TokenKind.SEMICOLON:
                self._check_closed(brackets)
                self._add(_trimmed(text, begin, end, comment), begin, significant)
                begin = significant = -1
                head, scanner.hurry = None, False
                continue
            if begin < 0:
                begin = start
            end = stop
            if kind is TokenKind.COMMENT:
                comment = start
                continue
            if significant < 0:
                significant = start
                scanner.hurry = not self._may_insert(text[start:stop].upper(), stop)
                head = None if scanner.hurry else InsertHead()
            if kind is TokenKind.OPEN:
                brackets.append(start)
            elif kind is TokenKind.CLOSE:
                self._check_pair(brackets, start)
            if head is None:
                continue
            data = head.feed(kind, text[start:stop])
            if data is InsertData.FORMAT:
                rows = find_rows(text, stop)
                self._add(text[begin : rows.end], begin, significant)
                return rows.next
            if not self._may_go_on(data, stop):
                head, scanner.hurry = None, True
        self._check_closed(brackets)
        self._add(_trimmed(text, begin, end, comment), begin, significant)
        return len(text)

    def _may_go_on(self, data: InsertData, at: int) -> bool:
        reads_input = data is InsertData.QUERY and self._has(INPUT, at)
        return data is InsertData.UNDECIDED or reads_input

    def _may_insert(self, first: str, at: int) -> bool:
        return first == "INSERT" or (first == "WITH" and self._has(_INSERT, at))

    def _has(self, word: re.Pattern[str], at: int) -> bool:
        """Tell whether a word stands anywhere behind a place; it is looked for once."""
        place = self._next.get(word, -1)
        if place < at:
            found = word.search(self._text, at)
            place = self._next[word] = found.start() if found else len(self._text)
        return place < len(self._text)

    def _check_pair(self, brackets: list[int], closing: int) -> None:
        mark = self._text[closing]
        if not brackets:
            refuse(self._text, closing, f"'{mark}' closes nothing")
        opening = self._text[brackets.pop()]
        if _PAIRS[mark] != opening:
            refuse(self._text, closing, f"'{mark}' does not close '{opening}'")

    def _check_closed(self, brackets: list[int]) -> None:
        if brackets:
            refuse(self._text, brackets[-1], f"'{self._text[brackets[-1]]}' is not closed")

    def _add(self, statement: str, offset: int, significant: int) -> None:
        if significant < 0:
            return
        # Lines are counted from the last piece on, or a long script costs n squared.
        self._line += self._text.count("\n", self._counted, significant)
        newline = self._text.rfind("\n", self._counted, significant)
        if newline >= 0:
            self._line_start = newline + 1
        self._counted = significant
        column = significant - self._line_start + 1
        self._pieces.append(Piece(statement, offset, self._line, column))
