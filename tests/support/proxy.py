"""A TCP proxy for HTTP that counts the requests that pass and can cut the line.

For counting round trips, and for faults between a client and a healthy server: a request that
never arrives, an answer that never comes back, or late, a line that breaks after so many bytes, a
load balancer that answers for itself.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
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


class How(Enum):
    """What happens to a request and its answer."""

    SWALLOWED = "the line is cut, the server sees nothing"
    CUT_AT_ONCE = "the server has it, the line is cut while it works"
    CUT_ANSWER = "the line is cut when the server has answered"
    CUT_MIDDLE = "the line is cut in the middle of the answer's body, or of its head if that is all"
    HELD = "the answer waits until it is released"
    LATE = "the answer comes some seconds later"
    BALANCER = "the server has it, and something in between answers for it at once"
    BALANCER_ALONE = "something in between answers, the server sees nothing"
    KEPT_BACK = "the request waits until it is released, and its answer is passed on"
    DELIVERED_LATE = "something in between answers at once, and the request waits to be released"
    DOUBLED = "the server gets it twice, and the second answer is passed on"
    REWRITTEN = "something in between changes the server's answer"


_UNSEEN = frozenset({How.SWALLOWED, How.BALANCER_ALONE})
_ANSWERED = frozenset({How.BALANCER, How.BALANCER_ALONE, How.DELIVERED_LATE})
_RELEASED = frozenset({How.KEPT_BACK, How.DELIVERED_LATE})
_AWAITS_ANSWER = frozenset(
    {How.CUT_ANSWER, How.CUT_MIDDLE, How.DOUBLED, How.HELD, How.LATE, How.REWRITTEN} | _RELEASED
)


@dataclass(eq=False)
class Fault:
    """What is to happen to the next requests whose query contains ``match``.

    ``refuse``: from then on, new connections are closed at once for so many seconds. ``arrived``
    is set when such a request comes, ``answered`` when the server has answered it.
    """

    how: How
    match: str = ""
    count: int = 1
    # Of LATE; instead of a release, of a request that waits for one; of DOUBLED, between both,
    # where the second does not wait for the answer to the first.
    seconds: float = 0.0
    head_first: bool = False  # of a request that waits: its head does not
    status: int = 504  # of a balancer
    refuse: float = 0.0
    rewrite: Callable[[bytes], bytes] = bytes  # of REWRITTEN: gets the whole answer
    closes: bool = False  # of REWRITTEN: the line ends with the answer
    arrived: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let a HELD answer, or a request that waits, pass."""
        self.released.set()

    def wait(self) -> None:
        """Keep a request or an answer back for as long as it is to be."""
        if self.how is How.HELD or (self.how in _RELEASED and not self.seconds):
            self.released.wait(60)
        time.sleep(self.seconds)


