"""Remember what was read of a short text: one statement is read for many questions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

_Read = TypeVar("_Read")
_SHORT = 1 << 14  # characters; what is remembered stays below some MB
_MOST = 256  # texts
_forgets: list[Callable[[], None]] = []


def remembered(read: Callable[[str], _Read]) -> Callable[[str], _Read]:
    """Return a function that reads the same short text once.

    Args:
        read: Returns something that nobody changes.

    """
    again = lru_cache(maxsize=_MOST)(read)
    _forgets.append(again.cache_clear)

    @wraps(read)
    def call(text: str) -> _Read:
        return again(text) if len(text) <= _SHORT else read(text)

    return call


def forget() -> None:
    """Read every text again from here on; for whoever changes a reading function."""
    for each in _forgets:
        each()
