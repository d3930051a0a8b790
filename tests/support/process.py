"""A process that a test starts and ends: a context manager over its life."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections import deque
from pathlib import Path
from typing import TypeVar

HOST = "127.0.0.1"

_Self = TypeVar("_Self", bound="Process")


class ServerStartError(RuntimeError):
    """A server did not start."""


_WORKERS = 16
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_given: deque[int] = deque(maxlen=500)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago, and that nobody is given by chance.

    Below the range that systems take the near ends of connections from: a server whose port was
    chosen some seconds before it starts would find it taken by a client now and then. Nor is it
    given twice while the first may not have bound it yet: every worker has ports of its own.
    """
    while True:
        port = 12_000 + _WORKERS * secrets.randbelow(20_000 // _WORKERS) + _WORKER
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            _given.append(port)
            return port


class Process:
    """A server process with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
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

    def __enter__(self: _Self) -> _Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

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
