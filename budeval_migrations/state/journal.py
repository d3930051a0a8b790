"""Append to ``schema_migrations_journal``; the ledger reads it along with itself.

An intent is durable before its statement is sent, and an outcome is written
after it. A crash in between leaves the intent alone: the statement's outcome is
unknown then, and the next run reconciles it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from budeval_migrations.clickhouse import waiting
from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import BEHIND, NO_QUORUM, is_away, is_passing
from budeval_migrations.clickhouse.fenced_insert import insert_fenced
from budeval_migrations.clickhouse.fingerprint import Fingerprint
from budeval_migrations.clickhouse.transports.base import Row, taken_over
from budeval_migrations.errors import EngineError, LedgerError, LockLost
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import Direction
from budeval_migrations.sql import quote
from budeval_migrations.state import quorum, schema
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, mutations_of
from budeval_migrations.version import __version__

# How long a server may be away before bookkeeping is given up, in seconds.
_PATIENCE = 30.0
_POLL = 0.25
# A majority of a cluster has not got this insert yet, or the one before it.
_PENDING = NO_QUORUM | BEHIND
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

    def append(self, entries: Iterable[JournalEntry]) -> None:
        """Append entries in one insert; a crash leaves all of them or none.

        Raises:
            LockLost: Somebody else holds the lock; nothing was appended.

        """
        numbered = [replace(entry, sequence=self._sequence + n) for n, entry in enumerate(entries)]
        if not numbered:
            return
        self._sequence += len(numbered)
        rows = [_values(entry) for entry in numbered]
        append_fenced(self._session, schema.JOURNAL, rows, schema.JOURNAL_COLUMNS, self._fence)


def append_fenced(
    session: Session,
    table: str,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[schema.StoredColumn],
    fence: str,
) -> None:
    """Append rows to a table of ours, as long as a condition holds.

    They may be the only trace of what has taken effect, so they are held while the server
    is away, refuses for a moment, or something in between answers for it. Where they may
    have been sent, it is looked whether they arrived. Should they arrive late and twice, a
    reader takes equal rows for one. While Keeper, which the condition needs, is away, they
    are held for ``lock_timeout`` seconds at most.

    Args:
        rows: With ``run_id`` and ``sequence``, by which they are known again.

    Raises:
        LockLost: The condition does not hold, or nobody can tell since Keeper is away;
            nothing was appended.
        EngineError: The server refuses the rows; or it, or a majority of the cluster, did
            not take them in half a minute.

    """
    types = {column.name: column.type for column in columns}
    settings = dict(quorum.writing(session))
    if settings and session.features.insert_deduplication_token:
        # The same rows sent twice are one block, and no other rows are the same block.
        settings["insert_deduplication_token"] = f"{rows[0]['run_id']} {rows[0]['sequence']}"
    until = time.monotonic() + _PATIENCE
    keeper_wait, told = _KeeperWait(session, fence), False
    while True:
        try:
            if not insert_fenced(session, table, rows, types, fence, settings=settings):
                raise taken_over()
            return
        except EngineError as error:
            if keeper_wait.is_for(error):
                continue  # the condition was not told, so that nothing was appended
            away = is_away(error) and not session.embedded
            pending = bool(session.topology.hosts) and error.code in _PENDING
            if not (away or pending or is_passing(error)):
                raise
            if time.monotonic() >= until:
                if pending:
                    raise quorum.no_majority(session, error) from error
                raise
            if not told:
                waiting.say_held(session.shown, "does not take what is to be recorded")
                told = True
            if (away or pending) and _arrived(session, table, rows[-1], until, error):
                return
            if not away:
                interrupts.sleep(_POLL)


class _KeeperWait:
    """Waits for Keeper, which the condition of a write needs."""

    def __init__(self, session: Session, fence: str) -> None:
        self._session = session
        self._needed = bool(fence) and not session.topology.hosts
        self._until = time.monotonic() + max(_PATIENCE, session.settings.lock_timeout)
        self._told = False

    def is_for(self, error: EngineError) -> bool:
        """Tell whether Keeper is away; if so, after a moment.

        Raises:
            LockLost: It has been away for too long.

        """
        if not self._needed or not keeper.is_away(error):
            return False
        if time.monotonic() >= self._until:
            raise LockLost(
                "The lock is in ClickHouse Keeper, which the server cannot reach: "
                f"{error.message.splitlines()[0]} Nothing more was sent.",
                hint="Bring Keeper back, then run: budeval-migrate up. It finds out what took "
                "effect.",
            ) from error
        if not self._told:
            waiting.say_held(
                self._session.shown, "cannot reach ClickHouse Keeper, where the lock is"
            )
        self._told = True
        interrupts.sleep(_POLL)
        return True


def _arrived(
    session: Session, table: str, row: dict[str, Any], until: float, broken: EngineError
) -> bool:
    """Return whether a row is there, as soon as the server answers."""
    while time.monotonic() < until:
        interrupts.sleep(_POLL)
        try:
            [[count]] = quorum.read(
                session,
                f"SELECT count() FROM {table} WHERE run_id = {quote.string(row['run_id'])} "
                f"AND sequence = {int(row['sequence'])}",
            )
            return int(count) > 0
        except EngineError as error:
            if not is_away(error):
                raise
    raise broken


def entry_of(row: Row, database: str) -> JournalEntry:
    """Return the entry in a row of ``schema.JOURNAL_FIELDS``.

    Raises:
        LedgerError: It was written by a newer version of this package, or by something else.

    """
    value: dict[str, Any] = dict(zip(schema.JOURNAL_FIELDS, row, strict=True))
    for name in _NUMBERS:
        value[name] = int(value[name])
    event, _, number = value["event"].partition("/")
    if number.isdigit() and int(number) > schema.JOURNAL_FORMAT:
        raise LedgerError(
            schema.has_format("journal", database, int(number), schema.JOURNAL_FORMAT),
            hint=schema.USE_THE_NEWER,
            journal_format=int(number),
        )
    try:
        value["direction"] = Direction(value["direction"])
        value["event"] = JournalEvent(event)
        Fingerprint.from_json(value["before"])
        mutations_of(value["note"])
        if value["event"] is JournalEvent.CHUNK and not isinstance(json.loads(value["note"]), dict):
            raise ValueError(f"{value['note'][:80]!r} is no state of a chunk")
    except ValueError as error:
        raise LedgerError(
            f"The journal in {database} holds a row about {value['revision']} statement "
            f"{value['position']} that this package ({__version__}) cannot read: {error}",
            hint="Use the version of budeval-migrations that wrote it.",
        ) from error
    value["at"] = datetime.fromtimestamp(float(value["at"]), timezone.utc)
    return JournalEntry(**value)


def _values(entry: JournalEntry) -> dict[str, Any]:
    values: dict[str, Any] = dict(vars(entry))
    del values["at"], values["text"]  # the server's own clock; with its secrets
    values["direction"] = entry.direction.value
    values["event"] = entry.event.value
    return values
