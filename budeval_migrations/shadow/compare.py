"""Where two schemas differ, part by part; both as one engine printed them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from budeval_migrations.model.previews import Difference
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.definition import Column, Definition, read_definition
from budeval_migrations.sql.redact import redact

_T = TypeVar("_T")
_KINDS = {
    Kind.CREATE_TABLE: "table",
    Kind.CREATE_VIEW: "view",
    Kind.CREATE_MATERIALIZED_VIEW: "materialized view",
    Kind.CREATE_DICTIONARY: "dictionary",
}
# A server with users may say who; a shadow engine has none.
_OF_USERS = frozenset({"DEFINER", "SQL SECURITY"})


def compare(before: Schema, after: Schema) -> tuple[Difference, ...]:
    """Return every difference of substance, by name, without secrets.

    Args:
        before: As a shadow engine printed it.
        after: As the same engine printed it.

    """
    found = list(_tables(before.tables, after.tables))
    for name, one, other in _both(before.functions, after.functions):
        if one != other:
            found.append(Difference(name, "function", "", one, other))
    return tuple(
        replace(each, before=_shown(each.before), after=_shown(each.after)) for each in found
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else redact(text)


def _tables(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name, one, other in _both(before, after):
        if one == other:
            continue
        was = read_definition(one) if one else None
        now = read_definition(other) if other else None
        known = was or now
        kind = _KINDS[known.kind] if known else "table"
        if was is None or now is None or was.kind is not now.kind:
            yield Difference(name, kind, "", one, other)
        else:
            for part, text, changed in _parts(was, now):
                yield Difference(name, kind, part, text, changed)


def _parts(was: Definition, now: Definition) -> Iterator[tuple[str, str | None, str | None]]:
    columns = {c.name: c for c in was.columns}, {c.name: c for c in now.columns}
    for name, one, other in _both(*columns):
        if one is None or other is None:
            yield f"column {name}", _declared(one), _declared(other)
        else:
            for part, text, changed in _both(_of_column(one), _of_column(other)):
                if text != changed:
                    yield f"column {name} {part}", text, changed
    orders = [[c.name for c in side.columns] for side in (was, now)]
    if sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]:
        yield "order of columns", ", ".join(orders[0]), ", ".join(orders[1])
    for word, ours, theirs in (
        ("index", was.indices, now.indices),
        ("projection", was.projections, now.projections),
        ("constraint", was.constraints, now.constraints),
        ("setting", was.settings, now.settings),
        ("", _clauses(was), _clauses(now)),
    ):
        for name, text, changed in _both(ours, theirs):
            if text != changed:
                yield f"{word} {name}".strip(), text, changed


def _clauses(definition: Definition) -> dict[str, str]:
    left_out = {"SETTINGS", *_OF_USERS}
    return {
        {"AS": "query"}.get(word, word): text
        for word, text in definition.clauses.items()
        if word not in left_out
    }


def _of_column(column: Column) -> dict[str, str]:
    default = {"default": column.default} if column.default else {}
    return {"type": column.type, **default, **column.parts}


def declared(column: Column) -> str:
    """Return what is said behind a column's name."""
    parts = [
        f"{word}{text}" if text.startswith("(") else f"{word} {text}".strip()
        for word, text in column.parts.items()
    ]
    return " ".join(filter(None, [column.type, column.default, *parts]))


def _declared(column: Column | None) -> str | None:
    return declared(column) if column else None


def _both(
    before: Mapping[str, _T], after: Mapping[str, _T]
) -> Iterator[tuple[str, _T | None, _T | None]]:
    for name in dict.fromkeys((*before, *after)):
        yield name, before.get(name), after.get(name)
