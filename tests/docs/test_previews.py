"""The page about looking ahead, typed from its first line to its last."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.targets import require_packages

PYTEST = "pytest --budeval-versions versions"


def without_its_own_tests(place: Path) -> None:
    """Leave to tests of init what it wrote, which does the same once more."""
    shutil.rmtree(place / "tests")


def test_a_migration_is_rehearsed_and_compared_before_it_runs(tmp_path: Path) -> None:
    require_packages("chdb", "chdb_sqlalchemy")
    with Terminal(tmp_path) as terminal:
        read("docs/previews.md", terminal, before={PYTEST: without_its_own_tests})
