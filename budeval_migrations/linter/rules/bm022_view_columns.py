"""BM022: a materialized view that writes columns its table does not have."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.select import certain_names
from budeval_migrations.linter.subject import Subject, listed, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.reader import Reader


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        definition = said.definition
        if definition is None or definition.kind is not Kind.CREATE_MATERIALIZED_VIEW:
            continue
        to = definition.clauses.get("TO", "")
        target = Reader(to).name()
        table = said.before.get(target) if target else None
        if target is None or table is None or not table.columns or definition.columns:
            continue
        names = certain_names(definition.clauses.get("AS", ""))
        missing = [name for name in names if name not in table.columns]
        if missing:
            yield Spot(
                f"{shown(definition.name)} yields {listed(missing)}, and {shown(target)} has no "
                f"such column{'s' if len(missing) > 1 else ''}",
                said,
            )


RULE = Rule(
    "BM022",
    "view-columns",
    Severity.ERROR,
    "Columns are matched by name, and the server refuses a view with one that its table does not "
    "have (8).",
    "Give each column of the SELECT the name it has in the table, with AS.",
    _check,
)
