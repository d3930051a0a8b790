"""Say which ALTERs make one table into another, as far as ALTERs can. Pure.

What is said here need not be taken by the server, nor be enough: whoever asks tries it
on a shadow engine. https://clickhouse.com/docs/sql-reference/statements/alter
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from budeval_migrations.recipes.creation import declaration
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql.definition import Column, Definition

# What MODIFY COLUMN leaves as it was where it is not said.
_REMOVABLE = ("COMMENT", "CODEC", "TTL")


@dataclass
class _Groups:
    """Clauses that may stand in one ALTER, in the order in which they must run."""

    leave: list[str] = field(default_factory=list)  # what stands on columns that change
    columns: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    retype: list[str] = field(default_factory=list)  # writes what is stored anew
    drop: list[str] = field(default_factory=list)
    change: list[str] = field(default_factory=list)
    build: list[str] = field(default_factory=list)  # a mutation each


@dataclass(frozen=True)
class InPlace:
    """ALTERs of one table.

    Attributes:
        opening: In order; afterwards the columns of both definitions are there.
        closing: In order; a view that reads a column that goes must have let go of it.
        loses: Columns whose values are gone afterwards.

    """

    opening: tuple[str, ...]
    closing: tuple[str, ...]
    loses: tuple[str, ...] = ()


def alter(before: Definition, after: Definition) -> InPlace:
    """Return the ALTERs from one definition to another of the same table.

    Args:
        before: As a server printed it.
        after: As the same server printed it.

    """
    groups = _Groups()
    _columns(before, after, groups)
    _elements(before, after, groups)
    _clauses(before, after, groups)
    table = named(after.name.name)
    opening = (groups.leave, groups.columns, groups.remove, groups.retype)
    closing = (groups.drop, groups.change, *([clause] for clause in groups.build))
    gone = tuple(
        column.name
        for column in before.columns
        if after.column(column.name) is None and column.default_kind in ("", "DEFAULT")
    )
    return InPlace(
        tuple(_joined(table, clauses) for clauses in opening if clauses),
        tuple(_joined(table, clauses) for clauses in closing if clauses),
        gone,
    )


def _joined(table: str, clauses: list[str]) -> str:
    if len(clauses) == 1:
        return f"ALTER TABLE {table} {clauses[0]}"
    return f"ALTER TABLE {table}\n    " + ",\n    ".join(clauses)


def _columns(before: Definition, after: Definition, groups: _Groups) -> None:
    here = [c.name for c in before.columns if after.column(c.name) is not None]
    for at, column in enumerate(after.columns):
        name = named(column.name)
        place = f" AFTER {named(after.columns[at - 1].name)}" if at else " FIRST"
        was = before.column(column.name)
        if was is None:
            end = at == len(after.columns) - 1 and here == [c.name for c in before.columns]
            groups.columns.append(
                f"ADD COLUMN IF NOT EXISTS {name} {declaration(column)}{'' if end else place}"
            )
            here.insert(at, column.name)
            continue
        moved = here[at] != column.name
        if moved:
            here.remove(column.name)
            here.insert(at, column.name)
        _one(was, column, place if moved else "", groups)
    groups.drop += [
        f"DROP COLUMN IF EXISTS {named(c.name)}"
        for c in before.columns
        if after.column(c.name) is None
    ]


def _one(was: Column, now: Column, place: str, groups: _Groups) -> None:
    name = named(now.name)
    if was.default and not now.default:
        groups.remove.append(f"MODIFY COLUMN {name} REMOVE {was.default_kind}")
    groups.remove += [
        f"MODIFY COLUMN {name} REMOVE {part}"
        for part in _REMOVABLE
        if part in was.parts and part not in now.parts
    ]
    if "SETTINGS" in was.parts and was.parts["SETTINGS"] != now.parts.get("SETTINGS"):
        listed = ", ".join(_names(was.parts["SETTINGS"]))
        groups.remove.append(f"MODIFY COLUMN {name} RESET SETTING {listed}")
    said = declaration(now)
    if now.parts.get("COMMENT") and _only_comment(was, now) and not place:
        groups.columns.append(f"COMMENT COLUMN {name} {now.parts['COMMENT']}")
    elif place or _says_more(was, now):
        group = groups.retype if was.type != now.type else groups.columns
        group.append(f"MODIFY COLUMN {name} {said}{place}")


def _only_comment(was: Column, now: Column) -> bool:
    ours, theirs = dict(was.parts), dict(now.parts)
    ours.pop("COMMENT", None)
    theirs.pop("COMMENT", None)
    return (was.type, was.default, ours) == (now.type, now.default, theirs)


def _says_more(was: Column, now: Column) -> bool:
    changed = {part for part, text in now.parts.items() if was.parts.get(part) != text}
    return bool(was.type != now.type or (now.default and was.default != now.default) or changed)


def _names(settings: str) -> Iterator[str]:
    for pair in settings.strip("()").split(","):
        yield pair.split("=")[0].strip()


def _elements(before: Definition, after: Definition, groups: _Groups) -> None:
    for word, ours, theirs in (
        ("INDEX", before.indices, after.indices),
        ("PROJECTION", before.projections, after.projections),
        ("CONSTRAINT", before.constraints, after.constraints),
    ):
        gone = [name for name, text in ours.items() if theirs.get(name) != text]
        new = {name: text for name, text in theirs.items() if ours.get(name) != text}
        groups.leave += [f"DROP {word} IF EXISTS {named(name)}" for name in gone]
        groups.change += [
            f"ADD {word} IF NOT EXISTS {named(name)} {text}" for name, text in new.items()
        ]
        if word != "CONSTRAINT":
            groups.build += [f"MATERIALIZE {word} {named(name)}" for name in new]


def _clauses(before: Definition, after: Definition, groups: _Groups) -> None:
    ours, theirs = before.clauses, after.clauses

    def changed(word: str) -> bool:
        return ours.get(word) != theirs.get(word)

    if changed("ORDER BY") and "ORDER BY" in theirs:
        # Only together with the new columns that it ends with.
        groups.columns.append(f"MODIFY ORDER BY {theirs['ORDER BY']}")
    if changed("TTL"):
        if "TTL" in theirs:
            groups.change.append(f"MODIFY TTL {theirs['TTL']}")
        else:
            groups.leave.append("REMOVE TTL")
    if changed("SAMPLE BY"):
        if "SAMPLE BY" in theirs:
            groups.change.append(f"MODIFY SAMPLE BY {theirs['SAMPLE BY']}")
        else:
            groups.leave.append("REMOVE SAMPLE BY")
    if changed("COMMENT"):
        groups.change.append(f"MODIFY COMMENT {theirs.get('COMMENT', chr(39) * 2)}")
    _settings(before.settings, after.settings, groups)


def _settings(before: Mapping[str, str], after: Mapping[str, str], groups: _Groups) -> None:
    new = [f"{name} = {text}" for name, text in after.items() if before.get(name) != text]
    gone = [name for name in before if name not in after]
    if new:
        groups.change.append(f"MODIFY SETTING {', '.join(new)}")
    if gone:
        groups.change.append(f"RESET SETTING {', '.join(gone)}")
