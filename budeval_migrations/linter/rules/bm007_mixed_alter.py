"""BM007: one ALTER that changes the definition and the rows."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Watch


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        altered = said.alteration
        if altered is None:
            continue
        rows = [c.head for c in altered.clauses if c.rule.watch is Watch.MUTATIONS]
        definition = [c.head for c in altered.clauses if c.rule.watch is Watch.TABLES]
        if rows and definition:
            yield Spot(
                f"{' '.join(definition[0])} and {' '.join(rows[0]).strip()} of "
                f"{shown(altered.table)} in one ALTER are not one change: the first stays when "
                "the second fails",
                said,
            )


RULE = Rule(
    "BM007",
    "mixed-alter",
    Severity.WARNING,
    "An ALTER with a mutation in it is not atomic.",
    "Write two statements, the definition first; the journal then knows which one took effect.",
    _check,
)
