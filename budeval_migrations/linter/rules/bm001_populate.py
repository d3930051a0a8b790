"""BM001: a materialized view that fills itself while rows arrive."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        definition = said.definition
        if definition is None or definition.kind is not Kind.CREATE_MATERIALIZED_VIEW:
            continue
        if "POPULATE" in definition.clauses:
            yield Spot(
                f"{shown(definition.name)} is created with POPULATE: rows that are inserted into "
                "its source meanwhile are not in it",
                said,
            )


RULE = Rule(
    "BM001",
    "populate",
    Severity.ERROR,
    "POPULATE misses the rows that arrive while it runs, and cannot be repeated.",
    "Create the view TO a table without POPULATE, then fill the table with op.backfill.",
    _check,
)
