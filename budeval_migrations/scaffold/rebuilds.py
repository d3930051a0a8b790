"""The calls of a revision that rebuilds a table, there and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from budeval_migrations.recipes.all_rows import REQUIRES, AllRows, lost_columns
from budeval_migrations.recipes.creation import read_table, why_not_exact
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.recipes.rebuild_table import rebuild_table
from budeval_migrations.scaffold.draft import Call, Execute, Recipe, call_text, literal
from budeval_migrations.sql.changes import Name


@dataclass(frozen=True)
class Rebuild:
    """What a rebuild takes.

    Attributes:
        downgrade: None where it could not be exact; ``irreversible`` says why.
        notes: Paragraphs for the docstring: what readers and writers see meanwhile.
        lost: Columns of the old table that the new one does not get.

    """

    upgrade: tuple[Call, ...]
    downgrade: tuple[Call, ...] | None
    notes: tuple[str, ...]
    lost: tuple[str, ...] = ()
    irreversible: str = ""
    requires: str = REQUIRES


def rebuild(new: str, copy: AllRows, trash: Name) -> Rebuild:
    """Return the calls that turn one table into another one without losing a row.

    Args:
        new: The CREATE TABLE that it shall have.
        copy: The CREATE TABLE that it has, and how its rows are copied.
        trash: The name under which the old table stays when the upgrade is done.

    Raises:
        RevisionError: The copy could not be exact with this engine.

    """
    old = read_table(copy.was)
    table, kept = named(old.name), named(trash)
    upgrade = _call(table, new, copy, kept)
    refusal = why_not_exact(old)
    if refusal:
        downgrade = None
    else:
        back = _call(table, copy.was, replace(copy, was=new, columns=None))
        downgrade = (back, Execute(f"DROP TABLE IF EXISTS {kept}"))
    return Rebuild(
        upgrade=(upgrade,),
        downgrade=downgrade,
        notes=_notes(table, kept, pause=copy.pause),
        lost=lost_columns(new, copy),
        irreversible=f"the copy back could not be exact: {refusal}" if refusal else "",
    )


def _call(table: str, create: str, rows: AllRows, kept_as: str = "") -> Recipe:
    """Return the call of the directive."""
    copied = [f"was={literal(rows.was)}"]
    if rows.columns is not None:
        pairs = (f"{literal(name)}: {literal(what)}" for name, what in rows.columns.items())
        copied.append(f"columns={{{', '.join(pairs)}}}")
    if rows.by != "partition":
        copied.append(f"by={literal(rows.by)}")
    if rows.chunk_rows:
        copied.append(f"chunk_rows={rows.chunk_rows:_}")
    if rows.pause:
        copied.append("pause=True")
    arguments = [literal(table), literal(create), f"copy={call_text('op.AllRows', copied)}"]
    if kept_as:
        arguments.append(f"kept_as={literal(kept_as)}")
    return Recipe(
        "op.rebuild_table",
        (*arguments, "recipe=1"),
        rebuild_table(table, create, rows, kept_as),
    )


def _notes(table: str, trash: str, *, pause: bool) -> tuple[str, ...]:
    """Return the paragraphs of the docstring."""
    paused = (
        "INSERTs are refused for some seconds around the exchange (Code 469, nothing is written, "
        "send them again), so that no materialized view misses one."
        if pause
        else "A materialized view that reads the table may miss an INSERT that meets the exchange "
        "(seen on 26.9); `budeval-migrate new change-order-by --pause` prevents it."
    )
    return (
        f"Clients may read and write {table} meanwhile. docs/recipes.md describes what they see, "
        f"when the revision stops, and what a crash leaves behind. {paused}",
        f"Afterwards the old table is {trash}; `budeval-migrate new drop-table --purge "
        f"{trash}` writes the revision that drops it. The downgrade drops it, and copies "
        "every row back in the same way.",
    )
