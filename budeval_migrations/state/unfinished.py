"""What the journal says about a revision that is not finished. Pure: no I/O.

An unfinished run is everything done to move one revision in one direction since the last
good row of that revision in the ledger. Finishing it appends the next good row,
and the run is finished; nothing has to be cleaned up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from budeval_migrations.model import Direction


class JournalEvent(Enum):
    """What happened to a statement.

    INTENT: it may be sent from now on. APPLIED: it took effect. FAILED: it did
    not, and left nothing behind. DOUBTFUL: it was sent, and what became of it
    is not known. CHUNK: a part of a backfill moved on.
    """

    INTENT = "intent"
    APPLIED = "applied"
    FAILED = "failed"
    DOUBTFUL = "doubtful"
    CHUNK = "chunk"


@dataclass(frozen=True)
class JournalEntry:
    """One row of the journal.

    Attributes:
        since: Sequence of the last good ledger row of the revision; 0 for none.
        position: 1-based number of the statement in its revision.
        hash: SHA-256 of the statement.
        statement: Its text, without secrets.
        checksum: That of the revision's file at the time.
        before: What the catalogue said before it was sent, as JSON.
        note: Why the outcome is what it is; the state of a chunk, as JSON.
        at: The server's time of the insert; None in an entry not yet written.
        text: What is sent, with its secrets; never written, and empty where it is not known.

    """

    revision: str
    direction: Direction
    since: int
    position: int
    event: JournalEvent
    hash: str
    statement: str
    checksum: str = ""
    query_id: str = ""
    run_id: str = ""
    lock_generation: int = 0
    before: str = ""
    note: str = ""
    elapsed_ms: int = 0
    rows_read: int = 0
    rows_written: int = 0
    error_code: int = 0
    error: str = ""
    sequence: int = 0
    at: datetime | None = None
    text: str = field(default="", compare=False, repr=False)

    @property
    def sql(self) -> str:
        """The statement: its text, or what is shown of it where that is not known."""
        return self.text or self.statement

    def outcome(self, event: JournalEvent, note: str = "", **values: Any) -> JournalEntry:
        """Return the entry that says what became of the statement of this intent."""
        return replace(self, event=event, note=note, **{"before": "", **values})


@dataclass(frozen=True)
class Recorded:
    """What is known about one statement.

    Attributes:
        last: The last entry that says how it stands.
        intent: The last intent; None for a statement that needed none.
        chunks: The entries of its chunks, in order.

    """

    last: JournalEntry
    intent: JournalEntry | None = None
    chunks: tuple[JournalEntry, ...] = ()

    @property
    def applied(self) -> bool:
        """True when it is known to have taken effect."""
        return self.last.event is JournalEvent.APPLIED

    @property
    def answered(self) -> bool:
        """True when a person said last what became of it."""
        return self.last.note.startswith(ANSWERED)

    @property
    def filled(self) -> JournalEntry | None:
        """The last entry of a chunk of it that was filled; None where none was."""
        return next((entry for entry, _ in reversed(filled(self.chunks))), None)

    @property
    def doubtful(self) -> bool:
        """True when it may or may not have taken effect."""
        return self.last.event in (JournalEvent.INTENT, JournalEvent.DOUBTFUL)


def filled(chunks: Iterable[JournalEntry]) -> list[tuple[JournalEntry, dict[str, Any]]]:
    """Return the entries of chunks that were filled, each with its state."""
    return [(e, state) for e in chunks if "staging" in (state := json.loads(e.note))]


# How the note begins where a run noted the mutations that it waits for.
_MUTATIONS = "its mutations were not done: "


def mutations_note(mutations: Iterable[tuple[str, str]]) -> str:
    """Return the note that names mutations, by host and name."""
    return f"{_MUTATIONS}{json.dumps(sorted(mutations))}"


def mutations_of(note: str) -> set[tuple[str, str]]:
    """Return the mutations that a note names, by host and name; empty where it names none.

    Raises:
        ValueError: Nothing of this package has written it.

    """
    if not note.startswith(_MUTATIONS):
        return set()
    named = json.loads(note[len(_MUTATIONS) :])
    try:
        return {(host + "", name + "") for host, name in named}
    except TypeError as error:
        raise ValueError(f"{note[:80]!r} names no mutations") from error


# How the note begins where a person said what became of a statement.
ANSWERED = "repair by "

Key = tuple[str, Direction]


@dataclass(frozen=True)
class UnfinishedRun:
    """An unfinished move of one revision."""

    revision: str
    direction: Direction
    statements: Mapping[int, Recorded]

    @property
    def begun(self) -> bool:
        """True when a statement took effect, or may have."""
        return any(s.applied or s.doubtful for s in self.statements.values())

    @property
    def doubtful(self) -> tuple[Recorded, ...]:
        """The statements whose outcome is not known, in order."""
        return tuple(s for _, s in sorted(self.statements.items()) if s.doubtful)

    @property
    def applied(self) -> int:
        """How many statements are known to have taken effect."""
        return sum(s.applied for s in self.statements.values())


def fold(entries: Iterable[JournalEntry]) -> dict[Key, UnfinishedRun]:
    """Return the efforts that entries of unfinished moves tell of, in their order."""
    statements: dict[Key, dict[int, Recorded]] = {}
    for entry in sorted(entries, key=lambda e: e.sequence):
        held = statements.setdefault((entry.revision, entry.direction), {})
        known = held.get(entry.position)
        chunks = known.chunks if known else ()
        intent = known.intent if known else None
        if entry.event is JournalEvent.CHUNK:
            held[entry.position] = Recorded(
                known.last if known else entry, intent, (*chunks, entry)
            )
            continue
        if entry.event is JournalEvent.INTENT:
            # Chunks belong to the statement as it was written when they were made.
            same = intent is not None and intent.hash == entry.hash
            intent, chunks = entry, chunks if same else ()
        if entry.event is JournalEvent.FAILED and entry.note.startswith(ANSWERED):
            chunks = ()  # a person has taken back what they moved
        held[entry.position] = Recorded(entry, intent, chunks)
    return {key: UnfinishedRun(*key, held) for key, held in statements.items()}
