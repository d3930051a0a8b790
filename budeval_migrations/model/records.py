"""What the ledger holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from budeval_migrations.model.revision import Direction, Operation


@dataclass(frozen=True)
class LedgerRow:
    """One finished attempt, as ``schema_migrations`` holds it.

    Attributes:
        executed_at: When it started, UTC.
        execution_time_ms: How long it took, in milliseconds.
        sequence: Orders the rows; 0 in rows that an older tool wrote.
        error_message: Why it failed, or what a person said of a statement; None otherwise.
        host: Where the tool ran; empty in rows that are not read from the ledger, and in
            those of a run that ended without a record.
        server_user: Whom it was to the server; empty likewise.

    """

    version: str
    checksum: str
    executed_at: datetime
    execution_time_ms: int
    success: bool
    error_message: str | None = None
    operation: Operation = Operation.UPGRADE
    direction: Direction = Direction.UP
    parents: tuple[str, ...] = ()
    statements_applied: int = 0
    statements_total: int = 0
    error_code: int = 0
    sequence: int = 0
    run_id: str = ""
    lock_generation: int = 0
    statements_checksum: str = ""
    host: str = ""
    server_user: str = ""

    @property
    def by(self) -> str:
        """Who it was, as ``user@host``; empty where nobody wrote that down."""
        return f"{self.server_user}@{self.host}" if self.host else ""

    @property
    def answers(self) -> bool:
        """True for a row that says what a person said of one statement: no attempt."""
        return self.operation is Operation.REPAIR and not self.success

    @property
    def failed(self) -> bool:
        """True for an attempt that did not come to its end."""
        return not (self.success or self.answers)

    @property
    def legacy(self) -> bool:
        """True for a row that an older tool wrote."""
        return self.sequence == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "sequence": self.sequence,
            "revision": self.version,
            "operation": self.operation.value,
            "direction": self.direction.value,
            "executed_at": self.executed_at.isoformat(),
            "execution_time_ms": self.execution_time_ms,
            "success": self.success,
            "error": self.error_message,
            "error_code": self.error_code,
            "statements_applied": self.statements_applied,
            "statements_total": self.statements_total,
            "checksum": self.checksum,
            "run_id": self.run_id,
            "host": self.host,
            "server_user": self.server_user,
        }
