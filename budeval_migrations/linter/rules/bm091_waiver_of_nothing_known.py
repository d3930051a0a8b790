"""BM091: a waiver of a rule that does not exist."""

from __future__ import annotations

from budeval_migrations.linter.registry import Rule
from budeval_migrations.model.findings import Severity

RULE = Rule(
    "BM091",
    "unknown-waiver",
    Severity.WARNING,
    "A waiver with a slip in its code waives nothing.",
    "Correct the code; budeval-migrate lint --list shows them all.",
)
