"""Which parts of which calls, clauses and collections are secrets.

Owns the table of calls (``s3(...)``, ``ENGINE = MySQL(...)``, ``encrypt(...)``) and a
reader of their tokens that copes with broken and truncated text. What ClickHouse's own
mask hides, this hides: ``tests/engines/test_redact_agreement.py`` holds it against the
process list of ClickHouse 26.9. May import ``sql.lexer``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from budeval_migrations.sql.calls import (
    GAP,
    LITERAL,
    MOST_TOKENS,
    Argument,
    Piece,
    Span,
    read_pieces,
    split_arguments,
)
from budeval_migrations.sql.lexer import WHITESPACE

_LITERAL = re.compile(LITERAL % ("t", "t"))


class Secret(NamedTuple):
    """Where a secret stands; ``within`` a literal, or else a literal or expression by itself."""

    start: int
    end: int
    within: bool = False


_Arguments = Sequence[Argument]
# Returns the indices of the arguments that are secrets. Its arguments: those of the call, the
# index of the first one behind a cluster's name, and the text before the call.
_Reader = Callable[[_Arguments, int, str], Sequence[int]]


def _s3(arguments: _Arguments, at: int, _: str) -> Sequence[int]:
    """``url[, key, secret[, session token]][, format, structure, compression]``."""
    return [*_made(arguments, at), *_closed(arguments, at + 1)]


def _azure(arguments: _Arguments, at: int, _: str) -> Sequence[int]:
    """``url, container, path[, account name, account key][, format ...]``."""
    return [*_made(arguments, at), *_closed(arguments, at + 3)]


def _url(arguments: _Arguments, at: int, _: str) -> Sequence[int]:
    """``url[, format, structure]``, whose password is found without this."""
    return _made(arguments, at)


def _made(arguments: _Arguments, at: int) -> list[int]:
    """Return the place of a URL that an expression makes: it may hold anything."""
    return [at] if len(arguments) > at and len(arguments[at].pieces) > 1 else []


def _closed(arguments: _Arguments, at: int) -> list[int]:
    """Return the places from one on, but for a format and what may stand behind it."""
    closed, behind = [], False
    for index in range(at, len(arguments)):
        behind = behind or arguments[index].is_format
        is_open = arguments[index].is_format or (behind and arguments[index].is_structure)
        if not is_open:
            closed.append(index)
    return closed


def _database(arguments: _Arguments, at: int, before: str) -> Sequence[int]:
    """``host, database, table, user, password``; as a database's engine, without a table."""
    short = _makes_database(before) or len(arguments) == at + 4
    return [*_made(arguments, at), at + 3 if short else at + 4]


def _redis(arguments: _Arguments, at: int, before: str) -> Sequence[int]:
    """``host, key, structure, index, password``; as an engine, ``host, index, password``."""
    if _ENGINE.search(before):
        return (at + 2,)
    index = len(arguments) > 1 and arguments[1].plain.isdigit()
    return (at + 2, at + 4) if index else (at + 4,)


def _remote(arguments: _Arguments, at: int, before: str) -> Sequence[int]:
    """``addresses, database, table, user, password``; ``database.table`` may be one."""
    if len(arguments) > at + 1 and "." in arguments[at + 1].plain:
        return (at + 3,)
    return (at + 3,) if _makes_database(before) else (at + 4,)


def _position(position: int) -> _Reader:
    return lambda arguments, at, _before: [*_made(arguments, at), at + position]


def _since(position: int) -> _Reader:
    return lambda arguments, at, _before: range(at + position, len(arguments))


def _cloud(position: int) -> _Reader:
    """All from a place on, and from the second where the first is no literal."""

    def read(arguments: _Arguments, at: int, _: str) -> Sequence[int]:
        named = len(arguments) > at and arguments[at].pieces[0].kind != "literal"
        begin = at + (1 if named else position)
        return [*_made(arguments, at), *range(begin, len(arguments))]

    return read


