"""Send statements at the same time, where that comes to the same as one after the other.

:mod:`.scheduler` says what may be sent, :mod:`.worker_pool` sends it. What is on its
way when a statement fails comes to its end, and nothing more is sent. A kill leaves as
many unknown outcomes as statements were on their way: each has its intent, and no two of
them change the same table, so that the catalogue tells of each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.dependencies import read_dependencies
from budeval_migrations.errors import (
    ChecksumMismatch,
    EngineError,
    LockError,
    MigrationError,
    StatementError,
)
from budeval_migrations.events import Event, Listener, Notice
from budeval_migrations.execution.attempt import Progress
from budeval_migrations.execution.executor import Executor
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.scheduler import Schedule
from budeval_migrations.execution.sender import Refused
from budeval_migrations.execution.task import Task
from budeval_migrations.execution.worker import Worker
from budeval_migrations.execution.worker_pool import Result, WorkerPool
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import Step
from budeval_migrations.sql.access_set import UNTIED, AccessSet, Dependencies
from budeval_migrations.sql.changes import Kind

# After these the tables hang together as they did before.
_MOVES_ROWS = frozenset({Kind.INSERT, Kind.DELETE, Kind.UPDATE, Kind.TRUNCATE})


class _Failed(NamedTuple):
    """What went wrong, and where."""

    step: int
    task: Task | None
    error: Exception


class ParallelExecutor(Executor):
    """Sends the statements of one run, several at a time."""

    def _make_recorder(self) -> Recorder:
        # Over a connection that no statement keeps waiting.
        self._writing = self._session.twin()
        self._emit = _in_turn(self._emit)
        return self._recorder_over(self._writing, (), prompt=True)

    def run(self, done: list[str]) -> StatementError | None:
        """Run the steps, several statements at a time; see :meth:`Executor.run`.

        Args:
            done: Gets the id of every revision whose row is in the ledger, in that order.

        """
        try:
            return super().run(done)
        finally:
            self._writing.close()

    def _run(self) -> None:
        self._schedule = Schedule(self._steps, [self._statements(step) for step in self._steps])
        self._progress: dict[int, Progress] = {}
        self._failed: list[_Failed] = []
        self._dependencies: Dependencies | None = None
        self._pool = WorkerPool([self._another_hand() for _ in range(self._session.settings.jobs)])
        try:
            self._go()
        except BaseException as stop:
            self._stop(stop)
            raise
        finally:
            self._pool.close()
        if self._failed:
            first = min(self._failed, key=_place)
            name = self._steps[first.step].revision
            failures = self._fail_all(MigrationError(f"It was not sent, since {name} failed."))
            raise failures[first.step] from _cause(first.error)

    def _statements(self, step: Step) -> tuple[Task, ...] | None:
        return None if step.work is not None and step.work.dynamic else self._tasks[id(step)]

    def _another_hand(self) -> Worker:
        session = self._session.twin()
        return Worker(session, self._lock, self._recorder, Hosts(session), self._emit)

    def _go(self) -> None:
        self._take_up_all()
        while True:
            self._send_what_may_be()
            if not self._pool.busy:
                return
            self._take(self._pool.wait())
            self._finish_what_is_complete(self._progress)

    def _take_up_all(self) -> None:
        """Find out what earlier runs did, before anything changes what tells of it."""
        for n, step in enumerate(self._steps):
            if step.work is None or step.key not in self._state.unfinished_runs:
                continue
            progress = self._progress[n] = self._begin(step)
            if not self._attempt(n, partial(self._take_up, progress)):
                return
            for item in self._schedule.of(n):
                known = progress.known.get(item.task.position) if item.task else None
                if item.task and known is not None and known.applied:
                    self._skip(progress, item.task, "applied by an earlier run")
                    self._schedule.done(item)

    def _send_what_may_be(self) -> None:
        interrupts.check()
        while not self._failed:
            self._finish_what_is_complete()
            if self._pool.full:
                return
            item = self._schedule.next(self._pool.busy, self._apart)
            if item is None:
                return
            progress = self._progress.get(item.step)
            if progress is None:
                progress = self._progress[item.step] = self._begin(self._steps[item.step])
            if item.task is not None:
                known = progress.known.get(item.task.position)
                self._pool.start(item, partial(self._send, task=item.task, known=known))
            elif self._attempt(item.step, partial(self._run_live, progress)):
                self._schedule.done(item)
                self._dependencies = None

    def _finish_what_is_complete(self, among: Collection[int] | None = None) -> None:
        while (n := self._schedule.complete(among)) is not None:
            begun = n in self._progress
            self._finish(self._progress.pop(n) if begun else self._begin(self._steps[n]))
            self._schedule.finish(n)

    def _attempt(self, step: int, work: Callable[[], None]) -> bool:
        """Do something for a step, and return whether it did not fail."""
        try:
            work()
        except (LockError, ChecksumMismatch):
            raise
        except Exception as error:
            self._failed.append(_Failed(step, None, error))
            return False
        return True

    def _apart(self, one: AccessSet, other: AccessSet) -> bool:
        """Ask the names first, and the catalogue where they say yes; without it they are not."""
        if not (one and other):
            return True
        if not UNTIED.apart(one, other):
            return False
        try:
            self._dependencies = self._dependencies or read_dependencies(self._session)
        except EngineError:
            return False
        return self._dependencies.apart(one, other)

    def _take(self, result: Result) -> None:
        """Record what a worker returns."""
        item, task = result.item, result.item.task
        assert task is not None
        if result.entry is not None:
            self._took_effect(self._progress[item.step], task, result.entry)
            self._schedule.done(item)
            if task.effect.kind not in _MOVES_ROWS:
                self._dependencies = None
        elif isinstance(result.error, LockError):
            raise result.error
        elif isinstance(result.error, Exception):
            self._failed.append(_Failed(item.step, task, result.error))

    def _stop(self, stop: BaseException) -> None:
        """See what is on its way to its end, and record what came of it, as far as that may be.

        Only where a person asks for it is the server told to stop.
        """
        asked = isinstance(stop, KeyboardInterrupt)
        lost = isinstance(stop, LockError)
        for result in self._pool.last_words(partial(self._halt, asked)):
            try:
                self._take(result)
            except LockError:
                lost = True
        if not lost and not isinstance(stop, ChecksumMismatch):
            self._finish_what_is_complete(self._progress)
            self._fail_all(stop)

    def _halt(self, asked: bool) -> None:
        if asked:
            self._pool.halt(self._session)

    def _fail_all(self, why: BaseException) -> dict[int, StatementError]:
        """Record the failure of every step that was begun and is not finished.

        Args:
            why: What stopped those in which nothing failed.

        """
        failures = {}
        for n, progress in sorted(self._progress.items()):
            own = sorted((f for f in self._failed if f.step == n), key=_place)
            task, error = (own[0].task, own[0].error) if own else (None, why)
            if not own and (left := self._schedule.of(n)):
                task = left[0].task
            for other in own[1:]:
                self._tell_of_another(progress, other)
            if task is not None:
                progress.at(task)
            failures[n] = self._fail(progress, error)
        return failures

    def _tell_of_another(self, progress: Progress, failed: _Failed) -> None:
        """Say what else went wrong in a step, beside what its failure tells."""
        assert failed.task is not None
        if isinstance(failed.error, Refused):
            self._recorder.record(failed.error.entry)
        progress.at(failed.task)
        told = progress.failure(failed.error, self._session.redact)
        revision = progress.step.revision
        self._emit(Notice(f"{revision} failed in more than one place: {told.summary}"))


def _place(failed: _Failed) -> tuple[int, int]:
    return failed.step, failed.task.position if failed.task else 0


def _cause(error: Exception) -> Exception:
    return error.error if isinstance(error, Refused) else error


def _in_turn(emit: Listener) -> Listener:
    """Return a listener that one thread at a time can tell something."""
    guard = threading.RLock()

    def told(event: Event) -> None:
        with guard:
            emit(event)

    return told
