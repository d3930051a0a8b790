"""The words in which the effect of a statement on the catalogue is told. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a statement does."""

    CREATE_TABLE = "create table"
    CREATE_VIEW = "create view"
    CREATE_MATERIALIZED_VIEW = "create materialized view"
    CREATE_DATABASE = "create database"
    CREATE_DICTIONARY = "create dictionary"
    CREATE_FUNCTION = "create function"
    CREATE_NAMED_COLLECTION = "create named collection"
    CREATE_INDEX = "create index"
    DROP = "drop"
    UNDROP = "undrop"
    ALTER = "alter"
    UPDATE = "update"
    DELETE = "delete"
    INSERT = "insert"
    SELECT = "select"
    RENAME = "rename"
    EXCHANGE = "exchange"
    TRUNCATE = "truncate"
    OPTIMIZE = "optimize"
    SYSTEM = "system"
    SET = "set"
    ACCESS = "access"
    ATTACH = "attach"
    DETACH = "detach"
    USE = "use"
    KILL = "kill"
    BACKUP = "backup"
    RESTORE = "restore"
    CHECK = "check"
    SHOW = "show"
    DESCRIBE = "describe"
    EXISTS = "exists"
    EXPLAIN = "explain"
    PARALLEL = "parallel with"
    EMPTY = "empty"
    OTHER = "other"


class Watch(Enum):
    """Which catalogue facts tell whether a statement took effect."""

    TABLES = "tables"
    PARTS = "parts"
    MUTATIONS = "mutations"
    DATABASES = "databases"
    FUNCTIONS = "functions"


class Change(Enum):
    """How to read a changed fingerprint of the parts."""

    INSERT = "insert"
    TRUNCATE = "truncate"
    DROP_PARTITION = "drop partition"
    DETACH_PARTITION = "detach partition"
    ATTACH_PARTITION = "attach partition"
    ATTACH_FROM = "attach partition from"
    REPLACE_PARTITION = "replace partition"
    MOVE_PARTITION = "move partition"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Name:
    """A table, a database or a function; without a database, one in the current database."""

    name: str
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """A part of a table's definition that a statement adds or takes away.

    Attributes:
        what: ``column``, ``index``, ``projection`` or ``constraint``.
        appears: It is there afterwards, and not before; otherwise the reverse.

    """

    what: str
    name: str
    appears: bool

    @property
    def key(self) -> str:
        """Its name among all the elements of a table."""
        return f"{self.what} {self.name}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one statement changes.

    Attributes:
        kind: As `classify` tells it.
        repeatable: Once and twice are provably the same; False when unsure. Only
            what the statement itself does counts: another writer may come between.
        watches: What to compare; empty if no catalogue fact tells.
        targets: What to watch; the first one is the thing that is changed.
        mutation: It can leave work in ``system.mutations`` that has to be waited for.
        change: How to read a changed fingerprint of the parts.
        partition: The partition expression as written, or the name of a part that is dropped
            or detached.
        source: The table behind FROM or TO TABLE of a partition operation.
        elements: All that it adds to the first target or takes from it; empty when it
            changes something else as well, or when unsure.
        rows: The number of rows that stand in an INSERT ... VALUES, if it was counted.
        atomic: An error from the server means that nothing was changed. False
            wherever a mutation can fail: it stays behind, and so does a new type.
        undoes: Its clauses add and drop the same element: the table's definition may be as it
            was before, and the values are not.

    """

    kind: Kind
    repeatable: bool
    watches: tuple[Watch, ...] = ()
    targets: tuple[Name, ...] = ()
    mutation: bool = False
    change: Change = Change.OTHER
    partition: str | None = None
    source: Name | None = None
    elements: tuple[Element, ...] = ()
    rows: int | None = None
    atomic: bool = True
    undoes: bool = field(default=False, compare=False)

    @property
    def every_partition(self) -> bool:
        """Whether it names all partitions, which the server takes one after the other."""
        return (self.partition or "").upper() == "ALL"
