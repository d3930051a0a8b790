"""BM090: a waiver that gives no reason."""

from __future__ import annotations

from budeval_migrations.linter.registry import Rule
from budeval_migrations.model.findings import Severity

RULE = Rule(
    "BM090",
    "waiver-without-reason",
    Severity.ERROR,
    "A waiver without a reason tells nobody whether it still holds.",
    "Write the reason behind a colon: lint: allow BM003: because …",
)
