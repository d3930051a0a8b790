"""The nouns of this package, as frozen dataclasses and enums.

Owns no behaviour beyond reading itself out. Imports nothing of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar


class Direction(Enum):
    """Whether a row or a step leaves its revision applied (UP) or not (DOWN)."""

    UP = "up"
    DOWN = "down"


# How the name of a query parameter begins as a setting: what SET param_x = 1 sets stands for
# {x:UInt8}.
PARAMETER = "param_"


class Operation(Enum):
    """What was done to a revision."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    STAMP = "stamp"
    ADOPT = "adopt"
    REPAIR = "repair"


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
class Backfill:
    """How rows are moved by ``op.backfill``.

    Attributes:
        into: The table that gets the rows, as written.
        select: The SELECT, with ``{chunk}`` where the condition of a chunk goes.
        source: The table whose rows are cut into chunks.
        by: ``partition``, or the expression whose ranges are the chunks.
        chunk_rows: About how many rows of the source a chunk has.
        columns: The target's columns that get the SELECT's; empty for all.
        pause: Seconds to wait after each chunk.

    """

    PLACEHOLDER: ClassVar[str] = "{chunk}"

    into: str
    select: str
    source: str
    by: str
    chunk_rows: int
    columns: tuple[str, ...] = ()
    pause: float = 0.0

    @property
    def column_list(self) -> str:
        """The columns as they stand in an INSERT, with a blank behind; empty for all."""
        return f"({', '.join(self.columns)}) " if self.columns else ""

    def select_where(self, condition: str) -> str:
        """Return the SELECT for the rows that meet a condition."""
        return self.select.replace(self.PLACEHOLDER, f"({condition})")

    def parts(self) -> list[str]:
        """Return what makes it the same backfill; how fast it goes does not."""
        return [self.into, self.column_list, self.select, self.source, self.by]


class Reach(Enum):
    """What a revision wants of a statement on a cluster; a single server knows one."""

    EVERYWHERE = "everywhere"  # ON CLUSTER, and MergeTree tables replicated
    UNREPLICATED = "unreplicated"  # ON CLUSTER, engines as they are written
    HERE = "here"  # to the byte as it is written, on the host that is connected to


@dataclass(frozen=True)
class Placed:
    """What becomes of a statement on a cluster.

    Attributes:
        text: What is sent.
        queued: It is carried out by every host, through their queue.

    """

    text: str
    queued: bool


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a revision.

    Attributes:
        text: The SQL to the byte, without the separator that ended it; for a
            backfill, the one INSERT that it stands for.
        file: The file it was written in, relative where it can be.
        line: 1-based line of its first token in that file.
        unless: A probe; when it returns a row the statement is not sent.
        backfill: The statement is sent chunk by chunk.
        reach: What it wants on a cluster.
        placed: What becomes of it there; None for a single server. It does not count in
            what makes it the same statement: one history holds for both.
        block: Which ``op.parallel()`` of its revision it stands in, from 1; None for none.
            It does not count either.
        settings: Names and values that SETs before it in its revision say. They do not
            count: the SETs do.

    """

    text: str
    file: str | None = None
    line: int | None = None
    unless: str | None = None
    backfill: Backfill | None = None
    reach: Reach = Reach.EVERYWHERE
    placed: Placed | None = None
    block: int | None = None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def sent(self) -> str:
        """The SQL as the server gets it."""
        return self.placed.text if self.placed else self.text

    def parts(self) -> list[str]:
        """Return the texts that make it the same statement."""
        probe = [self.unless] if self.unless else []
        reach = [self.reach.value] if self.reach is not Reach.EVERYWHERE else []
        return [*probe, *reach, *(self.backfill.parts() if self.backfill else [self.text])]


@dataclass(frozen=True)
class RevisionFile:
    """A file of ``versions/`` that was hashed and not imported.

    Attributes:
        revision: The revision's id, which is the file's name without ``.py``.
        path: Absolute path.
        checksum: SHA-256 of its text with line endings normalised, and of the
            ``.sql`` files that belong to it.
        included: The paths of those files.

    """

    revision: str
    path: str
    checksum: str
    included: tuple[str, ...] = ()


@dataclass(frozen=True)
class RevisionNode:
    """A revision in the graph.

    Attributes:
        parents: ``down_revision`` and ``depends_on``, by full id.
        doc: First line of the file's docstring.

    """

    revision: str
    parents: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class CompiledRevision:
    """What one direction of a revision will do, known before anything is sent.

    Attributes:
        file: Where it is written; empty for what the ledger keeps of a revision without one.
        statements: In order; empty for a dynamic revision.
        dynamic: The revision reads the database while it runs, so its
            statements are known only then.

    """

    revision: str
    direction: Direction
    file: str
    statements: tuple[Statement, ...] = ()
    dynamic: bool = False


@dataclass(frozen=True)
class Step:
    """One movement of a plan.

    Attributes:
        parents: Direct parents of the revision: ``down_revision`` and ``depends_on``.
        checksum: The file's checksum; the recorded one where there is no file.
        statements_checksum: That of the upgrade's statements.
        doc: First line of the file's docstring.
        needs: The oldest server version that the revision runs on; empty for any.
        up: The compiled upgrade, kept in the ledger.
        down: The compiled downgrade, kept in the ledger; None where there is none.

    """

    revision: str
    operation: Operation
    direction: Direction
    parents: tuple[str, ...] = ()
    checksum: str = ""
    statements_checksum: str = ""
    doc: str = ""
    needs: str = ""
    up: CompiledRevision | None = None
    down: CompiledRevision | None = None

    @property
    def key(self) -> tuple[str, Direction]:
        """What is moved, and which way."""
        return self.revision, self.direction

    @property
    def work(self) -> CompiledRevision | None:
        """The statements to send; None when only the ledger changes."""
        if self.operation is Operation.UPGRADE:
            return self.up
        if self.operation is Operation.DOWNGRADE:
            return self.down
        return None


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
        statements: What brings it level, to be run on that host; empty where a person
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
