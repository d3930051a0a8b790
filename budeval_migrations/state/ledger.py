"""Read and append to ``schema_migrations``."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from budeval_migrations.clickhouse import own_settings
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import NOT_AS_OURS, UNKNOWN_DATABASE, UNKNOWN_TABLE
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.errors import AccessDenied, ConnectionFailed, EngineError, LedgerError
from budeval_migrations.model import CompiledRevision, Direction, LedgerRow, Operation
from budeval_migrations.state import quorum, replication, schema
from budeval_migrations.state.journal import append_fenced, entry_of
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.own_tables import read_engines
from budeval_migrations.state.stored_statements import stored_statements
from budeval_migrations.version import __version__

_LONGEST_ERROR = 4000

# Read with functions that 18.16 and 26.x have both: an epoch is the same moment
# in every time zone. All is text, so that ledger and journal come in one query.
_LEGACY = (
    "version, checksum, toString(toFloat64(executed_at)), toString(execution_time_ms), "
    "toString(toUInt8(success)), ifNull(error_message, ''), toString(isNull(error_message))"
)
_ATTEMPTS = (
    f"SELECT 'ledger', [{_LEGACY}, operation, direction, toString(statements_applied), "
    "toString(statements_total), toString(error_code), toString(sequence), run_id, "
    "toString(lock_generation), statements_checksum, host, server_user, toString(ledger_format)], "
    "parents "
    f"FROM {schema.LEDGER}"
)
_LEGACY_ATTEMPTS = f"SELECT 'ledger', [{_LEGACY}], emptyArrayString() FROM {schema.LEDGER}"
_GOOD = f"FROM {schema.LEDGER} WHERE success = 1 AND sequence > 0"
_JOURNAL_TEXTS = ", ".join(
    f"toString(toFloat64({name}))" if name == "at" else f"toString({name})"
    for name in schema.JOURNAL_FIELDS
)
# A run is finished as soon as the revision has a later good row.
_ENTRIES = (
    f"SELECT 'journal', [{_JOURNAL_TEXTS}], emptyArrayString() FROM {schema.JOURNAL} "
    f"WHERE (revision, since) IN (SELECT version, max(sequence) {_GOOD} GROUP BY version) "
    f"OR (since = 0 AND revision NOT IN (SELECT version {_GOOD}))"
)
_READ = f"{_ATTEMPTS} UNION ALL {_ENTRIES}"
# Says itself whether the user's profile can have changed it.
_READ_FIRST = (
    f"{_READ} UNION ALL SELECT 'settings', {own_settings.CHANGED}, emptyArrayString() "
    "FROM system.settings"
)


@dataclass(frozen=True)
class Attempt:
    """A row to append, with the statements that are kept beside it.

    Attributes:
        ours: This process made the attempt; otherwise nobody knows from where it was.

    """

    row: LedgerRow
    upgrade: CompiledRevision | None = None
    downgrade: CompiledRevision | None = None
    ours: bool = True


class Ledger:
    """The append-only table of everything that was tried."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read_state(self, *, thorough: bool = False) -> LedgerState:
        """Return what the ledger says, in one query when there is a ledger; read-only.

        Args:
            thorough: Look for another tool's ``alembic_version`` table even where
                the ledger has rows of ours, which a killed adoption leaves.

        Raises:
            LedgerError: The ledger was written by a newer version of this package.

        """
        try:
            found = self._read_first() or quorum.read(self._session, _READ)
        except EngineError as error:
            if error.code not in NOT_AS_OURS:
                raise
            return self._read_without_journal(error)
        return self._ready(found, thorough)

    def _read_first(self) -> list[Row] | None:
        """Return all rows in one query; None where the profile may have changed the answer."""
        if self._session.is_known:
            return None
        try:
            found = quorum.read(self._session, _READ_FIRST, own=False)
        except ConnectionFailed:
            raise
        except EngineError as error:
            if error.code in NOT_AS_OURS:
                raise
            return None
        # A profile's `limit` and `offset` cut that row off, or a row of the ledger.
        changed = [values for kind, values, _ in found if kind == "settings"]
        return found if changed == [[]] else None

    def ensure(self, state: LedgerState) -> None:
        """Create or widen the ledger; idempotent.

        Killed in between, it leaves a table that the next call completes.
        """
        features = self._session.features
        everywhere = self._session.topology.on_cluster
        # First the journal: where the ledger is, it is too.
        replication.create(self._session, schema.JOURNAL, schema.create_journal(features))
        if state.ground is Ground.LEGACY:
            self._session.execute(schema.widen_ledger(features))
        elif state.ground is not Ground.READY or everywhere:
            replication.create(self._session, schema.LEDGER, schema.create_ledger(features))
        if features.fsync_of_inserts:
            self._ensure_durable()

    def _ensure_durable(self) -> None:
        """Have the server write each insert to the disk before it answers."""
        rows = self._session.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() "
            f"AND name IN ('{schema.LEDGER}', '{schema.JOURNAL}', '{schema.LOCK}') "
            "AND position(engine_full, 'fsync_after_insert') = 0"
        )
        for (name,) in rows:
            with suppress(AccessDenied):  # it served without so far
                replication.alter(self._session, schema.modify_durability(str(name)))

    def ensure_view(self) -> None:
        """Create the view ``alembic_version``; idempotent."""
        session = self._session
        database = session.database if session.topology.on_cluster else ""
        replication.create(session, schema.VERSION_VIEW, schema.create_version_view(database))

    def read_foreign_heads(self) -> tuple[str, ...] | None:
        """Return the heads in an ``alembic_version`` table of another tool; read-only.

        clickhouse-sqlalchemy keeps one row in a ReplacingMergeTree ordered by
        nothing, clickhouse-connect a MergeTree with a row a head.
        """
        engine = read_engines(self._session, [schema.VERSION_VIEW]).get(schema.VERSION_VIEW)
        if engine is None or engine == "View":
            return None
        final = " FINAL" if "Replacing" in engine else ""
        rows = self._session.query(f"SELECT version_num FROM {schema.VERSION_VIEW}{final}")
        return tuple(sorted({str(row[0]) for row in rows}))

    def append(self, attempts: Sequence[Attempt], fence: str = "") -> None:
        """Append rows in one insert; a crash leaves all of them or none.

        Args:
            fence: A condition that holds as long as we hold the lock.

        Raises:
            LockLost: Somebody else holds the lock; nothing was appended.

        """
        if not attempts:
            return
        precise = self._session.features.datetime64
        rows = [self._values(attempt, precise) for attempt in attempts]
        append_fenced(self._session, schema.LEDGER, rows, schema.LEDGER_COLUMNS, fence)

    def _values(self, attempt: Attempt, precise: bool) -> dict[str, Any]:
        row = attempt.row
        at = row.executed_at if precise else row.executed_at.replace(microsecond=0)
        message = row.error_message
        return {
            "version": row.version,
            "checksum": row.checksum,
            "executed_at": at,
            "execution_time_ms": row.execution_time_ms,
            "success": row.success,
            "error_message": message[:_LONGEST_ERROR] if message is not None else None,
            "operation": row.operation.value,
            "direction": row.direction.value,
            "parents": list(row.parents),
            "statements_applied": row.statements_applied,
            "statements_total": row.statements_total,
            "error_code": row.error_code,
            "sequence": row.sequence,
            "run_id": row.run_id,
            "lock_generation": row.lock_generation,
            "host": socket.gethostname() if attempt.ours else "",
            "server_user": self._session.server_user if attempt.ours else "",
            "tool_version": __version__,
            "server_version": self._session.server_version,
            "statements_checksum": row.statements_checksum,
            "upgrade_statements": stored_statements(attempt.upgrade, self._session.redact),
            "downgrade_statements": stored_statements(attempt.downgrade, self._session.redact),
            "ledger_format": schema.LEDGER_FORMAT,
        }

    def _ready(self, found: Sequence[Row], thorough: bool) -> LedgerState:
        attempts = [row for row in found if row[0] == "ledger"]
        newest = max((int(values[-1]) for _, values, _ in attempts), default=0)
        if newest > schema.LEDGER_FORMAT:
            raise LedgerError(
                schema.has_format("ledger", self._session.database, newest, schema.LEDGER_FORMAT),
                hint=schema.USE_THE_NEWER,
                ledger_format=newest,
            )
        rows = sorted((_full_row(row) for row in attempts), key=_in_order)
        entries = (entry_of(row[1], self._session.database) for row in found if row[0] == "journal")
        # An insert whose answer was lost may have been made twice; `at` is the server's clock.
        once = {replace(entry, at=None): entry for entry in entries}
        state = LedgerState(Ground.READY, tuple(dict.fromkeys(rows)), entries=tuple(once.values()))
        if any(row.sequence for row in rows) and not thorough:
            return state
        return self._beside(state)

    def _read_without_journal(self, error: EngineError) -> LedgerState:
        if error.code == UNKNOWN_DATABASE:
            return LedgerState(Ground.NO_DATABASE)
        try:
            return self._ready(quorum.read(self._session, _ATTEMPTS), thorough=True)
        except EngineError as still:
            error = still
        if error.code == UNKNOWN_TABLE:
            return self._beside(LedgerState(Ground.EMPTY))
        if error.code not in NOT_AS_OURS:
            raise error
        try:
            found = quorum.read(self._session, _LEGACY_ATTEMPTS)
        except EngineError as still:
            raise LedgerError(
                f"The table {self._session.database}.{schema.LEDGER} is not a ledger of "
                f"budeval: {still.message}",
                hint="Rename that table, or choose another database.",
            ) from still
        rows = sorted((_legacy_row(row) for row in found), key=_in_order)
        return self._beside(LedgerState(Ground.LEGACY, tuple(rows)))

    def _beside(self, state: LedgerState) -> LedgerState:
        return replace(state, foreign_heads=self.read_foreign_heads())


