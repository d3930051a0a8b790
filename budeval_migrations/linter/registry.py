"""Every rule, by its code.

A module in ``rules`` is registered by being there; an installed package registers rules of
its own as entry points of the group ``budeval_migrations.lint_rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules

from budeval_migrations.errors import ConfigError
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity
from budeval_migrations.plugins import load


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


GROUP = "budeval_migrations.lint_rules"


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by its code, in order.

    Raises:
        ConfigError: An installed package's rule cannot be loaded, or has the code of another.

    """
    package = import_module("budeval_migrations.linter.rules")
    every: list[Rule] = [
        import_module(f"{package.__name__}.{module.name}").RULE
        for module in iter_modules(package.__path__)
    ]
    every += [_installed(point) for point in entry_points(group=GROUP)]
    found: dict[str, Rule] = {}
    for rule in sorted(every, key=lambda rule: rule.code):
        if rule.code in found:
            names = f"{found[rule.code].name} and {rule.name}"
            raise ConfigError(
                f"Two lint rules have the code {rule.code}: {names}.",
                hint="Uninstall the package of one of them, or give its rule another code.",
            )
        found[rule.code] = rule
    return found


def _installed(point: EntryPoint) -> Rule:
    """Return the rule of an installed package."""
    rule = load(point, "lint rule")
    if not isinstance(rule, Rule):
        raise ConfigError(
            f"{point.value} is not a lint rule.",
            hint=f"An entry point of {GROUP} names a budeval_migrations.linter.Rule.",
        )
    return rule
