"""A user's shell: a project on one database, and what a refusal has to look like."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.project import Finished, Project
from tests.support.servers import OldServer, Server

TABLE = "CREATE TABLE IF NOT EXISTS {name} (a Int32, s String) ENGINE = MergeTree ORDER BY a"


@dataclass
class Shell:
    """A project, the server that it migrates, and the database there."""

    project: Project
    server: Server
    database: str
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, *, url: str = "", **settings: str) -> None:
        """Write alembic.ini; further settings stay for the next call."""
        self.settings.update(settings)
        if isinstance(self.server, OldServer):
            self.settings.setdefault("lock", "off")
        self.project.configure(url=url or self.url(), **self.settings)

    def url(self, **options: str) -> str:
        """A SQLAlchemy URL over HTTP to the database."""
        return self.server.url("clickhouse+http", self.database, **options)

    def write(self, count: int = 3) -> list[str]:
        """Write 001_step …, a table each."""
        ids = [f"{n:03}_step" for n in range(1, count + 1)]
        for n, name in enumerate(ids, start=1):
            self.project.write_revision(
                name,
                ids[n - 2] if n > 1 else None,
                TABLE.format(name=f"t{n}"),
                f"DROP TABLE IF EXISTS t{n}",
            )
        return ids

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Finished:
        """Run ``budeval-migrate …``."""
        return self.project.cli(*args, env=env, timeout=timeout)

    def ok(self, *args: str) -> Finished:
        """Run a command that has to work."""
        done = self.run(*args)
        assert done.returncode == 0, done.output
        return done

    def rows(self, sql: str) -> list[str]:
        """The lines of an answer from the database, as TSV."""
        return self.server.query(sql, database=self.database).splitlines()

    def exists(self) -> bool:
        """Whether the database is there."""
        sql = f"SELECT count() FROM system.databases WHERE name = '{self.database}'"
        return self.server.query(sql).strip() == "1"

    def tables(self) -> set[str]:
        """Every table and view, bookkeeping too."""
        sql = f"SELECT name FROM system.tables WHERE database = '{self.database}'"
        return {n for n in self.server.query(sql).split() if not n.startswith(".inner")}

    def ledger(self) -> list[str]:
        """Revision, operation, success; in the order written."""
        return [
            line.replace("true", "1").replace("false", "0")
            for line in self.rows(
                "SELECT version, operation, success FROM schema_migrations ORDER BY sequence"
            )
        ]


def one_object(done: Finished) -> dict[str, Any]:
    """The one JSON object that stdout holds, and nothing else."""
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"stdout is not one JSON object: {done.output}") from None
    assert isinstance(found, dict), done.output
    return found


def no_traceback(done: Finished) -> None:
    """Nothing of Python's own is shown."""
    for sign in ("Traceback (most", 'File "', "During handling of", "FAILED Unexpected"):
        assert sign not in done.stdout + done.stderr, done.output


def refused(
    done: Finished, code: int, *words: str, hint: str | None = "", error: str | None = None
) -> None:
    """A sentence with a hint, the exit code, no traceback, a clean stdout.

    Args:
        words: What the sentence has to say.
        hint: What the hint has to say; empty means there is one; None: it may be missing.
        error: The name of the error, for runs with ``--json``.
    """
    assert done.returncode == code, done.output
    no_traceback(done)
    for word in words:
        assert word in done.stderr, f"{word!r} is missing: {done.output}"
    if hint is not None:
        _, found, said = done.stderr.partition("hint: ")
        assert found and said.strip(), f"no hint: {done.output}"
        assert hint in said, f"the hint does not say {hint!r}: {done.output}"
    if "--json" in done.args:
        answer = one_object(done)
        told = answer["error"] if isinstance(answer["error"], dict) else answer
        assert told["exit_code"] == code, done.output
        if hint is not None:
            assert told["hint"], done.output
        if error is not None:
            assert told["error"] == error, done.output
    else:
        assert done.stdout == "", done.output


def failed_in_alembic(done: Finished, *words: str, hint: str | None = "") -> None:
    """What Alembic's own command line shows: ``FAILED: …`` and no traceback."""
    output = done.stdout + done.stderr
    assert done.returncode == 255, done.output
    assert "FAILED: " in output, done.output
    no_traceback(done)
    for word in words:
        assert word in output, f"{word!r} is missing: {done.output}"
    if hint is not None:
        assert "hint: " in output and hint in output.partition("hint: ")[2], done.output


def all_of(checks: Iterable[Callable[[], None]]) -> None:
    """Make independent checks side by side, and show every one that fails."""

    def attempt(check: Callable[[], None]) -> str:
        try:
            check()
        except AssertionError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        failures = [text for text in pool.map(attempt, checks) if text]
    assert not failures, "\n\n".join(failures)


@contextmanager
def asked(shell: Shell, question: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command in front of a terminal, as it waits for an answer; and the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "budeval_migrations", *words],
        cwd=shell.project.path,
        env=shell.project.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        seen = ""
        while question not in seen:
            read = process.stderr.read(1)
            assert read, seen
            seen += read
        yield process, ours
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)
