"""Migrating processes of their own, for the tests that stop, signal and kill them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

from tests.cli.shell import Shell, one_object
from tests.support.servers import ChdbFront
from tests.support.waiting import wait_until


def works_on(shell: Shell, start: str) -> bool:
    """Whether the server works on a statement of the database that begins with ``start``."""
    if isinstance(shell.server, ChdbFront):
        running = [r for r in shell.server.running() if r["database"] == shell.database]
        return any(r["query"].startswith(start) for r in running)
    found = shell.server.query(
        f"SELECT count() FROM system.processes WHERE startsWith(query, '{start}')"
    )
    return int(found) > 0


def executed(shell: Shell, sql: str) -> int:
    """How often a modern server has executed exactly this, once it works on it no more."""
    assert isinstance(shell.server, ChdbFront)
    wait_until(lambda: not works_on(shell, sql), f"{sql} goes on")
    ours = [r for r in shell.server.queries() if r["database"] == shell.database]
    return sum(r["query"] == sql for r in ours)


@contextlib.contextmanager
def started(shell: Shell, module: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has ended at the end of the body, whatever happens."""
    process = shell.project.start(module, *args)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def tells_no_secret(shell: Shell, *texts: str) -> None:
    """No password of the server in anything that was printed or recorded."""
    tables = ("schema_migrations", "schema_migrations_journal")
    kept = [line for table in tables for line in shell.rows(f"SELECT * FROM {table}")]
    text = "\n".join([*texts, *kept])
    for password in shell.server.users.values():
        for form in (password, quote(password, safe=""), password[-8:]):
            assert form not in text


def outcomes(shell: Shell, revision: str) -> list[str]:
    """The journal's last word on each statement of a revision."""
    return shell.rows(
        "SELECT argMax(event, sequence) FROM schema_migrations_journal "
        f"WHERE revision = '{revision}' GROUP BY position ORDER BY position"
    )


def states(shell: Shell) -> list[str]:
    """Where every revision stands, in the words of ``status``."""
    return [r["state"] for r in one_object(shell.ok("--json", "status"))["revisions"]]
