"""What ClickHouse's HTTP interface does with a request, as pure functions.

Shared by :mod:`tests.support.chdb_front` (which answers requests) and
:mod:`tests.support.proxy` (which watches them).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

#: Query parameters that ClickHouse's HTTP handler takes for itself: they are not settings.
TRANSPORT_PARAMETERS = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)

_BAD_REQUEST = (
    {6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223}
    | {321, 376, 427, 441, 675, 676}
)  # fmt: skip
_FORBIDDEN = {192, 193, 497, 512, 516}
_NOT_FOUND = {46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511}
_OTHER = {48: 501, 76: 503, 159: 408, 194: 401, 209: 503, 229: 413, 381: 411, 415: 415, 439: 503}

_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*$", re.IGNORECASE)
_TOKEN = re.compile(
    r"""'(?:\\.|''|[^'\\])*' | "(?:\\.|""|[^"\\])*" | `(?:\\.|``|[^`\\])*`
    | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/ | (?P<semicolon>;) | (?P<other>\S)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Credentials:
    """The user and password a request came with."""

    user: str
    password: str


def http_status(code: int) -> int:
    """The HTTP status that ClickHouse 26 answers with for a server error code."""
    if code in _BAD_REQUEST:
        return 400
    if code in _FORBIDDEN:
        return 403
    if code in _NOT_FOUND:
        return 404
    return _OTHER.get(code, 500)


def parameters(target: str) -> dict[str, str]:
    """The query parameters of a request target such as ``/?query=select+1&database=x``."""
    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, errors="surrogateescape"))


def query_text(params: Mapping[str, str], body: bytes) -> bytes:
    """The query as ClickHouse puts it together: the ``query`` parameter, then the body."""
    param = params.get("query", "").encode("utf-8", "surrogateescape")
    return param + b"\n" + body if param and body else param or body


def credentials(headers: Mapping[str, str], params: Mapping[str, str]) -> Credentials:
    """Who is asking: X-ClickHouse headers, else basic authentication, else parameters."""
    lower = {name.lower(): value for name, value in headers.items()}
    if "x-clickhouse-user" in lower:
        return Credentials(lower["x-clickhouse-user"], lower.get("x-clickhouse-key", ""))
    scheme, _, encoded = lower.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded).decode("utf-8", "replace")
        except binascii.Error:
            return Credentials("", "")
        user, _, password = text.partition(":")
        return Credentials(user, password)
    return Credentials(params.get("user", "default"), params.get("password", ""))


def decode_body(body: bytes, encoding: str) -> bytes:
    """Undo a request's ``Content-Encoding``."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "lz4":
            import lz4.frame

            return bytes(lz4.frame.decompress(body))
        case "zstd":
            from backports import zstd

            return bytes(zstd.decompress(body))
        case other:
            raise ValueError(f"Unknown compression method: {other}")


def output_format(query: bytes, default: str) -> str:
    """The format of a result: the query's own ``FORMAT``, else the default."""
    found = _FORMAT.search(query[-300:].decode("utf-8", "replace"))
    return found.group(1) if found else default


def has_text_after_semicolon(query: str) -> bool:
    """Whether a semicolon is followed by more than blanks and comments.

    A first look only, by a rough lexer that knows no heredocs; ClickHouse's parser decides.
    """
    seen = False
    for token in _TOKEN.finditer(query):
        if token.lastgroup == "semicolon":
            seen = True
        elif seen and not token.group().startswith(("--", "#", "/*")):
            return True
    return False


def quote_string(text: str) -> str:
    """A ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_identifier(name: str) -> str:
    """A ClickHouse identifier in backquotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
