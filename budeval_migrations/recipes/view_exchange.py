"""Put a materialized view with its history in the place of another one, while clients insert.

The new view is built beside the old one and exchanged with it. It takes only rows whose time
is at or after T; rows before T are aggregated from the source. T is chosen when every INSERT
that may not know the new view has ended. Pure: text in, statements out.
``tests/versions/test_writers.py`` holds it on ClickHouse 26.9 with writers beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from budeval_migrations.model import Backfill, Statement
from budeval_migrations.recipes.all_rows import INSERTS
from budeval_migrations.recipes.identifiers import named, read_column_name
from budeval_migrations.recipes.selects import read_columns, read_source, with_source
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
from budeval_migrations.sql.definition import read_column, split_list
from budeval_migrations.sql.reader import lexemes

_BUDEVAL = "004_optimize_materialized_view"
# Makes a backfill read in one chunk, where that is little.
_ALL_ROWS = 10**18
# One block is one part, which is there as a whole or not at all.
_AS_ONE_PART = """
SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 1000000000,
    min_insert_block_size_bytes = 1000000000000
"""
# `plan --rehearse` and `verify` run where nobody else is; there is nobody to wait for.
_IN_SHADOW = "(SELECT count() FROM system.macros WHERE macro = 'migrations_stage')"


@dataclass(frozen=True)
class Exchange:
    """The statements that put a view in the place of another one.

    Attributes:
        name: The view's.
        select: Its SELECT, without WHERE.
        recipe: 0 gives the statements of budeval's 004, which waits only for INSERTs that name
            the source.

    """

    name: str
    select: str
    history: History
    into: OwnTable | InnerTable
    recipe: int

    def statements(self) -> tuple[Statement, ...]:
        """Return what is sent, in order."""
        into = self.into
        filled = self._fill_own(into) if isinstance(into, OwnTable) else self._fill_inner(into)
        return (*self._begin(), *filled, *self._end())

    def _fill_own(self, into: OwnTable) -> tuple[Statement, ...]:
        after = f"SELECT * FROM ({self._late_rows()}) WHERE {{chunk}}"
        # The table of budeval's view has the columns in the order of its SELECT.
        columns = tuple(map(named, read_columns(self.select))) if self.recipe else ()
        return (
            _backfill(into.table, self._old_rows(" AND {chunk}"), self._source, columns),
            Statement(self._exchange()),
            *self._choose_cut(),
            _backfill(into.table, after, self._source, columns, in_one=True),
            Statement(self._take_filter_out()),
        )

    def _fill_inner(self, into: InnerTable) -> tuple[Statement, ...]:
        """Return INSERTs with probes: a backfill needs the table's name."""
        old = _has_not(self._new, into.instead_of.table, self.recipe)
        column, value = next(iter(into.mark.items()))
        marked = f"{named(self.name)}\nWHERE {column} = {value}"
        return (
            Statement(
                f"INSERT INTO {named(self._new)} {self._old_rows()} {_AS_ONE_PART}",
                unless=f"SELECT 1 FROM {named(self._new)} LIMIT 1",
            ),
            Statement(
                self._exchange(),
                unless=_has_not(self.name, into.instead_of.table, self.recipe),
            ),
            *self._choose_cut(),
            Statement(
                f"INSERT INTO {named(self.name)} {self._late_rows_and_mark(into)} {_AS_ONE_PART}",
                unless=f"\nSELECT 1 FROM {marked} LIMIT 1\n UNION ALL {old}",
            ),
            Statement(
                f"ALTER TABLE {named(self.name)} DELETE WHERE {column} = {value}\n"
                "SETTINGS mutations_sync = 1",
                unless="\nSELECT 1 WHERE (\n    SELECT count() FROM "
                + marked.replace("\n", "\n    ")
                + "\n) = 0\n",
            ),
            Statement(self._take_filter_out(), unless=old),
        )

    @property
    def _new(self) -> str:
        return f"{self.name}_new"

    @property
    def _moments(self) -> str:
        return f"{self.name}_moments"

    @property
    def _future(self) -> str:
        """Rows that a client stamped in the future: the view has not seen them."""
        return f"{self.name}_future"

    @property
    def _source(self) -> str:
        return read_source(self.select)[0].name

    @property
    def _table(self) -> str:
        """The source as it stands behind FROM."""
        alias = read_source(self.select)[1]
        plain = named(self._source)
        return plain if alias == plain else f"{plain} AS {alias}"

    def _over(self, source: str) -> str:
        return with_source(self.select, source)

    def _moment(self, kind: str) -> str:
        """Return a moment that was chosen, as a scalar."""
        return f"(SELECT moment FROM {named(self._moments)} WHERE kind = {quote.string(kind)})"

    def _begin(self) -> tuple[Statement, ...]:
        """Return the new view, which takes no rows yet, and the moment that history ends at."""
        moments, time = named(self._moments), self.history.time
        columns = [*split_list(f"({self.history.columns})"), f"{time} DateTime64(3)"]
        create_future = (
            f"CREATE TABLE IF NOT EXISTS {named(self._future)}\n(\n    "
            + ",\n    ".join(columns)
            + "\n)\nENGINE = MergeTree\nORDER BY tuple()"
        )
        # For each block of rows: ClickHouse keeps the value of a scalar for a whole INSERT.
        since_cut = (
            f"{self._table}\n"
            f"CROSS JOIN (SELECT moment FROM {moments} WHERE kind = 'cut') AS cut\n"
            f"WHERE {time} >= cut.moment"
        )
        check = check_time(Name(self._source), read_column_name(time))
        return (
            *((check,) if self.recipe else ()),
            create_moments(moments),
            Statement(create_future),
            Statement(
                f"CREATE MATERIALIZED VIEW IF NOT EXISTS {named(self._new)}\n{self.into.clause}\n"
                f"AS {self._over(since_cut).rstrip()}"
            ),
            self._choose("settled", "now() - 60"),
            self._check_inserts_ended("settled"),
            _backfill(
                self._future,
                f"SELECT {self._columns()}, {time} FROM {named(self._source)} "
                f"WHERE {time} > now64(3) AND {{chunk}}",
                self._source,
                in_one=True,
            ),
        )

    def _choose_cut(self) -> tuple[Statement, ...]:
        """Return the choice of T, when the new view is in place, and the wait until it is past."""
        cut, time, source = self._moment("cut"), self.history.time, named(self._source)
        recent = f"SELECT count() FROM {source} WHERE {time} BETWEEN now() - 60 AND now()"
        where = "docs/recipes.md" if self.recipe else f"the docstring of {_BUDEVAL}"
        said = f"the cut-over moment was past when it was stored: see {where}"
        return (
            self._choose("exchanged", "now64(3)"),
            *self._let_inserts_end("exchanged"),
            self._choose("cut", f"now() + multiIf({_IN_SHADOW} > 0, -1, ({recent}) > 0, 5, 2)"),
            Statement(
                f"SELECT throwIf(\n    count() != 1 AND {_IN_SHADOW} = 0,\n"
                f"    {quote.string(said)}\n)\nFROM system.parts\n"
                f"WHERE database = currentDatabase() AND table = {quote.string(self._moments)}\n"
                f"  AND partition = 'cut' AND active AND modification_time < {cut}"
            ),
            wait_until(cut),
            *self._let_inserts_end("cut"),
        )

    def _end(self) -> tuple[Statement, ...]:
        """Return the removal of the old view and of the helper tables."""
        return (
            Statement(f"DROP TABLE IF EXISTS {named(self._new)}"),
            Statement(f"DROP TABLE IF EXISTS {named(self._future)}"),
            self._choose("unfiltered", "now64(3)"),
            *self._let_inserts_end("unfiltered"),
            # Has a probe so that the check above, which could not be repeated, is on record.
            Statement(
                f"DROP TABLE IF EXISTS {named(self._moments)}",
                unless="\nSELECT 1 WHERE (\n    SELECT count() FROM system.tables\n"
                f"    WHERE database = currentDatabase() AND name = {quote.string(self._moments)}\n"
                ") = 0\n",
            ),
        )

    def _exchange(self) -> str:
        return f"EXCHANGE TABLES {named(self.name)} AND {named(self._new)}"

    def _take_filter_out(self) -> str:
        """Return the MODIFY QUERY; servers before 23.12 need the setting.

        FORMAT ends the SELECT, so that SETTINGS belongs to the ALTER and not to the view.
        https://github.com/ClickHouse/ClickHouse/pull/57311
        """
        return (
            f"ALTER TABLE {named(self.name)} MODIFY QUERY {self.select}\n"
            "FORMAT Null\nSETTINGS allow_experimental_alter_materialized_view_structure = 1"
        )

    def _old_rows(self, more: str = "") -> str:
        """Return the SELECT of what was settled before the new view was made."""
        before = f"{self.history.time} < {self._moment('settled')}{more}"
        return self._over(f"{self._table} WHERE {before}")

    def _late_rows(self) -> str:
        """Return the SELECT of what came since, until T."""
        columns, time = self._columns(), self.history.time
        columns += f", {time}" if self.recipe else ""
        alias = f" AS {read_source(self.select)[1]}" if self.recipe else ""
        return self._over(
            f"(\n    SELECT {columns}\n    FROM {named(self._source)}\n"
            f"    WHERE {time} >= {self._moment('settled')} AND {time} < {self._moment('cut')}\n"
            f"    UNION ALL\n    SELECT {columns}\n    FROM {named(self._future)}\n"
            f"    WHERE {time} >= {self._moment('cut')}\n){alias}"
        )

    def _late_rows_and_mark(self, into: InnerTable) -> str:
        """Return the same with a row that shows that they are there."""
        values = [
            f"{into.mark[name]} AS {name}" if name in into.mark else expression
            for name, expression in read_columns(self.select).items()
        ]
        mark = (
            "    SELECT\n        "
            + ",\n        ".join(values)
            + f"\n    FROM {self._table}\n    WHERE 0"
        )
        return f"\nSELECT * FROM\n(\n    {self._late_rows()}\n    UNION ALL\n{mark}\n)\n"

    def _columns(self) -> str:
        declared = split_list(f"({self.history.columns})")
        return ", ".join(named(read_column(text, lexemes(text)).name) for text in declared)

    def _choose(self, kind: str, value: str) -> Statement:
        """Return the INSERT of a moment; VALUES, so that it can be told whether it happened."""
        return Statement(
            f"INSERT INTO {named(self._moments)} (kind, moment) "
            f"VALUES ({quote.string(kind)}, {value})"
        )

    def _let_inserts_end(self, kind: str) -> tuple[Statement, ...]:
        """Return the wait until every INSERT that began before a moment has ended."""
        waits = (
            Statement(
                f"SELECT sleepEachRow(1) FROM numbers({seconds})"
                f" WHERE {self._inserts_before(kind)} > 0 SETTINGS max_block_size = 1"
            )
            for seconds in (1, 10)
        )
        return (*waits, self._check_inserts_ended(kind))

    def _check_inserts_ended(self, kind: str) -> Statement:
        """Return the refusal while a moment is not past, or an INSERT from before it runs."""
        into = "" if self.recipe else f" into {self._source}"
        said = f"a long INSERT{into} is running. Nothing is lost, run this again"
        return Statement(
            f"SELECT throwIf(\n    now64(3) < {self._moment(kind)} OR "
            f"{self._inserts_before(kind)} > 0,\n    {quote.string(said)}\n)"
        )

    def _inserts_before(self, kind: str) -> str:
        """Return how many INSERTs run that began before a moment, as a scalar.

        'system.processes' in a query's text leaves these queries themselves out.
        """
        names_source = (
            "positionCaseInsensitive(query, 'insert') > 0\n"
            f"      AND positionCaseInsensitive(query, {quote.string(self._source)}) > 0\n"
            "      AND positionCaseInsensitive(query, 'system.processes') = 0"
        )
        return (
            "(\n    SELECT count() FROM system.processes\n"
            f"    WHERE {INSERTS if self.recipe else names_source}\n"
            "      AND elapsed + 0.1 >=\n"
            "          (toUnixTimestamp64Milli(now64(3)) - "
            f"toUnixTimestamp64Milli({self._moment(kind)})) / 1000\n)"
        )


def _backfill(
    into: str, select: str, source: str, columns: tuple[str, ...] = (), *, in_one: bool = False
) -> Statement:
    by, rows = ("1", _ALL_ROWS) if in_one else ("partition", Backfill.CHUNK_ROWS)
    asked = Backfill(named(into), select, named(source), by, rows, columns)
    return Statement(asked.insert, backfill=asked)


_IDENTIFIER = r"(?:`(?:[^`\\]|\\.)*`|\w+)"
# How the DDL of a view begins that fills a named table; its columns come after that.
_NAMES_ONE = rf"^CREATE MATERIALIZED VIEW {_IDENTIFIER}\.{_IDENTIFIER}[^(`]* TO "


def _has_not(view: str, table: str, recipe: int) -> str:
    """Return a probe that yields a row where a view has another table than this one.

    The other one is the view's own, which has no name.
    """
    named_one = f"NOT match(create_table_query, {quote.string(_NAMES_ONE)})"
    # The name of the table may also be that of a column.
    told = named_one if recipe else f"position(create_table_query, {quote.string(table)}) = 0"
    return (
        "\nSELECT 1 FROM system.tables\n"
        f"WHERE database = currentDatabase() AND name = {quote.string(view)}\n"
        f"  AND {told}\n"
    )
