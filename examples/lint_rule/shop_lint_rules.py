"""SHOP001: a new table without a comment."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter import Rule, Severity, Spot, Subject


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.up:
        made = said.definition
        if made is not None and made.kind.value == "create table" and "COMMENT" not in made.clauses:
            yield Spot(f"the table {made.name.name} has no comment", said)


COMMENTED = Rule(
    "SHOP001",
    "table-comment",
    Severity.WARNING,
    "Nobody knows who owns a table without a comment.",
    "Add COMMENT 'owner: team' to the CREATE TABLE.",
    _check,
)
