"""Find the types of the columns that tables are sorted and split by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from budeval_migrations.linter.known import Table, names_in
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.linter.types import DataType, read_type
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.definition import split_list

_CLAUSES = ("ORDER BY", "PRIMARY KEY", "PARTITION BY")


@dataclass(frozen=True)
class KeyColumn:
    """A column that stands in a key by itself, in no function."""

    said: Said
    table: Table
    clause: str
    column: str
    type: DataType


def key_types(subject: Subject) -> Iterator[KeyColumn]:
    """Yield the columns of the keys that a revision's statements say."""
    for said in subject.statements:
        altered, definition = said.alteration, said.definition
        clauses: tuple[str, ...] = ()
        if definition is not None and definition.kind is Kind.CREATE_TABLE:
            clauses, name = _CLAUSES, definition.name
        elif altered is not None and ("MODIFY", "ORDER") in {c.head for c in altered.clauses}:
            clauses, name = ("ORDER BY",), altered.table
        table = said.after.get(name) if clauses else None
        if table is None or not table.is_merge_tree or not table.columns:
            continue
        seen = set()
        for clause in clauses:
            for element in split_list(table.definition.clauses.get(clause, "")):
                column = next(names_in(element), "")
                plain = element.replace("`", "").replace('"', "") == column
                if plain and column in table.columns and column not in seen:
                    seen.add(column)
                    type = read_type(table.columns[column].type)
                    yield KeyColumn(said, table, clause, column, type)
