"""Find the columns whose type a revision changes, and what that does to the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.linter.types import TypeEffect, change, read_type
from budeval_migrations.sql.alteration import column_of
from budeval_migrations.sql.changes import Name


@dataclass(frozen=True)
class Retyped:
    """A change of a column's type.

    Attributes:
        effect: What it does to the rows that are there.

    """

    said: Said
    table: Name
    column: str
    old: str
    new: str
    effect: TypeEffect


def retyped(subject: Subject) -> Iterator[Retyped]:
    """Yield the upgrade's changes of type in tables that were there before.

    A downgrade goes back to a narrower type by its nature.
    """
    for said in subject.up:
        altered = said.alteration
        table = said.before.get(altered.table) if altered else None
        if altered is None or table is None or not table.columns or said.makes(table):
            continue
        for clause in altered.clauses:
            declared = column_of(clause) if clause.head[0] != "ADD" else None
            if declared is None or not declared.type or declared.name not in table.columns:
                continue
            if table.added.get(declared.name) == said.maker:
                continue
            old = table.columns[declared.name].type
            found = change(read_type(old), read_type(declared.type)) if old else None
            if found is not None:
                yield Retyped(said, altered.table, declared.name, old, declared.type, found)