_S3 = (
    *("s3", "gcs", "cosn", "oss", "iceberg", "icebergs3", "deltalake", "deltalakes3", "hudi"),
    *("paimon", "paimons3", "s3queue"),
)
_AZURE = ("azureblobstorage", "azurequeue", "icebergazure", "deltalakeazure", "paimonazure")
_DATABASES = ("mysql", "postgresql", "materializedmysql", "materializedpostgresql")
_CIPHERS = ("encrypt", "decrypt", "trydecrypt", "aes_encrypt_mysql", "aes_decrypt_mysql")
_CALLS: dict[str, tuple[_Reader, int]] = {
    **dict.fromkeys(_S3, (_s3, 0)),
    **{f"{name}cluster": (_s3, 1) for name in _S3},
    **dict.fromkeys(_AZURE, (_azure, 0)),
    **{f"{name}cluster": (_azure, 1) for name in _AZURE},
    **dict.fromkeys(_DATABASES, (_database, 0)),
    **dict.fromkeys(("remote", "remotesecure"), (_remote, 0)),
    **dict.fromkeys(_CIPHERS, (_since(1), 0)),
    "hmac": (_since(2), 0),
    "mongodb": (_position(4), 0),
    "externaldistributed": (_position(5), 0),
    "ytsaurus": (_position(2), 0),
    "arrowflight": (_position(3), 0),
    "redis": (_redis, 0),
    "bigquery": (_cloud(3), 0),
    "datalakecatalog": (_cloud(2), 0),
    "odbc": (_position(0), 0),
    "jdbc": (_position(0), 0),
    "url": (_url, 0),
    "urlcluster": (_url, 1),
}
_ANCHOR = re.compile(
    rf"(?i)(?<![\w$])[`\"]?(?P<name>{'|'.join(sorted(_CALLS, key=len, reverse=True))})[`\"]?{GAP}\("
)
# A table that is called as a function is: CREATE TABLE s3 (…), INSERT INTO mysql (…).
_A_NAME = re.compile(
    rf"(?i)(?:\b(?:CREATE|ATTACH|REPLACE)\b(?:(?!\b(?:AS|PARALLEL|DESC|DESCRIBE)\b)[^;(])*\b(?:TABLE|VIEW|DICTIONARY){GAP}(?:IF{GAP}NOT{GAP}EXISTS)?"
    rf"|\bINSERT{GAP}INTO{GAP}(?:TABLE\b)?){GAP}(?:[\w`\"]+\.)?[`\"]?\Z"
)
_BEFORE = 400  # characters before a call that tell what it is a part of
_MAKES_DATABASE = re.compile(rf"(?i)\b(?:CREATE|ATTACH){GAP}DATABASE\b")
_ENGINE = re.compile(rf"(?i)\bENGINE{GAP}=?{GAP}[`\"]?\Z")
_HEADERS = re.compile(rf"(?i)(?<![\w$])headers?{GAP}\(")
_SOURCE = re.compile(rf"(?i)(?<![\w$])SOURCE{GAP}\(")
_DISK = re.compile(rf"(?i)(?<![\w$])[`\"]?disk[`\"]?{GAP}\(")
_COLLECTION = re.compile(rf"(?i)\bNAMED{GAP}COLLECTION\b")
_SECRET_KEYS = frozenset(
    {"PASSWORD", "OAUTH_TOKEN", "CONNECTION_STRING", "VALUE", "TOKEN", "SECRET"}
)
# Tokens of all calls of a text that are read, which may stand in each other; then all that is
# left has its literals hidden.
_MOST_IN_ALL = 200_000
# ClickHouse takes for a password what stands between the second colon and the first @ of a URL's
# value, in which an escape is what it stands for.
_AT = r"(?:@|(?<!\\)(?:\\\\)*\\x40)"
_COLON = r"(?::|\\x3[aA])"
_SLASH = r"(?:\\?/|\\x2[fF])"
_URL_PASSWORD = re.compile(
    rf"(?s)(?:(?!{_COLON}).)+{_COLON}{_SLASH}{{2}}(?:(?!{_COLON}).)*{_COLON}(?P<v>(?:(?!{_AT}).)*){_AT}"
)
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|key|credential|signature|header")


# Each name that a secret can stand behind has one of these in it, in lower case. To look for
# them takes a fraction of the time that the patterns take for the rows of an INSERT.
STEMS = (
    *("s3", "gcs", "cosn", "oss", "iceberg", "deltalake", "hudi", "paimon", "azure", "sql"),
    *("crypt", "hmac", "mongodb", "distributed", "ytsaurus", "arrowflight", "redis", "bigquery"),
    *("remote", "catalog", "dbc", "url", "header", "source", "disk", "collection"),
)


def secret_arguments(text: str) -> Iterator[Secret]:
    """Yield what is secret because of where it stands."""
    read = 0
    for found in _ANCHOR.finditer(text):
        before = before_of(text, found.start(), _BEFORE)
        if _A_NAME.search(before):
            continue
        if read > _MOST_IN_ALL:
            yield from _every_literal(text, found.start())
            return
        pieces = read_pieces(text, found.end())
        read += len(pieces)
        yield from _of_call(found["name"], pieces, before)
    for anchor, secrets in _CLAUSES:
        for found in anchor.finditer(text):
            if read > _MOST_IN_ALL:
                yield from _every_literal(text, found.start())
                return
            pieces = read_pieces(text, found.end())
            read += len(pieces)
            yield from (Secret(*span) for span in secrets(pieces))


