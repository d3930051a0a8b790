"""The nouns of this package, as frozen dataclasses and enums.

They own no behaviour beyond reading themselves out, and import nothing of this package but
each other. ``findings`` and ``previews`` are imported by their own names: a start-up at head
needs neither.
"""

from budeval_migrations.model.records import LedgerRow
from budeval_migrations.model.reports import (
    ChecksumState,
    Failure,
    HostDifference,
    Problem,
    Report,
    RevisionState,
    RevisionStatus,
    Status,
    Validation,
)
from budeval_migrations.model.revision import (
    CompiledRevision,
    Direction,
    Operation,
    RevisionFile,
    RevisionNode,
    Step,
)
from budeval_migrations.model.statement import PARAMETER, Backfill, Placed, Reach, Statement

__all__ = [
    "PARAMETER",
    "Backfill",
    "ChecksumState",
    "CompiledRevision",
    "Direction",
    "Failure",
    "HostDifference",
    "LedgerRow",
    "Operation",
    "Placed",
    "Problem",
    "Reach",
    "Report",
    "RevisionFile",
    "RevisionNode",
    "RevisionState",
    "RevisionStatus",
    "Statement",
    "Status",
    "Step",
    "Validation",
]