class RecordingProxy:
    """Forwards ``host:port`` to ``127.0.0.1:upstream_port`` and takes notes.

    Faults, each of which may be set at any time:

    * :meth:`add`: a :class:`Fault` that waits for its requests.
    * :meth:`drop_next`: the next requests are swallowed, the line is cut, the server sees nothing.
    * :meth:`cut_answers`: the next requests reach the server, the line is cut before the answer.
    * :attr:`cut_after_bytes`: every line is cut once so many bytes of answers have passed on it.
    * :attr:`refuse`: new connections are closed at once.
    """

    def __init__(self, upstream_port: int, host: str = "127.0.0.1") -> None:
        self.upstream_port = upstream_port
        self.host = host
        self.port = 0
        self.cut_after_bytes: int | None = None
        self.refuse = False
        self._faults: list[Fault] = []
        self._refuse_until = 0.0
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

    def add(self, fault: Fault) -> Fault:
        """Let a fault happen to its requests, and return it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def forget_faults(self) -> None:
        """Let nothing more happen to what comes."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release()

    def drop_next(self, count: int = 1, match: str = "") -> None:
        """Swallow the next requests (whose query contains ``match``) and cut their lines."""
        self.add(Fault(How.SWALLOWED, match, count))

    def cut_answers(self, count: int = 1, match: str = "") -> None:
        """Pass the next requests (whose query contains ``match``) on, but not the answers."""
        self.add(Fault(How.CUT_ANSWER, match, count))

    def cut_now(self) -> None:
        """Cut every line that is open."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _hang_up(each)

    def start(self) -> None:
        """Listen on a free port."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family)
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
            if self.refuse or time.monotonic() < self._refuse_until:
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
                line.fault = fault = self._note(exchange)
                if fault is not None and fault.how is How.DOUBLED:
                    line.fault = None
                    self._send_before(raw, fault)
                if fault is None or fault.how not in _UNSEEN | _RELEASED:
                    upstream.sendall(raw)
                if fault is None:
                    continue
                fault.arrived.set()
                if fault.how in _ANSWERED:
                    client.sendall(_SORRY.replace(b"504", str(fault.status).encode()))
                if fault.how is How.DELIVERED_LATE:
                    client.shutdown(socket.SHUT_RDWR)
                if fault.how in _RELEASED:
                    at_once = raw.index(b"\r\n\r\n") + 4 if fault.head_first else 0
                    upstream.sendall(raw[:at_once])
                    fault.wait()
                    upstream.sendall(raw[at_once:])
                if fault.how not in _AWAITS_ANSWER:
                    break
        except (OSError, ValueError):
            pass
        finally:
            if line.fault is None or line.fault.how not in _AWAITS_ANSWER:
                line.hang_up()

    def _send_before(self, raw: bytes, fault: Fault) -> None:
        """Send a request over a line of its own, whose answer nobody gets."""
        with socket.create_connection(("127.0.0.1", self.upstream_port)) as other:
            other.sendall(raw)
            if not fault.seconds:
                _whole(b"", other)
        time.sleep(fault.seconds)

    def _note(self, exchange: Exchange) -> Fault | None:
        """Record a request; return what is to happen to it."""
        with self._lock:
            self._exchanges.append(exchange)
            for fault in self._faults:
                if fault.count and fault.match in exchange.query:
                    fault.count -= 1
                    if fault.refuse:
                        self._refuse_until = time.monotonic() + fault.refuse
                    return fault
            return None

    def _pass_answers(self, line: _Line) -> None:
        passed = 0
        try:
            while data := line.upstream.recv(_CHUNK):
                fault = line.fault
                if fault is not None:
                    fault.answered.set()
                    if fault.how is How.CUT_MIDDLE:
                        line.client.sendall(_half(data, line.upstream))
                    if fault.how is How.KEPT_BACK:
                        line.fault = None
                        line.client.sendall(data)
                        continue
                    if fault.how is How.REWRITTEN:
                        line.fault = None
                        line.client.sendall(fault.rewrite(_whole(data, line.upstream)))
                        if fault.closes:
                            break
                        continue
                    if fault.how not in (How.HELD, How.LATE):
                        break
                    fault.wait()
                    line.fault = None
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


_SORRY = (
    b"HTTP/1.1 504 Sorry\r\nContent-Type: text/html\r\nContent-Length: 26\r\n"
    b"Connection: close\r\n\r\n<html>504 Sorry</html>    "
)


@dataclass(eq=False)
class _Line:
    """A client's connection and the one to the server that belongs to it."""

    client: socket.socket
    upstream: socket.socket
    fault: Fault | None = None  # set: the server's next bytes are the answer that it is about

    def hang_up(self) -> None:
        _hang_up(self.client)
        _hang_up(self.upstream)


def _whole(data: bytes, upstream: socket.socket) -> bytes:
    """Return an answer with the rest of it."""
    while b"\r\n\r\n" not in data or not _is_whole(data):
        data += upstream.recv(_CHUNK)
    return data


def _is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def _half(data: bytes, upstream: socket.socket) -> bytes:
    """Return an answer's head and half of its body; half of the head where there is no body."""
    while b"\r\n\r\n" not in data or data.endswith(b"\r\n\r\n"):
        upstream.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            if more := upstream.recv(_CHUNK):
                data += more
                continue
        break
    head, _, body = data.partition(b"\r\n\r\n")
    return data[: len(head) + 4 + len(body) // 2] if len(body) > 1 else head[: len(head) // 2]


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
