"""A materialized view with a table of its own, filled with what is there already, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.all_rows import REQUIRES
from budeval_migrations.recipes.creation import create_table
from budeval_migrations.recipes.identifiers import named, piece, read_column_name, read_name
from budeval_migrations.recipes.selects import read_source
from budeval_migrations.recipes.view_history import view_with_history
from budeval_migrations.recipes.view_parts import History, OwnTable
from budeval_migrations.scaffold.draft import Call, Draft, Execute, Recipe, literal
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import split_list


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
    source, _ = read_source(query)
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
    made = _View(name, table, query)
    if backfill:
        chunks = piece(by, "--by") if by else "partition"
        column = read_column_name(time_column)
        return made.with_history(create, History(column, by=chunks, chunk_rows=chunk_rows))
    return Draft(
        title=f"Create the materialized view {name.name}",
        slug=f"create_{name.name}",
        upgrade=(Execute(create), made.create()),
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
    """A view, the table that it fills, and its SELECT."""

    name: Name
    table: Name
    query: str

    def create(self) -> Execute:
        """Return the statement that creates the view."""
        return Execute(
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {named(self.name)} TO {named(self.table)} AS\n"
            + self.query
        )

    def drops(self, *between: Call) -> tuple[Call, ...]:
        """Return the downgrade: the view goes first, its table last."""
        return (
            Execute(f"DROP VIEW IF EXISTS {named(self.name)}"),
            *between,
            Execute(f"DROP TABLE IF EXISTS {named(self.table)}"),
        )

    def with_history(self, create: str, history: History) -> Draft:
        """Return the draft that fills the view with what its source holds already."""
        source, into = read_source(self.query)[0], OwnTable(named(self.table))
        moments = Name(f"{self.name.name}_moments", self.name.database)
        recipe = Recipe(
            "op.create_view_with_history",
            (
                literal(named(self.name)),
                literal(self.query),
                f"history={_history(history)}",
                f"into=op.OwnTable({literal(into.table)})",
                "recipe=1",
            ),
            view_with_history(named(self.name), self.query, history, into, recipe=1),
        )
        return Draft(
            title=f"Create the materialized view {self.name.name} and fill it with what "
            f"{source.name} holds",
            slug=f"create_{self.name.name}",
            upgrade=(Execute(create), recipe),
            downgrade=self.drops(Execute(f"DROP TABLE IF EXISTS {named(moments)}")),
            notes=(
                f"Clients may insert into {source.name} meanwhile. `{history.time}` has to be set "
                "by the server when a row is inserted (DEFAULT now()). The users that insert need "
                f"SELECT on {moments.name} while it exists. docs/recipes.md describes the steps, "
                f"the limits and what a crash leaves behind. The downgrade drops the view and "
                f"{self.table.name}.",
            ),
            requires=REQUIRES,
        )


def _history(history: History) -> str:
    options = [literal(history.time)]
    if history.by != "partition":
        options.append(f"by={literal(history.by)}")
    if history.chunk_rows:
        options.append(f"chunk_rows={history.chunk_rows:_}")
    return f"op.History({', '.join(options)})"
