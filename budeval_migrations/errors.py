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
    │  ├─ LedgerConflict
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
what to do next, and ``details`` is what the JSON output shows. Imports nothing
of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from budeval_migrations.model import Report


class MigrationError(Exception):
    """Something that a person has to know about.

    Args:
        message: What happened, and where, without secrets.
        hint: What to do next, as a sentence; empty when there is nothing to add.
        details: What a program may want to know; values must be JSON-ready.

    Attributes:
        report: How far the run came, when one was under way.

    """

    exit_code: ClassVar[int] = 1
    report: Report | None = None

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Be sent from one process to another as what it is, without its causes."""
        return _made_again, (type(self), self.args), self.__dict__

    def as_dict(self) -> dict[str, Any]:
        """Return the error as a JSON-ready object."""
        return {
            **self.details,
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class ConfigError(MigrationError):
    """A setting, an option or a URL is wrong; nothing was sent to the server."""

    exit_code = 2


class RevisionError(MigrationError):
    """The files in ``versions/`` are not what they should be; nothing ran."""

    exit_code = 3


class RevisionNotFound(RevisionError):
    """No revision, or more than one, answers to the name that was given."""


class MultipleHeads(RevisionError):
    """The graph has several heads where one was asked for."""


class RevisionCompileError(RevisionError):
    """A revision file cannot be read, imported or turned into statements."""


class StatementSyntaxError(RevisionError):
    """ClickHouse cannot parse a statement.

    Args:
        reason: What is wrong with the text.
        line: 1-based line within ``file``, or within the text where there is no file.
        column: 1-based column on that line.
        file: The file that holds the statement, when known.
        revision: The revision that the statement belongs to, when known.

    """

    def __init__(
        self,
        reason: str,
        *,
        line: int,
        column: int,
        file: str | None = None,
        revision: str | None = None,
        hint: str = "",
    ) -> None:
        where = f"{file}:{line}:{column}" if file else f"line {line}, column {column}"
        super().__init__(
            f"{where}: {reason}",
            hint=hint or "Correct the statement; nothing was run.",
            revision=revision,
            file=file,
            line=line,
            column=column,
        )
        self.reason = reason
        self.line = line
        self.column = column
        self.file = file
        self.revision = revision


class LedgerError(MigrationError):
    """What ``schema_migrations`` says does not go together with the files."""

    exit_code = 4


class ChecksumMismatch(LedgerError):
    """The statements of an applied revision were changed afterwards."""


class MissingRevision(LedgerError):
    """An applied revision has no file."""


class LedgerConflict(LedgerError):
    """Two writers appended to the ledger at the same place."""


class LockError(MigrationError):
    """The right to run migrations could not be had, or was lost."""

    exit_code = 5


class LockTimeout(LockError):
    """Somebody else held the lock for longer than we were willing to wait.

    Args:
        holder: Who holds it, as ``user@host pid``.
        since: When they took it, ISO 8601, UTC.
        doing: The revision and statement that they were at, as far as is known.

    """

    def __init__(
        self, message: str, *, holder: str, since: str, doing: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint, holder=holder, since=since, doing=doing)
        self.holder = holder
        self.since = since
        self.doing = doing


class LockLost(LockError):
    """The lease ran out or was taken over; nothing more was sent."""


class ExecutionError(MigrationError):
    """A statement ran and failed, or what goes with it."""

    exit_code = 6


class StatementError(MigrationError):
    """A run stopped at a statement of a revision.

    Args:
        revision: The revision's id.
        index: 1-based number of the statement within the revision.
        total: How many statements the revision has; None for a dynamic one.
        reason: What is the matter; the server's words, without secrets.
        outcome: What took effect, and what the next run will do.
        code: ClickHouse's error code; 0 when the server gave none.
        file: The file that holds the statement.
        line: 1-based line of the statement's first token.

    """

    def __init__(
        self,
        *,
        revision: str,
        index: int,
        total: int | None,
        reason: str,
        code: int,
        file: str | None,
        line: int | None,
        outcome: str = "",
        hint: str = "",
    ) -> None:
        of = f" of {total}" if total is not None else ""
        where = f"  ({file}:{line})" if file and line else f"  ({file})" if file else ""
        says = f"ClickHouse {code}: {reason}" if code else reason
        then = f"\n  {outcome}" if outcome else ""
        super().__init__(
            f"{revision}  statement {index}{of}{where}\n  {says}{then}",
            hint=hint,
            revision=revision,
            statement=index,
            statements_total=total,
            code=code,
            reason=reason,
            outcome=outcome,
            file=file,
            line=line,
        )
        self.revision = revision
        self.index = index
        self.total = total
        self.reason = reason
        self.outcome = outcome
        self.code = code
        self.file = file
        self.line = line

    @property
    def summary(self) -> str:
        """The failure on one line, as the ledger keeps it."""
        where = f" ({self.file}:{self.line})" if self.file and self.line else ""
        says = f"ClickHouse {self.code}: {self.reason}" if self.code else self.reason
        return f"statement {self.index}{where}: {says}"


class StatementFailed(ExecutionError, StatementError):
    """The server refused a statement, or it could not be sent."""


class MutationFailed(StatementFailed):
    """A mutation was accepted and fails on the server, which goes on trying."""


class DistributedDDLPending(ExecutionError, StatementError):
    """Not every host of a cluster has run a statement yet; it stays in their queue.

    Args:
        hosts: Those that have not, as ``name:port``.

    """

    exit_code = 10

    def __init__(self, *, hosts: tuple[str, ...], **values: Any) -> None:
        super().__init__(**values)
        self.hosts = hosts
        self.details["hosts"] = list(hosts)


class StatementOutcomeUnknown(LedgerError, StatementError):
    """It cannot be known whether a statement took effect."""


class HookFailed(ExecutionError):
    """A person's own code before or after a revision raised; the run ended there."""


class DriftDetected(MigrationError):
    """The live schema is not what the applied revisions yield."""

    exit_code = 7


class EngineError(MigrationError):
    """The server answered something that has no better name here.

    Args:
        code: ClickHouse's error code; 0 when the server gave none.

    """

    exit_code = 8

    def __init__(self, message: str, *, code: int = 0, hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, code=code, **details)
        self.code = code


class ConnectionFailed(EngineError):
    """The server could not be reached, or the connection broke."""


class AccessDenied(EngineError):
    """The server knows us and says no: password, grant, or read-only."""


class Unsupported(EngineError):
    """This server, or this driver, cannot do what is asked."""


class HostsNotReady(EngineError):
    """Hosts of a cluster are away or behind; nothing was run.

    Args:
        hosts: Which, as ``name:port``.

    """

    def __init__(self, message: str, *, hosts: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint, hosts=list(hosts))
        self.hosts = hosts


class PendingRevisions(MigrationError):
    """There are revisions to apply, and the caller asked to be told by exit code."""

    exit_code = 9


def _made_again(kind: type[MigrationError], args: tuple[Any, ...]) -> MigrationError:
    return kind.__new__(kind, *args)
