"""Example packages, installed beside the environment, and commands that find them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"


def install(example: Path, package: Path, site: Path) -> Path:
    """Install a copy of an example, since building leaves files beside it."""
    for file in example.iterdir():
        if file.is_file():
            shutil.copy(file, package)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--no-deps", "--upgrade", "--target", str(site), str(package)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return site


def edited(site: Path, directory: Path, file: str, old: str, new: str) -> Path:
    """Copy a directory with one package, and replace a text in one of its files."""
    changed = shutil.copytree(site, directory)
    [path] = changed.rglob(file)
    path.write_text(path.read_text().replace(old, new))
    return changed


def double(site: Path, directory: Path, name: str, other: str) -> Path:
    """Copy a directory with one package, and register the same there by another."""
    changed = shutil.copytree(site, directory)
    [first] = changed.glob(f"{name}_*.dist-info")
    second = shutil.copytree(first, changed / first.name.replace(f"{name}_", f"{other}_"))
    for file in ("METADATA", "entry_points.txt"):
        text = (second / file).read_text()
        text = text.replace(f"{name}-", f"{other}-").replace(f"{name}_", f"{other}_")
        (second / file).write_text(text)
    return changed


def run(project: Project, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which finds what is installed there."""
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "budeval_migrations", *words],
        cwd=project.path,
        env=project.environment({"PYTHONPATH": paths}),
        capture_output=True,
        text=True,
        timeout=120,
    )
