"""BM008: a change of type that has no place for every value."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.retyped import retyped
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.linter.types import TypeEffect
from budeval_migrations.model.findings import Severity


def _check(subject: Subject) -> Iterator[Spot]:
    for change in retyped(subject):
        if change.effect is TypeEffect.NARROW:
            yield Spot(
                f"{change.column} of {shown(change.table)} goes from {change.old} to {change.new}, "
                "which has no place for every value",
                change.said,
            )


RULE = Rule(
    "BM008",
    "narrowing-type",
    Severity.ERROR,
    "The values that do not fit are cut off without a word, or the mutation fails and stays in "
    "the table's way.",
    "Add a column of the new type, fill it with a conversion you chose, and check before the old "
    "one goes.",
    _check,
)
