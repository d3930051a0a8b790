"""Append to ``schema_migrations_journal``; the ledger reads it along with itself.

An intent is durable before its statement is sent, and an outcome is written
after it. A crash in between leaves the intent alone: the statement's outcome is
then in doubt, and is settled by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from budeval_migrations.engine.session import Session
from budeval_migrations.engine.wires import Row
from budeval_migrations.errors import LockLost
from budeval_migrations.history import schema
from budeval_migrations.history.effort import Entry, JournalEvent
from budeval_migrations.model import Direction

_NUMBERS = [c.name for c in schema.JOURNAL_COLUMNS if "Int" in c.type]


class Journal:
    """The append-only table of what was tried, statement by statement.

    Args:
        sequence: The number of the next entry.
        fence: A condition that holds as long as we hold the lock; empty for none.

    """

    def __init__(self, session: Session, sequence: int, fence: str = "") -> None:
        self._session = session
        self._sequence = sequence
        self._fence = fence

    def append(self, entries: Iterable[Entry]) -> None:
        """Append entries in one insert; a crash leaves all of them or none.

        Raises:
            LockLost: Somebody else holds the lock; nothing was appended.

        """
        numbered = [replace(entry, sequence=self._sequence + n) for n, entry in enumerate(entries)]
        if not numbered:
            return
        append_fenced(
            self._session,
            schema.JOURNAL,
            [_values(entry) for entry in numbered],
            schema.JOURNAL_COLUMNS,
            self._fence,
        )
        self._sequence += len(numbered)


def append_fenced(
    session: Session,
    table: str,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[schema.Column],
    fence: str,
) -> None:
    """Append rows to a table of ours, as long as a condition holds.

    Raises:
        LockLost: The condition does not hold; nothing was appended.

    """
    if not fence:
        session.insert(table, rows)
        return
    types = {column.name: column.type for column in columns}
    if not session.insert_fenced(table, rows, types, fence):
        raise LockLost(
            "Another runner has taken the lock over. Nothing more was sent.",
            hint="Look with: budeval-migrate status. Then run the upgrade again.",
        )


def entry_of(row: Row) -> Entry:
    """Return the entry in a row of ``schema.JOURNAL_FIELDS``."""
    value: dict[str, Any] = dict(zip(schema.JOURNAL_FIELDS, row, strict=True))
    for name in _NUMBERS:
        value[name] = int(value[name])
    value["direction"] = Direction(value["direction"])
    value["event"] = JournalEvent(value["event"])
    value["at"] = datetime.fromtimestamp(float(value["at"]), timezone.utc)
    return Entry(**value)


def _values(entry: Entry) -> dict[str, Any]:
    values: dict[str, Any] = dict(vars(entry))
    del values["at"]  # the server's own clock
    values["direction"] = entry.direction.value
    values["event"] = entry.event.value
    return values
