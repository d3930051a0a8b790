"""BM003: a statement that cannot be run twice, though a form of it can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alter import repeatable
from budeval_migrations.sql.changes import Kind


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        if said.kind is Kind.INSERT or said.effect.repeatable or said.statement.unless:
            continue
        # The catalogue tells whether all of it took effect, on a single server.
        told = said.effect.watches and said.effect.atomic and not subject.cluster
        guard = "" if told else _guard(said)
        if guard:
            yield Spot(
                "it cannot be run twice, and after a kill it may not be known whether all of it "
                "took effect",
                said,
                f"Write {guard}.",
            )


def _guard(said: Said) -> str:
    """Return the words that make it repeatable; empty where there are none."""
    first = said.lexemes[0].word
    if said.alteration is not None:
        clauses = said.alteration.clauses
        bare = [clause for clause in clauses if not clause.guarded]
        guards = dict.fromkeys(clause.guard for clause in bare)
        if "" in guards or not repeatable([replace(clause, guarded=True) for clause in clauses]):
            return ""
        return " and ".join(guards)
    if said.kind is Kind.ACCESS:
        return {"CREATE": "IF NOT EXISTS", "DROP": "IF EXISTS"}.get(first, "")
    if said.kind is Kind.DROP:
        return "IF EXISTS"
    if said.kind is Kind.RENAME:
        names = said.effect.targets
        return "IF EXISTS" if names and len(set(names)) == len(names) else ""
    if first != "CREATE" or said.is_temporary or said.words[1:2] == ["OR"]:
        return ""
    filled = said.kind.value.startswith("create ") and not said.effect.atomic
    return "" if filled else "IF NOT EXISTS"


RULE = Rule(
    "BM003",
    "not-repeatable",
    Severity.WARNING,
    "Where a run is killed in the middle of it, a person may have to find out what took effect.",
    "Write IF [NOT] EXISTS.",
    _check,
)
