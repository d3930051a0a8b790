"""What the servers of :mod:`tests.support.servers` have in common: a process and an HTTP port."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

HOST = "127.0.0.1"
#: Characters that break a URL or a format string when they are not quoted.
HOSTILE = "p%40@:/?#&+ %s{x}"

_Self = TypeVar("_Self", bound="Server")


class ServerStartError(RuntimeError):
    """A server did not start."""


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def hostile_password() -> str:
    """A random password full of characters that URLs and format strings care about."""
    return HOSTILE + secrets.token_hex(4)


@dataclass(eq=False)
class QueryError(Exception):
    """A server's refusal, as it came over HTTP."""

    status: int
    code: int
    text: str

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.text.strip()}"


class Server:
    """A process that speaks ClickHouse's HTTP protocol on :attr:`http_port`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.http_port = 0
        self.users: dict[str, str] = {}
        self.user = "default"
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it answers."""
        raise NotImplementedError

    def stop(self, timeout: float = 15) -> None:
        """End the process politely; by force when that takes too long."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL, 15)

    def restart(self) -> None:
        """Start again on the same directory and the same ports; stop first if need be."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections are accepted, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def query(self, sql: str, user: str | None = None, **params: str) -> str:
        """Run one statement over plain HTTP and return the answer; raises :class:`QueryError`."""
        user = self.user if user is None else user
        request = urllib.request.Request(
            f"http://{HOST}:{self.http_port}/?{urlencode(params)}",
            data=sql.encode(),
            headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": self.users.get(user, "")},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            raise QueryError(error.code, _error_code(text), text) from None

    def url(
        self,
        dialect: str = "clickhouse+http",
        database: str | None = None,
        user: str | None = None,
        password: str | None = None,
    ) -> str:
        """A SQLAlchemy URL; the password is the user's own unless another is given."""
        user = self.user if user is None else user
        password = self.users.get(user, "") if password is None else password
        port = self.port(dialect)
        return (
            f"{dialect}://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{port}"
            f"/{quote(database or '', safe='')}"
        )

    def __enter__(self: _Self) -> _Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def port(self, dialect: str) -> int:
        """The port that speaks a dialect's protocol."""
        if "native" in dialect:
            raise ValueError(f"{type(self).__name__} does not speak the native protocol")
        return self.http_port

    def _end(self, signal_: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal_)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _error_code(text: str) -> int:
    """The server's error code in ``Code: 60. …`` or, from before 22, ``Code: 60, e.…``."""
    digits = text.partition("Code: ")[2][:5].replace(",", ".").partition(".")[0]
    return int(digits) if digits.isdigit() else 0
