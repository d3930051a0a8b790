"""Count round trips: a TCP proxy that counts how often a client sends and then waits for an answer.

It knows no protocol, so that HTTP and ClickHouse's native protocol, whose greeting is a round trip
and whose INSERT is two, are counted alike.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support.process import HOST


class TurnCounter:
    """Forwards ``127.0.0.1:port`` to a server on loopback."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.turns = 0

    def __enter__(self) -> TurnCounter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection((HOST, self._upstream_port), timeout=60)
                upstream.settimeout(None)
                _Line(self, client, upstream).start()

    def count(self) -> None:
        """One more round trip."""
        with self._lock:
            self.turns += 1


class _Line:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, counter: TurnCounter, client: socket.socket, server: socket.socket) -> None:
        self._counter = counter
        self._client = client
        self._server = server
        self._server_spoke_last = True

    def start(self) -> None:
        for target in (self._there, self._back):
            threading.Thread(target=target, daemon=True).start()

    def _there(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65536):
                if self._server_spoke_last:
                    self._server_spoke_last = False
                    self._counter.count()
                self._server.sendall(data)
        self._hang_up()

    def _back(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                self._server_spoke_last = True
                self._client.sendall(data)
        self._hang_up()

    def _hang_up(self) -> None:
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
