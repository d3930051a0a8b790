"""The right to run migrations: one holder, a lease, a growing generation.

A claim of generation n+1 is an insert with the deduplication token of that
generation, so that exactly one of many claimants is kept; every claimant then
reads back who it was. A holder renews on a thread and a connection of its own,
and stops believing in its lease by its own monotonic clock before the server's
clock would let another in.

https://clickhouse.com/docs/guides/developer/deduplicating-inserts-on-retries
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from budeval_migrations.engine.session import Session, embedded_path
from budeval_migrations.errors import LockLost, LockTimeout, MigrationError, Unsupported
from budeval_migrations.events import Listener, LockAcquired, LockWaiting
from budeval_migrations.history import schema

_POLL = 0.25
_INSERT = "async_insert=0, insert_deduplicate=1, insert_deduplication_token='{token}'"


class Lock(Protocol):
    """What the runner asks of a lock."""

    generation: int
    doing: str

    def acquire(self) -> None:
        """Wait for the lock and take it."""

    def check(self) -> None:
        """Raise LockLost when the lock is not surely ours any more; sends nothing."""

    def release(self) -> None:
        """Give the lock back; idempotent, and never hides another error."""


@dataclass(frozen=True)
class Holder:
    """Who has the lock.

    Attributes:
        name: ``user@host pid N``.
        since: When it was taken, UTC, by the server's clock.
        alive: Not released, and its lease has not run out.
        doing: The revision it was at when it last renewed.

    """

    generation: int
    owner: str
    name: str
    since: datetime
    alive: bool
    doing: str = ""


def make_lock(session: Session, tell: Listener) -> Lock:
    """Return the lock that the settings ask for and the server can offer.

    Raises:
        Unsupported: The server has no way to a correct lock, and ``lock = off``
            was not set.

    """
    if session.settings.lock == "off":
        return NoLock()
    if session.embedded:
        return EmbeddedLock(session, tell)
    if not session.features.insert_deduplication_token:
        raise Unsupported(
            f"ClickHouse {session.server_version} can offer no correct lock "
            "(insert_deduplication_token needs 22.8).",
            hint="Make sure that only one runner starts, and set lock = off "
            "(BUDEVAL_MIGRATIONS_LOCK=off).",
        )
    return LeaseLock(session, tell)


class NoLock:
    """``lock = off``: the user answers for it that there is one runner."""

    generation = 0
    doing = ""

    def acquire(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class EmbeddedLock:
    """For chDB, whose directory belongs to one process: serialises its threads."""

    generation = 0
    doing = ""
    _locks: dict[str, threading.Lock] = {}  # noqa: RUF012  one a directory, for the whole process
    _guard = threading.Lock()

    def __init__(self, session: Session, tell: Listener) -> None:
        self._timeout = session.settings.lock_timeout
        self._tell = tell
        with self._guard:
            key = embedded_path(session.url)
            self._lock = self._locks.setdefault(key, threading.Lock())
        self._held = False

    def acquire(self) -> None:
        """Wait for the other threads of this process.

        Raises:
            LockTimeout: Another thread held it for longer than ``lock_timeout``.

        """
        if not self._lock.acquire(timeout=self._timeout):
            raise LockTimeout(
                "Another thread of this process is migrating the same chDB directory.",
                holder=holder_name(),
                since="",
            )
        self._held = True
        self._tell(LockAcquired(0))

    def check(self) -> None:
        """Do nothing: nobody can take it over."""

    def release(self) -> None:
        """Let the next thread in."""
        if self._held:
            self._held = False
            self._lock.release()


class LeaseLock:
    """The lock in ``schema_migrations_lock``.

    A crash leaves the lease, which others may take over once it has run out.
    """

    def __init__(self, session: Session, tell: Listener) -> None:
        self._session = session
        self._tell = tell
        self._lease = session.settings.lock_lease
        self._timeout = session.settings.lock_timeout
        self._owner = str(uuid.uuid4())
        self._valid_until = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.generation = 0
        self.doing = ""

    def acquire(self) -> None:
        """Wait for the lock and take it.

        Raises:
            LockTimeout: Somebody held it for longer than ``lock_timeout`` seconds.

        """
        self._session.execute(schema.create_lock())
        started = time.monotonic()
        while True:
            holder = read_holder(self._session)
            if holder is None or not holder.alive:
                if self._claim((holder.generation if holder else 0) + 1):
                    break
                continue
            waited = time.monotonic() - started
            self._tell(LockWaiting(holder.name, holder.since.isoformat(), int(waited * 1000)))
            if waited >= self._timeout:
                raise LockTimeout(
                    f"The lock is held by {holder.name} since {holder.since.isoformat()}; "
                    f"waited {waited:.0f} s.",
                    holder=holder.name,
                    since=holder.since.isoformat(),
                    hint="Wait for it, or raise lock_timeout. A dead holder's lease runs out "
                    "by itself.",
                )
            time.sleep(min(_POLL, max(self._timeout - waited, 0.01)))
        self._thread = threading.Thread(target=self._renew, name="budeval-lock", daemon=True)
        self._thread.start()
        self._tell(LockAcquired(self.generation))

    def check(self) -> None:
        """Raise LockLost unless the lease is surely ours.

        Raises:
            LockLost: The lease was not renewed in time.

        """
        if time.monotonic() >= self._valid_until:
            raise LockLost(
                f"The lock (generation {self.generation}) could not be renewed in time; "
                "somebody else may be migrating now. Nothing more was sent.",
                hint="Look with: budeval-migrate status. Then run the upgrade again.",
            )

    def release(self) -> None:
        """Stop renewing and give the lock back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=self._lease)
            self._thread = None
        if self.generation and time.monotonic() < self._valid_until:
            with suppress(MigrationError):  # the lease runs out by itself
                self._append(self._session, "release")
        self._valid_until = 0.0

    def _claim(self, generation: int) -> bool:
        began = time.monotonic()
        self.generation = generation
        self._append(self._session, "claim", token=f"generation-{generation}")
        holder = read_holder(self._session, generation)
        if holder is None or holder.owner != self._owner:
            self.generation = 0
            return False
        self._valid_until = began + self._lease
        return True

    def _renew(self) -> None:
        pause = self._lease / 3
        session: Session | None = None
        try:
            while not self._stop.wait(pause):
                began = time.monotonic()
                if began >= self._valid_until:
                    return  # check() tells; renewing late could outlive a successor's claim
                try:
                    session = session or Session(self._session.settings)
                    self._append(session, "renew")
                    self._valid_until = began + self._lease
                except MigrationError:
                    if session is not None:
                        session.close()
                    session = None
                    self._stop.wait(_POLL)
        finally:
            if session is not None:
                session.close()

    def _append(self, session: Session, event: str, token: str | None = None) -> None:
        row = {
            "generation": self.generation,
            "event": event,
            "owner": self._owner,
            "holder": holder_name(),
            "lease_ms": int(self._lease * 1000),
            "doing": self.doing,
        }
        token = token or str(uuid.uuid4())
        session.insert(schema.LOCK, [row], _INSERT.format(token=token))


def read_holder(session: Session, generation: int | None = None) -> Holder | None:
    """Return who has the lock, or had it last; read-only, judged by the server's clock.

    Args:
        generation: The generation to look at; the newest without it.

    """
    which = (
        f"(SELECT max(generation) FROM {schema.LOCK})" if generation is None else str(generation)
    )
    rows = session.query(
        "SELECT generation, argMin(owner, (event != 'claim', at, owner)), "
        "argMin(holder, (event != 'claim', at, owner)), toFloat64(min(at)), "
        "countIf(event = 'release') = 0 AND toFloat64(now64(3)) - toFloat64(max(at)) "
        "< max(lease_ms) / 1000, argMax(doing, at) "
        f"FROM {schema.LOCK} WHERE generation = {which} "
        "GROUP BY generation"
    )
    if not rows:
        return None
    number, owner, name, since, alive, doing = rows[0]
    return Holder(
        generation=int(number),
        owner=str(owner),
        name=str(name),
        since=datetime.fromtimestamp(float(since), timezone.utc),
        alive=bool(int(alive)),
        doing=str(doing),
    )


def holder_name() -> str:
    """Return who we are, for the people who wait for us."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"
