"""Which arguments of which functions and engines are secrets.

Owns the table of calls (``s3(...)``, ``ENGINE = MySQL(...)``, ``encrypt(...)``)
and a reader of arguments that copes with broken and truncated text. Imports
nothing of this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

LITERAL = (
    r"(?:[xXbB]?'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*(?:'|\\?\Z)"
    # The same inside a literal, as in the server's "In scope SELECT formatQuery('...')".
    r"|\\'(?:\\\\\\'|\\\\|(?!\\')(?s:.))*(?:\\'|\Z)"
    r"|\$(?P<%s>\w*)\$(?s:.*?)(?:\$(?P=%s)\$|\Z)"
    r"|\u2018[^\u2019]*(?:\u2019|\Z))"
)
"""A string literal in any of its forms; the tail may be cut off. Format with a tag's name."""

GAP = r"(?:\s|/\*(?s:.{0,2000}?)\*/|--[^\n]{0,2000}\n)*"
"""White space and comments; comments are bounded to stay linear on hostile text."""

Span = tuple[int, int]
_Arguments = list[tuple[int, int, str]]

_LITERAL = re.compile(LITERAL % ("t", "t"))
_PIECE = re.compile(
    rf"(?P<literal>{LITERAL % ('p', 'p')})|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<comma>,)"
    r"|(?P<comment>/\*(?s:.{0,2000}?)\*/|--[^\n]*)|(?P<other>\w+|(?s:.))"
)
_FORMATS = re.compile(
    r"(?i)\W*(auto|csv|tsv|tabseparated|custom|json|bson|parquet|orc|arrow|avro|native|rowbinary"
    r"|values|protobuf|capnproto|msgpack|line|rawblob|regexp|template|one|npy|form|markdown"
    r"|vertical|xml|pretty|null|hash|dwarf|mysqldump|prometheus|sqlinsert|hivetext|none|gz|zstd"
    r"|br|xz|lz4|bz2|snappy|deflate)\w*\W*\Z"
)


def _s3(arguments: _Arguments, at: int, _: str) -> list[int]:
    """``url[, key, secret[, session token]][, format ...]``."""
    if len(arguments) <= at + 1 or _is_format(arguments, at + 1):
        return []
    token = [] if len(arguments) <= at + 3 or _is_format(arguments, at + 3) else [at + 3]
    return [at + 1, at + 2, *token]


def _azure(arguments: _Arguments, at: int, _: str) -> list[int]:
    """``url, container, path[, account name, account key][, format ...]``."""
    return [] if _is_format(arguments, at + 3) else [at + 4]


def _database(arguments: _Arguments, at: int, before: str) -> list[int]:
    """``host, database, table, user, password``; as a database's engine, without a table."""
    of_database = re.search(r"(?i)\bDATABASE\b(?!.*\bTABLE\b)", before, re.S)
    return [at + 3] if of_database or len(arguments) == at + 4 else [at + 4]


def _redis(arguments: _Arguments, at: int, _: str) -> list[int]:
    """``host, key, structure, index, password``; as an engine, ``host, index, password``."""
    engine = len(arguments) > 1 and arguments[1][2].strip().isdigit()
    return [at + 2] if engine else [at + 4]


def _remote(arguments: _Arguments, at: int, _: str) -> list[int]:
    """``addresses, database, table, user, password``; ``database.table`` may be one."""
    one = len(arguments) > at + 1 and re.search(r"[.(]", arguments[at + 1][2])
    return [at + 3] if one else [at + 4]


def _position(*positions: int) -> Callable[[_Arguments, int, str], list[int]]:
    return lambda _arguments, at, _before: [at + position for position in positions]


