"""A statement in its place in a run, and what may be assumed about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.model import Direction, Statement, Step
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.checksum import statements_checksum
from budeval_migrations.sql.effects import Effect, Watch
from budeval_migrations.sql.redact import HIDDEN, Redactor, secrets_in
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

_ADDING = frozenset(
    {
        Kind.CREATE_TABLE,
        Kind.CREATE_VIEW,
        Kind.CREATE_MATERIALIZED_VIEW,
        Kind.CREATE_DICTIONARY,
        Kind.CREATE_FUNCTION,
        Kind.CREATE_INDEX,
        Kind.ALTER,
    }
)
# Of these, what is made depends on other things, also when they are done again.
_READING = _ADDING - {Kind.CREATE_TABLE, Kind.CREATE_INDEX}
_AT_ONCE = frozenset({Watch.TABLES, Watch.FUNCTIONS})


@dataclass(frozen=True)
class Task:
    """One statement of one step.

    Attributes:
        since: Sequence of the last good ledger row of the revision; 0 for none.
        position: 1-based number within the revision.
        total: How many there are; None in a dynamic revision.
        shown: The text that is sent, without secrets.

    """

    step: Step
    since: int
    position: int
    total: int | None
    statement: Statement
    shown: str

    @property
    def queued(self) -> bool:
        """Every host of a cluster carries it out, when it comes to it."""
        return self.statement.placed is not None and self.statement.placed.queued

    @cached_property
    def effect(self) -> Effect:
        """What the statement changes."""
        return parse(self.statement.text).effect

    @cached_property
    def hash(self) -> str:
        """The fingerprint by which it is known again."""
        return statement_hash(self.statement)

    @cached_property
    def repeatable(self) -> bool:
        """Running it again is the same as running it once: by its kind, or by its probe."""
        return bool(self.statement.unless) or (
            self.statement.backfill is None and self.effect.repeatable
        )

    @cached_property
    def needs_intent(self) -> bool:
        """Its intent must be durable before it is sent.

        On the way down always: else a kill would leave a revision that counts as
        applied and is half gone. With a probe too: one that still runs for a killed
        process has to be found before the probe is asked again. In the queue of a
        cluster it stays until the last host has done it, and is not put there twice.
        """
        plain = self.statement.backfill is None and self.effect.repeatable
        return not plain or self.queued or self.step.direction is Direction.DOWN

    @cached_property
    def said(self) -> dict[str, str]:
        """What the SETs before it say."""
        return dict(self.statement.settings)

    @property
    def reads_again(self) -> bool:
        """Done again, it comes out by what it reads by then."""
        return self.repeatable and self.effect.kind in _READING

    @cached_property
    def quick(self) -> bool:
        """It adds to the catalogue alone, at once, and the catalogue tells for sure.

        Several of these, of different things, can share one write of the journal:
        done again, or looked for, after the others they come out the same. What
        drops or renames does not: it takes away what a statement before it reads.
        """
        effect = self.effect
        return (
            self.statement.backfill is None
            and not self.statement.unless
            and effect.kind in _ADDING
            and bool(effect.watches)
            and set(effect.watches) <= _AT_ONCE
            and effect.atomic
            and not effect.mutation
        )

    def entry(self, event: JournalEvent, **values: object) -> JournalEntry:
        """Return a journal entry about this statement."""
        return JournalEntry(
            revision=self.step.revision,
            direction=self.step.direction,
            since=self.since,
            position=self.position,
            event=event,
            hash=self.hash,
            statement=self.shown,
            checksum=self.step.checksum,
            text=self.statement.sent,
            **values,  # type: ignore[arg-type]
        )

    def is_of(self, entry: JournalEntry) -> bool:
        """Return whether an entry is about this statement, but for its secrets perhaps."""
        return self.hash == entry.hash or self.shown == entry.statement


def effect_of(entry: JournalEntry, *, on_one_host: bool = False) -> Effect:
    """Return what the statement of an entry changes.

    Where its text is not known any more, what was hidden may have said something else.
    """
    said = parse(entry.sql)
    try:
        found = said.effect_on_one_host if on_one_host else said.effect
    except StatementSyntaxError:
        return Effect(Kind.OTHER, repeatable=False)
    sure = bool(entry.text) or HIDDEN not in entry.statement
    return replace(found, repeatable=found.repeatable and sure)


def redactor_of(statement: Statement) -> Redactor:
    """Return what hides a statement's secrets in a server's words, and those of its SETs.

    A server quotes a statement from its middle, where a secret has no name, and with the
    values of its query parameters.
    """
    said = (f"SET {name} = {quote.string(value)}" for name, value in statement.settings)
    texts = (statement.sent, statement.unless or "", *said)
    return Redactor(secret for text in texts for secret in secrets_in(text))


def statement_hash(statement: Statement) -> str:
    """Return the SHA-256 by which the journal knows a statement."""
    return statements_checksum(statement.parts())


def tasks_of(session: Session, state: LedgerState, step: Step) -> tuple[Task, ...]:
    """Return the statements of a step; none for a dynamic revision."""
    statements = step.work.statements if step.work else ()
    return tuple(
        make_task(session, state, step, position, len(statements), statement)
        for position, statement in enumerate(statements, start=1)
    )


def make_task(
    session: Session,
    state: LedgerState,
    step: Step,
    position: int,
    total: int | None,
    statement: Statement,
) -> Task:
    """Return a statement in its place."""
    since = state.since(step.revision)
    return Task(step, since, position, total, statement, session.redact(statement.sent))
