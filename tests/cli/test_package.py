"""What is installed from a wheel that was built from an sdist: everything, and it runs anywhere."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from budeval_migrations.version import __version__
from tests.support.project import REPOSITORY, clean_environment
from tests.support.targets import require_packages


def run(
    *command: str | Path, where: Path, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=where,
        env=clean_environment(extra),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an sdist, and a wheel built from it."""
    found = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--outdir", found, REPOSITORY, where=found)
    return found


def test_the_wheel_runs_from_an_empty_directory(built: Path, tmp_path: Path) -> None:
    require_packages("chdb", "chdb_sqlalchemy")
    [wheel] = built.glob("*.whl")
    installed = tmp_path / "installed"
    quiet = ("--quiet", "--disable-pip-version-check")
    run("-m", "pip", "install", *quiet, "--no-deps", "--target", installed, wheel, where=tmp_path)
    only = {"PYTHONPATH": str(installed)}

    place = run(
        "-c", "import budeval_migrations as b; print(b.__file__)", where=tmp_path, extra=only
    )
    assert place.stdout.startswith(str(installed))
    told = run("-m", "budeval_migrations", "--version", where=tmp_path, extra=only)
    assert told.stdout == f"budeval-migrate, version {__version__}\n"
    run("-m", "budeval_migrations", "init", "shop", where=tmp_path, extra=only)
    run("-m", "alembic", "upgrade", "head", where=tmp_path / "shop", extra=only)
    told = run("-m", "alembic", "current", where=tmp_path / "shop", extra=only)
    assert told.stdout == "001_create_events (head)\n"
    assert (installed / "budeval_migrations" / "py.typed").is_file()


def test_the_sdist_has_the_licence_and_the_readme_and_nothing_compiled(
    built: Path,
) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "budeval_migrations/py.typed"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".egg"))]
