"""Run budeval's revisions through the tool on embedded ClickHouse, and kill it.

A kill is simulated: from one request on, whatever the thread sends raises, so that nothing
more reaches the database. ClickHouse itself lives on, and so do the writers of the test.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.alembic_ext.source_map import SourceMap
from budeval_migrations.clickhouse.transports.embedded import EmbeddedTransport
from budeval_migrations.errors import StatementFailed
from tests.support.project import REPOSITORY
from tests.support.waiting import again_while

from . import harness
from .harness import REVISIONS, Database

OWN = ("schema_migrations", "schema_migrations_journal", "schema_migrations_lock")


class Killed(BaseException):
    """The process is dead."""


class _Life(threading.local):
    left: int | None = None  # how many more statements; None: for ever
    sent = 0


life = _Life()


@pytest.fixture(scope="module")
def mortal() -> Iterator[None]:
    """Let :func:`killed_after` have its way with the transport of chDB."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("query", "execute", "insert"):
            patch.setattr(EmbeddedTransport, name, _mortal(name))
        # Finding the lines of the statements takes longer than sending them.
        patch.setattr(SourceMap, "locate", lambda self, text: lambda line, column: 1)
        yield


def _mortal(name: str) -> Any:
    original = getattr(EmbeddedTransport, name)

    def call(self: EmbeddedTransport, sql: str, *args: Any, **options: Any) -> Any:
        if life.left == 0:
            raise Killed
        result = original(self, sql, *args, **options)
        if name == "execute" and "schema_migrations" not in sql:
            life.sent += 1
            if life.left:
                life.left -= 1
        return result

    return call


@contextmanager
def killed_after(statements: int) -> Iterator[None]:
    """Kill what the block runs right after so many statements, before that is recorded."""
    life.left = statements
    try:
        yield
    except Killed:
        pass
    finally:
        life.left = None


def move(database: Database, revision: str, direction: str = "upgrade") -> int:
    """Upgrade to a revision, or take it back; how many statements were sent."""
    options: dict[str, Any] = {
        "url": f"chdb:///{harness.directory()}",
        "database": database.name,
        "config": REPOSITORY / "alembic.ini",
        "lock": "off",  # the lock is one for the whole directory
    }
    before = life.sent
    if direction == "upgrade":
        bm.upgrade(revision, **options)
    else:
        at = REVISIONS.index(revision)
        bm.downgrade(REVISIONS[at - 1] if at else "base", **options)
    return life.sent - before


def done(database: Database, revision: str, direction: str) -> bool:
    """Whether the ledger says that the revision went in this direction."""
    heads = _records(database, "alembic_version", "groupArray(version_num)")
    at = REVISIONS.index(revision)
    if direction == "upgrade":
        return heads == f"['{revision}']"
    return heads == (f"['{REVISIONS[at - 1]}']" if at else "[]")


def move_and_die_again_and_again(database: Database, revision: str, direction: str) -> int:
    """Kill every run after its first statement that brings it further; how many runs it took."""
    runs, allowed, before = 0, 1, ""
    while not done(database, revision, direction):
        with killed_after(allowed):
            again_while(is_refusal, partial(move, database, revision, direction))
        runs += 1
        known = _records(
            database,
            "schema_migrations_journal",
            "(uniqExact(position, event), countIf(event = 'chunk'))",
        )
        # What may be run twice is run again, and brings it no further.
        allowed = 1 if known != before else allowed + 1
        before = known
        assert runs < 1000
    return runs


def is_refusal(error: Exception) -> bool:
    """Whether a guard of 004 found an INSERT it cannot wait for: nothing is lost, run it again."""
    return isinstance(error, StatementFailed) and error.code == 395


def _records(database: Database, table: str, what: str) -> str:
    there = (
        f"SELECT count() FROM system.tables WHERE name = '{table}' AND database = '{database.name}'"
    )
    return database.value(f"SELECT {what} FROM {table}") if database.value(there) == "1" else ""


def relations(database: Database) -> dict[str, str]:
    """The schema without the tool's own tables."""
    return {
        name: text
        for name, text in database.schema().items()
        if name not in (*OWN, "alembic_version")
    }
