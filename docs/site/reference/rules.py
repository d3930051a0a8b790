"""The rules of lint."""

from __future__ import annotations

from budeval_migrations.linter.registry import rules
from docs.site.reference.markdown import inline, page, table


def text() -> str:
    """Return the page."""
    rows = (
        (f"[{rule.code}](../lint/{rule.code}.md)", rule.name, rule.severity.value, inline(rule.why))
        for rule in rules().values()
    )
    return page(
        "Rules of lint",
        "budeval_migrations.linter.rules",
        "`budeval-migrate lint` ends with 3 when an error is among the findings. "
        "[How it reads, and how a finding is allowed](../lint.md).",
        table(("rule", "name", "severity", "what is at stake"), rows),
    )
