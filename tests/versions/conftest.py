"""One chDB directory a process: these tests share the session's with all the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.versions import harness


@pytest.fixture(scope="session", autouse=True)
def _data_directory(embedded_directory: Path) -> None:
    harness.use(embedded_directory)
