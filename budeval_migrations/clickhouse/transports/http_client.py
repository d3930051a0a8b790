"""Connections of urllib3 that see through what is between us and a server.

Interim answers (102, 103) are passed over, where :mod:`http.client` takes them for the
answer and leaves the real one to the next request:
https://www.rfc-editor.org/rfc/rfc9110#name-informational-1xx. An answer that ends within its
head is an error, where it is a whole answer to :mod:`http.client`. And a connection that
nobody hears from is asked now and then, since a statement is waited for as long as it takes.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

# Asked first after a minute of silence, and given up after another.
KEEPALIVE: Sequence[tuple[int, int, int]] = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, number, seconds)
        for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
        if (number := getattr(socket, name, None)) is not None
    ),
]


class _Lines:
    """A file that remembers the last line that was read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def readline(self, *limit: int) -> bytes:
        self.last = self._file.readline(*limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Timed(io.RawIOBase):
    """What comes in through a socket, all of it within the socket's time-out."""

    def __init__(self, incoming: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        self._incoming, self._socket, self._seconds = incoming, sock, seconds
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        return self._incoming.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            with suppress(OSError):
                self._socket.settimeout(self._seconds)
            self._incoming.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer whose head is whole, and that comes within the time-out of its socket."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds, file = sock.gettimeout(), self.fp
        if seconds is not None and isinstance(file, io.BufferedReader):
            self.fp = io.BufferedReader(_Timed(file.detach(), sock, seconds))

    def begin(self) -> None:
        """Read the head.

        Raises:
            http.client.RemoteDisconnected: It ends before its last line.

        """
        file = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = file
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("the answer was cut off")

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            # 100 is passed over already, and 101 is an answer.
            if not 102 <= found[1] <= 199:
                return found
            http.client.parse_headers(self.fp)


class _Connection(HTTPConnection):
    response_class = Response


class _SecureConnection(HTTPSConnection):
    response_class = Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def seeing_through(manager: PoolManager) -> PoolManager:
    """Let a manager, which has not been used, make such connections, and return it."""
    options = manager.connection_pool_kw
    given = options.get("socket_options") or HTTPConnection.default_socket_options
    options["socket_options"] = [*given, *KEEPALIVE]
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager
