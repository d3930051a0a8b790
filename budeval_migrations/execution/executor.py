"""Run steps, statement by statement, from the first whose outcome is not good.

How a step is begun, done, finished and recorded is here; that its statements are sent
one after the other, too. :mod:`.parallel` sends them at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    ChecksumMismatch,
    EngineError,
    LockError,
    MigrationError,
    RevisionError,
    StatementError,
)
from budeval_migrations.events import (
    Listener,
    Notice,
    RevisionFailed,
    RevisionFinished,
    RevisionStarted,
    StatementFinished,
    StatementStarted,
)
from budeval_migrations.execution.attempt import Progress
from budeval_migrations.execution.placement import Placement
from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.reconcile.unknown import unknown
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.restarts import check_restart
from budeval_migrations.execution.resume import Applied, check_resumable, edited
from budeval_migrations.execution.sender import PROBED, Refused
from budeval_migrations.execution.task import Task, make_task, statement_hash, tasks_of
from budeval_migrations.execution.worker import Worker
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import LedgerRow, Statement, Step
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.lock.lock import Lock
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, Recorded, UnfinishedRun

Emit = Callable[[Statement], None]
Live = Callable[[Step, Emit], None]


class Executor:
    """Sends the statements of one run, one after the other.

    Args:
        live: Runs a dynamic revision, giving its statements one by one.
        steps: Everything that the run will do, in order.
        placement: Places the statements of dynamic revisions.
        hosts: The hosts of the cluster.

    """

    def __init__(
        self,
        session: Session,
        lock: Lock,
        emit: Listener,
        live: Live,
        run_id: str,
        state: LedgerState,
        steps: Sequence[Step],
        placement: Placement,
        hosts: Hosts,
    ) -> None:
        self._session = session
        self._lock = lock
        self._emit = emit
        self._live = live
        self._run_id = run_id
        self._state = state
        self._placement = placement
        self._sequence = state.next_sequence
        self._tasks = {id(step): tasks_of(session, state, step) for step in steps}
        self._steps = steps
        self._done: list[str] = []
        self._recorder = self._make_recorder()
        self._worker = Worker(session, lock, self._recorder, hosts, self._emit)

    def _make_recorder(self) -> Recorder:
        queue = [item for step in self._steps for item in self._queue_of(step)]
        return self._recorder_over(self._session, queue)

    def _recorder_over(
        self, session: Session, queue: Sequence[Task | None], *, prompt: bool = False
    ) -> Recorder:
        journal = Journal(session, self._state.next_entry, self._lock.fence)
        return Recorder(
            session, Ledger(session), journal, self._lock, self._run_id, queue, prompt=prompt
        )

    def run(self, done: list[str]) -> StatementError | None:
        """Run the steps in order; stop at the first failure and return it.

        A kill leaves the journal to tell how far it came; what it does not tell is
        settled by the next run.

        Args:
            done: Gets the id of every revision whose row is in the ledger.

        Raises:
            LockLost: Nothing more was sent; what is known was written, where nobody has
                taken over.

        """
        self._done = done
        try:
            self._run()
        except StatementError as failure:
            return failure
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
        self._recorder.flush()
        return None

    def _run(self) -> None:
        """Run the steps; raise at the first failure."""
        for step in self._steps:
            interrupts.check()
            self._run_step(step)

    def _run_step(self, step: Step) -> None:
        progress = self._begin(step)
        try:
            self._take_up(progress)
            if step.work is not None and step.work.dynamic:
                self._run_live(progress)
            else:
                for task in self._tasks[id(step)]:
                    self._do(progress, task)
        except (LockError, ChecksumMismatch):
            raise
        except BaseException as error:
            failure = self._fail(progress, error)
            if isinstance(error, Exception):
                raise failure from (error.error if isinstance(error, Refused) else error)
            if isinstance(error, KeyboardInterrupt):
                error.args = (failure.message,)
            raise
        self._finish(progress)

    def _begin(self, step: Step) -> Progress:
        work = step.work
        total = 0 if work is None else None if work.dynamic else len(work.statements)
        self._lock.doing = step.revision
        self._emit(
            RevisionStarted(step.revision, step.operation.value, step.parents, step.doc, total)
        )
        return Progress(step, total)

    def _take_up(self, progress: Progress) -> None:
        """Find out what earlier runs did of the step."""
        unfinished = (
            self._state.unfinished_runs.get(progress.step.key) if progress.step.work else None
        )
        if unfinished is None:
            return
        progress.known = dict(unfinished.statements)
        tasks = {task.position: task for task in self._tasks[id(progress.step)]}
        try:
            for recorded in unfinished.doubtful:
                self._reconcile(progress, recorded, tasks.get(recorded.last.position))
            check_restart(self._session, progress.known, tasks)
        except StatementError as error:
            progress.stopped(error.index, tasks.get(error.index))
            raise
        finally:
            for row in progress.rows_of_the_killed(self._sequence, self._state.rows):
                self._sequence += 1
                self._recorder.finish(Attempt(row, ours=False))
        check_resumable(
            progress.step, UnfinishedRun(*progress.step.key, progress.known), tasks.values()
        )

    def _finish(self, progress: Progress) -> None:
        """Take the row of a finished revision, and tell of it once the row is durable."""
        step = progress.step
        row = self._row(progress)

        def written() -> None:
            self._done.append(step.revision)
            took = row.execution_time_ms
            self._emit(RevisionFinished(step.revision, step.operation.value, took))

        self._recorder.finish(Attempt(row, step.up, step.down), written)
        if self._session.settings.hooks:
            self._recorder.flush()  # what the hook raises is about this revision

    def _fail(self, progress: Progress, error: BaseException) -> StatementError:
        """Record that a step failed, and return the sentence about it."""
        step = progress.step
        dynamic = step.work is not None and step.work.dynamic
        if isinstance(error, Refused) and not dynamic:  # whose refusals are recorded as they come
            self._recorder.record(error.entry)
        failure = progress.failure(error, self._session.redact, self._session.changed_settings)
        if not interrupts.hurried:
            self._record_failure(progress, failure)
        self._emit(
            RevisionFailed(
                step.revision, step.operation.value, progress.elapsed_ms, failure.summary
            )
        )
        return failure

    def _queue_of(self, step: Step) -> Iterator[Task | None]:
        """Yield what the recorder may look ahead over; None where it may not.

        The statements of a dynamic revision are not known yet, and one with an unknown outcome
        must be reconciled by the intent that it has.
        """
        if step.work is not None and step.work.dynamic:
            yield None
        unfinished = self._state.unfinished_runs.get(step.key)
        known = unfinished.statements if unfinished else {}
        for task in self._tasks[id(step)]:
            recorded = known.get(task.position)
            if recorded is None:
                yield task
            elif not recorded.applied:
                yield None

    def _reconcile(self, progress: Progress, recorded: Recorded, task: Task | None) -> None:
        """Find out what became of a statement whose outcome is unknown.

        Raises:
            StatementOutcomeUnknown: Nobody can know.
            MutationFailed: It took effect, and the server cannot bring it to its end.
            ChecksumMismatch: It took effect and was edited afterwards.

        """
        step, total = progress.step, progress.total
        intent = recorded.intent or recorded.last
        if task is not None and task.is_of(intent):
            intent = replace(intent, text=task.statement.sent)
        if recorded.last.event is JournalEvent.DOUBTFUL:
            # The server has said how it ended; no count of rows makes that good.
            reconciled = Reconciled(
                Outcome.UNKNOWN,
                f"the server refused it ({recorded.last.error}), and {recorded.last.note}",
                code=recorded.last.error_code,
            )
        else:
            reconciled = self._worker.reconciler.reconcile(intent)
        if reconciled.outcome is Outcome.UNKNOWN:
            raise unknown(intent, total, reconciled, task.statement if task else None)
        if reconciled.outcome is Outcome.NOT_APPLIED:
            failed = reconciled.entry(intent)
            progress.known[intent.position] = replace(recorded, last=failed)
            if not reconciled.repeatable:
                self._recorder.record(failed)
            return
        # Only what is done to its end counts: a mutation may still fail.
        killed = self._worker.sender.wait_for_mutations(intent, total)
        if killed:
            stopped = Reconciled(Outcome.UNKNOWN, killed)
            raise unknown(intent, total, stopped, task.statement if task else None)
        outcome = reconciled.entry(intent)
        progress.known[intent.position] = replace(recorded, last=outcome)
        self._recorder.record(outcome)
        static = step.work is not None and not step.work.dynamic
        if static and (task is None or task.hash != intent.hash):
            raise edited(step, progress.known[intent.position], task)

    def _run_live(self, progress: Progress) -> None:
        step = progress.step
        applied = Applied(progress.known.values())
        begun = {k.last.hash: at for at, k in progress.known.items() if not k.applied}
        first = max(progress.known, default=0)

        def emit(statement: Statement) -> None:
            nonlocal first
            if progress.fatal is not None:
                raise progress.fatal  # the revision has caught it, and goes on
            known_at = begun.pop(statement_hash(statement), None)
            position = known_at or first + 1
            try:
                task = self._place(progress, position, statement)
                if applied.take(task):
                    progress.position += 1
                    self._skip(progress, task, "applied by an earlier run")
                    return
                first = max(first, position)
                self._do(progress, task)
                self._worker.barrier.wait()  # what the revision reads next, it may read anywhere
            except Refused as refused:
                self._recorder.record(refused.entry)
                progress.refused.append(refused)
                if not refused.clean:
                    progress.fatal = refused.error
                raise refused.error from refused
            except BaseException as error:
                progress.fatal = error
                raise

        self._worker.barrier.wait()
        try:
            self._live(step, emit)
            if progress.fatal is not None:
                raise progress.fatal
        except EngineError as error:
            for refused in progress.refused:
                if refused.error is error:
                    progress.refused.remove(refused)
                    raise refused from error
            raise
        finally:
            for refused in progress.refused:
                self._emit(Notice(_passed_over(refused)))

    def _place(self, progress: Progress, position: int, statement: Statement) -> Task:
        """Return the task of a statement that a dynamic revision has just given."""
        try:
            placed = self._placement.statement(progress.step, position, statement)
        except RevisionError:
            progress.position, progress.current = position, statement
            raise
        return make_task(self._session, self._state, progress.step, position, None, placed)

    def _do(self, progress: Progress, task: Task) -> None:
        progress.position += 1
        progress.current = task.statement
        known = progress.known.get(task.position)
        if known is not None and known.applied:
            self._skip(progress, task, "applied by an earlier run")
            return
        self._took_effect(progress, task, self._send(self._worker, task, known))

    def _send(self, worker: Worker, task: Task, known: Recorded | None) -> JournalEntry:
        """Do a statement, and say so; in any thread."""
        revision, position, total = task.step.revision, task.position, task.total
        of = f" of {total}" if total is not None else ""
        interrupts.check()
        self._lock.doing = f"{revision} statement {position}{of}"
        interrupts.doing = f"statement {position}{of} of {revision}"
        self._lock.check()
        self._emit(StatementStarted(revision, position, total, task.shown))
        return worker.do(task, known)

    def _took_effect(self, progress: Progress, task: Task, entry: JournalEntry) -> None:
        if entry.note == PROBED:
            self._skip(progress, task, PROBED)
            return
        progress.applied += 1
        self._emit(
            StatementFinished(task.step.revision, task.position, task.total, entry.elapsed_ms)
        )

    def _skip(self, progress: Progress, task: Task, why: str) -> None:
        progress.applied += 1
        self._emit(
            StatementFinished(
                task.step.revision, task.position, task.total, 0, skipped=True, why=why
            )
        )

    def _record_failure(self, progress: Progress, failure: StatementError) -> None:
        self._recorder.abandon()
        try:
            row = self._row(progress, failure)
            self._recorder.finish(Attempt(row, progress.step.up, progress.step.down))
            self._recorder.flush()
        except MigrationError as lost:
            self._emit(Notice(f"The failed attempt could not be recorded: {lost.message}"))

    def _row(self, progress: Progress, failure: StatementError | None = None) -> LedgerRow:
        row = progress.row(self._sequence, self._run_id, self._lock.generation, failure)
        self._sequence += 1
        return row


def _passed_over(refused: Refused) -> str:
    intent, code = refused.intent, refused.error.code
    return (
        f"{intent.revision} statement {intent.position} was refused, and the revision went on: "
        f"{f'ClickHouse {code}: ' if code else ''}{refused.reason}"
    )
