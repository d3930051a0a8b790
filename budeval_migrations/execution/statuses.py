"""Say where every revision stands, as ``status`` shows it. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from budeval_migrations.execution.planner import Position, StatementsChecksum, checksum_state
from budeval_migrations.model import (
    ChecksumState,
    LedgerRow,
    Operation,
    RevisionState,
    RevisionStatus,
)
from budeval_migrations.state.lock.lock import Holder


def revision_statuses(
    position: Position, statements_checksum: StatementsChecksum, holder: Holder | None
) -> tuple[RevisionStatus, ...]:
    """Return a line for every revision: those with files, then those without."""
    known = dict.fromkeys((*position.graph, *position.applied))
    known.update((unfinished.revision, None) for unfinished in position.half_applied)
    running = holder if holder is not None and holder.alive and holder.doing else None
    # A repair changes the record of a revision, and not when it was applied.
    made = {
        row.version: row
        for row in position.state.rows
        if row.success and row.operation is not Operation.REPAIR
    }
    return tuple(_status(position, name, statements_checksum, running, made) for name in known)


def _status(
    position: Position,
    name: str,
    statements_checksum: StatementsChecksum,
    holder: Holder | None,
    made: Mapping[str, LedgerRow],
) -> RevisionStatus:
    attempt = position.state.attempts.get(name)
    unfinished_runs = [
        e for e in position.state.unfinished_runs.values() if e.revision == name and e.begun
    ]
    unfinished = unfinished_runs[-1] if unfinished_runs else None
    if name in position.applied:
        row = position.applied[name]
        checksum = checksum_state(row, position.files.get(name), statements_checksum)
        state, shown = RevisionState.APPLIED, made.get(name, row)
    else:
        checksum, state, shown = ChecksumState.NONE, RevisionState.PENDING, None
        if attempt is not None and not attempt.success:
            state, shown = RevisionState.FAILED, attempt
    at: int | None = None
    if unfinished is not None:
        # A kill leaves no row in the ledger; the journal tells.
        state = RevisionState.FAILED
        if unfinished.doubtful:
            state, at = RevisionState.UNKNOWN, unfinished.doubtful[0].last.position
    running = holder is not None and holder.doing.split(" statement ")[0] == name
    if running and holder is not None:
        state = RevisionState.RUNNING
        number = re.search(r" statement (\d+)", holder.doing)
        at = int(number[1]) if number else at
    applied = unfinished.applied if unfinished else shown.statements_applied if shown else None
    error = attempt.error_message if attempt is not None and not attempt.success else None
    if error and attempt is not None and _is_answered(position, attempt):
        error = None
    return RevisionStatus(
        revision=name,
        state=state,
        checksum=checksum,
        executed_at=shown.executed_at if shown else None,
        execution_time_ms=shown.execution_time_ms if shown else None,
        statements_applied=applied if unfinished or (shown and not shown.legacy) else None,
        statements_total=shown.statements_total if shown and not shown.legacy else None,
        error=error,
        statement=at,
        holder=holder.name if running and holder is not None else None,
        since=holder.since if running and holder is not None else None,
    )


def _is_answered(position: Position, failed: LedgerRow) -> bool:
    """Tell whether a person has said since what became of the statement that failed."""
    at = failed.statements_applied + 1
    unfinished_runs = [
        e for e in position.state.unfinished_runs.values() if e.revision == failed.version
    ]
    return any(e.statements[at].answered for e in unfinished_runs if at in e.statements)
