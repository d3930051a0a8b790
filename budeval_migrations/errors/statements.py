"""The errors of a statement of a revision: what they have in common, and what tells them apart."""

from __future__ import annotations

from typing import Any

from budeval_migrations.errors.base import ExecutionError, LedgerError, MigrationError


class StatementError(MigrationError):
    """A run stopped at a statement of a revision.

    It is raised as one of the classes that have it beside their branch.

    Safe: ``outcome`` says what took effect; that is in the journal, and is not sent again.

    Next: See the class that was raised.

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
    """The server refused a statement, or it could not be sent.

    So ends what a revision's own Python raises while it reads the database, too. Of ``drift``
    and ``diff`` it is a statement on the embedded server.

    Safe: What took effect before it is in the journal, and is not sent again; ``outcome``
    says where this one took effect in part.

    Next: Correct the statement, not those before it, and run again: the run goes on there.
    """


class MutationFailed(StatementFailed):
    """A mutation was accepted and fails on the server, which goes on trying.

    Safe: It is still in the server's queue, and the next run waits for it again; parts that were
    changed stay changed.

    Next: Where it can never succeed, the hint has the ``KILL MUTATION`` to run; then correct the
    statement and run again.
    """


class DistributedDDLPending(ExecutionError, StatementError):
    """Not every host of a cluster has run a statement yet; it stays in their queue.

    Safe: They find it there when they are back; it is not sent twice.

    Next: Bring them back, restart those that are there and do not take it, and run again.

    Args:
        hosts: Those that have not, as ``name:port``.

    """

    exit_code = 10

    def __init__(self, *, hosts: tuple[str, ...], **values: Any) -> None:
        super().__init__(**values)
        self.hosts = hosts
        self.details["hosts"] = list(hosts)


class StatementOutcomeUnknown(LedgerError, StatementError):
    """It cannot be known whether a statement took effect.

    Safe: Nothing was sent for it again, and nothing after it.

    Next: Look at the data, say what became of it with ``budeval-migrate repair --revision R
    --statement N --applied`` or ``--not-applied``, and run again.
    """
