"""Every rule, by its code. A module in ``rules`` is registered by being there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity


@dataclass(frozen=True)
class Spot:
    """A place where a rule has something to say.

    Attributes:
        said: The statement; None where it is about the revision.
        fix: What to do here; empty where the rule's own advice is enough.
        severity: Where it is another one than the rule's.

    """

    message: str
    said: Said | None = None
    fix: str = ""
    severity: Severity | None = None


def _nothing(subject: Subject) -> Iterable[Spot]:
    """Find nothing: what waivers do wrong is known when the other rules are through."""
    return ()


@dataclass(frozen=True)
class Rule:
    """One thing to look for.

    Attributes:
        code: ``BM001``; never given to another rule.
        name: A few words with hyphens.
        why: What is at stake, in one sentence.
        fix: What to write instead, in one sentence.
        check: Yields the spots of a revision.

    """

    code: str
    name: str
    severity: Severity
    why: str
    fix: str
    check: Callable[[Subject], Iterable[Spot]] = _nothing


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by its code, in order."""
    package = import_module("budeval_migrations.linter.rules")
    found: list[Rule] = [
        import_module(f"{package.__name__}.{module.name}").RULE
        for module in iter_modules(package.__path__)
    ]
    return {rule.code: rule for rule in sorted(found, key=lambda rule: rule.code)}
