"""Statements of ``op.rebuild_table``. Pure."""

from __future__ import annotations

from budeval_migrations.errors import ConfigError
from budeval_migrations.model import Statement
from budeval_migrations.recipes.all_rows import AllRows, rebuild_all
from budeval_migrations.recipes.creation import read_table
from budeval_migrations.recipes.identifiers import named, read_name
from budeval_migrations.recipes.latest_rows import LatestRows, rebuild_latest


def rebuild_table(
    table: str, create: str, copy: AllRows | LatestRows, kept_as: str, *, recipe: int = 1
) -> tuple[Statement, ...]:
    """Return the statements that give a table another definition while clients use it.

    Args:
        create: The CREATE TABLE that the table shall have.
        kept_as: The old table's name afterwards; with LatestRows until it is dropped. Empty
            for the default.
        recipe: The version of the statements: 1; or 0 with LatestRows.

    Raises:
        ConfigError: A statement creates another table, or there is no such recipe.
        RevisionError: The copy could not be exact.

    """
    said = f"op.rebuild_table({table!r}): "
    if recipe != 1 and not (recipe == 0 and isinstance(copy, LatestRows)):
        raise ConfigError(
            f"{said}there is no recipe {recipe}.",
            hint="The newest is 1. A newer package may know others.",
        )
    name = read_name(table)
    for text in [create, copy.was] if isinstance(copy, AllRows) else [create]:
        made = read_table(text).name
        if made != name:
            raise ConfigError(
                f"{said}the statement creates {named(made)}.",
                hint=f"Write CREATE TABLE IF NOT EXISTS {named(name)} (…)",
            )
    if isinstance(copy, AllRows):
        return rebuild_all(create, copy, read_name(kept_as) if kept_as else None)
    return rebuild_latest(name, create, copy, kept_as or f"{name.name}_old", recipe)
