"""What a recipe for a materialized view is told, and the statements that both of them send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from budeval_migrations.model import Statement
from budeval_migrations.recipes.identifiers import named, read_name
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name


@dataclass(frozen=True)
class History:
    """How the rows of a view's source are told apart by their time, and copied.

    Attributes:
        time: The source's column with the time of the insert, set by the server
            (``DEFAULT now()``).
        columns: Where the view replaces another one: the columns that its SELECT reads,
            without ``time``, as CREATE TABLE has them: ``model String, accuracy Float32``.
        by: The chunks of the copy of a new view, as for ``op.backfill``.
        chunk_rows: The same; 0 for its default.

    """

    time: str
    columns: str = ""
    by: str = "partition"
    chunk_rows: int = 0


@dataclass(frozen=True)
class OwnTable:
    """The view writes to a table that exists: ``TO table``."""

    table: str

    @property
    def clause(self) -> str:
        """What CREATE MATERIALIZED VIEW says of it."""
        return f"TO {named(read_name(self.table))}"


@dataclass(frozen=True)
class InnerTable:
    """The view keeps its rows in a table that the server makes and names.

    Attributes:
        engine: ``AggregatingMergeTree ORDER BY (a, b)``.
        mark: Values of the GROUP BY columns that no row has; the first is compared. A row with
            them shows for a moment that the history is complete.
        instead_of: The view's own table until now.

    """

    engine: str
    mark: Mapping[str, str]
    instead_of: OwnTable

    @property
    def clause(self) -> str:
        """What CREATE MATERIALIZED VIEW says of it."""
        return f"ENGINE = {self.engine}"


def create_moments(table: str) -> Statement:
    """Return the CREATE of the table that keeps the moments that were chosen.

    A partition each, so that parts are not merged, and their times are those of the INSERTs.
    """
    return Statement(
        f"CREATE TABLE IF NOT EXISTS {table}\n(\n    kind String,\n    moment DateTime64(3)\n)\n"
        "ENGINE = MergeTree\nPARTITION BY kind\nORDER BY kind"
    )


def check_time(source: Name, column: str) -> Statement:
    """Return the refusal of a time by which rows from before and after a moment are not told apart.

    A NULL is neither before nor after it, and a Date is its whole day.
    """
    said = (
        f"{column} is no column of type DateTime or DateTime64 of {named(source)}: rows would be "
        "missing. Nothing was done"
    )
    database = quote.string(source.database) if source.database else "currentDatabase()"
    return Statement(
        f"SELECT throwIf(count() = 0, {quote.string(said)})\nFROM system.columns\n"
        f"WHERE database = {database} AND table = {quote.string(source.name)}\n"
        f"  AND name = {quote.string(column)} AND startsWith(type, 'DateTime')"
    )


def wait_until(moment: str) -> Statement:
    """Return the wait until a moment is past, ten seconds at most.

    A row a block: a server allows three seconds of sleep in one.
    """
    return Statement(
        "SELECT sleepEachRow(0.25) FROM numbers(40)\nWHERE number * 250 < "
        f"toUnixTimestamp64Milli({moment}) - toUnixTimestamp64Milli(now64(3))\n"
        "SETTINGS max_block_size = 1"
    )
