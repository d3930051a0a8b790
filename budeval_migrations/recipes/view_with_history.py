"""A materialized view with a table of its own, filled with what is there already, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.creation import create_table
from budeval_migrations.recipes.draft import Call, Draft, Execute, Fill, Line, Unless, literal
from budeval_migrations.recipes.identifiers import named, piece, read_column_name, read_name
from budeval_migrations.recipes.selects import read_source, with_condition
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import read_column, split_list
from budeval_migrations.sql.reader import lexemes

REQUIRES = "23.8"
_PRELUDE = '''
def note(kind: str, moment: str) -> None:
    """Store a moment, once; VALUES, so that it can be told whether that happened."""
    op.execute_unless(
        f"SELECT 1 FROM {MOMENTS} WHERE kind = '{kind}'",
        f"INSERT INTO {MOMENTS} (kind, moment) VALUES ('{kind}', {moment})",
    )


def let_inserts_end(kind: str) -> None:
    """Wait until every INSERT that began before a moment has ended; refuse after a while."""
    now = "toUnixTimestamp64Milli(now64(3))"
    moment = f"SELECT toUnixTimestamp64Milli(moment) + 100 FROM {MOMENTS} WHERE kind = '{kind}'"
    running = f"""
    SELECT count() FROM system.processes
    WHERE query_kind IN ('Insert', 'AsyncInsertFlush') AND {now} - elapsed * 1000 <= ({moment})
"""
    # A row a block: a server allows three seconds of sleep in one.
    for seconds in (1, 2, 4, 8, 16):
        op.execute(
            f"SELECT sleepEachRow(1) FROM numbers({seconds})"
            f" WHERE ({running}) + ({now} <= ({moment})) > 0 SETTINGS max_block_size = 1"
        )
    op.execute(
        f"SELECT throwIf(({running}) > 0,"
        " 'an INSERT from before is still running. Nothing is lost, run this again')"
    )
'''


def materialized_view(
    *,
    view: str,
    select: str,
    order_by: str = "",
    engine: str = "MergeTree",
    partition_by: str = "",
    target: str = "",
    columns: Sequence[str] = (),
    time_column: str = "",
    by: str = "",
    chunk_rows: int = 0,
    backfill: bool = True,
) -> Draft:
    """Create a materialized view, its table, and its history.

    Args:
        columns: The table's, in the words of a CREATE TABLE.
        time_column: When a row was inserted, as the server sets it: ``DEFAULT now()``.
        backfill: Whether what is there already goes into it.

    """
    name = read_name(view, "view")
    query = piece(select, "--select")
    source, alias = read_source(query)
    table = read_name(target) if target else Name(f"{name.name}_data", name.database)
    if table == name:
        raise ConfigError(
            f"The view and its table cannot both be {named(name)}.", hint="Choose another --target."
        )
    if backfill and not time_column:
        raise ConfigError(
            f"What {named(source)} holds already cannot be told from what arrives meanwhile.",
            hint="--time-column names the column that the server sets when a row is inserted "
            "(created_at DateTime DEFAULT now()); --no-backfill begins with an empty view.",
        )
    listed = [e for text in columns for e in split_list(f"({piece(text, '--columns')})")]
    create = _create(table, listed, engine, partition_by, order_by)
    made = _View(name, table, query, source, alias, tuple(listed))
    if backfill:
        return made.with_history(create, time_column, by, chunk_rows)
    return Draft(
        title=f"Create the materialized view {name.name}",
        slug=f"create_{name.name}",
        upgrade=(Execute(create), Execute(made.create(query))),
        downgrade=made.drops(),
        notes=(f"It takes what is inserted into {source.name} from now on.",),
    )


def _create(
    table: Name, listed: Sequence[str], engine: str, partition_by: str, order_by: str
) -> str:
    """Return the CREATE TABLE of the view's table."""
    if not listed:
        raise ConfigError(
            f"The columns of {named(table)} are not known: no server could be asked what the "
            "SELECT yields.",
            hint="--columns 'day Date, visits UInt64', in the names of the SELECT.",
        )
    if "MergeTree" in engine and not order_by:
        raise ConfigError(
            f"The key of {named(table)} is not given.", hint="--order-by day, such as the GROUP BY."
        )
    clauses = {
        "PARTITION BY": piece(partition_by, "--partition-by") if partition_by else "",
        "ORDER BY": piece(order_by, "--order-by") if order_by else "",
    }
    return create_table(
        f"CREATE TABLE t ({', '.join(listed)}) ENGINE = {piece(engine, '--engine')}", table, clauses
    )


