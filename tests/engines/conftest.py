"""A workspace on every engine.

`make test` runs most tests on one new and one old engine: each test on another pair, so that
every way to a server is in use everywhere. `make exhaustive` runs the others. What is about the
ways themselves is marked ``every_engine`` and always runs on all of them.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from pathlib import Path

import pytest

from tests.engines.workspace import Workspace
from tests.support.project import Project
from tests.support.targets import Target


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but one engine of a kind to `make exhaustive`."""
    kinds: dict[tuple[str, bool], list[pytest.Item]] = defaultdict(list)
    for item in items:
        engine = _engine(item)
        if engine and not item.get_closest_marker("every_engine"):
            kinds[item.nodeid.replace(engine, ""), engine.startswith("old")].append(item)
    for (name, _), alike in kinds.items():
        chosen = zlib.crc32(name.encode()) % len(alike)
        for item in alike[:chosen] + alike[chosen + 1 :]:
            item.add_marker(pytest.mark.exhaustive)


def _engine(item: pytest.Item) -> str:
    """Return the engine of a test of this directory; empty where it has no parameter for it."""
    mine = item.path.is_relative_to(Path(__file__).parent)
    found = getattr(item, "callspec", None)
    return str(found.params.get("engine_url", "")) if mine and found else ""


@pytest.fixture
def workspace(project: Project, engine_url: Target) -> Workspace:
    """An empty project for a database that does not exist yet."""
    lock = "auto" if engine_url.modern else "off"
    project.configure(url=engine_url.url, database=engine_url.database, lock=lock)
    return Workspace(project, engine_url)
