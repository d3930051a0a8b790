"""Ask each host of a cluster by itself.

Whoever answers the connection of the settings is one of them, or a proxy before
them; so each is connected to by the name and the native port that
``system.clusters`` has, with the same user and password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from budeval_migrations.clickhouse.cluster.topology import Host
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError

_T = TypeVar("_T")
# Options of a URL that mean the same to the native protocol.
_SAME = ("secure", "verify", "ca_certs")


class Hosts:
    """The hosts of a session's cluster; on a single server, the session itself.

    Connections are opened when they are needed, and closed with this.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened: dict[Host, Session] = {}

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; idempotent."""
        while self._opened:
            self._opened.popitem()[1].close()

    def ask(self, question: Callable[[Session], _T]) -> Iterator[tuple[Host | None, _T]]:
        """Yield every host that is there with its answer; None for a single server.

        Raises:
            EngineError: A host cannot be asked; it is named.

        """
        if not self._session.topology.hosts:
            yield None, question(self._session)
            return
        for host in self._session.topology.hosts:
            if str(host) not in self._session.absent:
                yield host, self.ask_one(host, question)

    def ask_one(self, host: Host, question: Callable[[Session], _T]) -> _T:
        """Return one host's answer.

        Raises:
            EngineError: It cannot be asked; it is named.

        """
        try:
            return question(self._at(host))
        except EngineError as error:
            closed = self._opened.pop(host, None)
            if closed is not None:
                closed.close()
            said = f"Host {host}: {error.details.get('reason') or error.message}"
            error.message = error.details["reason"] = said
            error.details["host"] = str(host)
            raise

    def _at(self, host: Host) -> Session:
        if host not in self._opened:
            opened = Session(replace(self._session.settings, url=_url(self._session, host)))
            opened.shown = str(host)
            self._opened[host] = opened
        return self._opened[host]


def _url(session: Session, host: Host) -> str:
    url = session.url
    query = {name: value for name, value in url.query.items() if name in _SAME}
    if url.query.get("protocol") == "https":
        query["secure"] = "true"
    query["connect_timeout"] = "5"
    query["send_receive_timeout"] = str(max(int(session.settings.ddl_timeout), 5))
    return url.set(
        drivername="clickhouse+native",
        host=host.name,
        port=host.port,
        database=session.database,
        query=query,
    ).render_as_string(hide_password=False)
