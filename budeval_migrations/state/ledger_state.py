"""What the ledger's rows say, folded. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

from budeval_migrations.model import Direction, LedgerRow
from budeval_migrations.state.schema import BOOTSTRAP_VERSION
from budeval_migrations.state.unfinished import JournalEntry, Key, UnfinishedRun, fold


class Ground(Enum):
    """What was found where the ledger should be."""

    NO_DATABASE = "no database"
    EMPTY = "empty"
    LEGACY = "legacy"
    READY = "ready"


@dataclass(frozen=True)
class LedgerState:
    """The rows of the ledger, in order, and what surrounds them.

    Attributes:
        foreign_heads: The content of an ``alembic_version`` *table* that
            another tool made; None when there is no such table.
        entries: The journal's entries about revisions that are not finished.

    """

    ground: Ground
    rows: tuple[LedgerRow, ...] = ()
    foreign_heads: tuple[str, ...] | None = field(default=None)
    entries: tuple[JournalEntry, ...] = ()

    @cached_property
    def attempts(self) -> Mapping[str, LedgerRow]:
        """The last attempt at every revision, good or bad."""
        return {row.version: row for row in self._rows if not row.answers}

    @cached_property
    def recorded(self) -> Mapping[str, LedgerRow]:
        """The last good row of every revision that is applied, in order."""
        applied: dict[str, LedgerRow] = {}
        for row in self._rows:
            if not row.success:
                continue
            applied.pop(row.version, None)
            if row.direction is Direction.UP:
                applied[row.version] = row
        return applied

    def after(self, rows: Iterable[LedgerRow]) -> LedgerState:
        """Return what the ledger says once these rows of finished revisions are in it."""
        good = tuple(rows)
        done = {row.version for row in good}
        left = tuple(entry for entry in self.entries if entry.revision not in done)
        return replace(self, ground=Ground.READY, rows=(*self.rows, *good), entries=left)

    @property
    def next_sequence(self) -> int:
        """The number of the next row to append."""
        return 1 + max((row.sequence for row in self.rows), default=0)

    @property
    def next_entry(self) -> int:
        """A number for the next journal entry, above those of every unfinished run."""
        return 1 + max((entry.sequence for entry in self.entries), default=0)

    @cached_property
    def unfinished_runs(self) -> Mapping[Key, UnfinishedRun]:
        """What the journal says about revisions that are not finished."""
        return fold(self.entries)

    def since(self, revision: str) -> int:
        """Return the sequence of the last good row of a revision; 0 for none."""
        return max((row.sequence for row in self._good.get(revision, ())), default=0)

    def spent_ms(self, revision: str, direction: Direction) -> int:
        """Return the milliseconds that the attempts took since a revision's last good row."""
        since = self.since(revision)
        return sum(
            row.execution_time_ms
            for row in self.rows
            if row.version == revision
            and row.direction is direction
            and row.sequence > since
            and not (row.success or row.answers)
        )

    @cached_property
    def _good(self) -> Mapping[str, list[LedgerRow]]:
        found: dict[str, list[LedgerRow]] = {}
        for row in self.rows:
            if row.success:
                found.setdefault(row.version, []).append(row)
        return found

    @cached_property
    def conflicts(self) -> tuple[int, ...]:
        """Sequence numbers that more than one row has."""
        seen: set[int] = set()
        twice = []
        for row in self.rows:
            if row.sequence and row.sequence in seen:
                twice.append(row.sequence)
            seen.add(row.sequence)
        return tuple(dict.fromkeys(twice))

    @property
    def _rows(self) -> Iterable[LedgerRow]:
        return (row for row in self.rows if not (row.legacy and row.version == BOOTSTRAP_VERSION))
