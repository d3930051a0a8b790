"""BM010: a sorting or partition key that may be NULL."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.keys import key_types
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity


def _check(subject: Subject) -> Iterator[Spot]:
    for key in key_types(subject):
        allowed = key.table.definition.settings.get("allow_nullable_key", "0")
        one = key.type.inner if key.type.name == "LowCardinality" else key.type
        if one.name == "Nullable" and allowed in ("0", "false"):
            yield Spot(
                f"{key.column} is Nullable and stands in {key.clause} of "
                f"{shown(key.table.definition.name)}: the server refuses it (44)",
                key.said,
            )


RULE = Rule(
    "BM010",
    "nullable-key",
    Severity.ERROR,
    "The server refuses a Nullable key (44) unless allow_nullable_key is set.",
    "Give the column a default in place of Nullable, or leave it out of the key.",
    _check,
)
