"""Remember what a replay yielded, by the checksums of what was replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from budeval_migrations.cache import keep, recall
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.version import __version__

_KIND, _MOST = "replays", 20


def remembered(parts: Iterable[str], replay: Callable[[], Schema]) -> Schema:
    """Return what a replay yields; as it was kept, if these very parts were replayed before.

    Args:
        parts: Everything that the result depends on, but for the engine and this package.
        replay: Yields it; what it raises is not remembered.

    """
    key = json.dumps([_engine(), __version__, *parts])
    with suppress(TypeError):  # nothing was kept, or something else
        return Schema(**recall(_KIND, key))
    found = replay()
    keep(_KIND, key, vars(found), most=_MOST)
    return found


def _engine() -> str:
    """Return the version of the embedded server, without starting it."""
    for package in ("chdb-core", "chdb"):
        with suppress(PackageNotFoundError):
            return version(package)
    return ""
