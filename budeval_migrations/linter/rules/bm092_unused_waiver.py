"""BM092: a waiver that waives nothing."""

from __future__ import annotations

from budeval_migrations.linter.registry import Rule
from budeval_migrations.model.findings import Severity

RULE = Rule(
    "BM092",
    "unused-waiver",
    Severity.WARNING,
    "A waiver that is left over hides what comes later.",
    "Take the comment out, or move it to the statement it is meant for.",
)
