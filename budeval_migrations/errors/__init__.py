"""Every error that this package raises, in one tree.

::

    MigrationError                exit 1
    ├─ ConfigError                     2
    ├─ RevisionError                   3
    │  ├─ RevisionNotFound
    │  ├─ MultipleHeads
    │  ├─ RevisionCompileError
    │  └─ StatementSyntaxError
    ├─ LedgerError                     4
    │  ├─ ChecksumMismatch
    │  ├─ MissingRevision
    │  └─ StatementOutcomeUnknown
    ├─ LockError                       5
    │  ├─ LockTimeout
    │  └─ LockLost
    ├─ ExecutionError                  6
    │  ├─ StatementFailed
    │  │  └─ MutationFailed
    │  ├─ HookFailed
    │  └─ DistributedDDLPending       10
    ├─ DriftDetected                   7
    ├─ EngineError                     8
    │  ├─ ConnectionFailed
    │  ├─ AccessDenied
    │  ├─ HostsNotReady
    │  └─ Unsupported
    ├─ PendingRevisions                9
    └─ StatementError                  1

StatementError is what StatementFailed, DistributedDDLPending and
StatementOutcomeUnknown have in common beside their branch; it is not raised by itself.

The data sits in attributes and the message is built from them; ``hint`` says
what to do next, and ``details`` is what the JSON output shows. The docstring of
each class has a paragraph on what is safe then and one on what comes next; the
reference is made from them. Imports nothing of this package.
"""

from __future__ import annotations

from budeval_migrations.errors.base import (
    AccessDenied,
    ChecksumMismatch,
    ConfigError,
    ConnectionFailed,
    DriftDetected,
    EngineError,
    ExecutionError,
    HookFailed,
    HostsNotReady,
    LedgerError,
    LockError,
    LockLost,
    LockTimeout,
    MigrationError,
    MissingRevision,
    MultipleHeads,
    PendingRevisions,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
    StatementSyntaxError,
    Unsupported,
)
from budeval_migrations.errors.statements import (
    DistributedDDLPending,
    MutationFailed,
    StatementError,
    StatementFailed,
    StatementOutcomeUnknown,
)

__all__ = [
    "AccessDenied",
    "ChecksumMismatch",
    "ConfigError",
    "ConnectionFailed",
    "DistributedDDLPending",
    "DriftDetected",
    "EngineError",
    "ExecutionError",
    "HookFailed",
    "HostsNotReady",
    "LedgerError",
    "LockError",
    "LockLost",
    "LockTimeout",
    "MigrationError",
    "MissingRevision",
    "MultipleHeads",
    "MutationFailed",
    "PendingRevisions",
    "RevisionCompileError",
    "RevisionError",
    "RevisionNotFound",
    "StatementError",
    "StatementFailed",
    "StatementOutcomeUnknown",
    "StatementSyntaxError",
    "Unsupported",
]
