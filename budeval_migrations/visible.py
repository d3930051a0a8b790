"""Show text from outside as text: a terminal interprets nothing of it. Imports nothing of ours."""

from __future__ import annotations

import re

# Control characters but for the end of a line and the tab, and what turns the direction of
# writing (https://www.unicode.org/reports/tr9/).
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return a text with each control character as ``\x1b`` or ``\u202e``."""
    return _CONTROLS.sub(_escaped, text)


def visible_json(text: str) -> str:
    """Return a JSON text with each control character in JSON's own escape."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
