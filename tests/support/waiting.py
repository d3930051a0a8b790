"""Wait for what has to come, however long a shared machine stands still in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PATIENCE = 240.0  # seconds; a machine was seen to stand still for 85


def wait_until(
    condition: Callable[[], object], what: str = "it never came", pause: float = 0.02
) -> None:
    """Return when the condition holds.

    Args:
        what: What to say when it does not.
        pause: Seconds between two looks.

    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(pause)


def again_while(refused: Callable[[Exception], bool], act: Callable[[], Answer]) -> Answer:
    """Do something again, for as long as it raises what `refused` knows; its answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except Exception as error:
            if not refused(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.5)
