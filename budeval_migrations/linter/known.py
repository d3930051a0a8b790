"""What the revisions up to a statement tell of the tables, from their text alone.

A table that no revision created, or that one changed in a way that cannot be read, is
not known: rules stay silent about it. Text in, facts out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from budeval_migrations.model import Direction
from budeval_migrations.sql.alter import Clause
from budeval_migrations.sql.alteration import Alteration, column_of
from budeval_migrations.sql.changes import Effect, Kind, Name
from budeval_migrations.sql.definition import (
    Column,
    Definition,
    read_column,
    split_list,
)
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader, lexemes
from budeval_migrations.sql.statement import ParsedStatement

# Who made something: a revision, and which way it went.
Maker = tuple[str, Direction]

_UNKNOWN: Maker = ("", Direction.UP)

# How many of an engine's arguments are columns that no mutation may change.
_FIXED = {"ReplacingMergeTree": 1, "CollapsingMergeTree": 1, "VersionedCollapsingMergeTree": 2}
_REMOVES = frozenset({Kind.DROP, Kind.DETACH, Kind.ATTACH, Kind.UNDROP})


@dataclass(frozen=True)
class Table:
    """A table, a view or a dictionary as its CREATE and the ALTERs since have it.

    Attributes:
        columns: By name, in order; None where they follow from a query or another table.
        maker: The revision that created it.
        added: Who added a column that was not there at its creation.

    """

    definition: Definition
    columns: Mapping[str, Column] | None
    maker: Maker
    added: Mapping[str, Maker] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """The engine without Replicated or Shared before it; empty where none is said."""
        return self.definition.engine.removeprefix("Replicated").removeprefix("Shared")

    @property
    def is_merge_tree(self) -> bool:
        """Whether it is of the MergeTree family."""
        return self.engine.endswith("MergeTree")

    @property
    def holds_rows(self) -> bool:
        """Whether rows are gone with it: a view, or one with a table of its own, has none."""
        kind = self.definition.kind
        if kind is Kind.CREATE_MATERIALIZED_VIEW:
            return "TO" not in self.definition.clauses
        return kind is Kind.CREATE_TABLE

    def key_columns(self) -> set[str]:
        """Return the columns that no mutation may change: of the keys and of the engine."""
        clauses = self.definition.clauses
        said = [clauses.get(f"{word} BY", "") for word in ("ORDER", "PARTITION", "SAMPLE")]
        said.append(clauses.get("PRIMARY KEY", ""))
        inside = clauses.get("ENGINE", "").partition("(")[2].rpartition(")")[0]
        # A path and a replica's name may stand before them.
        columns = [part for part in split_list(inside) if not part.startswith("'")]
        said += columns[: _FIXED.get(self.engine, 0)]
        return {name for text in said for name in names_in(text)}


def names_in(expression: str) -> Iterator[str]:
    """Yield the names in an expression that are no functions; dotted ones whole."""
    reader = Reader(expression)
    while reader.peek().depth >= 0:
        parts: list[str] = []
        while reader.peek().kind in NAMES:
            parts.append(reader.identifier(reader.peek()))
            reader.at += 1
            if reader.peek().kind is not TokenKind.DOT:
                break
            reader.at += 1
        if parts and reader.peek().kind is not TokenKind.OPEN:
            yield ".".join(parts)
        reader.at += not parts


class Tables:
    """The tables before or after one statement; never changed, only followed by others.

    Args:
        home: The database that names without one belong to.

    """

    def __init__(self, home: str = "", found: Mapping[Name, Table] | None = None) -> None:
        self.home = home
        self._found = found if found is not None else {}

    def get(self, name: Name) -> Table | None:
        """Return what is known of a table."""
        return self._found.get(self._key(name))

    def after(self, read: ParsedStatement, maker: Maker) -> Tables:
        """Return the tables as they are when a statement ran."""
        changes, definition = read.effect, read.definition
        if definition is not None:
            return self._created(definition, read, maker)
        if changes.kind is Kind.CREATE_INDEX and changes.elements:
            return self._with_index(changes)
        if changes.kind in (Kind.RENAME, Kind.EXCHANGE):
            return self._renamed(changes)
        if changes.kind in _REMOVES:
            everything = "DATABASE" in read.words[:3]
            return Tables(self.home) if everything else self._with({}, *changes.targets)
        if changes.kind is Kind.ALTER:
            if read.alteration is not None:
                return self._altered(read.alteration, maker)._with_rows_moved(read)
            return self._with({}, *changes.targets) if changes.targets else Tables(self.home)
        return self

    def common(self, other: Tables) -> Tables:
        """Return what two branches agree on, or only one of them knows."""
        both = {**self._found, **other._found}
        agreed = {
            key: table
            for key, table in both.items()
            if self._found.get(key, table) == other._found.get(key, table)
        }
        return Tables(self.home, agreed)

    def _key(self, name: Name) -> Name:
        return Name(name.name) if name.database == self.home else name

    def _with(self, new: Mapping[Name, Table], *gone: Name) -> Tables:
        left = dict(self._found)
        for name in gone:
            left.pop(self._key(name), None)
        left.update((self._key(name), table) for name, table in new.items())
        return Tables(self.home, left)

    def _created(self, definition: Definition, read: ParsedStatement, maker: Maker) -> Tables:
        words = read.words
        replaces = words[0] == "REPLACE" or words[1:3] == ["OR", "REPLACE"]
        if read.is_temporary or (self.get(definition.name) and not replaces):
            return self
        columns = {column.name: column for each in definition.columns for column in nested(each)}
        source = _copied(definition)
        if source is not None and not columns:
            origin = self.get(source)
            if origin is None:
                return self._with({definition.name: Table(definition, None, maker)})
            kept = {**origin.definition.clauses, **definition.clauses}
            copy = replace(
                origin.definition, kind=definition.kind, name=definition.name, clauses=kept
            )
            return self._with({definition.name: Table(copy, origin.columns, maker)})
        return self._with({definition.name: Table(definition, columns or None, maker)})

    def _with_index(self, changes: Effect) -> Tables:
        table = self.get(changes.targets[0])
        if table is None:
            return self
        indices = dict(table.definition.indices)
        for element in changes.elements:
            indices.pop(element.name, None)
            if element.appears:
                indices[element.name] = ""
        changed = replace(table, definition=replace(table.definition, indices=indices))
        return self._with({changes.targets[0]: changed})

    def _renamed(self, changes: Effect) -> Tables:
        if not changes.targets or (changes.kind is Kind.EXCHANGE and len(changes.targets) != 2):
            return Tables(self.home)
        now = self
        for old, new in zip(changes.targets[::2], changes.targets[1::2], strict=True):
            moved = {new: now.get(old)}
            if changes.kind is Kind.EXCHANGE:
                moved[old] = now.get(new)
            known = {name: table for name, table in moved.items() if table is not None}
            now = now._with(known, old, new)
        return now

    def _altered(self, altered: Alteration, maker: Maker) -> Tables:
        table = self.get(altered.table)
        for clause in altered.clauses if table else ():
            assert table is not None
            table = applied(table, clause, maker)
        return self._with({altered.table: table}) if table else self

    def _with_rows_moved(self, read: ParsedStatement) -> Tables:
        """Count a table that gets another one's rows as made by who made that one."""
        assert read.alteration is not None
        if not any(clause.head[0] == "MOVE" for clause in read.alteration.clauses):
            return self
        source = self.get(read.alteration.table)
        maker = source.maker if source else _UNKNOWN
        others = {name: self.get(name) for name in read.effect.targets[1:]}
        received = {name: replace(t, maker=maker) for name, t in others.items() if t is not None}
        return self._with(received)


