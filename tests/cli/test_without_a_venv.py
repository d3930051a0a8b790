"""The wheel without a virtual environment of one's own: what uvx and pipx make of it.

Both install what the wheel asks for and nothing else: a dependency that only the development
environment has is missed here. Packages come from PyPI the first time, then from ``build/uv``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import REPOSITORY, clean_environment
from tests.support.targets import require_packages

Run = Callable[..., str]

COMMANDS = Path(sysconfig.get_path("scripts"))
CURRENT = "001_create_events (head)\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command's standard output; it has left nothing at home and seen nothing of this tree."""
    require_packages("uv", "pipx")
    variables = {
        "PYTHONPATH": "",
        "UV_CACHE_DIR": str(REPOSITORY / "build" / "uv"),
        "UV_CREDENTIALS_DIR": str(tmp_path / "credentials"),
        "UV_PYTHON": sys.executable,
        "UV_SYSTEM_CERTS": "1",  # as pip does
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_COMPLETION_DIR": str(tmp_path / "completion"),
        "PIPX_DEFAULT_BACKEND": "uv",
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
    }

    def call(command: Path, *words: str | Path, where: Path = tmp_path, **more: str) -> str:
        done = subprocess.run(
            [command, *words],
            cwd=where,
            env=clean_environment(variables | more),
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture
def wheel(run: Run, tmp_path: Path) -> Path:
    """The wheel, built from a copy: another test may be building in this tree."""
    source = tmp_path / "source"
    package = "budeval_migrations"
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / package, source / package, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    run(COMMANDS / "uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, source)
    [found] = tmp_path.glob("*.whl")
    return found


def test_uvx_makes_a_project_and_upgrades_it(run: Run, wheel: Path, tmp_path: Path) -> None:
    uvx, ours, shop = COMMANDS / "uvx", f"{wheel}[embedded]", tmp_path / "shop"

    run(uvx, "--from", ours, "budeval-migrate", "init", "shop")
    told = run(uvx, "--from", ours, "budeval-migrate", "up", where=shop)
    assert told.endswith("now at 001_create_events\n")
    told = run(uvx, "--from", "alembic", "--with", ours, "alembic", "current", where=shop)
    assert told == CURRENT

    run(COMMANDS / "uv", "cache", "prune")  # uvx's environments; the packages stay


def test_pipx_installs_both_commands(run: Run, wheel: Path, tmp_path: Path) -> None:
    # The cache may be on another disk, and a copy of chDB has half a gigabyte.
    links = {"UV_LINK_MODE": "symlink"}
    run(COMMANDS / "pipx", "install", "--include-deps", f"{wheel}[embedded]", **links)

    run(tmp_path / "bin" / "budeval-migrate", "init", "shop")
    run(tmp_path / "bin" / "alembic", "upgrade", "head", where=tmp_path / "shop")
    assert run(tmp_path / "bin" / "alembic", "current", where=tmp_path / "shop") == CURRENT
