"""What is in the way of chDB's directory is said before chDB is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from budeval_migrations.clickhouse.data_directory import check_directory
from budeval_migrations.errors import ConnectionFailed

# Writes what ClickHouse writes into its status file, locks it as ClickHouse does, and waits.
HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "w")
file.write(f"PID: {os.getpid()}\\nStarted at: 2026-11-27 06:41:32\\nRevision: 54515\\n")
file.flush()
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_directory_that_is_not_there_or_that_nobody_has_open_is_right(tmp_path: Path) -> None:
    check_directory(str(tmp_path / "new"), "chdb:///new")
    check_directory(str(tmp_path), "chdb:///here")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionFailed, match=r"^chdb:///file is a file, and"):
        check_directory(str(tmp_path / "file"), "chdb:///file")


def test_the_process_that_has_it_open_is_named_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "status")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ConnectionFailed, match=rf"another process \(pid {holder.pid}\)\."):
                check_directory(str(tmp_path), "chdb:///here")
        finally:
            holder.kill()
    assert (tmp_path / "status").exists()
    check_directory(str(tmp_path), "chdb:///here")


@pytest.mark.parametrize("number", [os.getpid(), 1], ids=["ours", "theirs"])
def test_a_number_that_another_has_by_now_is_nobody(tmp_path: Path, number: int) -> None:
    (tmp_path / "status").write_text(f"PID: {number}\n")
    check_directory(str(tmp_path), "chdb:///here")


def test_a_status_file_that_says_something_else_is_left_to_chdb(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(b"\xff\xfe")
    check_directory(str(tmp_path), "chdb:///here")


@pytest.mark.parametrize("missing", ["", "data", "a/b/data"])
def test_a_directory_that_may_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    check_directory(str(tmp_path / missing), "it")
    # Root, as which tests run in containers, may write everywhere.
    allowed = os.access
    closed = str(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and allowed(path, mode))
    with pytest.raises(ConnectionFailed) as refused:
        check_directory(str(tmp_path / missing), "chdb:///it")
    assert refused.value.message == (
        f"chdb:///it cannot be opened: this user may not write to {tmp_path}."
    )
