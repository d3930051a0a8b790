"""Ctrl-C, closed pipes, and a chDB directory that somebody else holds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, failed_in_alembic, one_object, refused
from tests.faults.processes import works_on
from tests.support.project import REPOSITORY, Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.waiting import wait_until

SLOW = "SELECT sum(sleepEachRow(0.2)) FROM numbers(80) SETTINGS max_block_size = 1"


@pytest.mark.parametrize("module", ["budeval_migrations", "alembic"])
def test_ctrl_c_in_a_slow_statement_leaves_a_recorded_attempt(shell: Shell, module: str) -> None:
    shell.write(1)
    shell.project.write_revision("002_step", "001_step", ["SELECT 1", SLOW])
    args = ("--json", "up") if module == "budeval_migrations" else ("upgrade", "head")
    process = shell.project.start(module, *args)
    try:
        wait_until(lambda: works_on(shell, "SELECT sum(sleepEachRow"))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t0"], stderr
    assert shell.rows("SELECT statements_applied FROM schema_migrations WHERE NOT success") == ["1"]
    assert "  Done: 001_step. Not done: 002_step.\n" in stderr, stderr
    locks = "SELECT argMax(event, at) FROM schema_migrations_lock GROUP BY generation"
    assert shell.rows(locks) == ["release"]
    if module == "budeval_migrations":
        assert process.returncode == 130, stderr
        assert "Traceback" not in stderr and "  interrupted\n" in stderr, stderr
        assert json.loads(stdout)["exit_code"] == 130, stdout
    status = one_object(shell.run("--json", "status"))
    assert [r["state"] for r in status["revisions"]] == ["applied", "failed"]


def test_after_a_kill_status_says_how_far_it_came(embedded: Project) -> None:
    embedded.write_revision("001_slow", None, ["CREATE TABLE t (n Int8) ENGINE = Memory", SLOW])
    process = embedded.start("budeval_migrations", "--verbose", "up")
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "2 of 2" in line:
                break
        time.sleep(2)  # what came before a slow statement is written down now
    finally:
        process.kill()
        process.communicate()
    done = embedded.cli("status")
    assert done.stdout.splitlines()[2] == (
        "001_slow: not finished; 1 statement took effect, and the next up sends the others"
    ), done.output


def test_ctrl_c_on_chdb_ends_after_the_statement_and_records_it(embedded: Project) -> None:
    embedded.write_revision("001_slow", None, ["SELECT 1", SLOW, "SELECT 2"])
    process = embedded.start("budeval_migrations", "--verbose", "up")
    try:
        seen = _until_slow(process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, seen + stderr
    assert "Traceback" not in stderr and "  interrupted\n  2 statements of" in stderr, stderr
    status = one_object(embedded.cli("--json", "status"))
    assert [(r["state"], r["statements_applied"]) for r in status["revisions"]] == [("failed", 2)]


def _until_slow(process: subprocess.Popen[str]) -> str:
    """Read what a run says until its slow statement is on its way."""
    assert process.stderr is not None
    seen = ""
    while "sleepEachRow" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    time.sleep(0.5)
    return seen


def test_ctrl_c_on_chdb_says_at_once_what_it_waits_for(embedded: Project) -> None:
    embedded.write_revision("001_slow", None, ["SELECT 1", SLOW, "SELECT 2"])
    process = embedded.start("budeval_migrations", "--verbose", "up")
    try:
        _until_slow(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline() + process.stderr.readline()
        assert process.poll() is None
        assert (
            "interrupted chDB runs statement 2 of 3 of 001_slow to its end; then the run ends. "
            "A second interrupt stops the waiting."
        ) in " ".join(said.split())
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr


@pytest.mark.parametrize("json_wanted", [False, True], ids=["person", "machine"])
def test_a_second_ctrl_c_on_chdb_leaves_at_once_and_the_next_run_finds_out(
    embedded: Project, json_wanted: bool
) -> None:
    table = "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a"
    slow = "INSERT INTO t SELECT sleepEachRow(0.2) FROM numbers(100) SETTINGS max_block_size = 1"
    embedded.write_revision("001_slow", None, [table, slow, "SELECT 2"])
    flags = ["--json"] if json_wanted else []
    process = embedded.start("budeval_migrations", *flags, "--verbose", "up")
    try:
        _until_slow(process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=5)
    finally:
        process.kill()
    assert process.returncode == 143, stderr
    said = "chDB may still be at statement 2 of 3 of 001_slow, and is not waited for."
    assert f"FAILED {said}\n  hint: See: budeval-migrate status" in stderr, stderr
    if json_wanted:
        assert json.loads(stdout)["message"] == said
        assert json.loads(stdout)["exit_code"] == 143
    status = one_object(embedded.cli("--json", "status"))
    assert [r["statements_applied"] for r in status["revisions"]] == [1]


def test_a_second_ctrl_c_leaves_the_server_at_work_and_says_so(shell: Shell) -> None:
    stubborn = "INSERT INTO t VALUES (1 + (SELECT sleep(3))), (2 + (SELECT sleep(2.9))), (3)"
    table = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
    shell.project.write_revision("001_it", None, [table, stubborn])
    shell.project.configure(url=shell.server.url(), database=shell.database, lock_lease="4")
    process = shell.project.start("budeval_migrations", "up")
    try:
        wait_until(lambda: works_on(shell, "INSERT INTO t "))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = ""
        while "stops the waiting" not in " ".join(said.split()):
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=4)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "The server is asked to stop statement 2 of 001_it." in " ".join(said.split())
    assert (
        "1 statement of this revision took effect. Statement 2 may have taken effect, or may yet; "
        "the next run finds out" in stderr
    ), stderr
    again = shell.ok("up")
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["3\t6"], again.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_for_the_lock_ends_within_a_second(shell: Shell, number: signal.Signals) -> None:
    shell.write(1)
    shell.ok("up")
    shell.project.write_revision("002_step", "001_step", [SLOW])
    first = shell.project.start("budeval_migrations", "up")
    try:
        wait_until(lambda: "running" in shell.run("status").stdout)
        second = shell.project.start("budeval_migrations", "up")
        assert second.stderr is not None
        line = second.stderr.readline()
        assert "waiting" in line, line
        second.send_signal(number)
        second.communicate(timeout=2)
    finally:
        first.kill()
        second.kill()
        first.communicate()
    assert second.returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_read_under_the_lock_ends_at_once_and_the_lock_is_given_back(
    shell: Shell, number: signal.Signals
) -> None:
    shell.write(1)
    shell.ok("up")
    shell.project.write_revision("002_step", "001_step", ["SELECT 1"])
    with RecordingProxy(shell.server.http_port) as proxy:
        # The rows of the ledger are read before the lock, and again under it.
        proxy.add(Fault(How.LATE, "SELECT 'ledger', [version"))
        held = proxy.add(Fault(How.HELD, "SELECT 'ledger', [version"))
        url = shell.url().replace(f":{shell.server.http_port}/", f":{proxy.port}/")
        shell.project.configure(url=url, database=shell.database, read_timeout="60")
        process = shell.project.start("budeval_migrations", "up")
        try:
            assert held.answered.wait(30), proxy.queries
            process.send_signal(number)
            _, stderr = process.communicate(timeout=20)
        finally:
            held.release()
            process.kill()
    assert process.returncode == 128 + number, stderr
    assert "Done: nothing. Not done: 002_step." in stderr, stderr
    locks = "SELECT argMax(event, at) FROM schema_migrations_lock GROUP BY generation"
    assert set(shell.rows(locks)) == {"release"}
    shell.project.configure(url=shell.url(), database=shell.database)
    assert "applied 002_step" in shell.ok("up").output


def test_output_may_be_cut_off_without_a_traceback(shell: Shell) -> None:
    shell.project.write_chain(40)
    shell.ok("up")
    for command in ("status", "--json status", "history", "--help"):
        script = f"set -o pipefail; {sys.executable} -u -m budeval_migrations {command} | head -1"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=shell.project.path,
            env=shell.project.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "Exception ignored" not in done.stderr, done.stderr
        assert "Unexpected" not in done.stderr, done.stderr


def test_a_reader_that_left_before_the_upgrade_does_not_stop_it(shell: Shell) -> None:
    shell.write(2)
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "budeval_migrations", "up"],
            cwd=shell.project.path,
            env=shell.project.environment(),
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(write_end)
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t1"]
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr


HOLD = """
import sys, chdb
connection = chdb.connect(sys.argv[1])
connection.query("SELECT 1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(embedded: Project, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the project's chDB directory open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{tmp_path}/data"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    yield process
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()


def test_a_chdb_directory_that_another_process_holds_is_a_sentence(
    embedded: Project, holder: subprocess.Popen[str]
) -> None:
    embedded.write_chain(1)
    for command in ("up", "status"):
        done = embedded.cli("--json", command)
        refused(
            done,
            8,
            "/data",
            "another process",
            hint="Run again when it is done",
            error="ConnectionFailed",
        )
        assert len(done.stderr) < 800, done.output
    failed_in_alembic(embedded.run("upgrade", "head"), "another process", hint="Run again")
    holder.kill()
    holder.wait()
    done = embedded.cli("up")
    assert done.returncode == 0, done.output


def test_a_chdb_path_that_is_a_file_or_may_not_be_written_is_a_sentence(
    embedded: Project, tmp_path: Path
) -> None:
    embedded.write_chain(1)
    (tmp_path / "data").write_text("I am a file")
    for command in ("up", "status"):
        done = embedded.cli("--json", command)
        refused(done, 8, "/data")
    assert (tmp_path / "data").read_text() == "I am a file"


def test_a_broken_revision_leaves_no_chdb_directory(embedded: Project, tmp_path: Path) -> None:
    embedded.write_revision("001_x", None, body="def upgrade() -> None:\n    1 / 0\n")
    refused(embedded.cli("up"), 3, "001_x.py", "ZeroDivisionError")
    assert not (tmp_path / "data").exists()
    refused(embedded.cli("up", "no_such"), 3, "no_such")
    assert not (tmp_path / "data").exists()


def test_readers_make_no_chdb_directory(embedded: Project, tmp_path: Path) -> None:
    embedded.write_chain(1)
    for command in ("status", "history", "validate"):
        done = embedded.cli("--json", command)
        assert done.returncode == 0, done.output
    for command in ("current", "history", "heads"):
        done = embedded.run(command)
        assert done.returncode == 0, done.output
    assert not (tmp_path / "data").exists()
