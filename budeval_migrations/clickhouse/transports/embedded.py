"""The engine in this process: chDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from budeval_migrations.clickhouse.failures import server_error
from budeval_migrations.clickhouse.transports.base import (
    NOTHING,
    Check,
    Context,
    Counts,
    Row,
    Settings,
    insert_text,
    rows_of,
)
from budeval_migrations.model import PARAMETER
from budeval_migrations.sql import quote


class EmbeddedTransport:
    """chDB: ClickHouse in this process.

    The current database belongs to the connection, and is set before the first
    statement, so that a missing database is an error of that statement.
    """

    reads_rows = True

    def __init__(self, connection: Any, database: str, context: Context) -> None:
        self._connection = connection
        self._database: str | None = database
        self._context = context

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT."""
        with self._holding(settings):
            return rows_of(self._run(sql, "JSONCompact").bytes())

    late = 0.0

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        fence: str = "",
        patient: bool = False,
    ) -> Counts:
        """Run a statement; chDB takes no ``query_id``, and its lock has no fence."""
        if check is not None:
            check()
        with self._holding(settings):
            result = self._run(sql, "Null")
        return Counts(
            rows_read=int(result.storage_rows_read()), rows_written=int(result.rows_written())
        )

    def may_arrive(self, query_id: str) -> bool:
        """Return that it does not."""
        return False

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows; chDB takes no settings from outside."""
        self._run(insert_text(table, rows), "Null")

    def without_database(self, sql: str) -> list[Row]:
        """Run what must not wait for the database to exist, and return its rows."""
        return rows_of(self._call(sql, "JSONCompact").bytes())

    @contextmanager
    def _holding(self, settings: Settings) -> Iterator[None]:
        """Let settings hold for one statement: chDB takes none beside it."""
        if not settings:
            yield
            return
        said = ", ".join(f"{name} = {quote.string(value)}" for name, value in settings.items())
        self._run(f"SET {said}", "Null")
        try:
            yield
        finally:
            # Their defaults; a query parameter has none, and stays.
            names = [name for name in settings if not name.startswith(PARAMETER)]
            if names:
                self._call("SET " + ", ".join(f"{name} = DEFAULT" for name in names), "Null")

    def _run(self, sql: str, output_format: str) -> Any:
        if self._database is not None:
            self._call(f"USE {quote.identifier(self._database)}", "Null")
            self._database = None
        return self._call(sql, output_format)

    def _call(self, sql: str, output_format: str) -> Any:
        try:
            return self._connection.query(sql, output_format)
        except Exception as error:
            self._discard_leftovers()
            raise server_error(str(error), self._context.redact) from error

    def _discard_leftovers(self) -> None:
        # What a query had written before it failed comes out with the next one's
        # result (tried on chDB 26.9).
        with suppress(Exception):
            self._connection.query("SELECT 1", "CSV")
