"""A TCP proxy for HTTP that counts the requests that pass and can cut the line.

For counting round trips, and for faults between a client and a healthy server: a request that
never arrives, an answer that never comes back, a line that breaks after so many bytes.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from tests.support import clickhouse_http as ch

_CHUNK = 65536


@dataclass(frozen=True)
class Exchange:
    """One HTTP request as it passed the proxy."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def parameters(self) -> dict[str, str]:
        """The query parameters, without the query itself."""
        return {n: v for n, v in ch.parameters(self.target).items() if n != "query"}

    @property
    def query(self) -> str:
        """The query's text; readable as far as it is text."""
        try:
            body = ch.decode_body(self.body, self.headers.get("content-encoding", ""))
        except Exception:
            body = self.body
        text = ch.query_text(ch.parameters(self.target), body)
        return text.decode("utf-8", "backslashreplace")


class RecordingProxy:
    """Forwards ``127.0.0.1:port`` to ``127.0.0.1:upstream_port`` and takes notes.

    Faults, each of which may be set at any time:

    * :meth:`drop_next`: the next requests are swallowed, the line is cut, the server sees nothing.
    * :meth:`cut_answers`: the next requests reach the server, the line is cut before the answer.
    * :attr:`cut_after_bytes`: every line is cut once so many bytes of answers have passed on it.
    * :attr:`refuse`: new connections are closed at once.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.cut_after_bytes: int | None = None
        self.refuse = False
        self._drops = (0, "")  # how many, and what their queries contain
        self._cuts = (0, "")
        self._exchanges: list[Exchange] = []
        self._connections = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    @property
    def requests(self) -> list[Exchange]:
        """The requests so far, oldest first."""
        with self._lock:
            return list(self._exchanges)

    @property
    def queries(self) -> list[str]:
        """The text of the queries so far; pings have none."""
        return [exchange.query for exchange in self.requests if exchange.query]

    @property
    def connections(self) -> int:
        """How many TCP connections were made."""
        return self._connections

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._exchanges.clear()
            self._connections = 0

    def drop_next(self, count: int = 1, match: str = "") -> None:
        """Swallow the next requests (whose query contains ``match``) and cut their lines."""
        with self._lock:
            self._drops = (count, match)

    def cut_answers(self, count: int = 1, match: str = "") -> None:
        """Pass the next requests (whose query contains ``match``) on, but not the answers."""
        with self._lock:
            self._cuts = (count, match)

    def cut_now(self) -> None:
        """Cut every line that is open."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _hang_up(each)

    def start(self) -> None:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()
        self.cut_now()
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()

    def __enter__(self) -> RecordingProxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            self._connections += 1
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            upstream = socket.create_connection(("127.0.0.1", self.upstream_port))
        except OSError:
            client.close()
            return
        line = _Line(client, upstream)
        with self._lock:
            self._sockets |= {client, upstream}
        self._run(self._pass_answers, line)
        try:
            reader = client.makefile("rb")
            while (message := _read_request(reader)) is not None:
                raw, exchange = message
                if not self._note(exchange, line):
                    break
                upstream.sendall(raw)
        except (OSError, ValueError):
            pass
        finally:
            if not line.mute:
                line.hang_up()

    def _note(self, exchange: Exchange, line: _Line) -> bool:
        """Record a request; whether it may pass."""
        with self._lock:
            self._exchanges.append(exchange)
            drops, dropped = self._drops
            if drops and dropped in exchange.query:
                self._drops = (drops - 1, dropped)
                return False
            cuts, cut = self._cuts
            if cuts and cut in exchange.query:
                self._cuts = (cuts - 1, cut)
                line.mute = True
            return True

    def _pass_answers(self, line: _Line) -> None:
        passed = 0
        try:
            while data := line.upstream.recv(_CHUNK):
                if line.mute:
                    break
                limit = self.cut_after_bytes
                if limit is not None and passed + len(data) >= limit:
                    line.client.sendall(data[: max(limit - passed, 0)])
                    break
                line.client.sendall(data)
                passed += len(data)
        except OSError:
            pass
        finally:
            line.hang_up()
            with self._lock:
                self._sockets -= {line.client, line.upstream}


@dataclass(eq=False)
class _Line:
    """A client's connection and the one to the server that belongs to it."""

    client: socket.socket
    upstream: socket.socket
    mute: bool = False  # set: the server's next bytes are the answer that must not pass

    def hang_up(self) -> None:
        _hang_up(self.client)
        _hang_up(self.upstream)


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


def _read_request(reader: io.BufferedReader) -> tuple[bytes, Exchange] | None:
    """One whole HTTP request, as bytes and as a record; None when the client hung up."""
    head = [reader.readline()]
    if not head[0]:
        return None
    while (header := reader.readline()) not in (b"\r\n", b"\n", b""):
        head.append(header)
    raw = b"".join(head) + b"\r\n"
    pairs = (each.decode("latin-1").partition(":") for each in head[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "chunked" in headers.get("transfer-encoding", "").lower():
        wire, body = _read_chunks(reader)
    else:
        wire = body = reader.read(int(headers.get("content-length", 0)))
    method, _, rest = head[0].decode("latin-1").partition(" ")
    return raw + wire, Exchange(method, rest.rsplit(" ", 1)[0], headers, body)


def _read_chunks(reader: io.BufferedReader) -> tuple[bytes, bytes]:
    """A chunked body, as sent and as meant."""
    wire: list[bytes] = []
    body: list[bytes] = []
    while True:
        size_line = reader.readline()
        size = int(size_line.split(b";")[0], 16)
        data = reader.read(size)
        wire += [size_line, data, reader.readline()]
        if not size:
            return b"".join(wire), b"".join(body)
        body.append(data)
