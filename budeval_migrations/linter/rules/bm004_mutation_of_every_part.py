"""BM004: a mutation that rewrites a table, where a partition would do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity

_CHANGES = {("UPDATE", ""): "UPDATE", ("DELETE", "WHERE"): "DELETE"}


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        altered = said.alteration
        table = said.before.get(altered.table) if altered else None
        if altered is None or said.makes(table):
            continue
        if table is not None and "PARTITION BY" not in table.definition.clauses:
            continue  # it is one partition
        for clause in altered.clauses:
            if clause.head not in _CHANGES:
                continue
            if ("IN", "PARTITION") not in pairwise(clause.reader.outer()):
                yield Spot(
                    f"{_CHANGES[clause.head]} of {shown(altered.table)} is a mutation of every "
                    "partition",
                    said,
                )


RULE = Rule(
    "BM004",
    "mutation-of-every-part",
    Severity.WARNING,
    "A mutation reads every part and rewrites those that have a row to change, "
    "and every later one waits for it.",
    "Write IN PARTITION, one statement a partition; or fill a new table with op.backfill.",
    _check,
)
