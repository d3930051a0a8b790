"""Run steps, statement by statement, from the first whose outcome is not good."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from budeval_migrations.engine.session import Session
from budeval_migrations.errors import (
    ChecksumMismatch,
    EngineError,
    LockError,
    MigrationError,
    MutationFailed,
    RevisionError,
    StatementError,
    StatementFailed,
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
from budeval_migrations.history.effort import Effort, JournalEvent, Recorded
from budeval_migrations.history.journal import Journal
from budeval_migrations.history.ledger import Attempt, Ledger
from budeval_migrations.history.lock import Lock
from budeval_migrations.history.state import LedgerState
from budeval_migrations.model import Direction, LedgerRow, Statement, Step
from budeval_migrations.run.backfill import Backfiller
from budeval_migrations.run.interrupts import interrupts
from budeval_migrations.run.recorder import Recorder
from budeval_migrations.run.resume import Applied, check_resumable, edited
from budeval_migrations.run.sender import PROBED, Refused, Sender
from budeval_migrations.run.settle import Settler, unknown
from budeval_migrations.run.task import Task
from budeval_migrations.run.verdict import Outcome
from budeval_migrations.sql.redact import Redactor, secrets_in

Emit = Callable[[Statement], None]
Live = Callable[[Step, Emit], None]

_HINTS = {
    15: "The column is there already: was it added by hand?",
    44: "It is there already: was it added by hand? ADD … IF NOT EXISTS passes over it.",
    57: "It is there already: was it made by hand? CREATE … IF NOT EXISTS passes over it.",
    60: "The table is not there: look at the order of the revisions, or at DROP … IF EXISTS.",
    82: "The database is there already: CREATE DATABASE IF NOT EXISTS passes over it.",
}


@dataclass
class _Progress:
    """How far an attempt has come."""

    step: Step
    total: int | None
    applied: int = 0
    position: int = 0
    current: Statement | None = None
    known: dict[int, Recorded] = field(default_factory=dict)


class Executor:
    """Sends the statements of one run.

    Args:
        steps: Everything that the run will do, in order.
        live: Runs a dynamic revision, giving its statements one by one.

    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        lock: Lock,
        tell: Listener,
        live: Live,
        run_id: str,
        state: LedgerState,
        steps: Sequence[Step],
    ) -> None:
        self._session = session
        self._lock = lock
        self._tell = tell
        self._live = live
        self._run_id = run_id
        self._state = state
        self._sequence = state.next_sequence
        self._tasks = {id(step): tasks_of(session, state, step) for step in steps}
        journal = Journal(session, state.next_entry, lock.fence)
        queue = [task for step in steps for task in self._tasks[id(step)] if self._is_new(task)]
        self._settler = Settler(session, lock, tell)
        self._recorder = Recorder(session, ledger, journal, lock, run_id, queue)
        self._sender = Sender(session, lock, self._recorder, self._settler, tell)
        self._backfiller = Backfiller(session, lock, journal, self._recorder, tell)

    def run(self, steps: Sequence[Step], done: list[str]) -> StatementError | None:
        """Run the steps in order; stop at the first failure and return it.

        A kill leaves the journal to tell how far it came; what it does not tell is
        settled by the next run.

        Args:
            done: Gets the id of every revision that was finished.

        Raises:
            LockLost: Nothing more was sent and nothing more was written.

        """
        for step in steps:
            try:
                self._run_step(step)
            except StatementError as failure:
                return failure
            except ChecksumMismatch:
                self._recorder.abandon()
                self._recorder.flush()
                raise
            done.append(step.revision)
        self._recorder.flush()
        return None

    def _run_step(self, step: Step) -> None:
        work = step.work
        effort = self._state.efforts.get((step.revision, step.direction)) if work else None
        total = 0 if work is None else None if work.dynamic else len(work.statements)
        progress = _Progress(step, total)
        self._lock.doing = step.revision
        self._tell(
            RevisionStarted(step.revision, step.operation.value, step.parents, step.doc, total)
        )
        began_at, began = datetime.now(timezone.utc), time.monotonic()
        try:
            if effort is not None:
                progress.known = self._settle(step, effort, total)
            if work is not None and work.dynamic:
                self._run_live(progress)
            else:
                for task in self._tasks[id(step)]:
                    self._do(progress, task)
        except (LockError, ChecksumMismatch):
            raise
        except BaseException as error:
            elapsed = _ms_since(began)
            failure = self._failure(progress, error)
            self._record_failure(progress, failure, began_at, elapsed)
            self._tell(
                RevisionFailed(step.revision, step.operation.value, elapsed, failure.summary)
            )
            if isinstance(error, Exception):
                raise failure from error
            raise
        elapsed = _ms_since(began)
        row = self._row(progress, began_at, elapsed)
        self._recorder.finish(Attempt(row, step.up, step.down))
        self._tell(RevisionFinished(step.revision, step.operation.value, elapsed))

    def _is_new(self, task: Task) -> bool:
        effort = self._state.efforts.get((task.step.revision, task.step.direction))
        return effort is None or task.position not in effort.statements

    def _settle(self, step: Step, effort: Effort, total: int | None) -> dict[int, Recorded]:
        """Find out what became of the statements in doubt, and return all that are known.

        Raises:
            StatementOutcomeUnknown: Nobody can know.
            ChecksumMismatch: A statement that took effect was edited afterwards.

        """
        tasks = {task.position: task for task in self._tasks[id(step)]}
        known = dict(effort.statements)
        for recorded in effort.doubtful:
            intent = recorded.intent or recorded.last
            settled = self._settler.settle(intent)
            if settled.outcome is Outcome.UNKNOWN:
                task = tasks.get(intent.position)
                raise unknown(intent, total, settled, task.statement if task else None)
            if settled.outcome is Outcome.NOT_APPLIED:
                known[intent.position] = replace(
                    recorded, last=replace(intent, event=JournalEvent.FAILED)
                )
                continue
            # Only what is done to its end counts: a mutation may still fail.
            self._sender.wait_for_mutations(intent, total)
            task = tasks.get(intent.position)
            outcome = replace(intent, event=JournalEvent.APPLIED, before="", note=settled.why)
            known[intent.position] = replace(recorded, last=outcome)
            self._recorder.record(outcome)
            static = step.work is not None and not step.work.dynamic
            if static and (task is None or task.hash != intent.hash):
                raise edited(step, known[intent.position], task)
        check_resumable(step, Effort(*_key(step), known), tasks.values())
        return known

    def _run_live(self, progress: _Progress) -> None:
        step = progress.step
        applied = Applied(progress.known.values())
        first = max(progress.known, default=0)

        def emit(statement: Statement) -> None:
            nonlocal first
            task = make_task(self._session, self._state, step, first + 1, None, statement)
            if applied.take(task):
                progress.position += 1
                self._skip(progress, task, "applied by an earlier run")
            else:
                first += 1
                self._do(progress, task)

        self._live(step, emit)

    def _do(self, progress: _Progress, task: Task) -> None:
        progress.position += 1
        progress.current = task.statement
        known = progress.known.get(task.position)
        if known is not None and known.applied:
            self._skip(progress, task, "applied by an earlier run")
            return
        revision, position, total = task.step.revision, task.position, task.total
        of = f" of {total}" if total is not None else ""
        interrupts.check()
        self._lock.doing = f"{revision} statement {position}{of}"
        self._lock.check()
        self._tell(StatementStarted(revision, position, total, task.shown))
        if task.statement.backfill is not None:
            entry = self._backfiller.run(task, known)
        else:
            entry = self._sender.send(task)
        self._recorder.note(task, entry)
        if entry.note == PROBED:
            self._skip(progress, task, PROBED)
            return
        progress.applied += 1
        self._tell(StatementFinished(revision, position, total, entry.elapsed_ms))

    def _skip(self, progress: _Progress, task: Task, why: str) -> None:
        progress.applied += 1
        self._tell(
            StatementFinished(
                task.step.revision, task.position, task.total, 0, skipped=True, why=why
            )
        )

    def _failure(self, progress: _Progress, error: BaseException) -> StatementError:
        if isinstance(error, StatementError) and not isinstance(error, MutationFailed):
            return error
        statement = progress.current
        clean, why = True, ""
        passive = error
        if isinstance(error, Refused):
            self._recorder.record(error.entry)
            clean, why, passive = error.clean, error.why, error.error
        elif isinstance(error, MutationFailed):
            clean, why = False, error.outcome
        code = passive.code if isinstance(passive, (EngineError, MutationFailed)) else 0
        reason = f"interrupted ({type(passive).__name__})"
        if isinstance(passive, MigrationError):
            reason = str(passive.details.get("reason") or passive.message)
        elif isinstance(passive, Exception):
            reason = f"{type(passive).__name__}: {passive}"
        reason = self._session.redact(reason)
        if statement is not None:
            # A server quotes a statement from its middle, where a secret has no name.
            reason = Redactor(secrets_in(statement.text))(reason)
        known = isinstance(passive, (EngineError, RevisionError, MutationFailed))
        hint = passive.hint if isinstance(passive, MigrationError) and known else ""
        kind = MutationFailed if isinstance(error, MutationFailed) else StatementFailed
        return kind(
            revision=progress.step.revision,
            index=max(progress.position, 1),
            total=progress.total,
            reason=reason,
            code=code,
            file=statement.file if statement else None,
            line=statement.line if statement else None,
            outcome=_outcome(progress, clean, why),
            hint=_HINTS.get(code, hint) or "Correct the statement, then run: budeval-migrate up",
        )

    def _record_failure(
        self, progress: _Progress, failure: StatementError, began_at: datetime, elapsed: int
    ) -> None:
        self._recorder.abandon()
        row = self._row(progress, began_at, elapsed, failure)
        try:
            self._recorder.finish(Attempt(row, progress.step.up, progress.step.down))
            self._recorder.flush()
        except MigrationError as lost:
            self._tell(Notice(f"The failed attempt could not be recorded: {lost.message}"))

    def _row(
        self,
        progress: _Progress,
        began_at: datetime,
        elapsed: int,
        failure: StatementError | None = None,
    ) -> LedgerRow:
        step = progress.step
        self._sequence += 1
        return LedgerRow(
            version=step.revision,
            checksum=step.checksum,
            executed_at=began_at,
            execution_time_ms=elapsed,
            success=failure is None,
            error_message=failure.summary if failure else None,
            operation=step.operation,
            direction=step.direction,
            parents=step.parents,
            statements_applied=progress.applied,
            statements_total=progress.position if progress.total is None else progress.total,
            error_code=failure.code if failure else 0,
            sequence=self._sequence - 1,
            run_id=self._run_id,
            lock_generation=self._lock.generation,
            statements_checksum=step.statements_checksum,
        )


def tasks_of(session: Session, state: LedgerState, step: Step) -> tuple[Task, ...]:
    """Return the statements of a step; none for a dynamic revision."""
    statements = step.work.statements if step.work else ()
    return tuple(
        make_task(session, state, step, position, len(statements), statement)
        for position, statement in enumerate(statements, start=1)
    )


def make_task(
    session: Session,
    state: LedgerState,
    step: Step,
    position: int,
    total: int | None,
    statement: Statement,
) -> Task:
    """Return a statement in its place."""
    since = state.since(step.revision)
    return Task(step, since, position, total, statement, session.redact(statement.text))


def _key(step: Step) -> tuple[str, Direction]:
    return step.revision, step.direction


def _outcome(progress: _Progress, clean: bool, why: str) -> str:
    count = f"{progress.applied} statement{'s' if progress.applied != 1 else ''}"
    at = max(progress.position, 1)
    if clean:
        return f"{count} of this revision took effect; the next run goes on at statement {at}"
    return f"{count} of this revision took effect, and statement {at} in part: {why}"


def _ms_since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
