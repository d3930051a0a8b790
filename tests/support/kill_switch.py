"""One SIGKILL to come, at an exact place in the life of a request.

:mod:`tests.support.chdb_front` asks at every request; nothing happens while nothing is armed.
The process that executes the SQL does the kill itself, and goes on only when the victim is dead.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Kill:
    """The kill that is armed.

    ``phase``: ``before`` the engine gets the request, ``during`` its execution (after ``delay``
    seconds), or ``after`` it and before the answer. ``victim``: a process id, or 0 for this one.
    It is for the ``nth`` request of ``database`` whose whole text ``match`` matches.
    """

    database: str
    match: str
    nth: int = 1
    phase: str = "before"
    victim: int = 0
    delay: float = 0.0
    seen: int = field(default=0, init=False)

    def strike(self) -> None:
        """Kill, and return when the victim is dead."""
        os.kill(self.victim or os.getpid(), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not self.victim or not is_dead(self.victim):
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {self.victim or os.getpid()} outlives SIGKILL")
            time.sleep(0.0005)

    def strike_later(self) -> threading.Thread:
        """Kill after the delay, on a thread: chDB lets go of the GIL while it works."""
        thread = threading.Thread(target=self._strike_after_delay, daemon=True)
        thread.start()
        return thread

    def _strike_after_delay(self) -> None:
        time.sleep(self.delay)
        self.strike()


class KillSwitch:
    """What ``/fault`` arms."""

    def __init__(self) -> None:
        self._kill: Kill | None = None
        self._lock = threading.Lock()

    def arm(self, order: dict[str, Any]) -> None:
        """Take an order: the fields of :class:`Kill`; an empty one disarms."""
        with self._lock:
            self._kill = Kill(**order) if order else None

    @property
    def armed(self) -> bool:
        """Whether a kill is still to come."""
        return self._kill is not None

    def at(self, database: str, query: bytes) -> Kill | None:
        """The kill that a request brings; it is then no longer armed."""
        if self._kill is None:
            return None
        with self._lock:
            kill = self._kill
            if kill is None or database != kill.database:
                return None
            if not re.fullmatch(kill.match, query.decode("utf-8", "replace"), re.DOTALL):
                return None
            kill.seen += 1
            if kill.seen < kill.nth:
                return None
            self._kill = None
            return kill


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or is only waited for by its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
