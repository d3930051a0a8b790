"""BM011: rows that are sorted by a float."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.keys import key_types
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity


def _check(subject: Subject) -> Iterator[Spot]:
    for key in key_types(subject):
        if key.type.name not in ("Float32", "Float64", "BFloat16"):
            continue
        refused = key.clause == "PARTITION BY"
        yield Spot(
            f"{key.column} is a {key.type.name} and stands in {key.clause} of "
            f"{shown(key.table.definition.name)}"
            + (": the server refuses it (36)" if refused else ""),
            key.said,
            severity=Severity.ERROR if refused else None,
        )


RULE = Rule(
    "BM011",
    "float-key",
    Severity.WARNING,
    "Floats that look alike are not always equal: ranges and deduplication by them go wrong.",
    "Use a Decimal or an integer, or leave it out of the key.",
    _check,
)
