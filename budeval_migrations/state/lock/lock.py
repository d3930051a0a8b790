"""The right to run migrations: one holder, a lease, a growing generation.

What the runner sees: a lock that it takes, checks and gives back. Where a lease
is kept is the business of :mod:`.lease` and :mod:`.stores`; here a holder renews
it on a thread and a connection of its own, and stops believing in it by a
clock of its own before the server's clock would let another in.
"""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from budeval_migrations import clock
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import KEEPER_IS_GONE
from budeval_migrations.errors import (
    EngineError,
    LockError,
    LockLost,
    LockTimeout,
    MigrationError,
    Unsupported,
)
from budeval_migrations.events import Listener, LockAcquired, LockWaiting
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state.lock.embedded import EmbeddedLock
from budeval_migrations.state.lock.lease import BEAT, Claim, Holder, LeaseStore
from budeval_migrations.state.schema import KEEPER_LOCK
from budeval_migrations.state.stores import LockPlace, break_lock, read_holder

__all__ = ["Holder", "LeaseLock", "Lock", "NoLock", "break_lock", "make_lock", "read_holder"]

# Seconds between two looks of a waiter.
_POLL = 0.25
# Seconds that a release waits for a heartbeat that hangs.
_PATIENCE = 5.0


class Lock(Protocol):
    """What the runner asks of a lock.

    Attributes:
        generation: Grows with every holder; 0 where nobody counts.
        alone_since: From when on, by our clock, no other runner has sent anything.
        doing: What the holder is at (``001_x statement 3 of 7``), for those who
            wait; they see it with the next heartbeat.

    """

    generation: int
    doing: str
    alone_since: float

    @property
    def fence(self) -> str:
        """SQL for a WHERE, true exactly while this generation is the newest.

        Empty where nobody can take the lock away, and before it is acquired.
        """

    def acquire(self) -> None:
        """Wait for the lock and take it."""

    def check(self) -> None:
        """Raise LockLost when the lock is not surely ours any more; sends nothing."""

    def release(self) -> None:
        """Give the lock back; idempotent, and never hides another error."""


def make_lock(session: Session, emit: Listener) -> Lock:
    """Return the lock that the settings ask for and the server can offer.

    Raises:
        Unsupported: The server has no way to a correct lock, and ``lock = off``
            was not set.

    """
    if session.settings.lock == "off":
        return NoLock()
    if session.embedded:
        return EmbeddedLock(session, emit)
    if not (session.features.insert_deduplication_token or session.topology.on_cluster):
        raise Unsupported(
            f"ClickHouse {session.server_version} can offer no correct lock "
            "(insert_deduplication_token needs 22.8).",
            hint="Make sure that only one runner starts, and set lock = off under "
            "[budeval_migrations] in alembic.ini.",
        )
    return LeaseLock(session, emit)


