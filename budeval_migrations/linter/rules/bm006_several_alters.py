"""BM006: ALTERs of one table, one behind the other, that could be one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject, shown
from budeval_migrations.model.findings import Severity

_JOINED = frozenset({"COLUMN", "INDEX", "PROJECTION", "CONSTRAINT"})
_VERBS = frozenset({"ADD", "DROP", "COMMENT"})


def _check(subject: Subject) -> Iterator[Spot]:
    for statements in (subject.up, subject.down or ()):
        for _, run in groupby(statements, key=_together):
            group = list(run)
            if len(group) > 1 and _mergeable(group):
                numbers = f"{group[0].number} to {group[-1].number}"
                altered = group[0].alteration
                assert altered is not None
                yield Spot(
                    f"statements {numbers} alter {shown(altered.table)} one after the other",
                    group[0],
                )


def _together(said: Said) -> object:
    """Return what statements have in common that could be one; themselves, if nothing."""
    altered = said.alteration
    if altered is None or any(
        clause.head[0] not in _VERBS or clause.head[1] not in _JOINED for clause in altered.clauses
    ):
        return said.direction, said.number
    return (
        altered.table,
        said.statement.unless,
        said.statement.reach,
        tuple(altered.settings.items()),
    )


def _mergeable(group: Sequence[Said]) -> bool:
    """Tell whether each thing is touched once; otherwise the order may matter."""
    if group[0].alteration is None:
        return False
    clauses = [
        clause for said in group for clause in (said.alteration.clauses if said.alteration else ())
    ]
    gone = [clause.names() for clause in clauses if clause.takes_away]
    touched = [e.key for clause in clauses for e in clause.elements()]
    if len(set(touched)) < len(touched):
        return False
    # An index is dropped before its column, in one ALTER as in two.
    added = [clause.names() for clause in clauses if clause.head[0] == "ADD"]
    return not any(names & other for names in gone for other in added)


RULE = Rule(
    "BM006",
    "several-alters",
    Severity.WARNING,
    "Each ALTER waits for the table's lock and for every replica, and a kill between two leaves "
    "half of the change.",
    "Write one ALTER TABLE with the clauses behind each other.",
    _check,
)
