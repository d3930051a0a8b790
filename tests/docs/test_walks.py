"""The walks of somebody who is new to it, typed from their first line to their last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.project import REPOSITORY
from tests.support.servers import ChdbFront, free_port
from tests.support.targets import require_packages

SERVER = "clickhouse+http://user:password@clickhouse:8123"
INSTALL = 'python3 -m venv .venv && . .venv/bin/activate && pip install -e ".[embedded]"'


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty directory, where this project is installed."""
    require_packages("chdb", "chdb_sqlalchemy")
    with Terminal(tmp_path) as found:
        yield found


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


def test_old_installations_are_taken_over(terminal: Terminal) -> None:
    clone = terminal.place / "clone"
    clone.mkdir()
    for name in ("alembic.ini", "env.py", "versions"):
        copy = shutil.copytree if name == "versions" else shutil.copy
        copy(REPOSITORY / name, clone / name)
    assert terminal.run("cd clone")[0] == 0
    read("docs/adopting.md", terminal)


def test_a_backfill_that_is_killed_goes_on(terminal: Terminal) -> None:
    read("docs/backfills.md", terminal)


def test_revisions_are_taken_back_with_and_without_their_files(terminal: Terminal) -> None:
    read("docs/rolling-back.md", terminal)


def test_what_goes_beside_the_commands(terminal: Terminal) -> None:
    assert terminal.run("budeval-migrate init shop && cd shop")[0] == 0
    read("docs/operating.md", terminal)
