"""What a type checker says to a program that uses the public names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = """
import asyncio

import budeval_migrations as bm
from budeval_migrations.events import Event
from typing_extensions import assert_type


def listen(event: Event) -> None:
    print(event)


assert_type(bm.upgrade("head", on_event=listen, url="chdb:///./x"), bm.Report)
assert_type(bm.status().pending, tuple[str, ...])
assert_type(bm.validate().ok, bool)
assert_type(bm.lint("versions/a.py"), bm.LintReport)
assert_type(asyncio.run(bm.upgrade_async()), bm.Report)
assert_type(bm.__version__, str)
try:
    bm.downgrade("base")
except bm.MigrationError as error:
    assert_type(error.exit_code, int)
    assert_type(error.hint, str)
"""
WRONG = {
    "bm.upgrade(3)": 'Argument 1 to "upgrade" has incompatible type "int"; expected "str"',
    "bm.status().pendign": '"Status" has no attribute "pendign"',
    "bm.upgarde()": 'Module has no attribute "upgarde"',
    "bm.downgrade()": 'Missing positional argument "target" in call to "downgrade"',
}


def test_a_program_that_uses_them_rightly_is_accepted(tmp_path: Path) -> None:
    assert checked(RIGHT, tmp_path).startswith("Success: no issues found")


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_found_before_it_runs(line: str, tmp_path: Path) -> None:
    assert WRONG[line] in checked(f"import budeval_migrations as bm\n\n{line}\n", tmp_path)


def checked(program: str, tmp_path: Path) -> str:
    """Return what mypy says, as strict as it can be."""
    (tmp_path / "program.py").write_text(program)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "user")},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    ).stdout  # fmt: skip