def _legacy_row(row: Row) -> LedgerRow:
    version, checksum, executed_at, elapsed, success, message, silent = row[1][:7]
    return LedgerRow(
        version=version,
        checksum=checksum,
        executed_at=datetime.fromtimestamp(float(executed_at), timezone.utc),
        execution_time_ms=int(elapsed),
        success=success == "1",
        error_message=None if silent == "1" else message,
    )


def _full_row(row: Row) -> LedgerRow:
    rest = row[1][7:]
    return replace(
        _legacy_row(row),
        operation=_enum(Operation, rest[0]),
        direction=_enum(Direction, rest[1]),
        parents=tuple(row[2]),
        statements_applied=int(rest[2]),
        statements_total=int(rest[3]),
        error_code=int(rest[4]),
        sequence=int(rest[5]),
        run_id=rest[6],
        lock_generation=int(rest[7]),
        statements_checksum=rest[8],
        host=rest[9],
        server_user=rest[10],
    )


def _in_order(row: LedgerRow) -> tuple[int, datetime]:
    return row.sequence, row.executed_at


def _enum(kind: Any, value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise LedgerError(
            f"The ledger holds a row with {kind.__name__.lower()} {value!r}, which this "
            f"package ({__version__}) does not know.",
            hint="Use the version of budeval-migrations that wrote it.",
        ) from None
