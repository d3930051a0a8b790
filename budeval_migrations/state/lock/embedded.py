"""The lock of chDB, whose directory belongs to one process already."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

from budeval_migrations import clock
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.url import embedded_path
from budeval_migrations.errors import LockTimeout
from budeval_migrations.events import Listener, LockAcquired, LockWaiting
from budeval_migrations.state.lock.lease import holder_name

# Seconds between two looks of a waiter.
_POLL = 0.25


class EmbeddedLock:
    """Lets the threads of this process take turns; a crash leaves nothing."""

    generation = 0
    fence = ""
    alone_since = 0.0
    _locks: dict[str, threading.Lock] = {}  # noqa: RUF012  one a directory, for the whole process
    _holders: dict[str, EmbeddedLock] = {}  # noqa: RUF012  likewise
    _guard = threading.Lock()

    def __init__(self, session: Session, emit: Listener) -> None:
        self._timeout = session.settings.lock_timeout
        self._emit = emit
        self._key = embedded_path(session.url)
        with self._guard:
            self._lock = self._locks.setdefault(self._key, threading.Lock())
        self._held = False
        self.name = ""
        self.since = _now()
        self.doing = ""

    def acquire(self) -> None:
        """Wait for the other threads of this process.

        Raises:
            LockTimeout: Another thread held it for longer than ``lock_timeout``.

        """
        started = time.monotonic()
        while not self._lock.acquire(blocking=False):
            waited = time.monotonic() - started
            # Between taking the lock and saying so, a holder has no name yet.
            holder = self._holders.get(self._key, self)
            name = holder.name or holder_name()
            self._emit(LockWaiting(name, holder.since, int(waited * 1000), holder.doing))
            if waited >= self._timeout:
                raise _embedded_timeout(name, holder.since, holder.doing, waited)
            if self._lock.acquire(timeout=min(_POLL, max(self._timeout - waited, 0.01))):
                break
        self._held = True
        self.name = f"{holder_name()} thread {threading.current_thread().name}"
        self.since = _now()
        self._holders[self._key] = self
        self._emit(LockAcquired(0))

    def check(self) -> None:
        """Do nothing: nobody can take it over."""

    def release(self) -> None:
        """Let the next thread in."""
        if self._held:
            self._held = False
            self._holders.pop(self._key, None)
            self._lock.release()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _embedded_timeout(name: str, since: str, doing: str, waited: float) -> LockTimeout:
    begun = clock.shown(datetime.fromisoformat(since))
    where = f", at {doing}" if doing else ""
    return LockTimeout(
        "Another thread of this process is migrating the same chDB directory "
        f"({name}, since {begun}{where}); waited {waited:.0f} s.",
        holder=name,
        since=since,
        doing=doing,
        hint="Wait for it, or raise lock_timeout; call upgrade() once in a process.",
    )
