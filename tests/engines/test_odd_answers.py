"""Servers that answer without end, with bombs or with rubbish: exit 8, and no more memory."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.project import Project

# 2 GB of blanks, which JSON allows, in 2 MB.
BOMB = gzip.compress(b" " * (1 << 26), 9) * 32
MOST_MEMORY = 3 << 29  # bytes of address space


class Answering(BaseHTTPRequestHandler):
    """Answers every request with the server's ``answer``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with suppress(OSError):
            self.server.answer(self)  # type: ignore[attr-defined]
        self.close_connection = True

    do_GET = do_POST  # noqa: N815  the name is http.server's

    def log_message(self, *_: object) -> None:
        pass


def endless(to: Answering) -> None:
    to.send_response(200)
    to.send_header("X-ClickHouse-Server-Display-Name", "x")
    to.end_headers()
    to.wfile.write(b'{"data": [')
    for _ in range(3 << 4):
        to.wfile.write(b" " * (1 << 26))  # 3 GB


def bomb(to: Answering) -> None:
    to.send_response(200)
    to.send_header("X-ClickHouse-Server-Display-Name", "x")
    to.send_header("Content-Encoding", "gzip")
    to.send_header("Content-Length", str(len(BOMB)))
    to.end_headers()
    to.wfile.write(BOMB)


def _whole(to: Answering, body: bytes) -> None:
    to.send_response(200)
    to.send_header("X-ClickHouse-Server-Display-Name", "x")
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


def rubbish(to: Answering) -> None:
    _whole(to, b"\xff\xfe\x00{[")


def no_rows(to: Answering) -> None:
    _whole(to, b'{"data": {"a": [1,2]}}')


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    server.answer = request.param  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("scheme", ["clickhouse+http", "clickhousedb"])
@pytest.mark.parametrize("port", [endless, bomb, rubbish, no_rows], indirect=True)
def test_an_answer_that_makes_no_sense_ends_with_8_and_bounded_memory(
    tmp_path: Path, scheme: str, port: int
) -> None:
    project = Project(tmp_path / "project")
    project.configure(url=f"{scheme}://127.0.0.1:{port}/d", database="d")
    project.write_revision("001_a", None, "SELECT 1")
    done = subprocess.run(
        [sys.executable, "-m", "budeval_migrations", "status"],
        cwd=project.path,
        env=project.environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 8, done.stderr
    assert "Traceback" not in done.stderr
    assert "FAILED " in done.stderr
