"""What ``up`` looks like on a terminal: a pseudo-terminal of the width asked for."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support.project import Project, clean_environment

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SLOW = "SELECT sleepEachRow(0.3) FROM numbers(4)"


@pytest.fixture
def slow(tmp_path: Path) -> Project:
    """A project on chDB whose second statement takes more than a second."""
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    project.write_revision(
        "001_a", None, ["CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n", SLOW]
    )
    return project


def on_a_terminal(project: Project, *args: str, width: int, **env: str) -> tuple[int, str]:
    """Run ``budeval-migrate …`` on a terminal; return its exit code and all that it wrote there."""
    environment = clean_environment({"TERM": "xterm-256color", **env})
    environment.pop("COLUMNS", None)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project.path)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        os.execve(sys.executable, [sys.executable, "-m", "budeval_migrations", *args], environment)
    shown = b""
    while True:
        try:
            read = os.read(master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # what Linux says when the other side has closed
                raise
            break
        if not read:
            break
        shown += read
    os.close(master)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def lines(shown: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]+", _ESCAPES.sub("", shown)) if line.strip()]


@pytest.mark.parametrize("width", [40, 100])
def test_a_statement_on_its_way_is_shown_with_its_time(slow: Project, width: int) -> None:
    code, shown = on_a_terminal(slow, "up", width=width)
    assert code == 0
    found = lines(shown)
    live = [line for line in found if line.startswith("    001_a statement 2 of 2")]
    assert {line.split()[-1] for line in live} >= {"0:00:00", "0:00:01"}
    assert all(cell_len(line) <= width for line in live)
    if width == 100:
        assert f"statement 2 of 2: {SLOW}" in live[0]
    assert found[0] == "upgrade: 1 revision"
    assert re.fullmatch(r"  applied 001_a  \d+ ms", found[-2])
    assert re.fullmatch(r"d: 1 applied in \d+ ms; now at 001_a", found[-1])
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_a_failure_leaves_the_terminal_as_it_was(slow: Project) -> None:
    slow.write_revision("002_b", "001_a", "SELECT nothing")
    code, shown = on_a_terminal(slow, "up", width=100)
    assert code == 6
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "FAILED 002_b  statement 1 of 1" in "\n".join(lines(shown))
    assert "statement 1 of 1: SELECT" not in lines(shown)[-1]


def test_without_colour_there_is_none(slow: Project) -> None:
    _, shown = on_a_terminal(slow, "up", width=100, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-9][0-9;]*m", shown)
    assert "statement 2 of 2" in shown


def test_a_terminal_that_can_do_nothing_gets_no_live_view(slow: Project) -> None:
    code, shown = on_a_terminal(slow, "up", width=100, TERM="dumb")
    assert code == 0
    assert "\x1b" not in shown
    assert lines(shown)[0] == "upgrade: 1 revision"


def test_quiet_and_json_show_nothing_but_the_answer(slow: Project) -> None:
    code, shown = on_a_terminal(slow, "--quiet", "up", width=100)
    assert (code, shown) == (0, "")


def test_a_narrow_status_says_how_far_it_came_and_what_it_leaves_out(slow: Project) -> None:
    name = "002_add_a_column_with_quite_a_long_name"
    slow.write_revision(name, "001_a", ["ALTER TABLE t ADD COLUMN s String", "SELECT nothing"])
    assert on_a_terminal(slow, "up", width=100)[0] == 6
    _, shown = on_a_terminal(slow, "status", width=64)
    assert [line.rstrip() for line in lines(shown)[:4]] == [
        "revision                           state    checksum  statements",
        "001_a                              applied  ok               2/2",
        "002_add_a_column_with_…_long_name  failed   -                1/2",
        "note columns hidden (terminal too narrow): executed (UTC), ms",
    ]
    assert max(map(cell_len, lines(shown))) <= 64
    _, shown = on_a_terminal(slow, "status", width=40)
    assert [line.rstrip() for line in lines(shown)[:3]] == [
        "revision             state    statements",
        "001_a                applied         2/2",
        "002_add_a_co…g_name  failed          1/2",
    ]
