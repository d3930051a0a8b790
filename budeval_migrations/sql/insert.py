"""Find where the data of an INSERT begins.

Owns the head of the INSERT grammar: everything before the rows. The splitter and
the classifier share it. May import ``sql.lexer`` only.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from budeval_migrations.sql.lexer import TokenKind

INPUT = re.compile(r"(?i)\binput\b")
"""What a query must hold for rows to follow it."""


class InsertData(Enum):
    """Where the rows of an INSERT come from."""

    UNDECIDED = auto()
    QUERY = auto()  # rows may follow nevertheless: INSERT ... SELECT ... FROM input(...) FORMAT x
    ELSEWHERE = auto()
    VALUES = auto()
    FORMAT = auto()


class _State(Enum):
    START = auto()
    WITH = auto()
    INTO = auto()
    TARGET = auto()
    AFTER_TABLE = auto()
    NAME = auto()
    FUNCTION = auto()
    ARGUMENTS = auto()
    AFTER_NAME = auto()
    COLUMNS = auto()
    CLAUSES = auto()
    FORMAT_NAME = auto()
    QUERY = auto()
    READS_INPUT = auto()


_QUERY_WORDS = frozenset({"SELECT", "WITH", "FROM"})
# Behind a column that is called ``format``.
_BEHIND_A_COLUMN = frozenset({"FROM", "AS", "AND", "OR", "IN", "IS", "LIKE", "DESC", "ASC"})
# What a name may stand behind, whatever the word.
_MARKS = {TokenKind.COMMA: "AS", TokenKind.DOT: "."}
_NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED_IDENTIFIER})


class InsertHead:
    """Reads the significant tokens of a statement, one by one.

    A table, a column or a format may be called ``values`` or ``format``, so the
    words mean something only where the grammar has them.

    Attributes:
        begun: INSERT INTO has been read, perhaps behind a WITH.

    """

    __slots__ = ("_before", "_depth", "_inside", "_state", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._state = _State.START
        self._depth = 0
        self._inside: list[str] = []
        self._before = ""

    @property
    def is_insert(self) -> bool:
        """Whether it is an INSERT, as far as it was read."""
        return self._state is not _State.START and self._state is not _State.WITH

    @property
    def reads_query(self) -> bool:
        """Whether its rows come from a query, or stand behind one that reads ``input(…)``."""
        return self._state in (_State.QUERY, _State.READS_INPUT)

    def feed(self, kind: TokenKind, text: str) -> InsertData:
        """Take the next token; ELSEWHERE, VALUES and FORMAT are final.

        VALUES and FORMAT are told at the token after which the data begins.
        """
        if not self.begun:
            return self._before_into(kind, text)
        if self._state in (_State.QUERY, _State.READS_INPUT):
            return self._in_query(kind, text)
        if kind is TokenKind.OPEN:
            self._depth += 1
            if self._depth == 1:
                return self._open()
        elif kind is TokenKind.CLOSE:
            self._depth -= 1
            if self._depth == 0:
                return self._close(text)
        if self._depth:
            return self._within(kind, text)
        return self._outside(kind, text)

    def _before_into(self, kind: TokenKind, text: str) -> InsertData:
        """Find INSERT INTO, at the beginning or behind the expressions of a WITH."""
        word = text.upper() if kind is TokenKind.WORD else ""
        if self._state is _State.START:
            if word not in ("INSERT", "WITH"):
                return InsertData.ELSEWHERE
            self._state = _State.INTO if word == "INSERT" else _State.WITH
            self._before = "AS"
        elif self._state is _State.INTO:
            if word != "INTO":
                return InsertData.ELSEWHERE
            self._state, self.begun = _State.TARGET, True
        elif kind in (TokenKind.OPEN, TokenKind.CLOSE):
            self._depth += 1 if kind is TokenKind.OPEN else -1
            self._before = ""
        elif self._depth == 0:
            # Not FROM or SELECT: 1 IS NOT DISTINCT FROM 1 AS a, t.select AS b INSERT INTO ...
            if (self._before, word) == ("INSERT", "INTO"):
                self._state, self.begun = _State.TARGET, True
            # A name, whatever the word: WITH 1 AS insert SELECT ..., WITH t.as INSERT INTO ...
            named = self._before in ("AS", ".")
            self._before = _MARKS.get(kind, "" if named else word)
        return InsertData.UNDECIDED

    def _open(self) -> InsertData:
        if self._state is _State.FORMAT_NAME:
            self._state = _State.CLAUSES  # the function format(...), in PARTITION BY
        elif self._state is _State.AFTER_NAME:
            self._state, self._inside = _State.COLUMNS, []
        return InsertData.UNDECIDED

    def _close(self, text: str) -> InsertData:
        if self._state is _State.COLUMNS:
            if len(self._inside) == 1:
                self._inside.append(text)  # a single column that is called ``select``
            self._state = _State.CLAUSES
        elif self._state in (_State.ARGUMENTS, _State.TARGET, _State.AFTER_TABLE, _State.NAME):
            self._state = _State.AFTER_NAME  # f(...), or {table:Identifier}
        return InsertData.UNDECIDED

    def _within(self, kind: TokenKind, text: str) -> InsertData:
        if self._state is not _State.COLUMNS or len(self._inside) == 2:
            return InsertData.UNDECIDED
        if not self._inside and kind is TokenKind.OPEN:
            return self._query()
        self._inside.append(text if kind is TokenKind.QUOTED_IDENTIFIER else text.upper())
        if len(self._inside) == 2 and self._inside[0] in _QUERY_WORDS and self._inside[1] != ",":
            return self._query()
        return InsertData.UNDECIDED

    def _query(self) -> InsertData:
        self._state = _State.QUERY
        return InsertData.QUERY

    def _in_query(self, kind: TokenKind, text: str) -> InsertData:
        """Find FORMAT and a name behind a query that reads ``input(...)``."""
        before, self._before = self._before, text.upper() if kind in _NAMES else ""
        self._depth += (kind is TokenKind.OPEN) - (kind is TokenKind.CLOSE)
        if kind is TokenKind.OPEN and before == "INPUT":
            self._state = _State.READS_INPUT
        clause = before == "FORMAT" and kind in _NAMES and self._before not in _BEHIND_A_COLUMN
        reads_input = self._state is _State.READS_INPUT
        if clause and reads_input and not self._depth:
            return InsertData.FORMAT
        return InsertData.UNDECIDED

    def _outside(self, kind: TokenKind, text: str) -> InsertData:
        word = text.upper() if kind is TokenKind.WORD else ""
        before, self._before = self._before, word
        state = self._state
        if state is _State.TARGET and word == "TABLE":
            self._state = _State.AFTER_TABLE
        elif state in (_State.TARGET, _State.AFTER_TABLE) and word == "FUNCTION":
            self._state = _State.FUNCTION
        elif state in (_State.TARGET, _State.AFTER_TABLE, _State.NAME, _State.FUNCTION):
            if kind not in _NAMES:
                return InsertData.ELSEWHERE
            function = state is _State.FUNCTION
            self._state = _State.ARGUMENTS if function else _State.AFTER_NAME
        elif state is _State.AFTER_NAME and kind is TokenKind.DOT:
            self._state = _State.NAME
        elif state is _State.FORMAT_NAME:
            if kind not in _NAMES:
                return InsertData.ELSEWHERE
            return InsertData.VALUES if word == "VALUES" else InsertData.FORMAT
        elif word == "VALUES" and before != "BY":  # PARTITION BY values
            return InsertData.VALUES
        elif word == "FORMAT":
            self._state = _State.FORMAT_NAME
        elif word in _QUERY_WORDS:
            return self._query()
        elif state is _State.AFTER_NAME:
            self._state = _State.CLAUSES
        return InsertData.UNDECIDED
