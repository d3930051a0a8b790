"""The error that asks a person what became of a statement."""

from __future__ import annotations

from typing import Any

from budeval_migrations.errors import DistributedDDLPending, StatementOutcomeUnknown
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.resume import repair_command, short
from budeval_migrations.model import Statement
from budeval_migrations.state.unfinished import JournalEntry


def place(entry: JournalEntry, total: int | None, statement: Statement | None) -> dict[str, Any]:
    """Return where a statement stands, as the errors about statements take it."""
    return {
        "revision": entry.revision,
        "index": entry.position,
        "total": total,
        "file": statement.file if statement else None,
        "line": statement.line if statement else None,
    }


def unknown(
    intent: JournalEntry, total: int | None, reconciled: Reconciled, statement: Statement | None
) -> StatementOutcomeUnknown | DistributedDDLPending:
    """Return the error that asks a person, with the commands that answer it.

    What is pending in a cluster's queue needs no answer, only its hosts.
    """
    if reconciled.pending:
        return DistributedDDLPending(
            hosts=reconciled.pending,
            reason=f"{reconciled.why}\n  {short(intent.statement)}",
            code=0,
            **place(intent, total, statement),
            outcome="It stays in the cluster's queue, where they find it when they are back.",
            hint="Bring them back (restart those that are there and do not take it) and run again: "
            "it waits for this same statement, and sends nothing twice.",
        )
    applied, not_applied = (
        repair_command(intent.revision, intent.position, answer)
        for answer in ("--applied", "--not-applied")
    )
    return StatementOutcomeUnknown(
        reason=f"it cannot be known whether this took effect: {reconciled.why}\n"
        f"  {short(intent.statement)}",
        code=reconciled.code,
        **place(intent, total, statement),
        outcome=f"Nothing was sent for it again. If it took effect: {applied}\n"
        f"  if it did not, or you have reverted it: {not_applied}",
        hint="Look at the data, run one of these two commands, then run again what stopped here.",
    )
