"""The walks of somebody who is new to it, typed from their first line to their last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.legacy import LEGACY_TABLE
from tests.support.project import REPOSITORY
from tests.support.servers import ChdbFront, free_port
from tests.support.targets import require_packages
from tests.versions.harness import REVISIONS, compile_

SERVER = "clickhouse+http://user:password@clickhouse:8123"
INSTALL = 'python3 -m venv .venv && . .venv/bin/activate && pip install -e ".[embedded]"'


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty directory, where this project is installed."""
    require_packages("chdb", "chdb_sqlalchemy")
    with Terminal(tmp_path) as found:
        yield found


# What the first three .sql files of budeval had done, and what its first tool wrote down.
BUDEVAL = [
    *(each.sql for name in REVISIONS[:3] for each in compile_(name, "upgrade")),
    LEGACY_TABLE,
    """INSERT INTO schema_migrations VALUES
    ('000_migration_tracking', 'bootstrap', '2025-01-01 00:00:00', 0, 1, NULL),
    ('001_initial_schema', 'f3c1', '2025-01-01 00:00:01', 412, 1, NULL),
    ('002_add_experiment_id', '9a07', '2025-02-03 09:30:00', 55, 0, 'Code: 159. DB::Exception'),
    ('002_add_experiment_id', '9a07', '2025-02-03 09:31:00', 61, 1, NULL),
    ('003_add_status', '27bd', '2025-03-04 16:00:00', 23, 1, NULL)""",
]
OTHERS = [
    "CREATE TABLE shop.events (id UInt64) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE shop.alembic_version (version_num String) ENGINE = MergeTree ORDER BY tuple()",
    "INSERT INTO shop.alembic_version VALUES ('001_create_events')",
    "CREATE TABLE site.visits (at DateTime, page String) ENGINE = MergeTree ORDER BY at",
    "CREATE TABLE site.pages (page String, title String, seen DateTime) "
    "ENGINE = ReplacingMergeTree ORDER BY page",
]
DATABASES = ("shop", "site", "budeval")


@pytest.fixture
def server(modern: ChdbFront) -> Iterator[ChdbFront]:
    """A server that has no database of the pages, before and afterwards."""

    def clear() -> None:
        for name in DATABASES:
            modern.query(f"DROP DATABASE IF EXISTS {name} SYNC")

    clear()
    yield modern
    clear()


def as_in_the_readme(block: str) -> None:
    """What installs it is typed for real by the test of the README, where it stands too."""
    assert block.strip() == INSTALL
    assert any(each.text.startswith(INSTALL) for each in blocks("README.md"))


def test_an_empty_machine_is_migrated(terminal: Terminal, server: ChdbFront) -> None:
    read(
        "docs/tutorial.md",
        terminal,
        stand_ins={SERVER: server.url("clickhouse+http")},
        readers={INSTALL: as_in_the_readme},
    )


def test_a_migration_that_breaks_is_mended(terminal: Terminal) -> None:
    read("docs/recovering.md", terminal)


def test_a_service_migrates_when_it_starts(terminal: Terminal, server: ChdbFront) -> None:
    require_packages("fastapi", "uvicorn")
    port = str(free_port())
    read(
        "docs/fastapi.md",
        terminal,
        stand_ins={SERVER: server.url("clickhouse+http"), "8000": port},
    )


def test_old_installations_are_taken_over(terminal: Terminal, server: ChdbFront) -> None:
    for name in DATABASES:
        server.query(f"CREATE DATABASE {name}")
    for statement in BUDEVAL:
        server.query(statement, database="budeval")
    for statement in OTHERS:
        server.query(statement)
    clone = terminal.place / "budeval"
    for name in ("alembic.ini", "env.py", "versions"):
        copy = shutil.copytree if name == "versions" else shutil.copy
        clone.mkdir(exist_ok=True)
        copy(REPOSITORY / name, clone / name)
    assert terminal.run("budeval-migrate init shop && cd budeval")[0] == 0

    read("docs/adopting.md", terminal, stand_ins={SERVER: server.url("clickhouse+http")})


def test_a_backfill_that_is_killed_goes_on(terminal: Terminal) -> None:
    read("docs/backfills.md", terminal)


def test_revisions_are_taken_back_with_and_without_their_files(terminal: Terminal) -> None:
    read("docs/rolling-back.md", terminal)


def test_what_goes_beside_the_commands(terminal: Terminal) -> None:
    assert terminal.run("budeval-migrate init shop && cd shop")[0] == 0
    read("docs/operating.md", terminal)
