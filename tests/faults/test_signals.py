"""Ctrl-C and SIGTERM in a slow statement: stopped or finished, recorded, and the lock is free."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, one_object
from tests.faults.processes import (
    executed,
    outcomes,
    started,
    states,
    tells_no_secret,
    works_on,
)
from tests.support import targets
from tests.support.project import Project
from tests.support.servers import ChdbFront
from tests.support.waiting import PATIENCE, wait_until

TABLE = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
# Can be stopped after each row, and takes longer than anybody waits.
SLOW = (
    "INSERT INTO t SELECT toInt32(number + 1) FROM numbers(300) "
    "WHERE NOT ignore(sleepEachRow(0.2)) SETTINGS max_block_size = 1"
)
QUICK = "INSERT INTO t SELECT toInt32(number + 1) FROM numbers(300)"
# Cannot be stopped, and ends by itself.
STUBBORN = "INSERT INTO t VALUES (1 + (SELECT sleep(3))), (2 + (SELECT sleep(2.9))), (3)"

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
ALL = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["int", "term", "hup"]
)
EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORD = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP",
}


@pytest.fixture
def shell(tmp_path: Path, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """ClickHouse 26 over HTTP, with the long lease that a crash would leave."""
    yield Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "600"})
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def _write(project: Project, slow: str) -> None:
    project.write_revision("001_it", None, [TABLE, slow])
    project.write_revision(
        "002_after", "001_it", "CREATE TABLE IF NOT EXISTS u (a Int32) ENGINE = Log"
    )


def _is_free(shell: Shell) -> bool:
    """Whether the next run need not wait for the lease."""
    last = "SELECT argMax(event, at) FROM schema_migrations_lock GROUP BY generation"
    return set(shell.rows(last)) == {"release"}


@BOTH
@pytest.mark.parametrize("module", ["budeval_migrations", "alembic"])
def test_the_statement_is_stopped_on_the_server_and_the_next_run_finishes(
    shell: Shell, modern: ChdbFront, module: str, number: signal.Signals
) -> None:
    _write(shell.project, SLOW)
    ours = module == "budeval_migrations"
    args = ("--json", "up") if ours else ("upgrade", "head")
    with started(shell, module, *args) as process:
        wait_until(lambda: works_on(shell, "INSERT INTO t "), "the statement did not start")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == EXIT[number], stderr
    assert not works_on(shell, "INSERT INTO t ")
    assert "Traceback" not in stderr, stderr
    assert "See: budeval-migrate status" in stderr, stderr
    if ours:
        assert "FAILED 001_it  statement 2 of " in stderr, stderr
        assert f"\n  {WORD[number]}\n  1 statement of this revision took effect; " in stderr, stderr
        assert json.loads(stdout)["exit_code"] == EXIT[number]
    killed = [r for r in modern.queries() if r["query"].startswith("KILL QUERY")]
    assert [r["code"] for r in killed if r["database"] == shell.database] == [0]
    assert _is_free(shell)
    assert outcomes(shell, "001_it") == ["applied", "failed"]
    assert shell.ledger() == ["001_it\tupgrade\t0"]
    assert states(shell) == ["failed", "pending"]
    [shown] = shell.rows("SELECT error_message FROM schema_migrations")
    assert shown.endswith(f": {WORD[number]}")
    _write(shell.project, QUICK)
    again = shell.ok("up")
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["300\t45150"]
    assert executed(shell, TABLE) == 1
    assert shell.ledger() == ["001_it\tupgrade\t0", "001_it\tupgrade\t1", "002_after\tupgrade\t1"]
    assert states(shell) == ["applied", "applied"]
    tells_no_secret(shell, stdout, stderr, again.output)


@ALL
def test_a_statement_that_cannot_be_stopped_is_waited_for_and_recorded_as_applied(
    shell: Shell, number: signal.Signals
) -> None:
    _write(shell.project, STUBBORN)
    with started(shell, "budeval_migrations", "up") as process:
        wait_until(lambda: works_on(shell, "INSERT INTO t "), "the statement did not start")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == EXIT[number], stderr
    assert _is_free(shell)
    rows, last = shell.rows("SELECT count() FROM t"), outcomes(shell, "001_it")
    assert (rows, last) in ((["3"], ["applied", "applied"]), (["0"], ["applied", "failed"]))
    again = shell.ok("up")
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["3\t6"]
    assert executed(shell, STUBBORN) == (1 if rows == ["3"] else 2)
    assert states(shell) == ["applied", "applied"]
    tells_no_secret(shell, stdout, stderr, again.output)


def test_a_second_ctrl_c_ends_it_at_once_and_the_next_run_finds_the_statement(
    shell: Shell, modern: ChdbFront
) -> None:
    _write(shell.project, STUBBORN)
    with started(shell, "budeval_migrations", "up") as process:
        wait_until(lambda: works_on(shell, "INSERT INTO t "), "the statement did not start")
        process.send_signal(signal.SIGINT)
        wait_until(
            lambda: any(
                r["query"].startswith("KILL QUERY") and r["database"] == shell.database
                for r in modern.queries()
            ),
            "the server was not asked to stop it",
        )
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr, stderr
    assert _is_free(shell)
    assert outcomes(shell, "001_it") == ["applied", "intent"]  # it did not wait to know more
    assert states(shell) == ["unknown", "pending"]
    again = shell.ok("up")
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["3\t6"]
    assert states(shell) == ["applied", "applied"]
    assert shell.ledger()[:2] == ["001_it\tupgrade\t0", "001_it\tupgrade\t1"]
    killed, finished, *_ = one_object(shell.ok("--json", "history"))["attempts"]
    assert killed["run_id"] != finished["run_id"]
    assert (killed["host"], killed["server_user"]) == ("", "")
    assert killed["error"].startswith("The run ended without a record of it, as a killed one does.")
    assert "Statement 2 " in killed["error"]
    tells_no_secret(shell, stdout, stderr, again.output)


@BOTH
def test_on_chdb_it_takes_effect_when_the_statement_ends_which_is_recorded_as_applied(
    tmp_path: Path, number: signal.Signals
) -> None:
    targets.require_packages("chdb", "chdb_sqlalchemy")
    project = Project(tmp_path / "project")
    project.configure(url=f"chdb:///{tmp_path}/data", database="mine")
    slow = STUBBORN.replace(", (2 + (SELECT sleep(2.9)))", ", (2)")
    _write(project, slow)
    process = project.start("budeval_migrations", "--verbose", "up")
    try:
        assert process.stderr is not None
        seen = ""
        while slow not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    assert process.returncode == EXIT[number], stderr
    assert "Traceback" not in stderr, stderr
    status = one_object(project.cli("--json", "status"))
    first = status["revisions"][0]
    assert (first["state"], first["statements_applied"]) == ("applied", 2), first["error"]
    done = project.cli("--verbose", "up")
    assert done.returncode == 0, done.output
    assert slow not in done.stderr
    rows = _rows(tmp_path / "data", "SELECT count(), sum(a) FROM mine.t")
    assert rows == "3,6"


def _rows(directory: Path, sql: str) -> str:
    """Ask chDB's directory in a process of its own."""
    import subprocess
    import sys

    script = f"import chdb; print(chdb.connect({str(directory)!r}).query({sql!r}).bytes().decode())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
