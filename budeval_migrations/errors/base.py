"""The errors that are about no single statement of a revision. Imports nothing of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from budeval_migrations.model import Report


class MigrationError(Exception):
    """Something that a person has to know about.

    Safe: What took effect is recorded as far as the run came; a command may be run again,
    and goes on from there.

    Next: ``hint`` says it. An unexpected error (this class itself, exit 1) is shown with its
    traceback by ``--debug``; report it.

    Args:
        message: What happened, and where, without secrets.
        hint: What to do next, as a sentence; empty when there is nothing to add.
        details: What a program may want to know; values must be JSON-ready.

    Attributes:
        report: How far the run came, when one was under way.

    """

    exit_code: int = 1
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
    """A setting, an option or a URL is wrong, or a file that it names.

    Safe: Nothing was changed in a database.

    Next: Correct what the message names.
    """

    exit_code = 2


class RevisionError(MigrationError):
    """The files in ``versions/`` are not what they should be, or not what was asked for.

    Safe: No statement of a revision was sent to the server.

    Next: Correct the file that the message names; ``budeval-migrate validate`` looks at all.
    """

    exit_code = 3


class RevisionNotFound(RevisionError):
    """No revision, or more than one, answers to the name that was given.

    Safe: No statement of a revision was sent to the server.

    Next: ``budeval-migrate status`` lists the ids; write more of one that is ambiguous.

    Args:
        **details: ``target``, the name that was given, where there was one.

    """


class MultipleHeads(RevisionError):
    """The graph has several heads where one was asked for.

    Safe: No statement of a revision was sent to the server.

    Next: Name one of them, say ``heads`` for all, or join them with ``alembic merge heads``.

    Args:
        **details: ``target``, the name that was given, where there was one.

    """


class RevisionCompileError(RevisionError):
    """A revision file cannot be read, imported or turned into statements.

    Safe: No statement of a revision was sent to the server.

    Next: Correct the file; the message names the line where it is known.
    """


class StatementSyntaxError(RevisionError):
    """ClickHouse cannot parse a statement.

    Safe: No statement of a revision was sent to the server.

    Next: Correct the statement at that line and column.

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
    """What ``schema_migrations`` says does not go together with the files, or is not understood.

    Safe: Nothing was sent on top of it, and no row of the ledger was changed.

    Next: The hint names the way out: another version of this package, the files that were
    applied, or what has to be finished first.
    """

    exit_code = 4


class ChecksumMismatch(LedgerError):
    """A statement that took effect was changed in its file afterwards.

    Safe: What was applied stays applied, and nothing of that revision was sent again.

    Next: Restore the file, and write the change as a revision of its own, or of an unfinished
    revision as a statement after it. ``budeval-migrate repair --revision`` accepts the file of an
    applied revision as it is now.

    Args:
        **details: ``revision``; of an unfinished one also ``statement`` (its number), with
            ``applied`` and ``now``, its two texts.

    """


class MissingRevision(LedgerError):
    """An applied revision has no file, or its downgrade is not to be had.

    Safe: No statement of a revision was sent to the server.

    Next: Restore the file from version control, or use the image that has it. Where the
    database is only newer than the files, ``up --on-ahead warn`` goes on. ``budeval-migrate
    repair --forget`` takes a revision off the record.

    Args:
        **details: ``revision``, where it is about one.

    """


class LockError(MigrationError):
    """The right to run migrations could not be had, or was lost.

    Safe: Nothing was sent without it.

    Next: ``budeval-migrate status`` shows who migrates.
    """

    exit_code = 5


class LockTimeout(LockError):
    """Somebody else held the lock for longer than we were willing to wait.

    Safe: Nothing was sent.

    Next: Wait for it, or raise ``lock_timeout``. A dead holder's lease runs out by itself;
    ``budeval-migrate unlock`` takes the lock from one that is alive.

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
    """The lease ran out or was taken over; nothing more was sent.

    Safe: What was on its way may have taken effect; the next run finds out.

    Next: Look with ``budeval-migrate status``, then run again.
    """


class ExecutionError(MigrationError):
    """A statement ran and failed, or what goes with it.

    It is raised as one of the classes below it.

    Safe: What took effect is in the journal, and is not sent again.

    Next: See the class that was raised.
    """

    exit_code = 6


class HookFailed(ExecutionError):
    """A person's own code raised: a hook, which ended the run, or ``on_event``, which did not.

    Safe: Where it was ``before_revision``, nothing of the revision was sent; where it was
    ``after_revision``, the revision is done and recorded; where it was ``on_event``, the run
    came to its end.

    Next: Mend it, or leave it out, and run again.

    Args:
        **details: ``revision``, and ``hook``, the name of the function.

    """


class DriftDetected(MigrationError):
    """The live schema is not what the applied revisions yield.

    Nothing raises it: ``drift()`` returns the differences, and the command ends with its code; so
    does ``plan --rehearse`` where the downgrade does not bring the schema back.

    Safe: Nothing was changed; the server was only read.

    Next: Read the differences; undo them, or write the revision that the files lack.
    """

    exit_code = 7


class EngineError(MigrationError):
    """The server answered something that has no better name here.

    Safe: What took effect before is recorded, or found out by the next run.

    Next: The server's words and its code say what it lacks; mend that, and run again.

    Args:
        code: ClickHouse's error code; 0 when the server gave none.

    """

    exit_code = 8

    def __init__(self, message: str, *, code: int = 0, hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, code=code, **details)
        self.code = code


class ConnectionFailed(EngineError):
    """The server could not be reached, or the connection broke.

    Safe: What was sent may have run where ``sent`` is true; the next run finds out. Otherwise
    nothing was sent.

    Next: Check host, port and protocol, and that the server runs; run again.

    Args:
        **details: ``sent``, whether something may have reached the server.

    """


class AccessDenied(EngineError):
    """The server knows us and says no: password, grant, or read-only.

    Safe: What it refused was not done.

    Next: Check the user and the password, or grant what the server names.
    """


class Unsupported(EngineError):
    """This server, or this driver, cannot do what is asked.

    Safe: What it cannot do was not begun.

    Next: The hint names a newer version, a package to install, or another way.
    """


class HostsNotReady(EngineError):
    """Hosts of a cluster are unreachable or behind; nothing was run.

    Safe: Nothing was run.

    Next: Bring them back; ``budeval-migrate repair --cluster`` shows what brings them in sync.
    ``up --allow-inactive`` goes on without them, as long as a majority is there.

    Args:
        hosts: Which, as ``name:port``.

    """

    def __init__(self, message: str, *, hosts: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint, hosts=list(hosts))
        self.hosts = hosts


class PendingRevisions(MigrationError):
    """There are revisions to apply, and the caller asked to be told.

    By ``lifespan`` it is raised; ``status --exit-code`` ends with its code.

    Safe: Nothing was changed.

    Next: Run ``budeval-migrate up``.

    Args:
        **details: ``pending``, the ids of the revisions.

    """

    exit_code = 9


def _made_again(kind: type[MigrationError], args: tuple[Any, ...]) -> MigrationError:
    return kind.__new__(kind, *args)
