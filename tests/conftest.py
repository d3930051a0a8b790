"""Engines, databases and projects for every test.

Servers start when the first test asks for them and end with the session. chDB in the test
process has one data directory for the session: a process can open another one only after every
connection to the first is closed, so each test gets a database of its own instead. Another
process can open that directory only while this one has no connection to it: tests of commands
that run in a subprocess use a directory of their own (``f"chdb:///{tmp_path}/data"``).
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import targets
from tests.support.project import Project
from tests.support.servers import ChdbFront, OldServer, QueryError
from tests.support.targets import Target
from tests.support.warm import kept_running


def pytest_configure(config: pytest.Config) -> None:
    """Register the engines' marks; keep pytest-alembic from binding its tests to this file."""
    for mark, meaning in targets.MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")
    # pytest-alembic 0.13 fails on pytest 9.1 and newer where it binds its own tests to a file,
    # which it does for tests/conftest.py even when nobody asked for them; its fixtures do work.
    if getattr(config.option, "pytest_alembic_tests_path", "") is None:
        config.option.pytest_alembic_tests_path = "tests/no-such-file"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep away from the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbFront]:
    """ClickHouse 26 over HTTP. Do not kill it: make a :class:`ChdbFront` of your own."""
    targets.require_packages("chdb")
    with ChdbFront(tmp_path_factory.mktemp("modern")) as server:
        yield server


@pytest.fixture(scope="session")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    """ClickHouse 18.16 over HTTP and the native protocol. Do not kill it either."""
    targets.require_old_server()
    with OldServer(tmp_path_factory.mktemp("old")) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of chDB inside the test process."""
    targets.require_packages("chdb", "chdb_sqlalchemy")
    directory = tmp_path_factory.mktemp("embedded") / "data"
    with kept_running(directory):
        yield directory


@pytest.fixture
def database() -> str:
    """The name of a database that does not exist."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=targets.engine_parameters())
def engine_url(request: pytest.FixtureRequest, database: str) -> Iterator[Target]:
    """Every engine in turn, with a database of its own that is dropped afterwards."""
    name: str = request.param
    if name == "embedded":
        directory: Path = request.getfixturevalue("embedded_directory")
        yield targets.embedded_target(directory, database)
        _drop_embedded(directory, database)
        return
    if name == "modern-connect":
        targets.require_packages("clickhouse_connect")
    server = request.getfixturevalue("modern" if name.startswith("modern") else "old_server")
    yield targets.server_target(name, server, database)
    with contextlib.suppress(QueryError):
        server.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty migrations project; say where it migrates with ``project.configure(url=…)``."""
    return Project(tmp_path / "project")


def _drop_embedded(directory: Path, database: str) -> None:
    if not directory.exists():
        return
    from tests.support.chdb_engine import connect

    connection = connect(str(directory))
    try:
        connection.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    finally:
        connection.close()
