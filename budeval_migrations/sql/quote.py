r"""Write names and values as SQL.

Owns the escaping; uses only what ClickHouse 18.16 reads already (``\\``, ``\'``,
``\```, ``\n``, ``\xHH`` ...), so that a literal means the same on every version.
Imports nothing of this package.
"""

from __future__ import annotations

import re

_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_STRING = re.compile("[\\\\'\x00-\x1f\x7f\ud800-\udfff]")
_IN_IDENTIFIER = re.compile("[\\\\`\x00-\x1f\x7f\ud800-\udfff]")


def identifier(name: str) -> str:
    """Return a name in backticks, escaped.

    Raises:
        ValueError: The name is empty, which ClickHouse does not allow.

    """
    if not name:
        raise ValueError("an identifier cannot be empty")
    return f"`{_IN_IDENTIFIER.sub(_escape, name)}`"


def string(value: str) -> str:
    """Return a single-quoted literal that the server reads back as ``value``."""
    return f"'{_IN_STRING.sub(_escape, value)}'"


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char in "'`":
        return "\\" + char
    # A lone surrogate has no UTF-8 form and would fail only when it is sent.
    return "".join(f"\\x{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
