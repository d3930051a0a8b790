"""BM014: an OPTIMIZE that merges all of a table."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        if said.kind is not Kind.OPTIMIZE:
            continue
        name, words = said.optimized
        if name is None or "FINAL" not in words or said.makes(said.before.get(name)):
            continue
        where = " in one partition" if "PARTITION" in words else ""
        yield Spot(
            f"OPTIMIZE {shown(name)} FINAL reads and writes every row of it{where}",
            said,
            severity=Severity.INFO if where else None,
        )


RULE = Rule(
    "BM014",
    "optimize-final",
    Severity.WARNING,
    "It reads the whole table and writes it again, a part for each partition, and the run waits.",
    "Leave merging to the server; read with FINAL, or OPTIMIZE … PARTITION … where it must be.",
    _check,
)
