"""A load balancer that sends every HTTP request to the next host."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.process import HOST

_HOPS = ("connection", "keep-alive", "transfer-encoding", "content-length")


class RoundRobin:
    """Listens on a port of its own; ``hits`` counts what each upstream was given."""

    def __init__(self, ports: Sequence[int], port: int = 0) -> None:
        self.hits = dict.fromkeys(ports, 0)
        self._next = itertools.cycle(ports)
        self._lock = threading.Lock()
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                balancer.forward(self)

            def do_GET(self) -> None:
                balancer.forward(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> RoundRobin:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forward(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one request on and its answer back."""
        with self._lock:
            port = next(self._next)
            self.hits[port] += 1
        if request.headers.get("Transfer-Encoding", "") == "chunked":
            body = _chunks(request)
        else:
            body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOPS}
        upstream = http.client.HTTPConnection(HOST, port)
        try:
            upstream.request(request.command, request.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            request.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOPS:
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        finally:
            upstream.close()


def _chunks(request: BaseHTTPRequestHandler) -> bytes:
    found = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        found += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return found
