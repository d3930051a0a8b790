"""What is said and recorded of one attempt at a revision. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from budeval_migrations.clickhouse.failures import BEFORE_RUNNING
from budeval_migrations.counting import counted
from budeval_migrations.errors import (
    EngineError,
    MigrationError,
    MutationFailed,
    RevisionError,
    StatementError,
    StatementFailed,
)
from budeval_migrations.execution.resume import repair_command
from budeval_migrations.execution.sender import Refused
from budeval_migrations.execution.task import Task, redactor_of
from budeval_migrations.interrupts import Interrupted
from budeval_migrations.model import Direction, LedgerRow, Statement, Step
from budeval_migrations.state.unfinished import Recorded

_HINTS = {
    15: "The column is there already: was it added by hand? "
    "ADD COLUMN IF NOT EXISTS passes over it.",
    57: "It is there already: was it made by hand? CREATE … IF NOT EXISTS passes over it.",
    60: "The table is not there: look at the order of the revisions, or at DROP … IF EXISTS.",
    160: "The user's profile sets min_execution_speed or max_estimated_execution_time. Take it out "
    "for this user; then run: budeval-migrate up",
    201: "The user's quota is used up. Wait until its interval ends, or raise it; then run: "
    "budeval-migrate up",
    225: "The server cannot reach Keeper. Bring Keeper back, then run: budeval-migrate up",
    82: "The database is there already: CREATE DATABASE IF NOT EXISTS passes over it.",
}


@dataclass
class Progress:
    """How far an attempt has come.

    Attributes:
        total: How many statements there are; None in a dynamic revision.
        applied: How many are known to have taken effect, in this run or before.
        position: The statement that it is at, from 1.
        known: What earlier runs have found out, by position.
        refused: The statements that the server refused and a dynamic revision went on after.
        fatal: What no revision may go on after, although its Python may have caught it.
        before_ms: Milliseconds that the attempts before it took.

    """

    step: Step
    total: int | None
    before_ms: int = 0
    applied: int = 0
    position: int = 0
    current: Statement | None = None
    known: dict[int, Recorded] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    fatal: BaseException | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    _began: float = field(default_factory=time.monotonic)

    def at(self, task: Task) -> None:
        """Say which statement it is at."""
        self.position, self.current = task.position, task.statement

    def stopped(self, position: int, task: Task | None) -> None:
        """Say that it did not get past a statement of an earlier run."""
        self.position, self.current = position, task.statement if task else None
        self.applied = sum(k.applied for n, k in self.known.items() if self._counted(n))

    def _counted(self, position: int) -> bool:
        """Whether an applied statement counts already; a dynamic revision has to come to it."""
        return self.total is not None or position <= self.position

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since this attempt began."""
        return int((time.monotonic() - self._began) * 1000)

    def row(
        self, sequence: int, run_id: str, generation: int, failure: StatementError | None = None
    ) -> LedgerRow:
        """Return the row for the ledger."""
        step = self.step
        return LedgerRow(
            version=step.revision,
            checksum=step.checksum,
            executed_at=self.began_at,
            execution_time_ms=self.elapsed_ms + (0 if failure else self.before_ms),
            success=failure is None,
            error_message=failure.summary if failure else None,
            operation=step.operation,
            direction=step.direction,
            parents=step.parents,
            statements_applied=self.applied,
            statements_total=self.position if self.total is None else self.total,
            error_code=failure.code if failure else 0,
            sequence=sequence,
            run_id=run_id,
            lock_generation=generation,
            statements_checksum=step.statements_checksum,
        )

    def rows_of_the_killed(self, sequence: int, rows: Sequence[LedgerRow]) -> list[LedgerRow]:
        """Return a row for each earlier run at the step that could write none.

        Args:
            sequence: The number of the first.
            rows: What the ledger holds.

        """
        step = self.step
        told = {row.run_id for row in rows if row.version == step.revision}
        runs: dict[str, list[Recorded]] = {}
        for _, recorded in sorted(self.known.items()):
            entry = recorded.intent or recorded.last
            # Without an intent, the run of an answer is the one that repaired.
            repaired = recorded.answered and recorded.intent is None
            if entry.run_id and entry.run_id not in told and not repaired:
                runs.setdefault(entry.run_id, []).append(recorded)
        found: list[LedgerRow] = []
        for run_id, statements in runs.items():
            entries = [e for r in statements for e in (r.intent, r.last, *r.chunks) if e]
            times = [e.at for e in entries if e.at is not None and e.run_id == run_id]
            # The server went on after the kill.
            times += [
                r.intent.at + timedelta(milliseconds=r.last.elapsed_ms)
                for r in statements
                if r.intent is not None and r.intent.at is not None
            ]
            began = min(times, default=self.began_at)
            ended = max(times, default=self.began_at)
            found.append(
                LedgerRow(
                    version=step.revision,
                    checksum=entries[0].checksum,
                    executed_at=began,
                    execution_time_ms=int((ended - began).total_seconds() * 1000),
                    success=False,
                    error_message=_of_the_killed(statements),
                    operation=step.operation,
                    direction=step.direction,
                    parents=step.parents,
                    statements_applied=sum(r.applied for r in statements),
                    statements_total=self.total or 0,
                    sequence=sequence + len(found),
                    run_id=run_id,
                    lock_generation=entries[0].lock_generation,
                )
            )
        return found

    def failure(
        self, error: BaseException, redact: Callable[[str], str], profile: Sequence[str] = ()
    ) -> StatementError:
        """Return what stopped the attempt, as a sentence about its statement.

        Args:
            profile: Settings that the user's profile changes, and that may explain it.

        """
        if isinstance(error, StatementError) and not isinstance(error, MutationFailed):
            return error
        said = error.error if isinstance(error, Refused) else error
        if isinstance(said, MigrationError):
            reason = str(said.details.get("reason") or said.message)
        elif isinstance(said, Exception):
            reason = f"{type(said).__name__}: {said}"
        else:
            reason = said.by if isinstance(said, Interrupted) else "interrupted"
        reason = redact(reason)
        statement = self.current
        if statement is not None:
            reason = redactor_of(statement)(reason)
        code = said.code if isinstance(said, (EngineError, MutationFailed)) else 0
        ours = isinstance(said, (EngineError, RevisionError, MutationFailed))
        hint = said.hint if isinstance(said, MigrationError) and ours else ""
        if isinstance(error, Refused) and not error.clean:
            hint = _settle_first(self.step, max(self.position, 1))
        if isinstance(error, Refused) and error.moved:
            hint = _begin_anew(self.step, max(self.position, 1))
        hint = hint or _HINTS.get(code) or f"Correct the statement, then run{_again(self.step)}"
        if code and code not in BEFORE_RUNNING and profile:
            hint = f"The user's profile changes {', '.join(profile)}. {hint}"
        kind = MutationFailed if isinstance(error, MutationFailed) else StatementFailed
        return kind(
            revision=self.step.revision,
            index=max(self.position, 1),
            total=self.total,
            reason=reason,
            code=code,
            file=statement.file if statement else None,
            line=statement.line if statement else None,
            outcome=self._outcome(error),
            hint=hint,
        )

    def _outcome(self, error: BaseException) -> str:
        behind = sum(k.applied for n, k in self.known.items() if not self._counted(n))
        count = f"{counted(self.applied + behind, 'statement')} of this revision took effect"
        at = max(self.position, 1)
        if isinstance(error, MutationFailed):
            return f"{count}. {error.outcome}"
        if isinstance(error, Interrupted) and error.hurried:
            return (
                f"{count}. Statement {at} may have taken effect, or may yet; the next run finds out"
            )
        if isinstance(error, Refused) and not error.clean:
            return f"{count}, and statement {at} perhaps in part: {error.why}"
        if isinstance(error, Refused) and error.moved:
            return f"{count}, and of statement {at} {error.why}; the next run goes on there"
        return f"{count}; the next run goes on at statement {at}"


def _of_the_killed(statements: Sequence[Recorded]) -> str:
    recorded = next((r for r in statements if r.doubtful), statements[-1])
    what = "took effect" if recorded.applied else "did not take effect"
    if recorded.doubtful:
        what = "may have taken effect"
    return (
        f"The run ended without a record of it, as a killed one does. "
        f"Statement {recorded.last.position} {what}."
    )


def _again(step: Step) -> str:
    """Return the command that goes on, as the end of a sentence."""
    return ": budeval-migrate up" if step.direction is Direction.UP else " the downgrade again"


def _begin_anew(step: Step, position: int) -> str:
    undone = repair_command(step.revision, position, "--not-applied")
    return (
        f"Correct the rows of the source, then run{_again(step)}. To begin anew with another "
        f"SELECT, remove the rows that it has moved, then: {undone}"
    )


def _settle_first(step: Step, position: int) -> str:
    done, undone = (
        repair_command(step.revision, position, answer) for answer in ("--applied", "--not-applied")
    )
    return (
        f"Look at the data first. If its effect is complete: {done}. If you have removed what it "
        f"left: {undone}, and correct the statement. Then run{_again(step)}"
    )
