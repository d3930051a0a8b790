"""What is found out, said and recorded of each step of a run.

A step is begun, what earlier runs did of it is taken up, its statements take effect one by one,
and it is finished or fails. Its row is in the ledger before anybody is told so. In which order
statements are run is the scheduler's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from budeval_migrations.errors import EngineError, MigrationError, RevisionError, StatementError
from budeval_migrations.events import (
    Notice,
    RevisionFailed,
    RevisionFinished,
    RevisionStarted,
    StatementFinished,
)
from budeval_migrations.execution.attempt import Progress
from budeval_migrations.execution.placement import placement_on
from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.reconcile.unknown import unknown
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.restarts import check_restart
from budeval_migrations.execution.resume import Applied, check_resumable, edited, short
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.sender import PROBED, Refused
from budeval_migrations.execution.task import Task, make_task, statement_hash
from budeval_migrations.execution.worker import StatementResult, Worker
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import LedgerRow, Statement, Step
from budeval_migrations.state.ledger import Attempt
from budeval_migrations.state.unfinished import (
    JournalEvent,
    Recorded,
    UnfinishedRun,
    mutations_of,
)


class Steps:
    """The steps of a run: what is found out, said and recorded of each.

    Args:
        worker: Reconciles, and runs the statements of dynamic revisions.
        done: Gets the rows of finished steps as soon as they are in the ledger.

    """

    def __init__(self, run: Run, recorder: Recorder, worker: Worker, done: list[LedgerRow]) -> None:
        self._done = done
        self._run = run
        self._session = run.session
        self._emit = run.emit
        self._recorder = recorder
        self._worker = worker
        self._sequence = run.state.next_sequence
        self._placement = placement_on(run.session)

    def begin(self, step: Step) -> Progress:
        """Say that a step begins."""
        work = step.work
        total = 0 if work is None else None if work.dynamic else len(work.statements)
        self._run.lock.doing = step.revision
        self._emit(
            RevisionStarted(step.revision, step.operation.value, step.parents, step.doc, total)
        )
        return Progress(step, total, self._run.state.spent_ms(*step.key))

    def take_up(self, progress: Progress, statements: Sequence[Task]) -> None:
        """Find out what earlier runs did of a step.

        Args:
            statements: Those of the step; empty for a dynamic revision.

        Raises:
            StatementOutcomeUnknown: Nobody can know what became of a statement.
            ChecksumMismatch: A statement was edited after it took effect.

        """
        unfinished = self._run.state.unfinished_runs[progress.step.key]
        progress.known = dict(unfinished.statements)
        tasks = {task.position: task for task in statements}
        try:
            for recorded in unfinished.doubtful:
                self._reconcile(progress, recorded, tasks.get(recorded.last.position))
            check_restart(self._session, progress.known, tasks)
        except StatementError as error:
            progress.stopped(error.index, tasks.get(error.index))
            raise
        finally:
            for row in progress.rows_of_the_killed(self._sequence, self._run.state.rows):
                self._sequence += 1
                progress.before_ms += row.execution_time_ms
                self._recorder.finish(Attempt(row, ours=False))
        check_resumable(
            progress.step, UnfinishedRun(*progress.step.key, progress.known), tasks.values()
        )

    def finish(self, progress: Progress) -> None:
        """Take the row of a finished revision, and tell of it once the row is durable."""
        step = progress.step
        row = self._row(progress)

        def written() -> None:
            self._done.append(row)
            took = row.execution_time_ms
            self._emit(RevisionFinished(step.revision, step.operation.value, took))

        self._recorder.finish(Attempt(row, step.up, step.down), written)
        if self._session.settings.hooks:
            self._recorder.flush()  # what the hook raises is about this revision

    def fail(self, progress: Progress, error: BaseException) -> StatementError:
        """Record that a step failed, and return the sentence about it."""
        step = progress.step
        failure = progress.failure(error, self._session.redact, self._session.changed_settings)
        if not interrupts.hurried:
            self._record_failure(progress, failure)
        self._emit(
            RevisionFailed(
                step.revision, step.operation.value, progress.elapsed_ms, failure.summary
            )
        )
        return failure

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
        noted = mutations_of(recorded.last.note)
        if noted:
            reconciled = Reconciled(Outcome.APPLIED, "the server has done what it had taken")
        elif recorded.last.event is JournalEvent.DOUBTFUL:
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
        killed = self._worker.sender.mutations.wait(intent, total, noted)
        if killed:
            stopped = Reconciled(Outcome.UNKNOWN, killed)
            raise unknown(intent, total, stopped, task.statement if task else None)
        outcome = reconciled.entry(intent)
        progress.known[intent.position] = replace(recorded, last=outcome)
        self._recorder.record(outcome)
        if (
            step.work is not None
            and not step.dynamic
            and (task is None or task.hash != intent.hash)
        ):
            raise edited(step, progress.known[intent.position], task)

    def run_dynamic(self, progress: Progress) -> None:
        """Run a dynamic revision: its statements come one by one, and are run as they come.

        What becomes of each is recorded before its Python goes on.
        """
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
                    self.skip(progress, task, "applied by an earlier run")
                    # What the revision reads may have changed by that, so that it asks for less.
                    self._emit(
                        Notice(
                            f"{step.revision}: an earlier run has applied this statement, which "
                            f"is not sent again: {short(task.shown)}"
                        )
                    )
                    return
                first = max(first, position)
                progress.position += 1
                progress.current = statement
                self._run_one(progress, task)
            except BaseException as error:
                if not any(each.error is error and each.clean for each in progress.refused):
                    progress.fatal = error
                raise

        self._worker.barrier.wait()
        try:
            self._run.source.run_dynamic(step, emit)
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

    def _run_one(self, progress: Progress, task: Task) -> None:
        """Run one statement of a dynamic revision; raise what its Python shall see."""
        result = self._worker.run(task, progress.known.get(task.position))
        if result.error is None:
            self.took_effect(progress, result)
            self._worker.barrier.wait()  # what the revision reads next, it may read anywhere
            return
        if not isinstance(result.error, Refused):
            raise result.error
        progress.refused.append(result.error)
        raise result.error.error from result.error

    def _place(self, progress: Progress, position: int, statement: Statement) -> Task:
        """Return the task of a statement that a dynamic revision has just given."""
        try:
            placed = self._placement.statement(progress.step, position, statement)
        except RevisionError:
            progress.position, progress.current = position, statement
            raise
        return make_task(self._session, self._run.state, progress.step, position, None, placed)

    def took_effect(self, progress: Progress, result: StatementResult) -> None:
        """Say and count that a statement took effect."""
        task, entry = result.task, result.entry
        assert entry is not None
        if entry.note == PROBED:
            self.skip(progress, task, PROBED)
            where = f"{task.step.revision} statement {task.position}"
            self._emit(Notice(f"{where} was not sent: {PROBED}."))
            return
        progress.applied += 1
        self._emit(
            StatementFinished(task.step.revision, task.position, task.total, entry.elapsed_ms)
        )

    def skip(self, progress: Progress, task: Task, why: str) -> None:
        """Say and count that a statement has taken effect already."""
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
        row = progress.row(self._sequence, self._run.run_id, self._run.lock.generation, failure)
        self._sequence += 1
        return row


def _passed_over(refused: Refused) -> str:
    intent, code = refused.intent, refused.error.code
    return (
        f"{intent.revision} statement {intent.position} was refused, and the revision went on: "
        f"{f'ClickHouse {code}: ' if code else ''}{refused.reason}"
    )
