"""A stage on every engine."""

from __future__ import annotations

import pytest

from tests.engines.stage import Stage
from tests.support.project import Project
from tests.support.targets import Target


@pytest.fixture
def stage(project: Project, engine_url: Target) -> Stage:
    """An empty project for a database that does not exist yet."""
    lock = "auto" if engine_url.modern else "off"
    project.configure(url=engine_url.url, database=engine_url.database, lock=lock)
    return Stage(project, engine_url)
