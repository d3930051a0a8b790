"""What became of a statement, and the entry of the journal that says so."""

from __future__ import annotations

from dataclasses import dataclass

from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent


@dataclass(frozen=True)
class Reconciled:
    """What became of a statement.

    Attributes:
        error: The server's words when it refused it; empty otherwise.
        code: ClickHouse's code of that error.
        pending: Hosts of a cluster that have not come to it yet.
        repeatable: It is called not applied only since it may be run twice.

    """

    outcome: Outcome
    why: str
    error: str = ""
    code: int = 0
    elapsed_ms: int = 0
    rows_read: int = 0
    rows_written: int = 0
    pending: tuple[str, ...] = ()
    repeatable: bool = False

    def entry(self, intent: JournalEntry) -> JournalEntry:
        """Return the outcome of an intent, for the journal; that it is known is for the caller."""
        if self.outcome is Outcome.NOT_APPLIED:
            return intent.outcome(
                JournalEvent.FAILED, self.why, error=self.error, error_code=self.code
            )
        return intent.outcome(
            JournalEvent.APPLIED,
            self.why,
            elapsed_ms=self.elapsed_ms,
            rows_read=self.rows_read,
            rows_written=self.rows_written,
        )
