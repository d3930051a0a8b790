"""A clock that nobody sets, and that goes on while the machine sleeps."""

from __future__ import annotations

import time
from datetime import datetime

# Linux's CLOCK_MONOTONIC stands still in suspend, and a lease runs out meanwhile.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Return seconds since some moment, suspend included where the system can tell."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def shown(moment: datetime) -> str:
    """Return a moment in UTC for people: ``2026-11-30 07:36:26 UTC``."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
