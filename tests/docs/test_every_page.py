"""No page has a command or a snippet that no test types, writes or reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from budeval_migrations.settings import load_settings
from tests.docs.pages import blocks, pages
from tests.support.project import REPOSITORY

HERE = "tests/docs/test_every_page.py"
#: Who reads which pages.
READERS = {
    r"README": "tests/docs/test_readme.py",
    r"docs/(adopting|backfills|fastapi|operating|recovering|rolling-back|tutorial)": (
        "tests/docs/test_walks.py"
    ),
    r"docs/(cluster|generate|lint|recipes|revisions|previews)": r"tests/docs/test_\1.py",
    r"docs/lint/BM\d+": "tests/cli/test_lint_pages.py",
    r"docs/least-privilege": "tests/examples/test_least_privilege.py",
    r"docs/reference/commands": "tests/docs/test_command_examples.py",
    r"docs/reference/(api|errors)": "tests/unit/test_reference.py",  # made from the code
    r"examples/(fastapi|kubernetes|lint_rule|recipe|transport|adopter)/README": r"tests/examples/test_\1.py",
    r"CONTRIBUTING|docs/performance|docs/reference/settings": HERE,
}
MAKES = ("CONTRIBUTING.md", "docs/performance.md")


def reader(page: str) -> str:
    """The test that reads a page; empty where there is none."""
    for pattern, test in READERS.items():
        if found := re.fullmatch(rf"(?:{pattern})\.md", page):
            return found.expand(test)
    return ""


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page)])
def test_a_page_with_a_block_has_a_test_that_reads_it(page: str) -> None:
    test = REPOSITORY / reader(page)
    assert test.is_file(), f"nobody reads {page}"
    by_name = Path(page).name in test.read_text("utf-8")
    by_folder = Path(page).parent.name in test.read_text("utf-8")
    assert by_name or by_folder


@pytest.mark.parametrize("pattern", READERS)
def test_a_reader_has_a_page(pattern: str) -> None:
    assert any(re.fullmatch(rf"(?:{pattern})\.md", page) for page in pages())


@pytest.mark.parametrize("page", MAKES)
def test_what_is_made_can_be_made(page: str) -> None:
    """Some of it takes an hour: that make knows what to do has to be enough."""
    lines = [line for block in blocks(page) for line in block.text.splitlines()]
    commands = [line.partition("#")[0].split() for line in lines]
    assert commands
    for make, *targets in commands:
        assert make == "make"
        done = subprocess.run(["make", "--dry-run", *targets], cwd=REPOSITORY, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_the_settings_that_are_shown_are_settings(tmp_path: Path) -> None:
    [block] = blocks("docs/reference/settings.md")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = .\n" + block.text)

    settings = load_settings(config=ini)

    assert (settings.database, settings.lock_timeout) == ("shop", 60)
    assert settings.url == "clickhouse+http://user@host:8123"
