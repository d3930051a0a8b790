"""Run budeval's revision files on embedded ClickHouse, statement by statement.

A revision's upgrade() or downgrade() is run against recorders in place of `op.execute`,
`op.execute_unless` and `op.backfill`, and the recorded statements are then sent to a database
of their own, in one straight run, as a script would. (:mod:`.tool` runs them through the tool,
and kills it.) chDB allows one data directory a process, so every scenario gets a fresh database
in one directory.
Imports nothing of the package but its recipes, whose statements it sends.
"""

import functools
import importlib.util
import itertools
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import chdb
from alembic import op

import budeval_migrations.op  # noqa: F401  adds the directives that are patched here
from budeval_migrations.model import Statement
from budeval_migrations.recipes.rebuild_table import rebuild_table
from budeval_migrations.recipes.view_history import view_with_history

VERSIONS = Path(__file__).resolve().parents[2] / "versions"
REVISIONS = [path.stem for path in sorted(VERSIONS.glob("[0-9]*.py"))]

_directory = ""
_numbers = itertools.count(1)
_compiling = threading.Lock()  # op is patched for everyone in the process


def use(directory: Path) -> None:
    """Say where the databases are: a process can have one data directory."""
    global _directory
    _directory = str(directory)


def directory() -> str:
    """Say where the databases are."""
    return _directory


class Guarded(NamedTuple):
    """A statement, and the probe under which it is not sent (None: always sent)."""

    sql: str
    unless: str | None


def load(revision: str) -> ModuleType:
    """Import the file of a revision."""
    spec = importlib.util.spec_from_file_location(f"rev_{revision}", VERSIONS / f"{revision}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_(revision: str, direction: str) -> list[Guarded]:
    """Collect the statements of a revision's `upgrade` or `downgrade`."""
    with _compiling:
        return list(_compile(revision, direction))


@functools.cache
def _compile(revision: str, direction: str) -> tuple[Guarded, ...]:
    statements: list[Guarded] = []
    with (
        mock.patch.object(op, "execute", lambda sql: statements.append(Guarded(sql, None))),
        mock.patch.object(
            op,
            "execute_unless",
            lambda probe, sql: statements.append(Guarded(sql, probe)),
            create=True,
        ),
        mock.patch.object(
            op,
            "backfill",
            lambda into, select, **_: statements.append(
                Guarded(f"INSERT INTO {into} {select.replace('{chunk}', '(1)')}", None)
            ),
            create=True,
        ),
        mock.patch.object(
            op,
            "rebuild_table",
            lambda table, create, *, copy, kept_as, recipe: statements.extend(
                _expanded(rebuild_table(table, create, copy, kept_as, recipe=recipe))
            ),
            create=True,
        ),
        mock.patch.object(
            op,
            "create_view_with_history",
            lambda view, select, **options: statements.extend(
                _expanded(view_with_history(view, select, **options))
            ),
            create=True,
        ),
    ):
        getattr(load(revision), direction)()
    return tuple(statements)


def _expanded(statements: Iterable[Statement]) -> Iterator[Guarded]:
    """Yield the statements of a recipe."""
    for statement in statements:
        yield Guarded(statement.text, statement.unless)


class Database:
    """A database of its own; `client()` gives further connections to it."""

    def __init__(self) -> None:
        self.name = f"v{next(_numbers)}"
        self._connection = chdb.connect(_directory)
        self._connection.query(f"CREATE DATABASE {self.name}")
        self._connection.query(f"USE {self.name}")

    def client(self) -> "Database":
        """Open another connection to the same database."""
        other = object.__new__(Database)
        other.name = self.name
        other._connection = chdb.connect(_directory)
        other._connection.query(f"USE {self.name}")
        return other

    def query(self, sql: str) -> list[list[str]]:
        """Send one statement; the answer as rows of text."""
        answer = self._connection.query(sql, "TSV").data()
        return [line.split("\t") for line in answer.splitlines()]

    def value(self, sql: str) -> str:
        """Send one statement; the only value of its answer."""
        [[value]] = self.query(sql)
        return value

    def send(self, statement: Guarded, *, guards: bool = True) -> bool:
        """Send a statement unless its probe yields a row; whether it was sent."""
        if guards and statement.unless is not None and self.query(statement.unless):
            return False
        self.query(statement.sql)
        return True

    def run(
        self,
        revision: str,
        direction: str = "upgrade",
        *,
        guards: bool = True,
    ) -> None:
        """Run a revision."""
        for statement in compile_(revision, direction):
            self.send(statement, guards=guards)

    def upgrade(self, to: str) -> None:
        """Run every revision from the first to `to` (a prefix is enough)."""
        for revision in REVISIONS:
            self.run(revision)
            if revision.startswith(to):
                return
        raise LookupError(to)

    def schema(self) -> dict[str, str]:
        """What `system.tables` says of every relation, without what differs by installation."""
        rows = self.query(
            "SELECT name, create_table_query, engine, sorting_key, primary_key, partition_key"
            f" FROM system.tables WHERE database = '{self.name}' ORDER BY name"
        )
        uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        text = [
            [re.sub(uuid, "<uuid>", re.sub(rf"\b{self.name}\.", "", cell)) for cell in row]
            for row in rows
        ]
        return {row[0]: " | ".join(row[1:]) for row in text}

    def drop(self) -> None:
        """Drop the database."""
        self.query(f"DROP DATABASE {self.name}")