_CALLS: dict[str, tuple[Callable[[_Arguments, int, str], list[int]], int]] = {
    **{
        name + cluster: (_s3, 1 if cluster else 0)
        for name in (
            *("s3", "gcs", "cosn", "oss", "iceberg", "icebergs3", "deltalake", "deltalakes3"),
            *("hudi", "paimon", "paimons3", "s3queue"),
        )
        for cluster in ("", "cluster")
    },
    **{
        name + cluster: (_azure, 1 if cluster else 0)
        for name in ("azureblobstorage", "azurequeue", "icebergazure", "deltalakeazure")
        for cluster in ("", "cluster")
    },
    **dict.fromkeys(
        ("mysql", "postgresql", "materializedmysql", "materializedpostgresql"), (_database, 0)
    ),
    "mongodb": (_position(4), 0),
    "externaldistributed": (_position(5), 0),
    "ytsaurus": (_position(2), 0),
    "arrowflight": (_position(3), 0),
    "redis": (_redis, 0),
    "remote": (_remote, 0),
    "remotesecure": (_remote, 0),
    **{
        name: (_position(2), 0)
        for name in ("encrypt", "decrypt", "trydecrypt", "aes_encrypt_mysql", "aes_decrypt_mysql")
    },
    "hmac": (_position(2), 0),
}
_ANCHOR = re.compile(
    rf"(?i)(?<![\w$])[`\"]?(?P<name>{'|'.join(sorted(_CALLS, key=len, reverse=True))})[`\"]?{GAP}\("
)
_HEADERS = re.compile(rf"(?i)(?<![\w$])headers?{GAP}\(")
_VALUE_FOLLOWS = re.compile(rf"(?i)(?:=|\bvalue){GAP}\Z")
_MOST_TOKENS = 500  # in the arguments of one call; text with more is not a call
_KEY_VALUE = re.compile(r"\s*\w+\s*=")
_NAME = re.compile(r"\s*[A-Za-z_`\"][\w.`\"]*\s*\Z")


def secret_arguments(text: str) -> Iterator[Span]:
    """Yield the literals that are secrets because of where they stand in a call."""
    for found in _ANCHOR.finditer(text):
        reader, at = _CALLS[found["name"].lower()]
        arguments = _arguments(text, found.end())
        if not arguments or _is_named_collection(arguments):
            continue
        before = text[max(0, found.start() - 400) : found.start()]
        for index in reader(arguments, at, before):
            if index < len(arguments) and not _KEY_VALUE.match(arguments[index][2]):
                yield from _literals(text, *arguments[index][:2])
    for found in _HEADERS.finditer(text):
        for start, end, _ in _arguments(text, found.end()):
            for literal in _literals(text, start, end):
                if _VALUE_FOLLOWS.search(text, max(start, literal[0] - 200), literal[0]):
                    yield literal


def _is_format(arguments: _Arguments, index: int) -> bool:
    if index >= len(arguments):
        return False
    value = arguments[index][2]
    return bool(_FORMATS.match(value)) or value.strip().upper() == "NOSIGN"


def _is_named_collection(arguments: _Arguments) -> bool:
    """Tell ``s3(conf, key = 'x')`` from ``s3('url', 'key', 'x')``."""
    return bool(
        _NAME.match(arguments[0][2])
        and all(_KEY_VALUE.match(argument) for *_, argument in arguments[1:])
    )


def _arguments(text: str, start: int) -> _Arguments:
    """Read arguments up to the closing bracket, or as far as the text goes."""
    arguments: _Arguments = []
    depth, begin, at = 0, start, start
    for _ in range(_MOST_TOKENS):
        found = _PIECE.match(text, at)
        if found is None:
            break
        if found["open"]:
            depth += 1
        elif found["close"]:
            depth -= 1
            if depth < 0:
                break
        elif found["comma"] and depth == 0:
            arguments.append((begin, at, text[begin:at]))
            begin = found.end()
        at = found.end()
    if text[begin:at].strip():
        arguments.append((begin, at, text[begin:at]))
    return arguments


def _literals(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the string literals between two offsets."""
    at = start
    while at < end:
        found = _LITERAL.match(text, at)
        if found:
            yield found.span()
        at = found.end() if found and found.end() > at else at + 1
