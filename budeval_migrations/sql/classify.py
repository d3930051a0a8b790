"""Say what kind of statement a text is.

Owns the reading of a statement's first words, by tokens and never by substrings.
May import the other modules of ``sql``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.insert import INPUT, InsertData, InsertHead
from budeval_migrations.sql.lexer import INSIGNIFICANT, WHITESPACE, TokenKind, scan
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.remembered import remembered


@dataclass(frozen=True, slots=True)
class Classified:
    """What `classify` found.

    Attributes:
        inline_data: An INSERT whose rows stand in the text (VALUES or FORMAT).
        to_the_end: Its rows run to the end of the text (FORMAT); in a script, what
            ends them depends on who reads it.

    """

    kind: Kind
    inline_data: bool = False
    to_the_end: bool = field(default=False, compare=False)


# Users, roles and what belongs to them: CREATE, ALTER and DROP are one kind.
_ACCESS_ENTITIES = frozenset(
    {"USER", "ROLE", "QUOTA", "POLICY", "ROW", "PROFILE", "SETTINGS", "MASKING"}
)
_MODIFIERS = frozenset({"OR", "REPLACE", "TEMPORARY", "UNIQUE", "LIVE", "WINDOW"})
_CREATED = {
    "TABLE": Kind.CREATE_TABLE,
    "VIEW": Kind.CREATE_VIEW,
    "MATERIALIZED": Kind.CREATE_MATERIALIZED_VIEW,
    "DATABASE": Kind.CREATE_DATABASE,
    "DICTIONARY": Kind.CREATE_DICTIONARY,
    "FUNCTION": Kind.CREATE_FUNCTION,
    "NAMED": Kind.CREATE_NAMED_COLLECTION,
    "INDEX": Kind.CREATE_INDEX,
}
_BY_FIRST_WORD = {
    "UNDROP": Kind.UNDROP,
    "UPDATE": Kind.UPDATE,
    "DELETE": Kind.DELETE,
    "SELECT": Kind.SELECT,
    "FROM": Kind.SELECT,
    "RENAME": Kind.RENAME,
    "EXCHANGE": Kind.EXCHANGE,
    "TRUNCATE": Kind.TRUNCATE,
    "OPTIMIZE": Kind.OPTIMIZE,
    "SYSTEM": Kind.SYSTEM,
    "GRANT": Kind.ACCESS,
    "REVOKE": Kind.ACCESS,
    "MOVE": Kind.ACCESS,
    "ATTACH": Kind.ATTACH,
    "DETACH": Kind.DETACH,
    "USE": Kind.USE,
    "KILL": Kind.KILL,
    "BACKUP": Kind.BACKUP,
    "RESTORE": Kind.RESTORE,
    "CHECK": Kind.CHECK,
    "SHOW": Kind.SHOW,
    "DESCRIBE": Kind.DESCRIBE,
    "DESC": Kind.DESCRIBE,
    "EXISTS": Kind.EXISTS,
    "EXPLAIN": Kind.EXPLAIN,
}
_Tokens = Iterator[tuple[TokenKind, int, int]]


@remembered
def classify(text: str) -> Classified:
    """Return the kind of one statement.

    The rows of an INSERT are not looked at.

    Raises:
        StatementSyntaxError: Something in the words that decide is not closed.

    """
    said = _by_first_words(text)
    # What has rows inline cannot be joined (ClickHouse 26.9: code 27, 62 or 80).
    joined = not said.inline_data and len(parts(text)) > 1
    return Classified(Kind.PARALLEL) if joined else said


def joined(text: str) -> list[str]:
    """Return the statements that PARALLEL WITH joins in one; where it joins none, the one."""
    return [p.text for p in parts(text)] if classify(text).kind is Kind.PARALLEL else [text]


def _by_first_words(text: str) -> Classified:
    tokens = (token for token in scan(text) if token[0] not in INSIGNIFICANT)
    kind, start, end = next(tokens, (TokenKind.SEMICOLON, 0, 0))
    word = _word(text, kind, start, end)
    if kind is TokenKind.SEMICOLON:
        return Classified(Kind.EMPTY)
    if kind is TokenKind.OPEN:
        return _bracketed(text, tokens)
    if word in ("INSERT", "WITH"):
        return _insert(text, chain([(kind, start, end)], tokens))
    if word in ("CREATE", "REPLACE"):
        return Classified(_created(text, tokens))
    if word in ("ALTER", "DROP", "SET"):
        return Classified(_altered(word, text, tokens))
    return Classified(_BY_FIRST_WORD.get(word, Kind.OTHER))


def _word(text: str, kind: TokenKind, start: int, end: int) -> str:
    """Return a bare word in capitals, and nothing for any other token."""
    return text[start:end].upper() if kind is TokenKind.WORD else ""


def _created(text: str, tokens: _Tokens) -> Kind:
    for token in tokens:
        word = _word(text, *token)
        if word in _ACCESS_ENTITIES:
            return Kind.ACCESS
        if word not in _MODIFIERS:
            return _CREATED.get(word, Kind.OTHER)
    return Kind.OTHER


def _altered(first: str, text: str, tokens: _Tokens) -> Kind:
    second, third = (_word(text, *next(tokens, (TokenKind.OTHER, 0, 0))) for _ in range(2))
    if first == "SET":
        access = second == "ROLE" or (second, third) == ("DEFAULT", "ROLE")
        return Kind.ACCESS if access else Kind.SET
    if second in _ACCESS_ENTITIES:
        return Kind.ACCESS
    return Kind.ALTER if first == "ALTER" else Kind.DROP


def _bracketed(text: str, tokens: _Tokens) -> Classified:
    """Read ``(SELECT ...) UNION ALL (SELECT ...)``."""
    for kind, start, end in tokens:
        if kind is not TokenKind.OPEN:
            query = _word(text, kind, start, end) in ("SELECT", "WITH", "FROM")
            return Classified(Kind.SELECT if query else Kind.OTHER)
    return Classified(Kind.OTHER)


def _joins(text: str) -> bool:
    """Tell whether PARALLEL WITH comes next."""
    words = (_word(text, *token) for token in scan(text) if token[0] not in INSIGNIFICANT)
    return [*islice(words, 2)] == ["PARALLEL", "WITH"]


def _insert(text: str, tokens: _Tokens) -> Classified:
    """Read an INSERT, or a WITH, which may stand before one."""
    head = InsertHead()
    for kind, start, end in tokens:
        data = head.feed(kind, text[start:end])
        if data is InsertData.ELSEWHERE or (data is InsertData.QUERY and not INPUT.search(text)):
            break
        if data is InsertData.FORMAT and head.reads_query and _joins(text[end:]):
            return Classified(Kind.INSERT)  # the server reads no rows there
        if data is InsertData.FORMAT:
            has_rows = bool(text[end:].strip(WHITESPACE))
            return Classified(Kind.INSERT, has_rows, to_the_end=has_rows)
        if data is InsertData.VALUES:
            following = next(tokens, (TokenKind.SEMICOLON, 0, 0))[0]
            return Classified(Kind.INSERT, following is TokenKind.OPEN)
    return Classified(Kind.INSERT if head.is_insert else Kind.SELECT)
