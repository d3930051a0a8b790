"""A process that was forked from one that had loaded chDB gets a sentence, and does not hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import targets
from tests.support.project import REPOSITORY, Project
from tests.support.waiting import PATIENCE

SCRIPT = """
import os, sys
import budeval_migrations as bm
settings = {"url": sys.argv[1], "database": "mine", "versions": [sys.argv[2]]}
if sys.argv[3] == "used":
    assert bm.upgrade(**settings).applied == ("001_step",)
elif sys.argv[3] == "imported":
    import chdb
child = os.fork()
if not child:
    try:
        print(bm.upgrade(**settings).applied, flush=True)
    except bm.MigrationError as error:
        print(type(error).__name__, error.message, error.hint, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("place", ["{0}/data", ":memory:"], ids=["directory", "memory"])
@pytest.mark.parametrize("state", ["used", "imported"])
def test_after_a_fork_chdb_is_refused_with_a_sentence(
    tmp_path: Path, state: str, place: str
) -> None:
    said = _forked(tmp_path, f"chdb:///{place.format(tmp_path)}", state)
    assert said.startswith("ConnectionFailed chdb:///"), said
    assert "it was forked from one that had loaded chDB" in said, said
    assert "spawn" in said, said


def test_a_child_of_a_process_without_chdb_may_use_it(tmp_path: Path) -> None:
    assert _forked(tmp_path, f"chdb:///{tmp_path}/data", "untouched") == "('001_step',)\n"


def _forked(directory: Path, url: str, state: str) -> str:
    targets.require_packages("chdb", "chdb_sqlalchemy")
    project = Project(directory / "project")
    project.write_chain(1)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, url, str(project.versions), state],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
