"""Find where the data of an INSERT begins.

Owns the head of the INSERT grammar: everything before the rows. The splitter and
the classifier share it. May import ``sql.lexer`` only.
"""

from __future__ import annotations

from enum import Enum, auto

from budeval_migrations.sql.lexer import TokenKind


class InsertData(Enum):
    """Where the rows of an INSERT come from."""

    UNDECIDED = auto()
    ELSEWHERE = auto()
    VALUES = auto()
    FORMAT = auto()


class _State(Enum):
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


_QUERY_WORDS = frozenset({"SELECT", "WITH", "FROM"})
_NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED_IDENTIFIER})


class InsertHead:
    """Reads the significant tokens that follow the word INSERT, one by one.

    A table, a column or a format may be called ``values`` or ``format``, so the
    words mean something only where the grammar has them.
    """

    __slots__ = ("_depth", "_inside", "_state")

    def __init__(self) -> None:
        self._state = _State.INTO
        self._depth = 0
        self._inside: list[str] = []

    def feed(self, kind: TokenKind, text: str) -> InsertData:
        """Take the next token; anything but UNDECIDED is final.

        VALUES and FORMAT are told at the token after which the data begins.
        """
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
            return InsertData.ELSEWHERE
        self._inside.append(text if kind is TokenKind.QUOTED_IDENTIFIER else text.upper())
        if len(self._inside) == 2 and self._inside[0] in _QUERY_WORDS and self._inside[1] != ",":
            return InsertData.ELSEWHERE
        return InsertData.UNDECIDED

    def _outside(self, kind: TokenKind, text: str) -> InsertData:
        word = text.upper() if kind is TokenKind.WORD else ""
        state = self._state
        if state is _State.INTO:
            if word != "INTO":
                return InsertData.ELSEWHERE
            self._state = _State.TARGET
        elif state is _State.TARGET and word == "TABLE":
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
        elif word == "VALUES":
            return InsertData.VALUES
        elif word == "FORMAT":
            self._state = _State.FORMAT_NAME
        elif word in _QUERY_WORDS:
            return InsertData.ELSEWHERE
        elif state is _State.AFTER_NAME:
            self._state = _State.CLAUSES
        return InsertData.UNDECIDED