@dataclass(frozen=True)
class _View:
    """A view, the table that it fills, and its SELECT.

    Attributes:
        alias: The source's name in the SELECT.
        listed: The table's columns, as they are declared.

    """

    name: Name
    table: Name
    query: str
    source: Name
    alias: str
    listed: tuple[str, ...]

    @property
    def moments(self) -> Name:
        """The helper table that keeps the moments that were chosen."""
        return Name(f"{self.name.name}_moments", self.name.database)

    def create(self, query: str) -> str:
        """Return the statement that creates the view over a SELECT."""
        return (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {named(self.name)} TO {named(self.table)} AS\n"
            + query
        )

    def drops(self, *between: Call) -> tuple[Call, ...]:
        """Return the downgrade: the view goes first, its table last."""
        return (
            Execute(f"DROP VIEW IF EXISTS {named(self.name)}"),
            *between,
            Execute(f"DROP TABLE IF EXISTS {named(self.table)}"),
        )

    def with_history(self, create: str, time_column: str, by: str, chunk_rows: int) -> Draft:
        """Return the draft that fills the view with what its source holds already."""
        moments = named(self.moments)
        column = f"{self.alias}.{named(read_column_name(time_column))}"
        cut = f"(SELECT moment FROM {moments} WHERE kind = 'cut')"
        before = with_condition(self.query, f"{column} < {cut} AND {{chunk}}")
        names = tuple(named(_column_name(element)) for element in self.listed)
        fill = Fill(
            named(self.table),
            f"SELECT {', '.join(names)} FROM (\n{before}\n)",
            named(self.source),
            piece(by, "--by") if by else "partition",
            names,
            chunk_rows,
        )
        source = self.source.name
        return Draft(
            title=f"Create the materialized view {self.name.name} and fill it with what {source} "
            "holds",
            slug=f"create_{self.name.name}",
            upgrade=(
                Execute(create),
                *self._cut_over(time_column, column, cut),
                fill,
                *self._end(),
            ),
            downgrade=self.drops(Execute(f"DROP TABLE IF EXISTS {moments}")),
            notes=_notes(self.source, self.table, self.moments, time_column),
            prelude=f"MOMENTS = {literal(moments)}\n\n{_PRELUDE}",
            requires=REQUIRES,
        )

    def _cut_over(self, time_column: str, column: str, cut: str) -> tuple[Call, ...]:
        """Return the calls that create the view and let it take rows from a moment on."""
        moments = named(self.moments)
        since = with_condition(
            self.query,
            f"{column} >= cut_over.cut_over_moment",
            f" CROSS JOIN (SELECT moment AS cut_over_moment FROM {moments} WHERE kind = 'cut')"
            " AS cut_over",
        )
        return (
            Execute(
                f"CREATE TABLE IF NOT EXISTS {moments}\n(\n    kind String,\n"
                "    moment DateTime64(3)\n)\nENGINE = MergeTree\nPARTITION BY kind\nORDER BY kind"
            ),
            Execute(
                self.create(since),
                "Looks the moment up for every block of rows; takes none while there is none.",
            ),
            Line('note("created", "now64(3)")'),
            Line('let_inserts_end("created")'),
            Execute(
                f"SELECT throwIf(count() > 0, {_said(self.source, time_column)})\n"
                f"FROM {named(self.source)} AS {self.alias}\nWHERE {column} > now64(3) + 1"
            ),
            Line('note("cut", "toStartOfSecond(now64(3)) + 5")'),
            Execute(_stored_in_time(self.moments, cut)),
            Execute(
                "SELECT sleepEachRow(0.25) FROM numbers(40)\nWHERE number * 250 < "
                f"toUnixTimestamp64Milli({cut}) - toUnixTimestamp64Milli(now64(3))\n"
                "SETTINGS max_block_size = 1"
            ),
            Line('let_inserts_end("cut")'),
        )

    def _end(self) -> tuple[Call, ...]:
        """Return the calls that take the condition out, and the helper table away."""
        return (
            Execute(
                f"ALTER TABLE {named(self.name)} MODIFY QUERY\n{self.query}",
                "Without the condition.",
            ),
            Line('note("unfiltered", "now64(3)")'),
            Line('let_inserts_end("unfiltered")'),
            Unless(
                f"SELECT 1 WHERE ({_tables(self.moments)}) = 0",
                f"DROP TABLE IF EXISTS {named(self.moments)}",
                "With a probe, so that what was asked above is on record before.",
            ),
        )


def _column_name(element: str) -> str:
    return read_column(element, lexemes(element)).name


def _said(source: Name, column: str) -> str:
    return quote.string(
        f"{named(source)} holds rows whose {column} lies in the future: they would be missing"
    )


def _tables(name: Name) -> str:
    database = quote.string(name.database) if name.database else "currentDatabase()"
    return (
        f"SELECT count() FROM system.tables WHERE database = {database} "
        f"AND name = {quote.string(name.name)}"
    )


def _stored_in_time(moments: Name, cut: str) -> str:
    database = quote.string(moments.database) if moments.database else "currentDatabase()"
    said = "the cut-over moment was past when it was stored: see this revision's docstring"
    return (
        f"SELECT throwIf(count() != 1, {quote.string(said)})\nFROM system.parts\n"
        f"WHERE database = {database} AND table = {quote.string(moments.name)}\n"
        f"  AND partition = 'cut' AND active AND modification_time < {cut}"
    )


def _notes(source: Name, table: Name, moments: Name, time_column: str) -> tuple[str, ...]:
    return (
        f"How it stays exact while clients insert into {source.name}: the view is created first "
        "and takes nothing. When every INSERT that began before it has ended, a moment some "
        f"seconds ahead is stored in {moments.name}; from then on the view takes rows with "
        f"`{time_column}` at or after the moment. When the moment is past and every INSERT that "
        "began before it has ended, op.backfill fills in the rows before it. Then the condition "
        "is taken out of the view.",
        f"`{time_column}` has to be set by the server when a row is inserted (DEFAULT now()): a "
        "row that a client stamps ahead or behind while this runs may be missed or counted "
        f"twice. The users that insert need SELECT on {moments.name} while it exists. INSERTs that "
        "the server makes itself (Kafka, Buffer) are not waited for.",
        "It stops and says so, with nothing lost, when an INSERT of any table runs on for "
        "more than half a minute: run it again. If the server took seconds to store the moment, "
        "until it was past, it stops as well: then mark the statement as applied "
        "(`budeval-migrate repair`), let it finish, take the revision back and apply it again. "
        f"The downgrade drops the view and {table.name}.",
    )
