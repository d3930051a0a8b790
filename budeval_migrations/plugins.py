"""Find what installed packages register as entry points.

A registry names its group and what it wants; here is what all of them say where a package is
wrong. Entry points: https://packaging.python.org/specifications/entry-points/
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from budeval_migrations.errors import ConfigError

# What to do where what a package registers cannot be used.
REMEDY = "Correct or uninstall the package that registers it."


def find(group: str, name: str, what: str) -> EntryPoint | None:
    """Return the one entry point of a name; None where no package has it.

    Args:
        what: What it should be, for people: ``recipe``.

    Raises:
        ConfigError: Two packages have it.

    """
    found = {point.value: point for point in entry_points(group=group, name=name)}
    if len(found) > 1:
        raise ConfigError(
            f"Two packages have {_article(what)} {name}: {' and '.join(sorted(found))}.",
            hint="Uninstall one of them.",
        )
    return next(iter(found.values()), None)


def get(group: str, name: str, what: str) -> EntryPoint:
    """Return the one entry point of a name.

    Raises:
        ConfigError: No package has it, or two have it.

    """
    point = find(group, name, what)
    if point is None:
        known = sorted({each.name for each in entry_points(group=group)})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Installed: {', '.join(known) or 'none'}."
        raise ConfigError(f"No installed package has {_article(what)} {name}.", hint=hint)
    return point


def load(point: EntryPoint, what: str) -> Any:
    """Return the object that an entry point names.

    Raises:
        ConfigError: It cannot be imported.

    """
    try:
        return point.load()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"The {what} {point.value} cannot be loaded: {said}",
            hint=REMEDY,
        ) from error


def _article(what: str) -> str:
    """Return a noun with its article."""
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
