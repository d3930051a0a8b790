"""The public names, the events and the directives of a revision."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from alembic.operations import MigrateOperation, Operations

import budeval_migrations
from budeval_migrations import events, model
from budeval_migrations.alembic_ext import directives as registered
from budeval_migrations.model import findings, previews
from budeval_migrations.scaffold import kinds, project
from budeval_migrations.state.lock import lease
from docs.site.reference import docstring
from docs.site.reference.docstring import Docstring
from docs.site.reference.markdown import bullets, code, inline, page, prose, table

_WIDTH = 88
_TWIN = "_async"
# Home of a function -> its heading.
GROUPS = {
    "budeval_migrations.services.api": "Change a database, and ask how it stands",
    "budeval_migrations.services.preview": "Look ahead",
    "budeval_migrations.services.scaffold": "Write files",
    "budeval_migrations.integrations.asgi": "When an application starts",
}
# What the functions return, and what that is made of.
ANSWERS: tuple[type, ...] = (
    model.Report,
    model.Failure,
    model.Status,
    model.RevisionStatus,
    model.Validation,
    model.Problem,
    model.HostDifference,
    lease.Holder,
    findings.LintReport,
    findings.Finding,
    findings.Waived,
    previews.Plan,
    previews.PlannedRevision,
    previews.PlannedStatement,
    previews.Touched,
    previews.Rehearsal,
    previews.Drift,
    previews.Difference,
    previews.Verification,
    previews.Verified,
    kinds.NewRevision,
    project.NewProject,
)


def text() -> str:
    """Return the page."""
    return page(
        "Python",
        "budeval_migrations",
        "`import budeval_migrations` has these names; nothing heavy is imported until one of them "
        "is used. Beside them, `__version__` is the version and `MigrationError` what every "
        "[error](errors.md) is.",
        *_functions(),
        "## What they return",
        *(part for kind in ANSWERS for part in _class(kind)),
        "## Events",
        "`on_event=` gets these; they are in `budeval_migrations.events`.",
        *(part for kind in event_kinds() for part in _class(kind)),
        "## Directives of a revision",
        "What `op` has on top of Alembic's own.",
        *_directives(),
    )


def event_kinds() -> Iterator[type]:
    """Yield the events, in the order of a run."""
    for kind in vars(events).values():
        if inspect.isclass(kind) and issubclass(kind, events.Event) and kind is not events.Event:
            yield kind


def directives() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield what our operations add to ``op``."""
    for kind in vars(registered).values():
        if inspect.isclass(kind) and issubclass(kind, MigrateOperation):
            for name, value in vars(kind).items():
                if isinstance(value, classmethod):
                    yield name, value.__func__


def _functions() -> Iterator[str]:
    named = {name: getattr(budeval_migrations, name) for name in budeval_migrations.__all__}
    for home, heading in GROUPS.items():
        yield f"## {heading}"
        for name, function in named.items():
            if getattr(function, "__module__", "") == home and not name.endswith(_TWIN):
                yield from _function(name, function)
                if name + _TWIN in named:
                    yield f"`{name}{_TWIN}` does the same on a thread, for an event loop."


def _directives() -> Iterator[str]:
    for name, function in directives():
        signature = inspect.signature(function)
        # Of these an author sees nothing: the class, and what Alembic hands in.
        seen = list(signature.parameters.values())[2:]
        # Alembic has moved the docstring there.
        said = docstring.read(getattr(Operations, name))
        yield from _described(f"op.{name}", signature.replace(parameters=seen), said)


def _function(name: str, function: Callable[..., Any]) -> Iterator[str]:
    yield from _described(name, inspect.signature(function), docstring.read(function))


def _described(name: str, signature: inspect.Signature, said: Docstring) -> Iterator[str]:
    yield f"### {name}"
    yield code(_signature(name, signature), "python")
    yield prose(said.text)
    yield bullets((arg, inline(words)) for arg, words in said.args.items())
    yield inline(f"Returns: {said.returns}") if said.returns else ""
    raised = bullets((error, inline(words)) for error, words in said.raises.items())
    yield f"Raises:\n\n{raised}" if raised else ""


def _signature(name: str, signature: inspect.Signature) -> str:
    """Return a signature; one that is too long has a parameter a line."""
    words: list[str] = []
    returns = signature.return_annotation
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not any(word.startswith("*") for word in words):
            words.append("*")
        words.append(_parameter(each))
    line = f"{name}({', '.join(words)}) -> {returns}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {word}," for word in words), f") -> {returns}"])


def _parameter(each: inspect.Parameter) -> str:
    star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
    default = f" = {each.default!r}" if each.default is not each.empty else ""
    return f"{star}{each.name}: {each.annotation}{default}"


def _class(kind: type) -> Iterator[str]:
    said = docstring.read(kind)
    yield f"### {kind.__name__}"
    yield prose(said.text)
    rows = (
        (f"`{each.name}`", f"`{each.type}`", inline(said.attributes.get(each.name, "")))
        for each in dataclasses.fields(kind)
    )
    yield table(("field", "type", "what it is"), rows)
    yield bullets(_members(kind))


def _members(kind: type) -> Iterator[tuple[str, str]]:
    """Yield what a class has beside its fields."""
    for name, value in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield name, prose(docstring.read(value).text)
        elif inspect.isfunction(value):
            parameters = list(inspect.signature(value).parameters.values())[1:]
            words = ", ".join(map(_parameter, parameters))
            yield f"{name}({words})", prose(docstring.read(value).text)
