"""Where a tool works: a database of an engine, and the engines that the bench starts and ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests.support.servers import HOST, ChdbFront, OldServer, Server

EMBEDDED, HTTP, NATIVE = "embedded", "http", "native"

#: What the engines are called in tables.
TITLES = {
    EMBEDDED: "chDB in the process",
    HTTP: "chDB over HTTP",
    NATIVE: "18.16 native",
}
_PASSWORD = "bench"  # noqa: S105  of a server that this run starts and ends


@dataclass(frozen=True)
class Place:
    """A database as a tool has to address it; ``directory`` is chDB's own, without a server."""

    engine: str
    directory: Path
    database: str
    port: int = 0
    host: str = HOST
    user: str = "default"
    password: str = _PASSWORD

    def url(self, scheme: str) -> str:
        """The database as a URL."""
        return (
            f"{scheme}://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{self.database}"
        )

    def through(self, port: int) -> Place:
        """The same database behind a proxy."""
        return replace(self, port=port)


@dataclass(frozen=True)
class Engine:
    """An engine that runs; chDB in the process has no server."""

    name: str
    directory: Path
    server: Server | None

    def place(self, database: str) -> Place:
        """A new and empty database."""
        if self.server is None:
            return Place(self.name, self.directory / database, database)
        self.server.query(f"CREATE DATABASE {database}")
        scheme = "clickhouse+native" if self.name == NATIVE else "clickhouse+http"
        return Place(self.name, self.directory, database, self.server.port(scheme))

    def query(self, sql: str) -> str:
        """Ask the server."""
        assert self.server is not None
        return self.server.query(sql)


def installed() -> tuple[str, ...]:
    """The engines that can be started on this machine."""
    return (EMBEDDED, HTTP, NATIVE) if OldServer.is_installed() else (EMBEDDED, HTTP)


@contextlib.contextmanager
def running(name: str, directory: Path) -> Iterator[Engine]:
    """Start an engine with its data in ``directory``, and end it."""
    directory.mkdir(parents=True)
    if name == EMBEDDED:
        yield Engine(name, directory, None)
        return
    server = ChdbFront(directory, password=_PASSWORD) if name == HTTP else OldServer(directory)
    server.users["default"] = _PASSWORD
    with server:
        yield Engine(name, directory, server)
