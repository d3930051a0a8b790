"""A docstring in Google's form, taken apart."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_HEAD = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.M)
_ENTRY = re.compile(r"^(\*{0,2}\w+): ", re.M)


@dataclass(frozen=True)
class Docstring:
    """What is said of a class or a function.

    Attributes:
        text: Everything before the first section.
        returns: What is said in its section; empty where there is none.
        args: By name, as are ``attributes`` and ``raises``.

    """

    text: str
    returns: str = ""
    args: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    raises: dict[str, str] = field(default_factory=dict)


def read(thing: object) -> Docstring:
    """Return the parts of an object's own docstring."""
    # Python 3.13 takes the indentation away itself, the older ones do not.
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    before, *rest = _HEAD.split(text)
    found = dict(zip(rest[::2], map(inspect.cleandoc, rest[1::2]), strict=True))
    return Docstring(
        before.strip(),
        " ".join(found.get("Returns", "").split()),
        *(_entries(found.get(name, "")) for name in ("Args", "Attributes", "Raises")),
    )


def _entries(section: str) -> dict[str, str]:
    """Return what is said of each name, on one line."""
    _, *rest = _ENTRY.split(section)
    return {name: " ".join(text.split()) for name, text in zip(rest[::2], rest[1::2], strict=True)}
