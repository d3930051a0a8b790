"""BM021: a TTL that takes effect on all rows at once."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alteration import column_of


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        altered = said.alteration
        if altered is None or said.makes(said.before.get(altered.table)):
            continue
        if altered.settings.get("materialize_ttl_after_modify") in ("0", "false"):
            continue
        for clause in altered.clauses:
            column = column_of(clause) if clause.head[0] == "MODIFY" else None
            if clause.head == ("MODIFY", "TTL") or (column and "TTL" in column.parts):
                yield Spot(
                    f"the new TTL of {shown(altered.table)} is applied to every part at once, as "
                    "a mutation",
                    said,
                )


RULE = Rule(
    "BM021",
    "rewriting-ttl",
    Severity.WARNING,
    "All that is too old is deleted at that moment, by a mutation that the run waits for.",
    "Add SETTINGS materialize_ttl_after_modify = 0: rows then go as parts are merged.",
    _check,
)
