"""Example packages, installed once for the tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import installed


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's ``EXAMPLE``, installed beside the environment."""
    return installed.install(
        request.module.EXAMPLE, tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    )
