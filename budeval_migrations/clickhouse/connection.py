"""One open connection to the target database.

Opening sends nothing where the driver sends nothing: SQLAlchemy's own first
queries (``select version()``, ``select currentDatabase()``) are put off until
somebody needs a dialect that has looked at its server.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import uuid
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from budeval_migrations.clickhouse import own_settings, waiting
from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.clickhouse.data_directory import check_directory
from budeval_migrations.clickhouse.failures import (
    UNKNOWN_DATABASE,
    UNKNOWN_FUNCTION,
    UNKNOWN_TABLE,
    VALUE_IS_NON_ZERO,
    connection_error,
    nothing_changed,
)
from budeval_migrations.clickhouse.transports.base import (
    FENCED_OFF,
    NOTHING,
    Check,
    Context,
    Counts,
    Row,
    Transport,
    fenced_insert_text,
)
from budeval_migrations.clickhouse.transports.embedded import EmbeddedTransport
from budeval_migrations.clickhouse.transports.http import HttpTransport, connect_post, requests_post
from budeval_migrations.clickhouse.transports.native import NativeTransport
from budeval_migrations.clickhouse.url import (
    database_name,
    is_embedded,
    know_dialect,
    own_timeout,
    parse_url,
    secrets_of,
    settings_in,
    shown_url,
    unknown_setting,
)
from budeval_migrations.errors import (
    ConfigError,
    ConnectionFailed,
    EngineError,
    MigrationError,
    Unsupported,
)
from budeval_migrations.forks import lost_chdb
from budeval_migrations.settings import Settings
from budeval_migrations.sql import quote

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from budeval_migrations.clickhouse.cluster.topology import Topology
    from budeval_migrations.sql.redact import Redactor

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
        self.url: URL = parse_url(settings)
        self.embedded = is_embedded(self.url)
        self.database = database_name(settings, self.url)
        self.shown = shown_url(self.url)
        self.engine: Engine = _engine(self.url, settings.read_timeout)
        self._initialise = self.engine.dialect.initialize
        self.engine.dialect.initialize = _put_off  # type: ignore[method-assign]
        self._connection: Connection | None = None
        self._transport: Transport | None = None
        self._features: Features | None = None
        self._changed: tuple[str, ...] = ()
        self._topology = topology
        self._other: Session | None = None
        self._may_create = False
        self.absent: frozenset[str] = frozenset()
        self.at = ""
        self.server_version = ""
        self.server_user = ""

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
        if isinstance(error, ConnectionFailed):
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
        connection, self._connection, self._transport = self._connection, None, None
        if connection is not None:
            connection.close()
        self.engine.dispose()

    def redact(self, text: str) -> str:
        """Return a text without its secrets, those of the URL among them; never raises."""
        return self._redactor(text)

    @cached_property
    def _context(self) -> Context:
        return Context(self.shown, self.redact, self.settings.read_timeout, own_timeout(self.url))

    @cached_property
    def _redactor(self) -> Redactor:
        return _redactor_of(self.url)

    @property
    def connection(self) -> Connection:
        """The SQLAlchemy connection that the transport shares.

        Raises:
            ConnectionFailed: No server, or chDB's directory is held by another process.
            EngineError: code 81, when there is no chDB directory yet.

        """
        if self._connection is None:
            if self.embedded:
                self._check_directory()
            try:
                with self._told(self._context.reading):
                    self._connection = self.engine.connect()
            except (MigrationError, KeyboardInterrupt):
                raise
            except Exception as error:
                raise _open_error(error, self._context) from error
        return self._connection

    @property
    def transport(self) -> Transport:
        """The way to send SQL to the byte over :attr:`connection`."""
        if self._transport is None:
            transport = self._make_transport(self.connection)
            self._check_settings(transport)
            self._transport = transport
        return self._transport

    def _check_settings(self, transport: Transport) -> None:
        """Refuse settings of the URL that the server does not know; send the others from now on."""
        names = settings_in(self.url)
        if not names:
            return
        try:
            known = {str(name) for (name,) in transport.query("SELECT name FROM system.settings")}
        except EngineError as error:
            if error.code != UNKNOWN_DATABASE:
                raise
            with self.elsewhere() as other:
                other.query("SELECT 1")  # looks itself
        else:
            for name in names:
                if name not in known:
                    raise unknown_setting(name, sorted(known), self.url)
        if isinstance(transport, HttpTransport):  # clickhouse-driver has them from the URL
            raw: Any = self.connection.connection.dbapi_connection
            raw.transport.ch_settings.update(names)

    def initialised_connection(self) -> Connection:
        """Return the connection with a dialect that knows its server.

        For revisions that read the database while they run; costs the two
        queries that SQLAlchemy's dialects send at first.
        """
        connection = self.connection
        self.query("SELECT 1")  # makes the target database the current one on chDB
        if self.engine.dialect.initialize is _put_off:
            self.engine.dialect.initialize = self._initialise  # type: ignore[method-assign]
            self._initialise(connection)
        return connection

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
                with self._told(None if patient else self._context.reading):
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
            if self._connection is not None and isinstance(self.transport, EmbeddedTransport):
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

    def execute(
        self,
        sql: str,
        *,
        query_id: str = "",
        settings: Mapping[str, str] = NOTHING,
        check: Check | None = None,
        own: bool = True,
        patient: bool = False,
    ) -> Counts:
        """Send one statement to the byte and return when it is done.

        Args:
            settings: ClickHouse settings that go beside the text.
            check: Called right before it is sent. With it, the statement does not
                reach the server later than :attr:`late` seconds after the call.
            own: As of :meth:`query`; a revision's statement obeys the user's profile.
            patient: As of :meth:`query`.

        Raises:
            EngineError: The server refused; ``code`` is ClickHouse's.
            ConnectionFailed: The outcome may be unknown.

        """
        settings = {**(self._own if own else self._for_statements), **settings}
        self.at = query_id or str(uuid.uuid4())
        try:
            transport = self.transport
            with self._told(self._context.changing(patient)):
                return transport.execute(
                    sql, query_id=self.at, settings=settings, check=check, patient=patient
                )
        except ConnectionFailed as error:
            if own and error.details.get("sent"):
                error.hint = "It may have run, and may run again. Check the server, then try again."
            raise
        finally:
            self.at = ""

    def insert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        settings: Mapping[str, str] = NOTHING,
    ) -> None:
        """Append rows to one of our own tables."""
        own, transport = self._own, self.transport
        with self._told(self._context.changing(False)):
            transport.insert(table, rows, {**own, **settings})

    def _told(self, timeout: float | None) -> AbstractContextManager[None]:
        """Say that the server does not answer; not of chDB, nor where there is no limit."""
        if self.embedded or timeout is None:
            return nullcontext()
        return waiting.told(self.shown, timeout)

    def insert_fenced(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        types: Mapping[str, str],
        fence: str,
        *,
        settings: Mapping[str, str] = NOTHING,
    ) -> bool:
        """Append rows as long as a condition holds, or without one; return whether it held.

        Condition and rows are one statement, which fails where the condition does not
        hold. Old servers cannot select rows from a text, so there the condition is
        asked first; over the native protocol, too, whose reading of rows is another.

        Args:
            types: The ClickHouse types of the columns.
            fence: An SQL expression; empty for no condition.
            settings: ClickHouse settings that go beside the text.

        """
        if not fence:
            self.insert(table, rows, settings=settings)
            return True
        if not self.features.format_function or isinstance(self.transport, NativeTransport):
            [[holds]] = self.query(f"SELECT {fence}", settings=settings)
            if int(holds):
                self.insert(table, rows, settings=settings)
            return bool(int(holds))
        text = fenced_insert_text(table, rows, types, fence)
        # The rows are part of the query here, whose length is limited (256 KiB by default).
        wide = {**settings, "max_query_size": "1000000000"}
        try:
            self.execute(text, settings=wide)
        except EngineError as error:
            if error.code == VALUE_IS_NON_ZERO and FENCED_OFF in error.message:
                return False
            raise
        return True

    def ensure_database(self) -> None:
        """Create the target database on this server; idempotent."""
        sql = f"CREATE DATABASE IF NOT EXISTS {quote.identifier(self.database)}"
        self._leave_elsewhere()
        self._may_create = True
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
        other._features, other._changed = self._features, self._changed
        other.server_version, other.server_user = self.server_version, self.server_user
        other.absent = self.absent
        return other

    def elsewhere(self) -> Session:
        """Return a new connection to the same server that needs no target database."""
        if self.embedded:
            other = Session(replace(self.settings, url="chdb:///:memory:", database="default"))
            other._may_create = True
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
    def features(self) -> Features:
        """What the server can do; asked once."""
        if self._features is None:
            rows = self._ask_features()
            if len(rows) != 1:
                raise EngineError(
                    f"{self.shown} answered a query for one row with {len(rows)}.",
                    hint="Look at the user's settings: limit, offset, extremes and "
                    "additional_result_filter change what a query gives.",
                )
            [[version, user, changed]] = rows
            self.server_version, self.server_user = str(version), str(user)
            self._changed = tuple(map(str, changed))
            self._features = Features(parse_version(self.server_version))
        return self._features

    def _ask_features(self) -> list[Row]:
        rest = f", {own_settings.CHANGED} FROM system.settings"
        user, settings = "currentUser()", NOTHING
        while True:
            try:
                return self.ask(f"SELECT version(), {user}{rest}", settings=settings, own=False)
            except EngineError as error:
                refusing = own_settings.meant(own_settings.REFUSE.get(error.code, ()))
                if error.code == UNKNOWN_FUNCTION:
                    # Before 20.1 a session cannot be asked who it is.
                    user = quote.string(self.url.username or "default")
                elif refusing.keys() - settings.keys():
                    settings = {**settings, **refusing}
                else:
                    raise

    @property
    def changed_settings(self) -> tuple[str, ...]:
        """The settings of the user's profile that can change what a request means.

        Empty where nothing was asked that tells.
        """
        return self._changed

    @property
    def is_known(self) -> bool:
        """Whether it is known who answers, and with which settings."""
        return self.embedded or self._features is not None

    @property
    def _own(self) -> Mapping[str, str]:
        """The settings of each request of ours; chDB takes none."""
        if self.embedded or not self.features:
            return NOTHING
        return own_settings.meant(self._changed)

    @property
    def _for_statements(self) -> Mapping[str, str]:
        if self.embedded or not self.features:
            return NOTHING
        return own_settings.meant_for_statements(self._changed)

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

    def _check_directory(self) -> None:
        if lost_chdb():
            raise ConnectionFailed(
                f"{self.shown} cannot be opened in this process: it was forked from one that had "
                "loaded chDB, whose threads ended with that.",
                hint="Load chDB after the fork, or start the process anew (multiprocessing: "
                'set_start_method("spawn")), or use a server.',
            )
        path = embedded_path(self.url)
        if not self._may_create and not os.path.exists(path):
            raise EngineError(
                f"There is no chDB directory at {self.shown} yet.", code=UNKNOWN_DATABASE
            )
        if path != os.curdir:
            check_directory(path, self.shown)
            with suppress(OSError):  # chDB says what is wrong
                os.makedirs(path, mode=0o700, exist_ok=True)  # it holds what revisions insert

    def _make_transport(self, connection: Connection) -> Transport:
        raw: Any = connection.connection.dbapi_connection
        context = self._context
        if self.embedded:
            return EmbeddedTransport(raw, self.database, context)
        if self.url.get_backend_name() == "clickhousedb":
            return HttpTransport(connect_post(raw.client, context.own_timeout), context)
        if self.url.get_driver_name() == "native":
            return NativeTransport(raw.transport, context)
        return HttpTransport(requests_post(raw.transport), context)


def embedded_path(url: URL) -> str:
    """Return the directory of a chdb URL as chdb-sqlalchemy reads it."""
    path = str(url.database or "")
    if path == ":memory:":
        return os.curdir  # is always there
    if path.startswith(("./", "../")):
        return os.path.abspath(path)
    return path if path.startswith("/") else "/" + path


def _put_off(connection: Connection) -> None:
    """Stand in for ``Dialect.initialize``."""


def _engine(url: URL, read_timeout: float) -> Engine:
    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "clickhousedb":
        arguments = _connect_arguments(url, read_timeout)
    elif url.get_driver_name() != "native":
        url = url.difference_update_query(settings_in(url))
        if url.host and ":" in url.host:
            url = url.set(host=f"[{url.host}]")  # clickhouse-sqlalchemy writes it as it is
    try:
        with warnings.catch_warnings():
            # clickhouse-connect tells that clickhouse:// is not its own; nobody asked.
            warnings.filterwarnings("ignore", message="The 'clickhouse://' URL remains")
            know_dialect(url)
            return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except Exception as error:
        said = _redactor_of(url)(str(error))
        raise ConfigError(
            f"The URL {shown_url(url)} cannot be used: {said}", hint=_option_hint(said)
        ) from error


def _connect_arguments(url: URL, read_timeout: float) -> dict[str, Any]:
    """Return arguments for clickhouse-connect, which asks the server while it connects."""
    arguments: dict[str, Any] = {}
    if own_timeout(url) is None:
        arguments["send_receive_timeout"] = max(int(read_timeout), 1)  # whole seconds
    # With options of TLS or a proxy, its own connections are needed.
    own = ("verify", "ca_cert", "client_cert", "server_host_name", "http_proxy", "https_proxy")
    if not any(name in url.query for name in own) and not getproxies():
        from urllib3 import PoolManager

        from budeval_migrations.clickhouse.transports.http_client import seeing_through

        arguments["pool_mgr"] = seeing_through(PoolManager(retries=False))
    return arguments


def _redactor_of(url: URL) -> Redactor:
    # Its patterns take longer to compile than a start-up at head should, which has
    # nothing to say.
    from budeval_migrations.sql.redact import Redactor

    return Redactor(secrets_of(url))


def _open_error(error: Exception, context: Context) -> MigrationError:
    shown, redact = context.shown, context.redact
    if type(error).__name__ == "ChdbUriError" or isinstance(error, (TypeError, ValueError)):
        return ConfigError(
            f"The URL {shown} cannot be used: {redact(str(error))}", hint=_option_hint(str(error))
        )
    if isinstance(error, NotImplementedError):
        return Unsupported(f"The driver of {shown} cannot be used here.")
    found = connection_error(error, shown, redact, context.reading)
    return nothing_changed(found) if isinstance(found, ConnectionFailed) else found


def _option_hint(text: str) -> str:
    unknown = re.search(r"parameter\(s\): ([^.,]+)", text)
    known = re.search(r"Supported: ([^.]+)", text)
    if unknown and known:
        near = difflib.get_close_matches(unknown[1], known[1].split(", "), n=1)
        if near:
            return f"Did you mean {near[0]}?"
    return "Look at the options after the question mark."
