"""BM017: a column of fractions of a second that gets whole ones."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.known import nested
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.linter.types import read_type
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alteration import column_of
from budeval_migrations.sql.definition import Column
from budeval_migrations.sql.reader import Reader


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        for column in _declared(said):
            type = read_type(column.type)
            type = type.inner if type.name == "Nullable" else type
            whole = type.arguments[:1] == ("0",)
            if type.name == "DateTime64" and not whole and _is_now(column.default):
                yield Spot(
                    f"{column.name} is a {column.type}, and its default now() has whole seconds",
                    said,
                    f"Write DEFAULT now64({', '.join(type.arguments[:1])}).",
                )


def _declared(said: Said) -> Iterator[Column]:
    if said.definition is not None:
        for each in said.definition.columns:
            yield from nested(each)
    elif said.alteration is not None:
        table = said.after.get(said.alteration.table)
        for clause in said.alteration.clauses:
            column = column_of(clause)
            if column is not None and column.default and not column.type and table is not None:
                column = (table.columns or {}).get(column.name)
            if column is not None:
                yield column


def _is_now(default: str) -> bool:
    """Tell whether a default is now() and nothing else."""
    reader = Reader(default)
    words = [default[lexeme.start : lexeme.end].lower() for lexeme in reader.rest]
    return (
        words[:1] in (["default"], ["materialized"])
        and words[1:4] == ["now", "(", ")"]
        and (len(words) == 4)
    )


RULE = Rule(
    "BM017",
    "now-for-datetime64",
    Severity.WARNING,
    "now() is a DateTime: rows of the same second cannot be told apart by a column that was "
    "made to tell them apart.",
    "Write now64(), with the column's own precision.",
    _check,
)
