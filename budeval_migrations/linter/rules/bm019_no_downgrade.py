"""BM019: a revision without a way back that does not say so."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity


def _check(subject: Subject) -> Iterator[Spot]:
    if subject.irreversible or subject.dynamic:
        return
    if subject.down is None:
        yield Spot("there is no downgrade(), and the file does not say why")
    elif not subject.down and any(_does_something(said) for said in subject.up):
        yield Spot("downgrade() does nothing, and the upgrade does; the file does not say why")


def _does_something(said: Said) -> bool:
    return bool(said.effect.watches) or not said.effect.repeatable


RULE = Rule(
    "BM019",
    "no-downgrade",
    Severity.WARNING,
    "Who has to go back finds out then that it is not possible.",
    'Write downgrade(); or, where there is no way back, irreversible = "reason".',
    _check,
)
