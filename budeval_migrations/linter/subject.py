"""What a rule looks at: a revision with its statements read, and the tables around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from budeval_migrations.linter.known import Maker, Table, Tables
from budeval_migrations.model import CompiledRevision, Direction, Statement
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import Reader
from budeval_migrations.sql.statement import ParsedStatement, parse


@dataclass(frozen=True)
class Said(ParsedStatement):
    """One statement of a revision, read.

    Attributes:
        number: Its place in upgrade() or downgrade(), from 1.
        before: The tables as the statements before it left them.

    """

    number: int
    statement: Statement
    maker: Maker
    before: Tables = field(repr=False)

    @cached_property
    def after(self) -> Tables:
        """The tables when it ran."""
        return self.before.after(self, self.maker)

    @property
    def direction(self) -> Direction:
        """Whether it is upgrade()'s or downgrade()'s."""
        return self.maker[1]

    @property
    def optimized(self) -> tuple[Name | None, list[str]]:
        """The table of an OPTIMIZE, None where it is a parameter; and the words behind it."""
        reader = Reader(self.text, self.lexemes)
        reader.at = 1
        reader.accept("TABLE")
        return reader.name(), reader.outer()

    def makes(self, table: Table | None) -> bool:
        """Tell whether the revision that this statement is of created a table itself."""
        return table is not None and table.maker == self.maker


@dataclass(frozen=True)
class Subject:
    """A revision as rules see it.

    Attributes:
        source: The file's text.
        line: Where ``def upgrade`` stands in it.
        up: The statements of upgrade(); none for a dynamic one.
        down: The statements of downgrade(); None without the function.
        dynamic: A direction reads the database while it runs.
        irreversible: Why there is no way back, as the file says; empty where it says none.
        destructive: Why rows or columns may go, as the file says; empty where it says none.
        cluster: The setting; empty for a single server.

    """

    revision: str
    file: str
    source: str = ""
    line: int | None = None
    up: tuple[Said, ...] = ()
    down: tuple[Said, ...] | None = None
    dynamic: bool = False
    irreversible: str = ""
    destructive: str = ""
    cluster: str = ""

    @property
    def statements(self) -> tuple[Said, ...]:
        """The statements of both directions."""
        return (*self.up, *(self.down or ()))


def read_statements(compiled: CompiledRevision, tables: Tables) -> tuple[tuple[Said, ...], Tables]:
    """Return the statements of one direction, and the tables that they leave.

    What a dynamic revision does is not known, and so nothing is known after it.
    """
    if compiled.dynamic:
        return (), Tables(tables.home)
    maker = (compiled.revision, compiled.direction)
    found = []
    for number, statement in enumerate(compiled.statements, start=1):
        for part in _parts(statement):
            said = Said(part.text, number, part, maker, tables)
            found.append(said)
            tables = said.after
    return tuple(found), tables


def _parts(statement: Statement) -> Iterator[Statement]:
    """Yield what PARALLEL WITH joins, each at its line; any other statement as it is."""
    if parse(statement.text).kind is not Kind.PARALLEL:
        yield statement
        return
    found = parts(statement.text)
    for text, offset in found:
        below = statement.text.count("\n", found[0].offset, offset)
        line = None if statement.line is None else statement.line + below
        yield replace(statement, text=text, line=line)


def shown(name: Name) -> str:
    """Return a table's name for people."""
    return f"{name.database}.{name.name}" if name.database else name.name


def listed(names: Iterable[str]) -> str:
    """Return names for people: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
