"""Run ``python -m <module> …`` in a fork of a process that has imported everything.

Most of a short command's time goes into imports. What a test means to say about a start from
nothing (imports, kills, signals) it says with ``Project.start``, a process of its own.

``python -m tests.support.commands`` takes one JSON object a line and answers each with a line.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[2]


class Commands:
    """The client's side: as many of these processes as commands run at the same time."""

    def __init__(self) -> None:
        self._idle: list[subprocess.Popen[str]] = []

    def run(
        self, module: str, args: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr; raises ``subprocess.TimeoutExpired``."""
        with TemporaryDirectory() as directory:
            order = {
                "argv": [module, *args],
                "cwd": str(cwd),
                "env": dict(env),
                "output": directory,
                "timeout": timeout,
            }
            try:
                process = self._idle.pop()
            except IndexError:
                process = _start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            self._idle.append(process)
            if answer is None:
                raise subprocess.TimeoutExpired([module, *args], timeout)
            streams = [Path(directory, name).read_text("utf-8") for name in ("stdout", "stderr")]
        return answer, streams[0], streams[1]


def _start() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.commands"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


COMMANDS = Commands()


def _serve() -> None:
    from tests.support.preload import preload

    preload()

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        print(json.dumps(_wait(pid, order["timeout"])), flush=True)


def _wait(pid: int, timeout: float) -> int | None:
    """Return a child's exit code, as ``Popen.returncode`` would; None when it took too long."""
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.005)


def _become(order: dict[str, object]) -> None:
    """Do what ``python -m`` would, and end."""
    code = 1
    try:
        output = Path(str(order["output"]))
        for number, path in ((0, os.devnull), (1, output / "stdout"), (2, output / "stderr")):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(order["env"])  # type: ignore[call-overload]
        os.chdir(str(order["cwd"]))
        time.tzset()
        sys.path[0] = os.getcwd()
        sys.argv = list(order["argv"])  # type: ignore[call-overload]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as done:
        if isinstance(done.code, str):
            print(done.code, file=sys.stderr)
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        # Alembic prints to the stream that was there when it was imported.
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
        os._exit(code)


if __name__ == "__main__":
    _serve()
