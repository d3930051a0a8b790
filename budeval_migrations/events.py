"""What happens during a run, as typed events.

The runner emits them; the terminal, the log lines and whatever a caller hooks
in are views of the same stream. SQL in an event is redacted already. Imports
nothing of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True)
class Notice(Event):
    """A sentence that the user should read.

    Attributes:
        message: The sentence.

    """

    message: str


@dataclass(frozen=True)
class Interrupting(Event):
    """A signal came; told at once, in whatever thread.

    Attributes:
        message: What happens now, as a sentence.
        signal: The signal's number where the process ends at once, whatever runs; else 0.

    """

    message: str
    signal: int = 0


@dataclass(frozen=True)
class LockWaiting(Event):
    """Somebody else holds the lock; emitted again while we wait.

    Attributes:
        holder: Who, on which host: ``user@host pid N``.
        since: When they took it.
        waited_ms: How long we have waited so far.
        doing: The revision and statement that the holder is at, if it has said.

    """

    holder: str
    since: str
    waited_ms: int
    doing: str = ""


@dataclass(frozen=True)
class LockAcquired(Event):
    """We hold the lock.

    Attributes:
        generation: The holder's number, which grows with every holder; 0 for chDB in the process.

    """

    generation: int


@dataclass(frozen=True)
class RunStarted(Event):
    """The plan is made; ``revisions`` are what will be moved, in order.

    Attributes:
        operation: ``upgrade``, ``downgrade``, ``adopt``, ``stamp`` or ``repair``.
        revisions: Their ids, in order.
        run_id: What the ledger calls the run.

    """

    operation: str
    revisions: tuple[str, ...]
    run_id: str


@dataclass(frozen=True)
class RevisionStarted(Event):
    """A revision is about to run; ``statements`` is None for a dynamic one.

    Attributes:
        revision: The revision's id.
        operation: ``upgrade``, ``downgrade``, ``adopt``, ``stamp`` or ``repair``.
        parents: Those that it builds on.
        doc: First line of the file's docstring.
        statements: How many there are; None for a dynamic revision.

    """

    revision: str
    operation: str
    parents: tuple[str, ...]
    doc: str
    statements: int | None


@dataclass(frozen=True)
class StatementStarted(Event):
    """A statement is about to be sent; ``index`` counts from 1.

    Attributes:
        revision: The revision's id.
        index: The statement's number in it, from 1.
        total: How many there are; None for a dynamic revision.
        sql: The statement, without its secrets.

    """

    revision: str
    index: int
    total: int | None
    sql: str


@dataclass(frozen=True)
class StatementFinished(Event):
    """A statement took effect, or had done so already (``skipped``, and ``why``).

    Attributes:
        revision: The revision's id.
        index: The statement's number in it, from 1.
        total: How many there are; None for a dynamic revision.
        elapsed_ms: How long it took.
        skipped: It was not sent.
        why: Why it was not, in a few words.

    """

    revision: str
    index: int
    total: int | None
    elapsed_ms: int
    skipped: bool = False
    why: str = ""


@dataclass(frozen=True)
class StatementWaiting(Event):
    """We wait for a statement's work on the server; emitted again while we wait.

    Attributes:
        revision: The revision's id.
        index: The statement's number in it, from 1.
        what: What is waited for, as a sentence's end.
        elapsed_ms: How long it has been going on.
        done: Units done (rows, parts); 0 when not known.
        total: Units to do in all; 0 when not known.

    """

    revision: str
    index: int
    what: str
    elapsed_ms: int
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class BackfillProgress(Event):
    """A chunk of a backfill is in its table.

    Attributes:
        revision: The revision's id.
        index: The statement's number in it, from 1.
        chunk: How many chunks are done, of ``chunks``.
        chunks: How many there are.
        rows: Rows that were moved so far, of about ``rows_total`` that the source has.
        rows_total: About how many rows the source has.
        elapsed_ms: How long it has been going on.
        rows_per_second: Over the chunks that this run did; 0 before the first.
        left_ms: Time left at that rate; None when it cannot be told.

    """

    revision: str
    index: int
    chunk: int
    chunks: int
    rows: int
    rows_total: int
    elapsed_ms: int
    rows_per_second: int
    left_ms: int | None


@dataclass(frozen=True)
class RevisionFinished(Event):
    """A revision is done and in the ledger.

    Attributes:
        revision: The revision's id.
        operation: ``upgrade``, ``downgrade``, ``adopt``, ``stamp`` or ``repair``.
        elapsed_ms: How long it took.

    """

    revision: str
    operation: str
    elapsed_ms: int


@dataclass(frozen=True)
class RevisionFailed(Event):
    """A revision failed; the ledger has the row, the run stops.

    Attributes:
        revision: The revision's id.
        operation: ``upgrade``, ``downgrade``, ``adopt``, ``stamp`` or ``repair``.
        elapsed_ms: How long it took.
        error: The failure on one line, as the ledger keeps it.

    """

    revision: str
    operation: str
    elapsed_ms: int
    error: str


Listener = Callable[[Event], None]


class Notices:
    """A listener that passes events on to another, each notice once, and keeps what they say.

    Attributes:
        messages: The sentences, in order.

    """

    def __init__(self, listener: Listener) -> None:
        self.messages: list[str] = []
        self._listener = listener

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Notice):
            if event.message in self.messages:
                return
            self.messages.append(event.message)
        self._listener(event)


def ignore(event: Event) -> None:
    """Drop an event; the listener of callers who did not ask to be told."""
