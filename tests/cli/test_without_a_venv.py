"""The wheel without a virtual environment of one's own: what uvx and pipx make of it.

They install what the wheel asks for and nothing else, so that a dependency which only the
development environment has is missed here. Packages come from PyPI at the first time and from
``build/uv`` afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from budeval_migrations.version import __version__
from tests.support.project import REPOSITORY, clean_environment
from tests.support.targets import require_packages

SCRIPTS = Path(sysconfig.get_path("scripts"))
CURRENT = "001_create_events (head)\n"


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    """Variables that keep both tools out of the home directory and off this repository."""
    require_packages("uv", "pipx")
    return {
        "PYTHONPATH": "",
        "UV_CACHE_DIR": str(REPOSITORY / "build" / "uv"),
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        # chDB alone is half a gigabyte.
        "UV_LINK_MODE": "symlink",
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "PIPX_DEFAULT_BACKEND": "uv",
    }