class NoLock:
    """``lock = off``: the user answers for it that there is one runner."""

    generation = 0
    doing = ""
    fence = ""
    alone_since = 0.0

    def acquire(self) -> None:
        """Remember when; nobody is waited for."""
        self.alone_since = clock.now()

    def check(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class LeaseLock:
    """The lease in ``schema_migrations_keeper_lock`` or ``schema_migrations_lock``.

    A crash leaves the lease, which others may take over once it has run out, by
    the server's clock. The holder itself stops earlier, by a clock that also counts
    while the process is stopped, or the machine sleeps.
    """

    def __init__(self, session: Session, emit: Listener) -> None:
        self._session = session
        self._emit = emit
        self._lease = session.settings.lock_lease
        self._timeout = session.settings.lock_timeout
        self._margin = self._lease / 10
        self._place = LockPlace(session)
        self._store: LeaseStore | None = None
        self._held = Claim(0, 0)
        self._valid_until = 0.0
        self._lost = ""
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._inherited = False
        self.generation = 0
        self.doing = ""
        self.alone_since = 0.0

    @property
    def fence(self) -> str:
        """SQL that is true exactly while our claim is the newest."""
        if self._store is None:
            return ""
        return self._store.fence(self._session, self._held)

    def acquire(self) -> None:
        """Wait for the lock and take it.

        Raises:
            LockTimeout: Somebody held it for longer than ``lock_timeout`` seconds.
            EngineError: The server, or its Keeper, does not answer or refuses.

        """
        try:
            # What is sent just before the end must arrive before somebody else's first.
            self._margin = max(self._margin, min(self._session.late, self._lease / 3))
            self._wait()
        except EngineError as error:
            if error.code not in KEEPER_IS_GONE:
                raise
            reason = error.message.splitlines()[0]
            raise EngineError(
                f"The lock is in ClickHouse Keeper, which the server cannot reach: {reason}",
                code=error.code,
                hint="Nothing was run. Bring Keeper back, then try again.",
            ) from error
        try:
            self._thread = threading.Thread(target=self._renew, name="budeval-lock", daemon=True)
            self._thread.start()
            if self._inherited:
                # A holder that died may have sent something that is still on its way.
                self.alone_since -= self._margin
                interrupts.sleep(max(self.alone_since + self._session.late - clock.now(), 0.0))
            self._emit(LockAcquired(self.generation))
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Raise LockLost unless the lease is surely ours.

        Raises:
            LockLost: The lease was taken away, or not renewed in time.

        """
        if not self._lost and clock.now() >= self._valid_until - self._margin:
            self._lost = f"could not be renewed in time{self._trouble or self._where}"
        if self._lost:
            raise LockLost(
                f"The lock (generation {self.generation}) {self._lost}; "
                "somebody else may be migrating now. Nothing more was sent.",
                hint="Look with: budeval-migrate status. Then run the upgrade again.",
            )

    @property
    def _where(self) -> str:
        in_keeper = self._store is not None and self._store.table == KEEPER_LOCK
        return " (it is in ClickHouse Keeper: does the server reach that?)" if in_keeper else ""

    def release(self) -> None:
        """Stop renewing and give the lock back."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=min(self._lease, _PATIENCE))
        self._thread = None
        if self._store is not None and clock.now() < self._valid_until:
            with suppress(MigrationError):  # the lease runs out by itself
                self._store.release(self._session, self._held, self.doing)
        self._valid_until = 0.0

    def _wait(self) -> None:
        started = clock.now()
        while True:
            asked = clock.now()
            holder = self._place.read()
            if holder is None or not holder.alive:
                if self._claim((holder.generation if holder else 0) + 1):
                    self._inherited = holder is not None and not holder.released
                    return
                if clock.now() - started >= max(self._timeout, BEAT):
                    raise _unclaimed(holder, clock.now() - started)
                continue
            now = clock.now()
            waited = now - started
            since = holder.since.isoformat()
            self._emit(LockWaiting(holder.name, since, int(waited * 1000), holder.doing))
            if waited >= self._timeout:
                raise _timeout(holder.name, since, holder.doing, waited)
            interrupts.sleep(min(_pause(now - asked), max(self._timeout - waited, 0.01)))

    def _claim(self, generation: int) -> bool:
        began = clock.now()
        claim = Claim(generation, int(self._lease * 1000))
        store = self._place.claim(claim, self.doing)
        if store is None:
            return False
        self._valid_until, self.alone_since = began + self._lease, began
        self.generation, self._held, self._store = generation, claim, store
        return True

    def _renew(self) -> None:
        """Keep the lease until it is lost, given back, or run out."""
        session: Session | None = None
        renewed, told = clock.now(), self.doing
        # How soon a holder notices that it was unlocked, and others see its statement. It
        # looks each time, and writes when its statement changed or a third of the lease is
        # gone, so that two may fail.
        pause = min(self._lease / 3, BEAT)
        wait = pause
        try:
            while not self._stop.wait(wait):
                began, doing = clock.now(), self.doing
                due = doing != told or began - renewed >= self._lease / 3
                # Renewed late, a lease could outlive a successor's claim: check() tells.
                if began >= self._valid_until:
                    return
                try:
                    session = session or self._session.twin()
                    if not self._beat(session, doing if due else None):
                        return
                except MigrationError as error:
                    self._trouble = f" ({error.message})"
                    if session is not None:
                        session.close()
                    session, wait = None, _POLL
                    continue
                wait = pause
                if due and not self._stop.is_set():
                    renewed, told = began, doing
                    self._valid_until, self._trouble = began + self._lease, ""
        finally:
            if session is not None:
                session.close()

    def _beat(self, session: Session, doing: str | None) -> bool:
        """Look, and renew if told so; False when the lease is not ours any more.

        A lease that is another's is not renewed: its fence compares the owners of
        its generation, so that a row of ours would stop its holder.
        """
        assert self._store is not None
        if self._is_ours(session) and doing is not None:
            self._store.renew(session, self._held, doing)
            self._is_ours(session)
        return not self._lost and clock.now() < self._valid_until

    def _is_ours(self, session: Session) -> bool:
        assert self._store is not None
        newest = self._store.read(session)
        ours = (self.generation, self._held.owner)
        if newest is None or (newest.generation, newest.owner) != ours:
            who = (
                f"generation {newest.generation}, {newest.name}" if newest else "its table is gone"
            )
            self._lost = f"was taken away ({who})"
            return False
        return True


def _unclaimed(holder: Holder | None, waited: float) -> LockError:
    number = holder.generation if holder else 0
    return LockError(
        f"The lock has no holder, and no claim of a generation after {number} was kept; tried for "
        f"{waited:.0f} s.",
        hint="Look at the newest rows of the lock's table. When nobody migrates, drop the table.",
    )


def _timeout(name: str, since: str, doing: str, waited: float) -> LockTimeout:
    begun = clock.shown(datetime.fromisoformat(since))
    where = f", at {doing}" if doing else ""
    return LockTimeout(
        f"The lock is held by {name} since {begun}{where}; waited {waited:.0f} s.",
        holder=name,
        since=since,
        doing=doing,
        hint="Wait for it, or raise lock_timeout. A dead holder's lease runs out by itself; "
        "to take it away: budeval-migrate unlock.",
    )


def _pause(took: float) -> float:
    """Return how long to wait until the next look.

    Many waiters shall not look at once, nor keep a slow server busy: its holder
    has the work to do.
    """
    return min(max(_POLL, 10 * took), BEAT) * random.uniform(0.5, 1.0)  # noqa: S311  no secret
