"""BM009: a change of type that rewrites the column in every part."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.retyped import retyped
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.linter.types import TypeEffect
from budeval_migrations.model.findings import Severity


def _check(subject: Subject) -> Iterator[Spot]:
    for change in retyped(subject):
        if change.effect is TypeEffect.REWRITE:
            yield Spot(
                f"{change.column} of {shown(change.table)} goes from {change.old} to {change.new}, "
                "which rewrites the column in every part",
                change.said,
            )


RULE = Rule(
    "BM009",
    "rewriting-type",
    Severity.WARNING,
    "It is a mutation of the whole table, which the run waits for, and which later ones wait for.",
    "Do it when there is time for it, and say so in a waiver; or add a column of the new type.",
    _check,
)
