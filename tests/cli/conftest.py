"""A shell on every engine that a user may be in front of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.support import targets
from tests.support.project import Project
from tests.support.servers import ChdbFront, OldServer, QueryError


@pytest.fixture
def shell(project: Project, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """A project on a database to be, on ClickHouse 26 over HTTP."""
    yield Shell(project, modern, database)
    with contextlib.suppress(QueryError):
        modern.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def old_shell(tmp_path: Path, old_server: OldServer, database: str) -> Iterator[Shell]:
    """The same on 18.16, with a project of its own and without a lock."""
    yield Shell(Project(tmp_path / "old_project"), old_server, database)
    with contextlib.suppress(QueryError):
        old_server.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def embedded(tmp_path: Path) -> Project:
    """A project on a chDB directory of its own, which is not there yet."""
    targets.require_packages("chdb", "chdb_sqlalchemy")
    project = Project(tmp_path / "embedded_project")
    project.configure(url=f"chdb:///{tmp_path}/data", database="mine")
    return project
