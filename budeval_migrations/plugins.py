"""Load what installed packages register as entry points.

A registry names its group and what it wants; here is what all of them say where a package is
wrong. Entry points: https://packaging.python.org/specifications/entry-points/
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from budeval_migrations.errors import ConfigError


def load(point: EntryPoint, what: str) -> Any:
    """Return the object that an entry point names.

    Args:
        what: What it should be, for people: ``lint rule``.

    Raises:
        ConfigError: It cannot be imported.

    """
    try:
        return point.load()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"The {what} {point.value} cannot be loaded: {said}",
            hint="Correct or uninstall the package that registers it.",
        ) from error
