"""One open connection to the target database."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from budeval_migrations.clickhouse import own_settings
from budeval_migrations.clickhouse.capabilities import Features
from budeval_migrations.clickhouse.drivers import find_driver
from budeval_migrations.clickhouse.engine import check_settings, make_transport
from budeval_migrations.clickhouse.failures import (
    SESSIONS,
    UNKNOWN_DATABASE,
    UNKNOWN_TABLE,
    nothing_changed,
)
from budeval_migrations.clickhouse.link import Link
from budeval_migrations.clickhouse.server import Server, read_server
from budeval_migrations.clickhouse.transports.base import NOTHING, Check, Counts, Row, Transport
from budeval_migrations.clickhouse.transports.embedded import EmbeddedTransport
from budeval_migrations.clickhouse.url import database_name
from budeval_migrations.errors import ConnectionFailed, EngineError
from budeval_migrations.settings import Settings
from budeval_migrations.sql import quote

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from budeval_migrations.clickhouse.cluster.topology import Topology

_TRIES = 4
# Drivers whose log says of a failed connection what our sentence says, or prints a traceback.
for _name in ("clickhouse_driver", "clickhouse_connect"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
# Names of settings that a hint has room for.
_MOST_NAMES = 20


class Session:
    """A connection to one ClickHouse database, opened at first use.

    Args:
        settings: Where to connect. Nothing is created, not even chDB's directory,
            before :meth:`ensure_database` is called.
        topology: What is known of the servers; asked for without it.

    Attributes:
        database: The name of the target database.
        shown: The URL as people may see it.
        absent: Hosts of a cluster, as ``name:port``, that nobody waits for.
        at: The id of the statement that is being executed; empty for none.

    """

    def __init__(self, settings: Settings, *, topology: Topology | None = None) -> None:
        self.settings = settings
        self._link = Link(settings)
        self.url: URL = self._link.url
        self.embedded = self._link.embedded
        self.shown = self._link.shown
        self.engine: Engine = self._link.engine
        self.database = database_name(settings, self.url)
        self._transport: Transport | None = None
        self._server: Server | None = None
        self._topology = topology
        self._other: Session | None = None
        self.absent: frozenset[str] = frozenset()
        self.at = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, EngineError) and error.code and not self.embedded:
            self._name_settings(error)
        self.close()

    def _name_settings(self, error: EngineError) -> None:
        """Name the settings of the user's profile beside a refusal that they may explain."""
        if isinstance(error, ConnectionFailed) or error.code in SESSIONS:
            return
        names = own_settings.REFUSE.get(error.code, ())
        with suppress(EngineError):
            rows = self.query(own_settings.ALL_CHANGED, own=False)
            names = tuple(str(name) for row in rows for name in row[0]) or names
        if names:
            shown = ", ".join(names[:_MOST_NAMES])
            error.hint = f"{error.hint} The user's profile may be why; it changes: {shown}.".strip()

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._leave_elsewhere()
        self._transport = None
        self._link.close()

    def redact(self, text: str) -> str:
        """Return a text without its secrets, those of the URL among them; never raises."""
        return self._link.redact(text)

    @property
    def connection(self) -> Connection:
        """The SQLAlchemy connection that the transport shares.

        Raises:
            ConnectionFailed: No server, or chDB's directory is held by another process.
            EngineError: code 81, when there is no chDB directory yet.

        """
        return self._link.connection

    @property
    def transport(self) -> Transport:
        """The way to send SQL to the byte over :attr:`connection`."""
        if self._transport is None:
            transport = make_transport(self.url, self.connection, self.database, self._link.context)
            self._check_settings(transport)
            self._transport = transport
        return self._transport

    def _check_settings(self, transport: Transport) -> None:
        """Refuse settings of the URL that the server does not know; send the others from now on."""
        try:
            check_settings(self.url, transport)
        except EngineError as error:
            if error.code != UNKNOWN_DATABASE:
                raise
            with self.elsewhere() as other:
                other.query("SELECT 1")  # looks itself
        driver = find_driver(self.url.drivername)
        raw = self.connection.connection.dbapi_connection
        driver.send_settings(raw, driver.settings_in(self.url))

    def initialised_connection(self) -> Connection:
        """Return the connection with a dialect that knows its server.

        For revisions that read the database while they run; costs the two
        queries that SQLAlchemy's dialects send at first.
        """
        self.query("SELECT 1")  # makes the target database the current one on chDB
        self._link.initialise()
        return self.connection

    def query(
        self,
        sql: str,
        *,
        settings: Mapping[str, str] = NOTHING,
        own: bool = True,
        patient: bool = False,
    ) -> list[Row]:
        """Return the rows of a SELECT.

        Args:
            settings: ClickHouse settings that go beside the text; not to chDB.
            own: Make it mean what it says, whatever the user's profile says; costs a
                query, once.
            patient: Wait for the answer as long as it takes: it reads the user's data.

        Raises:
            EngineError: The server refused; ``code`` is ClickHouse's.

        """
        try:
            return self._look(sql, {**self._own, **settings} if own else settings, patient)
        except ConnectionFailed as error:
            nothing_changed(error)
            raise

    def _look(self, sql: str, settings: Mapping[str, str], patient: bool) -> list[Row]:
        tries = _TRIES if "FROM system." in sql else 1
        while True:
            tries -= 1
            try:
                transport = self.transport
                with self._link.told(None if patient else self._link.context.reading):
                    return transport.query(sql, settings, patient=patient)
            except EngineError as error:
                # 18.16: a table that is dropped while system.tables is read (seen).
                if error.code != UNKNOWN_TABLE or not tries:
                    raise

    def ask(
        self, sql: str, *, settings: Mapping[str, str] = NOTHING, own: bool = True
    ) -> list[Row]:
        """Return the rows of a SELECT that needs no table, also where the database is missing.

        Args:
            settings: As of :meth:`query`.
            own: As of :meth:`query`.

        Raises:
            EngineError: The server refused; ``code`` is ClickHouse's.

        """
        if self._other is None:
            try:
                return self.query(sql, settings=settings, own=own)
            except EngineError as error:
                if error.code != UNKNOWN_DATABASE:
                    raise
            if self._link.is_open and isinstance(self.transport, EmbeddedTransport):
                return self.transport.without_database(sql)
            # A connection to a database that does not exist refuses everything.
            self._other = self.elsewhere()
        return self._other.query(sql, settings=settings, own=own)

    @property
    def late(self) -> float:
        """Seconds after which nothing that was sent with a ``check`` can still arrive.

        Where it has not by then, it never will. 0 where the server gives a statement
        up whose connection is gone.
        """
        return self.transport.late

    def may_arrive(self, query_id: str) -> bool:
        """Return whether the server still waits for a part of what was sent; see the transport.

        Raises:
            EngineError: The server does not answer.

        """
        return self.transport.may_arrive(query_id)

    def execute(
        self,
        sql: str,
        *,
        query_id: str = "",
        settings: Mapping[str, str] = NOTHING,
        check: Check | None = None,
        fence: str = "",
        own: bool = True,
        patient: bool = False,
    ) -> Counts:
        """Send one statement to the byte and return when it is done.

        Args:
            settings: ClickHouse settings that go beside the text.
            check: Called right before it is sent. With it, the statement does not
                reach the server later than :attr:`late` seconds after the call.
            fence: A condition without which it is not sent, where the server has it.
            own: As of :meth:`query`; a revision's statement obeys the user's profile.
            patient: As of :meth:`query`.

        Raises:
            EngineError: The server refused; ``code`` is ClickHouse's.
            ConnectionFailed: The outcome may be unknown.
            LockLost: The fence does not hold; nothing was sent.

        """
        settings = {**self._settings(own), **settings}
        self.at = query_id or str(uuid.uuid4())
        try:
            transport = self.transport
            with self._link.told(self._link.context.changing(patient)):
                return transport.execute(
                    sql,
                    query_id=self.at,
                    settings=settings,
                    check=check,
                    fence=fence,
                    patient=patient,
                )
        except ConnectionFailed as error:
            if own and error.details.get("sent"):
                error.hint = "It may have run, and may run again. Check the server, then try again."
            raise
        finally:
            self.at = ""

    def _settings(self, own: bool) -> Mapping[str, str]:
        if own or self.embedded:
            return self._own
        return self.server.for_statements

    def insert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        settings: Mapping[str, str] = NOTHING,
    ) -> None:
        """Append rows to one of our own tables."""
        own, transport = self._own, self.transport
        with self._link.told(self._link.context.changing(False)):
            transport.insert(table, rows, {**own, **settings})

    def ensure_database(self) -> None:
        """Create the target database on this server; idempotent."""
        sql = f"CREATE DATABASE IF NOT EXISTS {quote.identifier(self.database)}"
        self._leave_elsewhere()
        self._link.may_create = True
        if self.embedded:
            transport = self.transport
            assert isinstance(transport, EmbeddedTransport)
            transport.without_database(sql)
            return
        with self.elsewhere() as other:
            other.execute(sql)

    def version(self) -> str:
        """Return the server's version."""
        return str(self.ask("SELECT version()")[0][0])

    def twin(self) -> Session:
        """Return a new connection to the same database, which knows what this one found out."""
        other = Session(self.settings, topology=self._topology)
        other._server, other.absent = self._server, self.absent
        return other

    def elsewhere(self) -> Session:
        """Return a new connection to the same server that needs no target database."""
        if self.embedded:
            other = Session(replace(self.settings, url="chdb:///:memory:", database="default"))
            other._link.may_create = True
            return other
        url = self.url.set(database="default").render_as_string(hide_password=False)
        other = Session(replace(self.settings, url=url, database="default"))
        other.absent = self.absent
        return other

    def _leave_elsewhere(self) -> None:
        other, self._other = self._other, None
        if other is not None:
            other.close()

    @property
    def server(self) -> Server:
        """Who answers; asked once."""
        if self._server is None:
            self._server = read_server(self)
        return self._server

    @property
    def features(self) -> Features:
        """What the server can do."""
        return self.server.features

    @property
    def server_version(self) -> str:
        """The version that the server told; empty where nothing was asked."""
        return self._server.version if self._server else ""

    @property
    def server_user(self) -> str:
        """Whom the server takes this session for; empty where nothing was asked."""
        return self._server.user if self._server else ""

    @property
    def changed_settings(self) -> tuple[str, ...]:
        """The settings of the user's profile that can change what a request means.

        Empty where nothing was asked that tells.
        """
        return self._server.changed_settings if self._server else ()

    @property
    def is_known(self) -> bool:
        """Whether it is known who answers, and with which settings."""
        return self.embedded or self._server is not None

    @property
    def _own(self) -> Mapping[str, str]:
        """The settings of each request of ours; chDB takes none."""
        return NOTHING if self.embedded else self.server.own

    @property
    def topology(self) -> Topology:
        """The servers of the target database; asked once.

        Raises:
            ConfigError: See :func:`read_topology`.

        """
        if self._topology is None:
            from budeval_migrations.clickhouse.cluster.topology import read_topology

            self._topology = read_topology(self)
        return self._topology
