"""Processes that cost little to start: forks of one that has imported everything.

chDB cannot be forked once ``import chdb`` is done: that opens a connection, and its threads do
not survive a fork. So only the extension is loaded here, and a front connects after the fork.
The process that uses this module must have one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support import preload as support
from tests.support.server import HOST, QueryError
from tests.support.waiting import PATIENCE

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class HarnessError(RuntimeError):
    """The harness did not do what it was to do; says nothing about the product."""


def preload() -> None:
    """Import what migrating processes and engines need; start no thread."""
    directory = support.preload()
    assert directory is not None
    # A ``chdb`` that has not connected yet.
    module = types.ModuleType("chdb")
    module.__path__ = [str(directory)]
    sys.modules["chdb"] = module
    engine = importlib.import_module("chdb._chdb")
    module.connect = engine.connect  # type: ignore[attr-defined]
    import tests.support.chdb_front  # noqa: F401

    gc.collect()
    gc.freeze()


def fork(work: Callable[[], int | None], output: Path) -> int:
    """Run ``work`` in a child that dies with this process; its streams go to ``output``.*."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(70)
        os.setpgid(0, 0)
        for fd, name in ((0, os.devnull), (1, f"{output}.out"), (2, f"{output}.err")):
            flags = os.O_RDONLY if fd == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            file = os.open(name, flags, 0o600)
            os.dup2(file, fd)
            os.close(file)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        code = work() or 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """The exit code (minus the signal, as in ``Popen.returncode``); None: it runs on."""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
        pause = min(pause * 1.3, 0.02)


def end(pid: int) -> int:
    """SIGKILL a child and return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


class Front:
    """chDB over HTTP on one directory, in a child; killed and started again at will."""

    password = "w0rth+a%20look&:@/?"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = 0
        self.pid = 0
        self._log = directory / "queries.jsonl"

    def start(self) -> None:
        """Start on the port of the last time."""
        reader, writer = os.pipe()

        def work() -> None:
            os.close(reader)
            self._serve(writer)

        self.pid = fork(work, self.directory / "front")
        os.close(writer)
        line = b""
        with os.fdopen(reader, "rb") as pipe:
            line = pipe.readline()
        if not line:
            code, self.pid = end(self.pid), 0
            errors = (self.directory / "front.err").read_text()[-2000:]
            raise HarnessError(f"the front did not start (exit {code}): {errors}")
        self.port = int(line)

    def _serve(self, writer: int) -> None:
        from tests.support import chdb_engine, chdb_front

        engine = chdb_engine.Engine(
            str(self.directory / "data"), {"default": self.password}, frozenset()
        )
        front = chdb_front.Front(self.port, engine, chdb_front.Journal(self._log))
        os.write(writer, f"{front.server_port}\n".encode())
        os.close(writer)
        front.serve_forever(0.5)

    def stop(self) -> None:
        """End the process by force; idempotent."""
        if self.pid:
            pid, self.pid = self.pid, 0
            end(pid)

    def await_death(self, seconds: float) -> int | None:
        """The exit code of an engine that is being killed; None: it lives on."""
        code = wait(self.pid, seconds)
        if code is not None:
            self.pid = 0
        return code

    def url(self, database: str) -> str:
        """What a project is configured with."""
        from urllib.parse import quote

        user = f"default:{quote(self.password, safe='')}"
        return f"clickhouse+http://{user}@{HOST}:{self.port}/{database}"

    def query(self, sql: str, database: str = "default", **params: str) -> str:
        """Run one statement; raises :class:`QueryError`."""
        target = "/?" + urlencode({"database": database, **params})
        status, body = self._post(target, sql.encode("utf-8", "surrogateescape"))
        text = body.decode("utf-8", "replace")
        if status != 200:
            digits = text.partition("Code: ")[2].partition(".")[0]
            raise QueryError(status, int(digits) if digits.isdigit() else 0, text)
        return text

    def rows(self, sql: str, database: str = "default") -> list[list[Any]]:
        """The rows of a SELECT."""
        rows: list[list[Any]] = json.loads(self.query(sql, database, default_format="JSONCompact"))[
            "data"
        ]
        return rows

    def arm(self, order: dict[str, Any]) -> None:
        """Arm a kill (see :mod:`tests.support.kill_switch`); an empty order disarms."""
        self._post("/fault", json.dumps(order).encode())

    def running(self) -> list[dict[str, Any]]:
        """The requests that run now."""
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        connection.request("GET", "/running")
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())
        connection.close()
        return found

    def mark(self) -> int:
        """Where the log of requests ends now."""
        return self._log.stat().st_size if self._log.exists() else 0

    def since(self, mark: int, database: str) -> list[dict[str, Any]]:
        """The requests that finished after a mark, in the order in which they came."""
        with self._log.open("rb") as log:
            log.seek(mark)
            found = [json.loads(line) for line in log.read().splitlines()]
        return sorted((r for r in found if r["database"] == database), key=lambda r: r["time"])

    def _post(self, target: str, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": self.password}
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class Client:
    """A migrating process: the command line, in a child that waits for :meth:`go`."""

    def __init__(self, project: Path, output: Path, *args: str) -> None:
        self.args = args
        self._output = output
        gate, self._go = os.pipe()

        def work() -> None:
            os.close(self._go)
            if not os.read(gate, 1):
                os._exit(71)
            os.chdir(project)
            for name in [n for n in os.environ if n.startswith(("BUDEVAL_", "ALEMBIC_"))]:
                del os.environ[name]
            os.environ.update(NO_COLOR="1", COLUMNS="100", TERM="dumb")
            sys.argv = ["budeval-migrate", "--json", *args]
            sys.path.insert(0, str(project))
            from budeval_migrations.cli.main import main

            main()

        self.pid = fork(work, output)
        self.returncode: int | None = None
        os.close(gate)

    def go(self) -> None:
        """Let it run."""
        os.write(self._go, b"g")
        os.close(self._go)

    def wait(self, seconds: float) -> int | None:
        """The exit code; None: it runs on."""
        if self.returncode is None:
            self.returncode = wait(self.pid, seconds)
        return self.returncode

    def end(self) -> None:
        """End it by force; idempotent."""
        if self.returncode is None:
            self.returncode = end(self.pid)

    @property
    def output(self) -> str:
        """Both streams, for messages."""
        return (
            f"$ budeval-migrate {' '.join(self.args)}\n{self.stdout}"
            f"{Path(f'{self._output}.err').read_text()}[exit {self.returncode}]"
        )

    @property
    def stdout(self) -> str:
        """What it printed."""
        return Path(f"{self._output}.out").read_text()

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; empty when there is none."""
        try:
            found = json.loads(self.stdout)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
