"""A materialized view with its whole history, each row once, while clients insert.

The view is created first and takes no rows. When every INSERT that began before has ended, T
is chosen some seconds ahead, and the view takes rows whose time is at or after T. When T is
past, rows before T are copied. Then the condition is taken out of the view. docs/recipes.md
describes the limits. Pure: text in, statements out. ``tests/engines/test_generated.py`` holds
it on ClickHouse 26.9 with writers beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from budeval_migrations.errors import ConfigError
from budeval_migrations.model import Backfill, Statement
from budeval_migrations.recipes.all_rows import INSERTS
from budeval_migrations.recipes.identifiers import named, read_column_name, read_name
from budeval_migrations.recipes.selects import read_columns, read_source, with_condition
from budeval_migrations.recipes.view_exchange import Exchange
from budeval_migrations.recipes.view_parts import (
    History,
    InnerTable,
    OwnTable,
    check_time,
    create_moments,
    wait_until,
)
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name

_NOW = "toUnixTimestamp64Milli(now64(3))"


def view_with_history(
    view: str,
    select: str,
    history: History,
    into: OwnTable | InnerTable,
    *,
    replaces: bool = False,
    recipe: int = 1,
) -> tuple[Statement, ...]:
    """Return the statements that create a view, or put one in the place of another.

    Args:
        view: The view's name.
        select: ``SELECT … FROM table [WHERE …] [GROUP BY …]``; no WHERE where it replaces.
        replaces: The view exists; the new one is built beside it and exchanged with it.
        recipe: The version of the statements: 1; or 0 where it replaces (see Exchange).

    Raises:
        ConfigError: The SELECT is of another form; a new view has no table of its own; or
            there is no such recipe.

    """
    said = f"op.create_view_with_history({view!r}): "
    if recipe != 1 and not (replaces and recipe == 0):
        raise ConfigError(
            f"{said}there is no recipe {recipe}.",
            hint="The newest is 1. A newer package may know others.",
        )
    if replaces:
        if not history.columns:
            raise ConfigError(
                f"{said}History has no columns.",
                hint='Such as: op.History("created_at", columns="site String, visits UInt64")',
            )
        if read_name(view, "view").database or read_source(select)[0].database:
            raise ConfigError(
                f"{said}a view that replaces another one, and its table, are named without a "
                "database.",
                hint="Both are in the current database.",
            )
        return Exchange(view, select, history, into, recipe).statements()
    if isinstance(into, InnerTable):
        raise ConfigError(
            f"{said}a new view needs a table of its own.",
            hint='Create the table, and say into=op.OwnTable("its name").',
        )
    return _NewView(read_name(view, "view"), select.strip(), history, into).statements()


@dataclass(frozen=True)
class _NewView:
    name: Name
    query: str
    history: History
    into: OwnTable

    def statements(self) -> tuple[Statement, ...]:
        """Return what is sent, in order."""
        return (*self._cut_over(), self._fill(), *self._end())

    @property
    def _moments(self) -> Name:
        """The helper table that keeps the moments that were chosen."""
        return Name(f"{self.name.name}_moments", self.name.database)

    @property
    def _column(self) -> str:
        """The time of a row, as it stands in the SELECT."""
        return f"{read_source(self.query)[1]}.{named(read_column_name(self.history.time))}"

    @property
    def _cut(self) -> str:
        return f"(SELECT moment FROM {named(self._moments)} WHERE kind = 'cut')"

    def _cut_over(self) -> tuple[Statement, ...]:
        """Return the statements that create the view and let it take rows from T on."""
        moments = named(self._moments)
        # Looks T up for every block of rows; takes none while there is none.
        since = with_condition(
            self.query,
            f"{self._column} >= cut_over.cut_over_moment",
            f" CROSS JOIN (SELECT moment AS cut_over_moment FROM {moments} WHERE kind = 'cut')"
            " AS cut_over",
        )
        return (
            check_time(read_source(self.query)[0], read_column_name(self.history.time)),
            create_moments(moments),
            Statement(
                f"CREATE MATERIALIZED VIEW IF NOT EXISTS {named(self.name)} {self.into.clause} AS\n"
                f"{since}"
            ),
            self._note("created", "now64(3)"),
            *self._let_inserts_end("created"),
            Statement(self._check_future()),
            self._note("cut", "toStartOfSecond(now64(3)) + 5"),
            Statement(self._check_cut_was_ahead()),
            wait_until(self._cut),
            *self._let_inserts_end("cut"),
        )

    def _fill(self) -> Statement:
        """Return the copy of the rows before T."""
        before = with_condition(self.query, f"{self._column} < {self._cut} AND {{chunk}}")
        columns = tuple(named(name) for name in read_columns(self.query))
        asked = Backfill(
            named(read_name(self.into.table)),
            f"SELECT {', '.join(columns)} FROM (\n{before}\n)",
            named(read_source(self.query)[0]),
            self.history.by,
            self.history.chunk_rows or Backfill.CHUNK_ROWS,
            columns,
        )
        return Statement(asked.insert, backfill=asked)

    def _end(self) -> tuple[Statement, ...]:
        """Return the statements that take the condition out, and the helper table away."""
        return (
            Statement(f"ALTER TABLE {named(self.name)} MODIFY QUERY\n{self.query}"),
            self._note("unfiltered", "now64(3)"),
            *self._let_inserts_end("unfiltered"),
            # With a probe, so that what was asked above is on record before.
            Statement(
                f"DROP TABLE IF EXISTS {named(self._moments)}",
                unless=f"SELECT 1 WHERE (SELECT count() FROM system.tables WHERE {self._is()}) = 0",
            ),
        )

    def _is(self, column: str = "name") -> str:
        """Return the condition on a system table that means the helper table."""
        database = self._moments.database
        return (
            f"database = {quote.string(database) if database else 'currentDatabase()'} "
            f"AND {column} = {quote.string(self._moments.name)}"
        )

    def _note(self, kind: str, moment: str) -> Statement:
        """Return the INSERT of a moment, once; VALUES, so that it can be told whether it ran."""
        moments = named(self._moments)
        return Statement(
            f"INSERT INTO {moments} (kind, moment) VALUES ('{kind}', {moment})",
            unless=f"SELECT 1 FROM {moments} WHERE kind = '{kind}'",
        )

    def _let_inserts_end(self, kind: str) -> tuple[Statement, ...]:
        """Return the wait until every INSERT from before a moment has ended, and the refusal."""
        moment = (
            f"SELECT toUnixTimestamp64Milli(moment) + 100 FROM {named(self._moments)} "
            f"WHERE kind = '{kind}'"
        )
        running = (
            f"SELECT count() FROM system.processes\n    WHERE {INSERTS} "
            f"AND {_NOW} - elapsed * 1000 <= ({moment})"
        )
        waits = (
            Statement(
                f"SELECT sleepEachRow(1) FROM numbers({seconds})"
                f" WHERE ({running}) + ({_NOW} <= ({moment})) > 0 SETTINGS max_block_size = 1"
            )
            for seconds in (1, 2, 4, 8, 16)
        )
        refusal = Statement(
            f"SELECT throwIf(({running}) > 0,"
            " 'an INSERT from before is still running. Nothing is lost, run this again')"
        )
        return (*waits, refusal)

    def _check_future(self) -> str:
        source, alias = read_source(self.query)
        said = (
            f"{named(source)} holds rows whose {self.history.time} lies in the future: "
            "they would be missing"
        )
        return (
            f"SELECT throwIf(count() > 0, {quote.string(said)})\n"
            f"FROM {named(source)} AS {alias}\nWHERE {self._column} > now64(3) + 1"
        )

    def _check_cut_was_ahead(self) -> str:
        said = "the cut-over moment was past when it was stored: see docs/recipes.md"
        return (
            f"SELECT throwIf(count() != 1, {quote.string(said)})\nFROM system.parts\n"
            f"WHERE {self._is('table')}\n"
            f"  AND partition = 'cut' AND active AND modification_time < {self._cut}"
        )
