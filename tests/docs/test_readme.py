"""README.md, typed on a machine that has Python and a clone of the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.project import REPOSITORY, clean_environment
from tests.support.servers import ChdbFront
from tests.support.targets import require_packages

INIT = "budeval-migrate init shop && cd shop && alembic upgrade head"
SERVER = "clickhouse+http://user:password@clickhouse:8123"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone of the repository has."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if (REPOSITORY / name).is_file():
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
    return tmp_path / "clone"


def test_the_readme_does_what_it_says(clone: Path, modern: ChdbFront) -> None:
    require_packages("chdb", "fastapi")
    url = modern.url("clickhouse+http")

    def is_what_runs_the_tests(block: str) -> None:
        assert block == "make test\n"
        assert block in (clone / ".ci" / "run").read_text()

    def starts(block: str) -> None:
        service = block.replace(SERVER, url) + (
            "\nfrom fastapi.testclient import TestClient\n"
            "with TestClient(app):\n    print(*app.state.migrations.applied)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", service],
            cwd=clone,
            env=clean_environment(),
            capture_output=True,
            text=True,
        )
        applied = sorted(path.stem for path in (clone / "versions").glob("0*.py"))
        assert done.stdout.split() == applied, done.stderr

    def is_migrated(_: Path) -> None:
        applied = modern.query("SELECT version_num FROM budeval.alembic_version")
        assert applied == "007_add_comment\n"
        drop(modern)

    drop(modern)
    try:
        with Terminal(clone, {"PYTHONPATH": ""}) as terminal:
            read(
                "README.md",
                terminal,
                stand_ins={SERVER: url},
                before={INIT: is_migrated},
                readers={
                    "make test": is_what_runs_the_tests,
                    "from fastapi import FastAPI": starts,
                },
            )
    finally:
        drop(modern)


def drop(server: ChdbFront) -> None:
    server.query("DROP DATABASE IF EXISTS budeval SYNC")
