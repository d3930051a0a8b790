"""Revision files in a directory of their own, and what the compiler makes of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from alembic.script import ScriptDirectory

from budeval_migrations.alembic_ext.compile import Compiler
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.model import CompiledRevision, Direction, Statement
from budeval_migrations.revisions.script import open_directory
from budeval_migrations.settings import Settings

# One URL for every dialect; none of them is connected to.
URLS = {
    "chdb": "chdb:///./never-opened",
    "clickhouse-http": "clickhouse+http://nowhere.invalid",
    "clickhouse-native": "clickhouse+native://nowhere.invalid",
    "clickhousedb": "clickhousedb://nowhere.invalid",
}

HEADER = '''\
"""A revision."""

import sqlalchemy as sa
from alembic import op

revision = "001_a"
down_revision = None


'''


def write(versions: Path, body: str, *, name: str = "001_a") -> Path:
    """Write a revision file: the usual header, and a body of functions."""
    versions.mkdir(parents=True, exist_ok=True)
    path = versions / f"{name}.py"
    text = HEADER.replace("001_a", name) + dedent(body).strip("\n") + "\n"
    path.write_bytes(text.encode())
    return path


def directory(versions: Path) -> ScriptDirectory:
    """Return Alembic's view of a directory."""
    return open_directory([str(versions)])


def compile_file(
    path: Path, *, url: str = URLS["chdb"], direction: Direction = Direction.UP
) -> CompiledRevision:
    """Compile one direction of a revision that was written; sends nothing."""
    with Session(Settings(url=url)) as session:
        script = directory(path.parent).get_revision(path.stem)
        assert script is not None
        return Compiler(session.engine.dialect).compile(script, direction)


def statements(path: Path, *, url: str = URLS["chdb"]) -> tuple[Statement, ...]:
    """Return the statements of a revision's upgrade."""
    compiled = compile_file(path, url=url)
    assert not compiled.dynamic
    return compiled.statements


def line_with(path: Path, needle: str) -> int:
    """Return the 1-based number of the one line that holds a text."""
    lines = path.read_text("utf-8").split("\n")
    [found] = [n for n, line in enumerate(lines, start=1) if needle in line]
    return found
