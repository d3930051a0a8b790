"""BM013: tables that change places one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind, Name


def _check(subject: Subject) -> Iterator[Spot]:
    for statements in (subject.up, subject.down or ()):
        freed: set[Name] = set()
        for said in statements:
            if said.kind is not Kind.RENAME or said.words[1:2] in (["DATABASE"], ["DATABASES"]):
                continue
            names = said.effect.targets
            for old, new in zip(names[::2], names[1::2], strict=True):
                if new in freed:
                    yield Spot(
                        f"{shown(old)} takes the place of {shown(new)} by RENAME: for a moment "
                        f"there is no {shown(new)}, and a kill in between leaves none",
                        said,
                        f"EXCHANGE TABLES {shown(new)} AND {shown(old)}, then RENAME the old one.",
                    )
                freed.discard(new)
                freed.add(old)


RULE = Rule(
    "BM013",
    "rename-swap",
    Severity.WARNING,
    "Between two RENAMEs the table is not there, and queries and inserts fail.",
    "EXCHANGE TABLES a AND b swaps both at once.",
    _check,
)
