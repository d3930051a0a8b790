"""Run steps, statement by statement, and append a ledger row for each attempt."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from budeval_migrations.engine.session import Session
from budeval_migrations.errors import (
    ConnectionFailed,
    EngineError,
    LockError,
    MigrationError,
    RevisionError,
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
from budeval_migrations.history.ledger import Attempt, Ledger
from budeval_migrations.history.lock import Lock
from budeval_migrations.model import LedgerRow, Statement, Step
from budeval_migrations.sql.redact import Redactor, secrets_in

Emit = Callable[[Statement], None]
Live = Callable[[Step, Emit], None]

_HINTS = {
    15: "Make the statement repeatable: ADD COLUMN IF NOT EXISTS.",
    44: "Make the statement repeatable: ADD COLUMN IF NOT EXISTS, ADD INDEX IF NOT EXISTS.",
    57: "Make the statement repeatable: CREATE TABLE IF NOT EXISTS.",
    60: "The table is not there: DROP TABLE IF EXISTS, or look at the order of the revisions.",
    82: "Make the statement repeatable: CREATE DATABASE IF NOT EXISTS.",
}


@dataclass
class _Progress:
    """How far an attempt has come."""

    step: Step
    total: int | None
    applied: int = 0
    index: int = 0
    current: Statement | None = None


class Executor:
    """Sends the statements of one run.

    Args:
        live: Runs a dynamic revision, giving its statements one by one.

    """

    def __init__(
        self, session: Session, ledger: Ledger, lock: Lock, tell: Listener, live: Live, run_id: str
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._lock = lock
        self._tell = tell
        self._live = live
        self._run_id = run_id

    def run_step(self, step: Step, sequence: int) -> None:
        """Run one step and append its row.

        A kill before the row leaves the statements that ran without a record;
        the next run does the revision again from its first statement.

        Raises:
            StatementFailed: The server refused a statement; the row says so.
            LockLost: Nothing more was sent, and no row was appended.

        """
        work = step.work
        total = len(work.statements) if work is not None and not work.dynamic else None
        progress = _Progress(step, total if work is not None else 0)
        self._lock.doing = step.revision
        self._tell(
            RevisionStarted(
                step.revision, step.operation.value, step.parents, step.doc, progress.total
            )
        )
        began_at, began = datetime.now(timezone.utc), time.monotonic()
        try:
            if work is not None and work.dynamic:
                self._live(step, lambda statement: self._send(progress, statement))
            elif work is not None:
                for statement in work.statements:
                    self._send(progress, statement)
            self._lock.check()
        except LockError:
            raise
        except BaseException as error:
            elapsed = _ms_since(began)
            failure = self._failure(progress, error)
            self._record_failure(progress, failure, sequence, began_at, elapsed)
            self._tell(
                RevisionFailed(step.revision, step.operation.value, elapsed, failure.summary)
            )
            if isinstance(error, Exception):
                raise failure from error
            raise
        elapsed = _ms_since(began)
        row = self._row(progress, sequence, began_at, elapsed)
        self._ledger.append([Attempt(row, step.up, step.down)])
        self._tell(RevisionFinished(step.revision, step.operation.value, elapsed))

    def _send(self, progress: _Progress, statement: Statement) -> None:
        revision = progress.step.revision
        progress.index += 1
        progress.current = statement
        index, total = progress.index, progress.total
        self._lock.check()
        shown = self._session.redact(statement.text)
        self._tell(StatementStarted(revision, index, total, shown))
        began = time.monotonic()
        skipped = bool(statement.unless and self._session.query(statement.unless))
        if not skipped:
            self._session.execute(statement.text, query_id=str(uuid.uuid4()))
        progress.applied += 1
        self._tell(StatementFinished(revision, index, total, _ms_since(began), skipped))

    def _failure(self, progress: _Progress, error: BaseException) -> StatementFailed:
        if isinstance(error, StatementFailed):
            return error
        statement = progress.current
        code = error.code if isinstance(error, EngineError) else 0
        reason = f"interrupted ({type(error).__name__})"
        if isinstance(error, MigrationError):
            reason = str(error.details.get("reason") or error.message)
        elif isinstance(error, Exception):
            reason = f"{type(error).__name__}: {error}"
        reason = self._session.redact(reason)
        if statement is not None:
            # A server quotes a statement from its middle, where a secret has no name.
            reason = Redactor(secrets_in(statement.text))(reason)
        hint = error.hint if isinstance(error, (EngineError, RevisionError)) else ""
        return StatementFailed(
            revision=progress.step.revision,
            index=max(progress.index, 1),
            total=progress.total,
            reason=reason,
            code=code,
            file=statement.file if statement else None,
            line=statement.line if statement else None,
            outcome=_outcome(progress, error),
            hint=_HINTS.get(code, hint) or "Correct the revision, then run: budeval-migrate up",
        )

    def _record_failure(
        self,
        progress: _Progress,
        failure: StatementFailed,
        sequence: int,
        began_at: datetime,
        elapsed: int,
    ) -> None:
        row = self._row(progress, sequence, began_at, elapsed, failure)
        try:
            self._ledger.append([Attempt(row, progress.step.up, progress.step.down)])
        except MigrationError as lost:
            self._tell(Notice(f"The failed attempt could not be recorded: {lost.message}"))

    def _row(
        self,
        progress: _Progress,
        sequence: int,
        began_at: datetime,
        elapsed: int,
        failure: StatementFailed | None = None,
    ) -> LedgerRow:
        step = progress.step
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
            statements_total=progress.index if progress.total is None else progress.total,
            error_code=failure.code if failure else 0,
            sequence=sequence,
            run_id=self._run_id,
            lock_generation=self._lock.generation,
            statements_checksum=step.statements_checksum,
        )


def _outcome(progress: _Progress, error: BaseException) -> str:
    count = f"{progress.applied} statement{'s' if progress.applied != 1 else ''}"
    then = "the next run starts this revision again at its first statement"
    if isinstance(error, ConnectionFailed) and error.details.get("sent"):
        return (
            f"{count} took effect, and whether statement {progress.index} did is not known; {then}"
        )
    return f"{count} of this revision took effect; {then}"


def _ms_since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