def _of_call(name: str, pieces: Sequence[Piece], before: str) -> Iterator[Secret]:
    if len(pieces) >= MOST_TOKENS:
        yield from (Secret(piece.start, piece.end) for piece in pieces if piece.kind == "literal")
        return
    arguments = split_arguments(pieces)
    for argument in arguments:
        if argument.is_named and _SECRET_NAME.search(argument.pieces[0].text):
            yield Secret(argument.pieces[2].start, argument.pieces[-1].end)
    for piece in pieces:
        if piece.kind == "literal" and (password := _URL_PASSWORD.match(piece.text)):
            start, end = password.span("v")
            yield Secret(piece.start + start, piece.start + end, within=True)
    if not arguments or _is_named_collection(arguments):
        return
    reader, at = _CALLS[name.lower()]
    secret = reader(arguments, at, before)
    for index in _hidden(arguments, at, secret):
        yield Secret(*arguments[index].span)


def is_clause(name: str) -> bool:
    """Tell whether a name begins a clause that may hold secrets."""
    return name.lower() in ("headers", "header", "source", "disk")


def before_of(text: str, at: int, length: int) -> str:
    """Return what stands before a place, each stretch of white space as one blank."""
    return _BLANKS.sub(" ", text[max(0, at - 20 * length) : at])[-length:]


_BLANKS = re.compile(rf"[{WHITESPACE}]+")


def _makes_database(before: str) -> bool:
    return bool(_MAKES_DATABASE.search(before)) and bool(_ENGINE.search(before))


def _is_named_collection(arguments: _Arguments) -> bool:
    """Tell ``s3(conf, key = 'x')`` from ``s3('url', 'key', 'x')``."""
    first, *others = arguments
    named = all(piece.kind == "name" or piece.text == "." for piece in first.pieces)
    return named and all(argument.is_named for argument in others)


def _hidden(arguments: _Arguments, at: int, secret: Sequence[int]) -> list[int]:
    """Return the places of the arguments to hide.

    Where an argument before the first secret is an expression or a number, ClickHouse may
    read the places otherwise: then all behind the first is hidden.
    """
    behind = range(at + 1, min(secret, default=0))
    if any(n < len(arguments) and not arguments[n].is_single for n in behind):
        secret = range(at + 1, len(arguments))
    return [n for n in secret if n < len(arguments) and not arguments[n].is_named]


def _values(pieces: Sequence[Piece], is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """Yield the values of ``key = value`` and of ``VALUE value``, in whatever brackets."""
    closes = _closes(pieces)
    signs = [at for at, piece in enumerate(pieces) if piece.text == "="]
    for which, at in enumerate(signs):
        if not 0 < at < len(pieces) - 1:
            continue
        key, value = pieces[at - 1], pieces[at + 1]
        if is_secret(key.text.strip("`\"'\\").lower()):
            end = _value_end(pieces, closes, at + 1)
            nested = which + 1 < len(signs) and signs[which + 1] < end
            if not nested and (value.kind != "name" or end > at + 2):
                yield value.start, pieces[end - 1].end
    for key, value in pairwise(pieces):
        if key.text.upper() == "VALUE" and value.kind == "literal":
            yield value.start, value.end


def _value_end(pieces: Sequence[Piece], closes: Mapping[int, int], at: int) -> int:
    """Return the index behind a value: at a comma, a closing bracket or a word behind it."""
    index = at
    while index < len(pieces):
        piece = pieces[index]
        word = piece.text.upper() in ("OVERRIDABLE", "NOT", "DELETE")
        if piece.kind in ("comma", "close") or (word and index > at):
            return index
        index = closes.get(index, len(pieces)) + 1 if piece.kind == "open" else index + 1
    return len(pieces)


def _closes(pieces: Sequence[Piece]) -> dict[int, int]:
    """Return where each bracket closes, by where it opens."""
    found, opened = {}, []
    for index, piece in enumerate(pieces):
        if piece.kind == "open":
            opened.append(index)
        elif piece.kind == "close" and opened:
            found[opened.pop()] = index
    return found


def _every_literal(text: str, start: int) -> Iterator[Secret]:
    at = start
    while (found := _LITERAL.search(text, at)) is not None:
        yield Secret(*found.span())
        at = max(found.end(), at + 1)


def _after_keys(pieces: Sequence[Piece]) -> Iterator[Span]:
    """Yield the values of ``PASSWORD value`` and its like in a dictionary's source."""
    closes = _closes(pieces)
    for at, key in enumerate(pieces[:-1]):
        following = pieces[at + 1]
        if key.kind != "name" or key.text.upper().strip('`"') not in _SECRET_KEYS:
            continue
        if following.kind in ("literal", "other"):
            yield following.start, following.end
        elif following.kind == "name":
            end = at + 1
            if at + 2 < len(pieces) and pieces[at + 2].text == "(":
                end = closes.get(at + 2, len(pieces) - 1)
            yield following.start, pieces[end].end


_CLAUSES: tuple[tuple[re.Pattern[str], Callable[[Sequence[Piece]], Iterator[Span]]], ...] = (
    (_HEADERS, lambda pieces: _values(pieces, lambda key: True)),
    (_SOURCE, _after_keys),
    (_DISK, lambda pieces: _values(pieces, lambda key: key != "type")),
    (_COLLECTION, lambda pieces: _values(pieces, lambda key: True)),
)
