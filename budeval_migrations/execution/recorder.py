"""Write ledger and journal in as few inserts as truth allows.

What is not written yet when the process is killed must be harmless. So only the
rows of statements that add to the catalogue, each to another thing, are written
together, for at most a quarter of a second: they can be done again, or the
catalogue shows them, in any order. All others are durable before anything else is
sent. The intents of such a row of statements are written at once, ahead of them.
Where statements run at the same time, nothing is put off: each of them may be the
last that is heard of for an hour.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.cluster.ddl_queue import newest_entry
from budeval_migrations.clickhouse.cluster.topology import Arrangement
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.fingerprint import key, take
from budeval_migrations.execution.reconcile.reconciler import BACKFILL, REPEATABLE
from budeval_migrations.execution.task import Task
from budeval_migrations.sql.access_set import NOTHING
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.lock.lock import Lock
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

_TOGETHER = 50
_LONGEST_WAIT = 0.25  # seconds

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _one_at_a_time(
    method: Callable[Concatenate[Recorder, _P], _T],
) -> Callable[Concatenate[Recorder, _P], _T]:
    """Let one thread in; the order of the entries is the order of what happened."""

    @wraps(method)
    def guarded(self: Recorder, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._guard:
            return method(self, *args, **kwargs)

    return guarded


class Recorder:
    """Writes what a run does; any thread may call it.

    Args:
        session: A connection that nobody else uses while statements run at the same time.
        queue: The statements of the run that nothing is known about, in order; None
            where intents cannot be written ahead.
        prompt: Outcomes are durable as soon as they are taken.

    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        journal: Journal,
        lock: Lock,
        run_id: str,
        queue: Sequence[Task | None],
        *,
        prompt: bool = False,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._journal = journal
        self._lock = lock
        self._run_id = run_id
        self._prompt = prompt
        self._guard = threading.RLock()
        self._places = {_key(task): n for n, task in enumerate(queue) if task is not None}
        self._queue = queue
        self._intents: dict[tuple[str, int], JournalEntry] = {}
        self._entries: list[JournalEntry] = []
        self._attempts: list[Attempt] = []
        self._written: list[Callable[[], None]] = []
        self._unsure = False
        self._changed: set[str] = set()
        self._read = NOTHING
        self._since = 0.0

    @_one_at_a_time
    def intend(self, task: Task) -> JournalEntry:
        """Make everything durable that has to be before a statement is sent.

        Returns:
            The intent; its ``query_id`` is the one to send the statement under.

        """
        if self._on_shadow:
            return self._entry(task, "")  # it is thrown away: nobody goes on after a kill
        known = self._intents.pop(_key(task), None)
        if known is not None or not task.needs_intent:
            if self._unsure or self._old() or not task.quick or self._matters_to(task):
                self.flush()
            return known or self._entry(task, "")
        ahead = list(self._ahead(task))
        waiting = [t for t in ahead if t.needs_intent]
        found = take(self._session, [t.effect for t in waiting])
        # By an Alias a later statement may change the same table under another name.
        cut = next((n for n, each in enumerate(found, start=1) if each.names_alias), len(found))
        waiting, found = waiting[:cut], found[:cut]
        queue = newest_entry(self._session) if any(t.queued for t in waiting) else ""
        intents = [
            self._entry(t, (replace(f, queue=queue) if t.queued else f).as_json())
            for t, f in zip(waiting, found, strict=True)
        ]
        self.record(*intents)
        if task.quick:
            self._write_entries()
        else:
            self.flush()
        self._intents = {_key(t): i for t, i in zip(waiting, intents, strict=True)}
        return self._intents.pop(_key(task))

    @_one_at_a_time
    def note(self, task: Task, entry: JournalEntry) -> None:
        """Take an outcome; it is durable before the next statement that it matters to."""
        self.record(entry)
        self._unsure = self._unsure or not task.quick
        self._changed |= self._touched(task)
        if task.reads_again:
            self._read |= parse(task.statement.text).reads
        # The Python between two statements of a dynamic revision may take long.
        if self._prompt or self._old() or task.total is None:
            self.flush()

    def write(self, entry: JournalEntry) -> None:
        """Write an entry, after what is waiting; durable when this returns."""
        self.record(entry)
        self.flush()

    @_one_at_a_time
    def record(self, *entries: JournalEntry) -> None:
        """Take entries that nothing waits for."""
        self._entries.extend(entries)
        self._since = self._since or time.monotonic()

    @_one_at_a_time
    def finish(self, attempt: Attempt, written: Callable[[], None] | None = None) -> None:
        """Take the ledger row of a finished revision.

        Args:
            written: Called as soon as the row is durable, and never if it does not get so.

        """
        self._attempts.append(attempt)
        if written is not None:
            self._written.append(written)
        self._since = self._since or time.monotonic()
        if self._old() or self._on_shadow:
            self.flush()

    @_one_at_a_time
    def abandon(self) -> None:
        """Say of every intent that was written ahead that it was not sent."""
        for intent in self._intents.values():
            self.record(intent.outcome(JournalEvent.FAILED, "was not sent"))
        self._intents = {}

    @_one_at_a_time
    def flush(self) -> None:
        """Write what is waiting: first the journal, so that nothing applied is forgotten.

        Raises:
            LockLost: Somebody else has taken over; nothing was written.

        """
        self._lock.check()
        self._write()

    @_one_at_a_time
    def save(self) -> None:
        """Write what is waiting though the lease ran out, as long as nobody has taken over.

        Where Keeper is away, it is waited for.

        Raises:
            EngineError: The server cannot be asked whether somebody has.

        """
        if not (self._entries or self._attempts) or not self._lock.fence:
            return
        [[ours]] = keeper.query(self._session, f"SELECT {self._lock.fence}")
        if int(ours):
            self._write()

    def _write(self) -> None:
        self._write_entries()
        self._ledger.append(self._attempts, self._lock.fence)
        written, self._written = self._written, []
        self._attempts, self._since = [], 0.0
        for emit in written:
            emit()

    @property
    def _on_shadow(self) -> bool:
        return self._session.topology.arrangement is Arrangement.SHADOW

    def _write_entries(self) -> None:
        self._journal.append(self._entries)
        self._entries, self._unsure, self._changed = [], False, set()
        self._read = NOTHING

    def _old(self) -> bool:
        return bool(self._since) and time.monotonic() - self._since >= _LONGEST_WAIT

    def _entry(self, task: Task, before: str) -> JournalEntry:
        note = REPEATABLE if task.repeatable else ""
        return task.entry(
            JournalEvent.INTENT,
            query_id=str(uuid.uuid4()),
            run_id=self._run_id,
            lock_generation=self._lock.generation,
            before=before,
            note=BACKFILL if task.statement.backfill is not None else note,
        )

    def _ahead(self, task: Task) -> Iterator[Task]:
        """Yield the statements whose intents can be written now.

        Each must find the things that it changes as they are now: the first that
        touches what an earlier one changes ends the row.
        """
        yield task
        start = self._places.get(_key(task))
        if start is None or not task.quick:
            return
        touched = self._touched(task)
        for other in islice(self._queue, start + 1, start + _TOGETHER):
            if other is None or not other.quick:
                return
            names = self._touched(other)
            if names & touched:
                return
            touched |= names
            yield other

    def _matters_to(self, task: Task) -> bool:
        """Tell whether an outcome that waits would be another one if it came after a task.

        A view that is made again reads its tables as they are by then.
        """
        names = {name.name for name in task.effect.targets}
        return bool(
            self._touched(task) & self._changed or self._read.unclear or names & self._read.names
        )

    def _touched(self, task: Task) -> set[str]:
        # By full name: ``t`` and ``db.t`` are one table.
        return {key(name, self._session) for name in task.effect.targets}


def _key(task: Task) -> tuple[str, int]:
    return task.step.revision, task.position
