"""Show text from outside as text: a terminal interprets nothing of it. Imports nothing of ours."""

from __future__ import annotations

import json
import os
import re

# Control characters but for the end of a line and the tab, what turns the direction of
# writing (https://www.unicode.org/reports/tr9/), what ends a line or has no width, and halves
# of characters, which no encoding takes.
CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f"
    r"\ud800-\udfff\U000e0000-\U000e01ef]"
)
# GitHub's runner obeys a line that begins so, and the older form anywhere in a line
# (https://docs.github.com/actions/reference/workflow-commands-for-github-actions). Tags of
# rich's markup, which are gone when the runner reads the line, may stand before and inside.
_RUNNER_COMMANDS = re.compile(r"(?m)^((?:\s|\[[^\[\]]*\])*):(?=:)|#(?=#\\?\[)")


def printable(text: str) -> str:
    """Return a text for a command's output: visible, and nothing that a CI runner obeys."""
    shown = visible(text)
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return shown
    return _RUNNER_COMMANDS.sub(
        lambda found: f"{found[1]}\\x3a" if found[1] is not None else "\\x23", shown
    )


def visible(text: str) -> str:
    r"""Return a text with each control character as ``\x1b`` or ``\u202e``."""
    return CONTROLS.sub(_escaped, text)


def visible_json(text: str) -> str:
    """Return a JSON text with each control character in JSON's own escape.

    So is the first character of what GitHub's runner would obey inside a line.
    """
    shown = CONTROLS.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return shown.replace("##[", "\\u0023#[")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code >= 0x10000:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
