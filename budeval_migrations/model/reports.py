"""What the commands answer: of revisions, of the whole, and of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


class RevisionState(Enum):
    """Where a revision stands in one database."""

    PENDING = "pending"
    RUNNING = "running"
    APPLIED = "applied"
    FAILED = "failed"
    UNKNOWN = "unknown"


class ChecksumState(Enum):
    """How an applied revision's file compares with what was recorded."""

    OK = "ok"
    MISMATCH = "mismatch"
    REFORMATTED = "reformatted"
    MISSING = "missing"
    LEGACY = "legacy"
    NONE = "none"


@dataclass(frozen=True)
class RevisionStatus:
    """One line of ``status``.

    Attributes:
        revision: The revision's id.
        state: ``UNKNOWN``: the outcome of ``statement`` is not recorded; the next upgrade finds
            out.
        checksum: How the file of an applied revision compares with what was recorded.
        executed_at: When the attempt began that is shown, UTC; None where there is none.
        execution_time_ms: How long it took, in milliseconds.
        statements_applied: How many statements took effect; None where it is not recorded.
        statements_total: How many the revision had; None where it is not recorded.
        error: Of the last attempt, if it failed.
        statement: Number of the statement that runs, or whose outcome is unknown.
        holder: Who runs it, as ``user@host pid N``; only while it is running.
        since: Since when they hold the lock, UTC.

    """

    revision: str
    state: RevisionState
    checksum: ChecksumState
    executed_at: datetime | None = None
    execution_time_ms: int | None = None
    statements_applied: int | None = None
    statements_total: int | None = None
    error: str | None = None
    statement: int | None = None
    holder: str | None = None
    since: datetime | None = None

    @property
    def differs(self) -> bool:
        """True for an applied revision whose file is not the one that was recorded."""
        same = self.checksum in (ChecksumState.OK, ChecksumState.MISSING)
        return self.state is RevisionState.APPLIED and not same

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "revision": self.revision,
            "state": self.state.value,
            "checksum": self.checksum.value,
            "executed_at": self.executed_at.isoformat() if self.executed_at else None,
            "execution_time_ms": self.execution_time_ms,
            "statements_applied": self.statements_applied,
            "statements_total": self.statements_total,
            "error": self.error,
            "statement": self.statement,
            "holder": self.holder,
            "since": self.since.isoformat() if self.since else None,
        }


@dataclass(frozen=True)
class Status:
    """What a database has, beside what the files want.

    Attributes:
        database: The target database.
        server_version: Empty where there is no database yet.
        current: Applied revisions on which no applied one builds.
        heads: The same of the files.
        at_head: Nothing is pending, and the heads of both are the same.
        pending: Revisions that are not applied, parents before children.
        revisions: Those with files, then those without.
        notices: Sentences that the user should read.
        topology: The servers that it lives on, as a sentence; empty for a single one.

    """

    database: str
    server_version: str
    current: tuple[str, ...]
    heads: tuple[str, ...]
    at_head: bool
    pending: tuple[str, ...]
    revisions: tuple[RevisionStatus, ...]
    notices: tuple[str, ...] = ()
    topology: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "database": self.database,
            "server_version": self.server_version,
            "topology": self.topology or "single server",
            "current": list(self.current),
            "heads": list(self.heads),
            "at_head": self.at_head,
            "pending": list(self.pending),
            "revisions": [r.as_dict() for r in self.revisions],
            "notices": list(self.notices),
        }


@dataclass(frozen=True)
class HostDifference:
    """Where one host of a cluster is not as the others are.

    Attributes:
        host: As ``name:port``.
        table: Empty where it is about all of them.
        what: What is the matter with it.
        statements: What brings it in sync, to be run on that host; empty where a person
            has to see to it.
        serious: It is about what revisions made, or about rows that hosts share.

    """

    host: str
    table: str
    what: str
    statements: tuple[str, ...] = ()
    serious: bool = True

    def __str__(self) -> str:
        return f"Host {self.host}: {self.table}{' ' if self.table else ''}{self.what}"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "host": self.host,
            "table": self.table or None,
            "what": self.what,
            "statements": list(self.statements),
            "serious": self.serious,
        }


@dataclass(frozen=True)
class Problem:
    """Something that ``validate`` found.

    Attributes:
        revision: None where it is about none, or several.
        kind: A word for programs: ``checksum_mismatch``, ``missing_revision``, ``ahead`` …
        message: What is the matter, as a sentence.
        hint: What to do about it.

    """

    revision: str | None
    kind: str
    message: str
    hint: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "revision": self.revision,
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True)
class Validation:
    """The answer of ``validate``: problems are refused, warnings are told.

    Attributes:
        problems: What an upgrade refuses.
        warnings: What should be known.
        exit_code: With which ``budeval-migrate validate`` ends.

    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        """True when there is no problem."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "ok": self.ok,
            "problems": [p.as_dict() for p in self.problems],
            "warnings": [p.as_dict() for p in self.warnings],
        }


@dataclass(frozen=True)
class Failure:
    """The attempt that stopped a run.

    Attributes:
        revision: The revision's id.
        statement: Its number in the revision, from 1.
        statements_total: How many the revision has; None for a dynamic one.
        code: ClickHouse's error code; 0 where it is not the server's.
        error: The server's words, without secrets.
        outcome: What took effect, and what the next run will do.
        file: The file that holds the statement; None where it is not known.
        line: 1-based line of the statement's first token; None where it is not known.
        hint: What to do next.

    """

    revision: str
    statement: int
    statements_total: int | None
    code: int
    error: str
    outcome: str
    file: str | None
    line: int | None
    hint: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return dict(vars(self))


@dataclass(frozen=True)
class Report:
    """What one run did.

    Attributes:
        operation: ``upgrade``, ``downgrade``, ``adopt``, ``stamp``, ``repair``, ``reset`` or
            ``check``.
        database: The target database.
        applied: Revisions that this run moved, in order; for a downgrade, the revisions it took
            back.
        failed: What stopped the run; None when nothing did.
        pending: What is still to be applied after the run.
        current: The heads after the run.
        elapsed_ms: Wall time of the run in milliseconds.
        run_id: What the ledger calls the run; empty where nothing was recorded.
        notices: Sentences that the user should read.

    """

    operation: str
    database: str
    applied: tuple[str, ...] = ()
    failed: Failure | None = None
    pending: tuple[str, ...] = ()
    current: tuple[str, ...] = ()
    elapsed_ms: int = 0
    run_id: str = ""
    notices: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """True when nothing failed."""
        return self.failed is None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "operation": self.operation,
            "database": self.database,
            "ok": self.ok,
            "applied": list(self.applied),
            "failed": self.failed.as_dict() if self.failed else None,
            "pending": list(self.pending),
            "current": list(self.current),
            "elapsed_ms": self.elapsed_ms,
            "run_id": self.run_id,
            "notices": list(self.notices),
        }
