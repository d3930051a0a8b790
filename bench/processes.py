"""Run one child process and take its time and its peak memory."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 900.0
_LONGEST = 160
_OUTER = ("BUDEVAL_", "ALEMBIC_", "CLICKHOUSE_", "CH_", "DB_", "PYTHON")


@dataclass(frozen=True)
class Finished:
    """What a child took, and what it said."""

    seconds: float
    peak_mb: float
    code: int
    output: str

    @property
    def reason(self) -> str:
        """What a failed child said: the server's words, or its last line."""
        return reason(self.output) or f"it ended with {self.code} and said nothing"


def reason(output: str) -> str:
    """The server's own words in an output that may hold its stack trace, or the last line."""
    if found := re.search(r"DB::Exception: (.+?)(?: Stack trace|$)", output, re.MULTILINE):
        return found[1].strip()[:_LONGEST]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else ""


class ChildFailed(RuntimeError):
    """A child ended with an error, or not in time."""


def run(
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str] | None = None,
    *,
    timeout: float = TIMEOUT,
    check: bool = True,
) -> Finished:
    """Run a command to its end, from before it is started until it has been reaped.

    Raises:
        ChildFailed: It ended with an error (unless ``check`` is off), or took more than ``timeout``
            seconds and was killed.

    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OUTER)}
    quiet = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env={**inherited, **quiet, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        overdue = threading.Timer(timeout, child.kill)
        overdue.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # we are being stopped
            child.kill()
            child.wait()
            raise
        finally:
            in_time = overdue.is_alive()
            overdue.cancel()
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    finished = Finished(seconds, usage.ru_maxrss / 1024, child.returncode, text)
    if not in_time:
        raise ChildFailed(f"it was stopped after {timeout:.0f} s")
    if check and finished.code:
        raise ChildFailed(finished.reason)
    return finished
