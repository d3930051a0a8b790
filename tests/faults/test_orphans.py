"""A query that outlives its client is found by its query_id, and waited for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, no_traceback, refused
from tests.faults.processes import (
    executed,
    outcomes,
    started,
    states,
    tells_no_secret,
    works_on,
)
from tests.support.project import Project
from tests.support.servers import ChdbFront, OldServer
from tests.support.waiting import wait_until

TABLE = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
SELECT = (
    "INSERT INTO t SELECT toInt32(number + 1) FROM numbers(8) "
    "WHERE NOT ignore(sleepEachRow(2)) SETTINGS max_block_size = 1"
)
VALUES = "INSERT INTO t VALUES (1 + (SELECT sleep(3))), (2 + (SELECT sleep(2.9))), (3 + (SELECT sleep(2.8)))"
WAITS = "002_fill statement 1: the server still works on it"


@pytest.fixture
def old(tmp_path: Path, old_server: OldServer, database: str) -> Iterator[Shell]:
    """18.16 over HTTP, which keeps a log of queries."""
    yield Shell(Project(tmp_path / "project"), old_server, database)
    old_server.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def new(tmp_path: Path, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """ClickHouse 26 over HTTP, without a log of queries."""
    yield Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "5"})
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def _kill_in(shell: Shell, slow: str) -> None:
    """SIGKILL a migrating process while the server works on its slow statement."""
    shell.project.write_revision("001_table", None, TABLE)
    shell.project.write_revision("002_fill", "001_table", slow)
    shell.project.write_revision(
        "003_after", "002_fill", "CREATE TABLE IF NOT EXISTS u (a Int32) ENGINE = Log"
    )
    with started(shell, "budeval_migrations", "up") as process:
        wait_until(lambda: works_on(shell, "INSERT INTO t "), "the slow statement did not start")
        process.kill()
        process.wait()
    assert works_on(shell, "INSERT INTO t ")


def test_on_18_16_the_second_run_waits_for_the_orphan_and_takes_its_outcome_from_the_log(
    old: Shell,
) -> None:
    _kill_in(old, SELECT)
    done = old.run("up")
    assert done.returncode == 0, done.output
    assert WAITS in done.stderr, done.output
    assert old.rows("SELECT count(), sum(a) FROM t") == ["8\t36"]
    assert outcomes(old, "002_fill") == ["applied"]
    assert old.rows(
        "SELECT note FROM schema_migrations_journal WHERE event = 'applied' AND revision = '002_fill'"
    ) == ["the server\\'s query log says that it finished"]
    assert old.ledger() == [
        "001_table\tupgrade\t1",
        "002_fill\tupgrade\t0",
        "002_fill\tupgrade\t1",
        "003_after\tupgrade\t1",
    ]
    old.server.query("SYSTEM FLUSH LOGS")
    sent = old.server.query(
        "SELECT count() FROM system.query_log WHERE type = 2 AND query_id IN "
        f"(SELECT query_id FROM {old.database}.schema_migrations_journal WHERE revision = '002_fill')"
    )
    assert sent.strip() == "1"
    tells_no_secret(old, done.output)


def test_rows_that_can_be_counted_are_waited_for_and_counted(new: Shell) -> None:
    _kill_in(new, VALUES)
    done = new.run("up")
    assert done.returncode == 0, done.output
    assert WAITS in done.stderr, done.output
    assert new.rows("SELECT count(), sum(a) FROM t") == ["3\t6"]
    assert executed(new, VALUES) == 1
    assert states(new) == ["applied"] * 3
    assert outcomes(new, "002_fill") == ["applied"]
    assert new.ledger() == [
        "001_table\tupgrade\t1",
        "002_fill\tupgrade\t0",
        "002_fill\tupgrade\t1",
        "003_after\tupgrade\t1",
    ]
    tells_no_secret(new, done.output)


def test_where_nothing_tells_the_run_waits_and_asks_and_the_command_it_shows_mends_it(
    new: Shell,
) -> None:
    _kill_in(new, SELECT)
    done = new.run("up")
    refused(done, 4, WAITS, "002_fill  statement 1 of 1", "it cannot be known", "t has got 8 rows")
    assert states(new) == ["applied", "unknown", "pending"]
    [command] = re.findall(r"If it took effect: budeval-migrate (.*)", done.stderr)
    assert command == "repair --revision 002_fill --statement 1 --applied"
    mended = new.ok(*shlex.split(command))
    again = new.ok("up")
    no_traceback(again)
    assert new.rows("SELECT count(), sum(a) FROM t") == ["8\t36"]
    assert executed(new, SELECT) == 1
    assert states(new) == ["applied"] * 3
    assert new.ledger() == [
        "001_table\tupgrade\t1",
        "002_fill\tupgrade\t0",  # the killed run
        "002_fill\tupgrade\t0",
        "002_fill\trepair\t0",
        "002_fill\tupgrade\t1",
        "003_after\tupgrade\t1",
    ]
    tells_no_secret(new, done.output, mended.output, again.output)
