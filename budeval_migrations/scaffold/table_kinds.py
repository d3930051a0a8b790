"""Revisions that make, swap, fill and drop whole tables, and one that is still empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.all_rows import AllRows
from budeval_migrations.recipes.creation import create_table, read_table
from budeval_migrations.recipes.identifiers import named, piece, read_column_name, read_name
from budeval_migrations.recipes.selects import with_condition
from budeval_migrations.scaffold.alterations import Look
from budeval_migrations.scaffold.draft import Draft, Execute, Fill
from budeval_migrations.scaffold.rebuilds import rebuild
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import read_definition, split_list

TRASH = "_trash_"


def blank() -> Draft:
    """Write a revision without statements."""
    empty = (Execute(""),)
    return Draft("What this revision does", "revision", empty, empty)


def new_table(
    *,
    table: str,
    columns: Sequence[str] = (),
    order_by: str = "",
    engine: str = "MergeTree",
    partition_by: str = "",
    primary_key: str = "",
    ttl: str = "",
    settings: str = "",
    comment: str = "",
    ddl: str = "",
) -> Draft:
    """Create a table; the downgrade drops it."""
    name = read_name(table)
    clauses = {
        "PARTITION BY": piece(partition_by, "--partition-by") if partition_by else "",
        "PRIMARY KEY": piece(primary_key, "--primary-key") if primary_key else "",
        "ORDER BY": piece(order_by, "--order-by") if order_by else "",
        "TTL": piece(ttl, "--ttl") if ttl else "",
        "SETTINGS": piece(settings, "--settings") if settings else "",
        "COMMENT": quote.string(comment) if comment else "",
    }
    if ddl:
        create = create_table(ddl, name, {word: said for word, said in clauses.items() if said})
    else:
        listed = [
            element for text in columns for element in split_list(f"({piece(text, '--columns')})")
        ]
        if not listed:
            raise ConfigError(
                f"The columns of {named(name)} are not given.",
                hint="--columns 'id UInt64, at DateTime', or --from-ddl FILE.",
            )
        if "MergeTree" in engine and not order_by:
            raise ConfigError(
                f"The key of {named(name)} is not given.",
                hint="--order-by id, or --order-by 'tuple()' for none.",
            )
        create = create_table(
            f"CREATE TABLE t ({', '.join(listed)}) ENGINE = {piece(engine, '--engine')}",
            name,
            clauses,
        )
    return Draft(
        title=f"Create {name.name}",
        slug=f"create_{name.name}",
        upgrade=(Execute(create),),
        downgrade=(Execute(f"DROP TABLE IF EXISTS {named(name)}"),),
        notes=("The downgrade drops the table and what it holds.",),
    )


def drop_table(*, table: str, purge: bool = False, today: date, written: str) -> Draft:
    """Move a table to the trash, or drop one that lies there."""
    name = read_name(table)
    if purge:
        if not name.name.startswith(TRASH):
            raise ConfigError(
                f"--purge drops what lies in the trash, and {named(name)} does not.",
                hint=f"First: budeval-migrate new drop-table {named(name)}",
            )
        return Draft(
            title=f"Purge {name.name}",
            slug=f"purge_{name.name.removeprefix(TRASH)}",
            upgrade=(Execute(f"DROP TABLE IF EXISTS {named(name)}"),),
            downgrade=None,
            destructive=f"drops {name.name} and what it holds",
            irreversible="what was dropped is in a backup, or nowhere",
        )
    trash = trash_name(name, today, written)

    def rename(one: Name, two: Name) -> tuple[Execute]:
        return (Execute(f"RENAME TABLE IF EXISTS {named(one)} TO {named(two)}"),)

    return Draft(
        title=f"Move {name.name} to the trash",
        slug=f"drop_{name.name}",
        upgrade=rename(name, trash),
        downgrade=rename(trash, name),
        notes=(
            f"Nothing is lost: the table is {named(trash)} afterwards, and the downgrade gives it "
            "its name back. `budeval-migrate new drop-table --purge "
            f"{named(trash)}` writes the revision that really drops it.",
        ),
    )


def swap(*, table: str, other: str) -> Draft:
    """Exchange two tables; the downgrade does it again."""
    one, two = read_name(table), read_name(other)
    if one == two:
        raise ConfigError("A table cannot be exchanged with itself.", hint="Name two tables.")
    exchange = (Execute(f"EXCHANGE TABLES {named(one)} AND {named(two)}"),)
    return Draft(
        title=f"Exchange {one.name} and {two.name}",
        slug=f"exchange_{one.name}_and_{two.name}",
        upgrade=exchange,
        downgrade=exchange,
        notes=(
            "Both names are there all the time (an Atomic database is needed). An INSERT that "
            "began before goes on into the table that it began with; one that meets the exchange "
            "may be refused (Code 741), with nothing written, and a materialized view may miss it "
            "(seen on 26.9).",
        ),
    )


def backfill(
    *,
    table: str,
    source: str,
    select: str = "",
    columns: Sequence[str] = (),
    by: str = "",
    chunk_rows: int = 0,
    pause: float = 0.0,
    look: Look,
) -> Draft:
    """Move rows into a table, each exactly once; there is no way back."""
    into, origin = read_name(table), read_name(source, "source")
    text, _ = look(origin)
    found = read_definition(text) if text and not by else None
    if found is not None and "MergeTree" not in found.engine:
        raise ConfigError(
            f"{named(origin)} has no partitions to go by.",
            hint="--by EXPRESSION cuts it into ranges, best of its first column.",
        )
    names = [
        named(read_column_name(name))
        for text in columns
        for name in split_list(piece(text, "--columns"))
    ]
    if not select and not names:
        raise ConfigError(
            f"What goes into {named(into)} is not given.",
            hint="--columns 'id, at' copies columns; --select 'SELECT … FROM … WHERE …' anything.",
        )
    query = (
        piece(select, "--select") if select else f"SELECT {', '.join(names)} FROM {named(origin)}"
    )
    if "{chunk}" not in query:
        query = with_condition(query, "{chunk}")
    fill = Fill(
        named(into),
        query,
        named(origin),
        piece(by, "--by") if by else "partition",
        tuple(names),
        chunk_rows,
        pause,
    )
    return Draft(
        title=f"Fill {into.name} from {origin.name}",
        slug=f"fill_{into.name}_from_{origin.name}",
        upgrade=(fill,),
        downgrade=None,
        notes=(
            "The rows that the SELECT takes must not change while it runs: if somebody writes "
            "to the source, say up to which moment it reads.",
        ),
        irreversible="the rows that were moved cannot be told from others",
    )


def change_order_by(
    *,
    table: str,
    order_by: str = "",
    partition_by: str = "",
    primary_key: str = "",
    engine: str = "",
    by: str = "",
    chunk_rows: int = 0,
    pause: bool | None = None,
    views: Sequence[str] = (),
    today: date,
    written: str,
    look: Look,
) -> Draft:
    """Rebuild a table with another key, partitioning or engine while it is in use.

    Args:
        pause: Refuse INSERTs around the exchange; None: where a view reads the table.
        views: The materialized views that are known to read it.

    """
    name = read_name(table)
    text, where = look(name)
    if not text:
        raise ConfigError(
            f"What {named(name)} is now is not known: no server has the table.",
            hint="--from-ddl FILE has its CREATE TABLE (SHOW CREATE TABLE prints it).",
        )
    changed = _changes(name, order_by, partition_by, primary_key, engine)
    read_table(text, where)
    asked = bool(views) if pause is None else pause
    chunks = piece(by, "--by") if by else "partition"
    found = rebuild(
        create_table(text, name, changed),
        AllRows(create_table(text, name), by=chunks, chunk_rows=chunk_rows, pause=asked),
        trash_name(name, today, written),
    )
    said = ", ".join(f"{word} {now}" for word, now in changed.items() if now)
    return Draft(
        title=f"Rebuild {name.name} with {said}",
        slug=f"rebuild_{name.name}",
        upgrade=found.upgrade,
        downgrade=found.downgrade,
        notes=found.notes,
        irreversible=found.irreversible,
        requires=found.requires,
        notices=tuple(_notices(name, views if asked else (), by)),
    )


def _changes(
    name: Name, order_by: str, partition_by: str, primary_key: str, engine: str
) -> dict[str, str]:
    """Return the clauses of the CREATE TABLE that are to be others."""
    given = {
        "ORDER BY": (order_by, "--order-by"),
        "PARTITION BY": (partition_by, "--partition-by"),
        "PRIMARY KEY": (primary_key, "--primary-key"),
        "ENGINE": (engine, "--engine"),
    }
    changed = {word: piece(said, flag) for word, (said, flag) in given.items() if said}
    if not changed:
        raise ConfigError(
            f"What is to change of {named(name)} is not given.",
            hint="--order-by '(site, at)', --partition-by, --primary-key or --engine.",
        )
    if order_by and not primary_key:
        # One that was given must begin the sorting key, which is another now.
        changed["PRIMARY KEY"] = ""
    return changed


def _notices(name: Name, paused: Sequence[str], by: str) -> Iterator[str]:
    """Yield what a person should know before it runs.

    Args:
        paused: The views for whose sake INSERTs are refused for a while.

    """
    if paused:
        yield (
            f"{', '.join(paused)} reads {named(name)}: INSERTs will be refused for some seconds "
            "around the exchange, so that it misses none (--no-pause leaves that out)."
        )
    if not by:
        yield "The copy goes partition by partition; --by EXPRESSION cuts it finer."


def trash_name(name: Name, today: date, written: str = "") -> Name:
    """Return the name under which a table lies in the trash.

    Args:
        written: The text of all revisions, of which none may know that name yet.

    """
    first = f"{TRASH}{name.name}_{today:%Y%m%d}"
    names = (first if n == 1 else f"{first}_{n}" for n in count(1))
    return Name(next(each for each in names if each not in written), name.database)
