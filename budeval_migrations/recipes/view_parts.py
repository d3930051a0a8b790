"""What a recipe for a materialized view is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from budeval_migrations.recipes.identifiers import named, read_name


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
