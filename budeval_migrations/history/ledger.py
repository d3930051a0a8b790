"""Read and append to ``schema_migrations``."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from budeval_migrations.engine.failures import (
    NO_SUCH_COLUMN,
    UNKNOWN_DATABASE,
    UNKNOWN_IDENTIFIER,
    UNKNOWN_TABLE,
)
from budeval_migrations.engine.session import Session
from budeval_migrations.engine.wires import Row
from budeval_migrations.errors import EngineError, LedgerError
from budeval_migrations.history import schema
from budeval_migrations.history.state import Ground, LedgerState
from budeval_migrations.model import CompiledRevision, Direction, LedgerRow, Operation
from budeval_migrations.version import __version__

_LONGEST_ERROR = 4000

# Read with functions that 18.16 and 26.x have both: an epoch is the same moment
# in every time zone.
_LEGACY = (
    "version, checksum, toFloat64(executed_at), execution_time_ms, toUInt8(success), error_message"
)
_READ = (
    f"SELECT {_LEGACY}, operation, direction, parents, statements_applied, statements_total, "
    "error_code, sequence, run_id, lock_generation, statements_checksum, ledger_format "
    f"FROM {schema.LEDGER} ORDER BY sequence, executed_at"
)
_READ_LEGACY = f"SELECT {_LEGACY} FROM {schema.LEDGER} ORDER BY executed_at"


@dataclass(frozen=True)
class Attempt:
    """A row to append, with the statements that are kept beside it."""

    row: LedgerRow
    upgrade: CompiledRevision | None = None
    downgrade: CompiledRevision | None = None


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
            found = self._session.query(_READ)
        except EngineError as error:
            return self._read_without_ledger(error)
        newest = max((int(row[-1]) for row in found), default=0)
        if newest > schema.LEDGER_FORMAT:
            raise LedgerError(
                f"The ledger in {self._session.database} has format {newest}; this package "
                f"({__version__}) knows formats up to {schema.LEDGER_FORMAT}.",
                hint="Use the newer version of budeval-migrations that wrote it.",
                ledger_format=newest,
            )
        state = LedgerState(Ground.READY, tuple(_full_row(row) for row in found))
        if any(row.sequence for row in state.rows) and not thorough:
            return state
        return self._beside(state)

    def ensure(self, state: LedgerState) -> None:
        """Create or widen the ledger; idempotent.

        Killed in between, it leaves a table that the next call completes.
        """
        features = self._session.features
        if state.ground is Ground.LEGACY:
            self._session.execute(schema.widen_ledger(features))
        elif state.ground is not Ground.READY:
            self._session.execute(schema.create_ledger(features))

    def ensure_view(self) -> None:
        """Create the view ``alembic_version``; idempotent."""
        self._session.execute(schema.create_version_view())

    def read_foreign_heads(self) -> tuple[str, ...] | None:
        """Return the heads in an ``alembic_version`` table of another tool; read-only.

        clickhouse-sqlalchemy keeps one row in a ReplacingMergeTree ordered by
        nothing, clickhouse-connect a MergeTree with a row a head.
        """
        found = self._session.query(
            "SELECT engine FROM system.tables "
            f"WHERE database = currentDatabase() AND name = '{schema.VERSION_VIEW}'"
        )
        if not found or str(found[0][0]) == "View":
            return None
        final = " FINAL" if "Replacing" in str(found[0][0]) else ""
        rows = self._session.query(f"SELECT version_num FROM {schema.VERSION_VIEW}{final}")
        return tuple(sorted({str(row[0]) for row in rows}))

    def append(self, attempts: Sequence[Attempt]) -> None:
        """Append rows in one insert; a crash leaves all of them or none."""
        if not attempts:
            return
        precise = self._session.features.datetime64
        self._session.insert(
            schema.LEDGER, [self._values(attempt, precise) for attempt in attempts]
        )

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
            "host": socket.gethostname(),
            "server_user": self._session.server_user,
            "tool_version": __version__,
            "server_version": self._session.server_version,
            "statements_checksum": row.statements_checksum,
            "upgrade_statements": kept_statements(attempt.upgrade, self._session.redact),
            "downgrade_statements": kept_statements(attempt.downgrade, self._session.redact),
            "ledger_format": schema.LEDGER_FORMAT,
        }

    def _read_without_ledger(self, error: EngineError) -> LedgerState:
        if error.code == UNKNOWN_DATABASE:
            return LedgerState(Ground.NO_DATABASE)
        if error.code == UNKNOWN_TABLE:
            return self._beside(LedgerState(Ground.EMPTY))
        if error.code in (UNKNOWN_IDENTIFIER, NO_SUCH_COLUMN):
            try:
                rows = self._session.query(_READ_LEGACY)
            except EngineError as still:
                raise LedgerError(
                    f"The table {self._session.database}.{schema.LEDGER} is not a ledger of "
                    f"budeval: {still.message}",
                    hint="Rename that table, or choose another database.",
                ) from still
            return self._beside(LedgerState(Ground.LEGACY, tuple(_legacy_row(r) for r in rows)))
        raise error

    def _beside(self, state: LedgerState) -> LedgerState:
        return replace(state, foreign_heads=self.read_foreign_heads())


def kept_statements(compiled: CompiledRevision | None, redact: Any) -> str:
    """Return statements as the JSON that the ledger keeps.

    Each has ``sql`` and, where a secret had to be taken out, ``replayable``
    false: such a statement cannot be run again from the ledger.
    """
    if compiled is None or compiled.dynamic:
        return ""
    kept: list[dict[str, Any]] = []
    for statement in compiled.statements:
        shown = redact(statement.text)
        entry: dict[str, Any] = {"sql": shown}
        if shown != statement.text:
            entry["replayable"] = False
        if statement.unless:
            entry["unless"] = redact(statement.unless)
        kept.append(entry)
    return json.dumps(kept, ensure_ascii=False)


def _legacy_row(row: Row) -> LedgerRow:
    version, checksum, executed_at, elapsed, success, message = row[:6]
    return LedgerRow(
        version=str(version),
        checksum=str(checksum),
        executed_at=datetime.fromtimestamp(float(executed_at), timezone.utc),
        execution_time_ms=int(elapsed),
        success=bool(int(success)),
        error_message=message,
    )


def _full_row(row: Row) -> LedgerRow:
    return replace(
        _legacy_row(row),
        operation=_enum(Operation, row[6]),
        direction=_enum(Direction, row[7]),
        parents=_names(row[8]),
        statements_applied=int(row[9]),
        statements_total=int(row[10]),
        error_code=int(row[11]),
        sequence=int(row[12]),
        run_id=str(row[13]),
        lock_generation=int(row[14]),
        statements_checksum=str(row[15]),
    )


def _enum(kind: Any, value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise LedgerError(
            f"The ledger holds a row with {kind.__name__.lower()} {value!r}, which this "
            f"package ({__version__}) does not know.",
            hint="Use the version of budeval-migrations that wrote it.",
        ) from None


def _names(value: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in value)