def nested(column: Column) -> list[Column]:
    """Return the columns that a Nested one stands for; any other one as it is."""
    head, bracket, inside = column.type.partition("(")
    if head.strip().lower() != "nested" or not bracket:
        return [column]
    found = []
    for declared in split_list(f"({inside}"):
        inner = read_column(declared, lexemes(declared))
        found.append(Column(f"{column.name}.{inner.name}", f"Array({inner.type})"))
    return found


def _copied(definition: Definition) -> Name | None:
    """Return the table behind AS, where it is one."""
    text = definition.clauses.get("AS") or definition.clauses.get("CLONE", "")
    if not text:
        return None
    reader = Reader(text)
    reader.accept("AS")
    name = reader.name()
    return name if not reader.left() else None


def applied(table: Table, clause: Clause, maker: Maker) -> Table:
    """Return a table as a clause of an ALTER leaves it."""
    verb, what = clause.head
    definition = table.definition
    if what == "ORDER" and verb == "MODIFY":
        clauses = {**definition.clauses, "ORDER BY": text_of(clause).partition(" ")[2].strip()}
        return replace(table, definition=replace(definition, clauses=clauses))
    if verb in ("ADD", "DROP") and what in ("INDEX", "PROJECTION"):
        return replace(table, definition=_elements(definition, clause))
    declared = column_of(clause)
    columns = dict(table.columns) if table.columns is not None else None
    added = dict(table.added)
    if declared is not None and verb == "ADD":
        was = columns or {}  # IF NOT EXISTS may find it there
        new = [column for column in nested(declared) if column.name not in was]
        added = {**dict.fromkeys((column.name for column in new), maker), **added}
        found = {**was, **{column.name: column for column in new}}
        columns = None if columns is None else found
    elif declared is not None and columns and declared.name in columns:
        old = columns[declared.name]
        columns[declared.name] = replace(
            old, type=declared.type or old.type, default=declared.default or old.default
        )
    elif what == "COLUMN" and verb == "RENAME" and clause.elements():
        before, after = (element.name for element in clause.elements())
        if columns is not None and before in columns:
            columns = _renamed_column(columns, columns[before], after)
        if before in added:
            added[after] = added.pop(before)
    elif what == "COLUMN" and verb == "DROP":
        for element in clause.elements():
            added.pop(element.name, None)
            columns = columns and _without(columns, element.name)
    return replace(table, columns=columns, added=added)


def _renamed_column(columns: Mapping[str, Column], old: Column, new: str) -> dict[str, Column]:
    return {
        (new if column is old else name): (replace(old, name=new) if column is old else column)
        for name, column in columns.items()
    }


def _without(columns: Mapping[str, Column], dropped: str) -> dict[str, Column]:
    return {name: column for name, column in columns.items() if not _is_part(name, dropped)}


def _is_part(name: str, dropped: str) -> bool:
    return name == dropped or name.startswith(f"{dropped}.")


def _elements(definition: Definition, clause: Clause) -> Definition:
    indices, projections = dict(definition.indices), dict(definition.projections)
    kept = indices if clause.head[1] == "INDEX" else projections
    for element in clause.elements():
        kept.pop(element.name, None)
        if element.appears:
            kept[element.name] = text_of(clause)
    return replace(definition, indices=indices, projections=projections)


def text_of(clause: Clause) -> str:
    """Return a clause behind its first two words and IF [NOT] EXISTS, as written."""
    left = clause.reader.left()
    return clause.reader.text[left[0].start : left[-1].end] if left else ""
