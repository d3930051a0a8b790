"""Run the statements of a plan: with one worker in turn, with several at the same time.

:mod:`.schedule` says what may run, :mod:`.worker_pool` runs it, :mod:`.steps` records it. What
runs when a statement fails comes to its end, and nothing more is sent. A kill leaves as many
unknown outcomes as statements were running: each has its intent, and no two of them change the
same table, so that the catalogue tells of each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from budeval_migrations.clickhouse.connection import Session
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
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.schedule import Item, Schedule
from budeval_migrations.execution.sender import Refused
from budeval_migrations.execution.steps import Steps
from budeval_migrations.execution.task import Task, tasks_of
from budeval_migrations.execution.worker import StatementResult, Worker
from budeval_migrations.execution.worker_pool import WorkerPool
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import LedgerRow, Step
from budeval_migrations.sql.access_set import UNTIED, AccessSet, Dependencies
from budeval_migrations.sql.changes import Kind
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Ledger

# After these the tables hang together as they did before.
_MOVES_ROWS = frozenset({Kind.INSERT, Kind.DELETE, Kind.UPDATE, Kind.TRUNCATE})


class _Failed(NamedTuple):
    """What went wrong, and where."""

    step: int
    task: Task | None
    error: Exception


class Scheduler:
    """Runs the steps of one run.

    Args:
        jobs: The number of statements that may run at the same time.
        done: Gets the rows of finished steps as soon as they are in the ledger.

    """

    def __init__(self, run: Run, jobs: int, done: list[LedgerRow]) -> None:
        alone = jobs == 1
        self._run = run if alone else replace(run, emit=_in_turn(run.emit))
        self._tasks = [tasks_of(run.session, run.state, step) for step in run.steps]
        # Statements that run keep their connection busy; the recorder does not wait for them.
        self._twins = [] if alone else [run.session.twin() for _ in range(jobs + 1)]
        self._recorder = _recorder(self._run, self._tasks, self._twins)
        worker = Worker(self._run, self._recorder)
        workers = [Worker(self._run.over(twin), self._recorder) for twin in self._twins[1:]]
        self._pool = WorkerPool(workers or [worker])
        self._steps = Steps(self._run, self._recorder, worker, done)
        self._schedule = Schedule(
            run.steps,
            [None if s.dynamic else found for s, found in zip(run.steps, self._tasks, strict=True)],
        )
        self._progress: dict[int, Progress] = {}
        self._failed: list[_Failed] = []
        self._dependencies: Dependencies | None = None

    def run(self) -> StatementError | None:
        """Run the steps; send nothing more after a failure, and return it.

        A kill leaves the journal to tell how far it came; the next run reconciles the rest.

        Raises:
            LockLost: Nothing more was sent; what is known was written, unless somebody has
                taken over.

        """
        try:
            self._go()
            failure = self._failure()
            if failure is None:
                self._recorder.flush()
        except LockError:
            with suppress(MigrationError):  # that the lock is lost is the news
                self._recorder.save()
            raise
        except BaseException:
            if interrupts.hurried:
                raise
            with suppress(Exception):  # what stopped us is the news
                self._recorder.abandon()
                self._recorder.flush()
            raise
        finally:
            for twin in self._twins:
                twin.close()
        return failure

    def _go(self) -> None:
        try:
            self._take_up_all()
            while True:
                self._send_what_may_be()
                if not self._pool.busy:
                    return
                self._take(*self._pool.wait())
                self._finish_what_is_complete(self._progress)
        except BaseException as stop:
            self._stop(stop)
            raise

    def _failure(self) -> StatementError | None:
        """Record the failure of what was begun and is not finished, and return the first."""
        if not self._failed:
            return None
        first = min(self._failed, key=_place)
        name = self._run.steps[first.step].revision
        failures = self._fail_all(MigrationError(f"It was not sent, since {name} failed."))
        failures[first.step].__cause__ = _cause(first.error)
        return failures[first.step]

    def _take_up_all(self) -> None:
        """Find out what earlier runs did, before anything changes what tells of it."""
        for n, step in enumerate(self._run.steps):
            if step.work is None or step.key not in self._run.state.unfinished_runs:
                continue
            progress = self._progress[n] = self._steps.begin(step)
            if not self._attempt(n, partial(self._steps.take_up, progress, self._tasks[n])):
                return
            for item in self._schedule.of(n):
                known = progress.known.get(item.task.position) if item.task else None
                if item.task and known is not None and known.applied:
                    self._steps.skip(progress, item.task, "applied by an earlier run")
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
                progress = self._progress[item.step] = self._begin(item.step)
            if item.task is not None:
                known = progress.known.get(item.task.position)
                self._pool.start(item, item.task, known)
            elif self._attempt(item.step, partial(self._steps.run_dynamic, progress)):
                self._schedule.done(item)
                self._dependencies = None

    def _finish_what_is_complete(self, among: Collection[int] | None = None) -> None:
        while (n := self._schedule.complete(among)) is not None:
            begun = n in self._progress
            self._steps.finish(self._progress.pop(n) if begun else self._begin(n))
            self._schedule.finish(n)

    def _begin(self, step: int) -> Progress:
        return self._steps.begin(self._run.steps[step])

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
            self._dependencies = self._dependencies or read_dependencies(self._run.session)
        except EngineError:
            return False
        return self._dependencies.apart(one, other)

    def _take(self, item: Item, result: StatementResult) -> None:
        """Take what a worker returns.

        Raises:
            LockLost: Somebody else has the lock.

        """
        if result.error is None:
            self._steps.took_effect(self._progress[item.step], result)
            self._schedule.done(item)
            if result.task.effect.kind not in _MOVES_ROWS:
                self._dependencies = None
        elif isinstance(result.error, LockError):
            raise result.error
        elif isinstance(result.error, Exception):
            self._failed.append(_Failed(item.step, result.task, result.error))

    def _stop(self, stop: BaseException) -> None:
        """See what is on its way to its end, and record what came of it, as far as that may be.

        Only where a person asks for it is the server told to stop.
        """
        asked = isinstance(stop, KeyboardInterrupt)
        lost = isinstance(stop, LockError)
        for item, result in self._pool.last_words(partial(self._halt, asked)):
            try:
                self._take(item, result)
            except LockError:
                lost = True
        if not lost and not isinstance(stop, ChecksumMismatch):
            self._finish_what_is_complete(self._progress)
            failures = self._fail_all(stop)
            if asked and failures:
                stop.args = (failures[min(failures)].message,)

    def _halt(self, asked: bool) -> None:
        if asked:
            self._pool.halt(self._run.session)

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
            failures[n] = self._steps.fail(progress, error)
        return failures

    def _tell_of_another(self, progress: Progress, failed: _Failed) -> None:
        """Say what else went wrong in a step, beside what its failure tells."""
        assert failed.task is not None
        progress.at(failed.task)
        told = progress.failure(failed.error, self._run.session.redact)
        revision = progress.step.revision
        self._run.emit(Notice(f"{revision} failed in more than one place: {told.summary}"))


def _recorder(run: Run, tasks: Sequence[Sequence[Task]], twins: Sequence[Session]) -> Recorder:
    """Return what writes ledger and journal; several workers write each outcome at once."""
    session, queue = run.session, list[Task | None]()
    if twins:
        session = twins[0]
    else:
        queue = [item for step, found in zip(run.steps, tasks, strict=True)
                 for item in _to_run(run, step, found)]  # fmt: skip
    journal = Journal(session, run.state.next_entry, run.lock.fence)
    return Recorder(
        session, Ledger(session), journal, run.lock, run.run_id, queue, prompt=bool(twins)
    )


def _to_run(run: Run, step: Step, tasks: Sequence[Task]) -> Iterator[Task | None]:
    """Yield what the recorder may look ahead over; None where it may not.

    The statements of a dynamic revision are not known yet, and one with an unknown outcome
    must be reconciled by the intent that it has.
    """
    if step.dynamic:
        yield None
    unfinished = run.state.unfinished_runs.get(step.key)
    known = unfinished.statements if unfinished else {}
    for task in tasks:
        recorded = known.get(task.position)
        if recorded is None:
            yield task
        elif not recorded.applied:
            yield None


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
