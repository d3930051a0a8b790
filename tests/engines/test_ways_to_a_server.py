"""IPv6, and gateways that speak older or stranger HTTP: everything works through them."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import budeval_migrations as bm
from tests.support import targets
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront, OldServer, Server
from tests.support.targets import Target

pytestmark = pytest.mark.every_engine

CREATE = "CREATE TABLE c (x UInt64) ENGINE = MergeTree ORDER BY x"
INSERT = "INSERT INTO c SELECT number + 1 FROM numbers(3)"
LEDGER = "SELECT version, direction, toUInt8(success) FROM schema_migrations ORDER BY sequence FORMAT TSV"
ALL = 10**9


class Relay:
    """Passes the bytes of ``[::1]:port`` on to a port of 127.0.0.1."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._upstream))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=_pass, args=pair, daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for each in (source, target):
        each.close()


def _whole_life(server: Server, url: str, database: str, directory: Path) -> None:
    """Up, down and up again, and what the server itself has of it."""
    project = Project(directory)
    project.write_revision("001_c", None, [CREATE, INSERT], "DROP TABLE c")
    options = {"url": url, "database": database, "versions": [str(project.versions)]}
    if isinstance(server, OldServer):
        options["lock"] = "off"
    assert bm.upgrade(**options).applied == ("001_c",)
    assert bm.status(**options).at_head
    assert bm.downgrade("base", **options).applied == ("001_c",)
    assert bm.upgrade(**options).applied == ("001_c",)
    assert server.query("SELECT count(), sum(x) FROM c", database=database).split() == ["3", "6"]
    assert server.query(LEDGER, database=database).splitlines() == [
        "001_c\tup\t1",
        "001_c\tdown\t1",
        "001_c\tup\t1",
    ]


@pytest.mark.parametrize(
    "engine_url",
    targets.engine_parameters("modern-http", "modern-connect", "old-http", "old-native"),
    indirect=True,
)
def test_an_address_of_ipv6_works_on_every_driver(
    request: pytest.FixtureRequest, engine_url: Target, tmp_path: Path, database: str
) -> None:
    server = request.getfixturevalue("modern" if engine_url.modern else "old_server")
    found = re.match(r"([^:]+)://(.*)@[^/]*:(\d+)/", engine_url.url)
    assert found is not None
    dialect, user, port = found.groups()
    with Relay(int(port)) as relay:
        url = f"{dialect}://{user}@[::1]:{relay.port}/{database}"
        _whole_life(server, url, database, tmp_path / "project")


def _http_1_0(answer: bytes) -> bytes:
    """What a gateway that speaks HTTP/1.0 makes of an answer: no length, closed at its end."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head:
        body = b"".join(re.findall(rb"[0-9a-fA-F]+\r\n(.*?)\r\n(?=[0-9a-fA-F]+\r\n)", body, re.S))
    head = re.sub(
        rb"(?i)\r\n(?:transfer-encoding|content-length|connection|keep-alive):[^\r]*", b"", head
    )
    return head.replace(b"HTTP/1.1", b"HTTP/1.0", 1) + b"\r\n\r\n" + body


def _empty_is_204(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if body not in (b"", b"0\r\n\r\n"):
        return answer
    head = re.sub(rb"(?i)\r\n(?:transfer-encoding|content-length):[^\r]*", b"", head)
    return head.replace(b"200 OK", b"204 No Content", 1) + b"\r\n\r\n"


def _hinted(status: bytes) -> Callable[[bytes], bytes]:
    return lambda answer: (
        b"HTTP/1.1 " + status + b"\r\nLink: </a.css>; rel=preload\r\n\r\n"
        + b"HTTP/1.1 " + status + b"\r\n\r\n" + answer
    )  # fmt: skip


GATEWAYS = {
    "1.0": _http_1_0,
    "204": _empty_is_204,
    "100": _hinted(b"100 Continue"),
    "102": _hinted(b"102 Processing"),
    "103": _hinted(b"103 Early Hints"),
}


@pytest.fixture(params=["newest", "oldest"])
def server(request: pytest.FixtureRequest) -> ChdbFront | OldServer:
    """Each server that speaks HTTP."""
    name = "modern" if request.param == "newest" else "old_server"
    found: ChdbFront | OldServer = request.getfixturevalue(name)
    return found


@pytest.fixture
def proxy(server: Server) -> Iterator[RecordingProxy]:
    """A gateway before the server."""
    with RecordingProxy(server.http_port) as proxy:
        yield proxy


@pytest.mark.parametrize("dialect", ["clickhouse+http", "clickhousedb"])
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_gateway_with_older_or_stranger_http_changes_nothing(
    server: Server,
    proxy: RecordingProxy,
    tmp_path: Path,
    database: str,
    dialect: str,
    gateway: str,
) -> None:
    if isinstance(server, OldServer) and dialect == "clickhousedb":
        dialect = "clickhouse+http"  # the other needs a newer server
    rewrite = GATEWAYS[gateway]
    proxy.add(Fault(How.REWRITTEN, count=ALL, rewrite=rewrite, closes=gateway == "1.0"))
    url = server.url(dialect, database).replace(f":{server.http_port}/", f":{proxy.port}/")
    _whole_life(server, url, database, tmp_path / "project")
