"""A connection that is opened at first use.

Opening sends nothing where the driver sends nothing: SQLAlchemy's own first
queries (``select version()``, ``select currentDatabase()``) are put off until
somebody needs a dialect that has looked at its server.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from budeval_migrations.clickhouse import waiting
from budeval_migrations.clickhouse.data_directory import open_directory
from budeval_migrations.clickhouse.drivers import find_driver
from budeval_migrations.clickhouse.engine import make_engine, open_error, redactor_of
from budeval_migrations.clickhouse.transports.base import Context
from budeval_migrations.clickhouse.url import (
    embedded_path,
    is_embedded,
    parse_url,
    shown_url,
)
from budeval_migrations.errors import MigrationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from budeval_migrations.settings import Settings
    from budeval_migrations.sql.redact import Redactor


class Link:
    """The SQLAlchemy engine of a session, and its one connection.

    Args:
        settings: Where to connect.

    Attributes:
        shown: The URL as people may see it.
        may_create: Whether chDB's directory may be made.

    """

    def __init__(self, settings: Settings) -> None:
        self.url: URL = parse_url(settings)
        self._driver = find_driver(self.url.drivername)
        self.embedded = is_embedded(self.url)
        self.shown = shown_url(self.url)
        self.engine: Engine = make_engine(self.url, settings.read_timeout)
        self.may_create = False
        self._read_timeout = settings.read_timeout
        self._initialise = self.engine.dialect.initialize
        self.engine.dialect.initialize = _put_off  # type: ignore[method-assign]
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def close(self) -> None:
        """Close the connection; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self.engine.dispose()

    @cached_property
    def context(self) -> Context:
        """What a transport knows of its session."""
        return Context(
            self.shown, self.redact, self._read_timeout, self._driver.own_timeout(self.url)
        )

    def redact(self, text: str) -> str:
        """Return a text without its secrets, those of the URL among them; never raises."""
        return self._redactor(text)

    @cached_property
    def _redactor(self) -> Redactor:
        return redactor_of(self.url)

    @property
    def connection(self) -> Connection:
        """The connection, opened where there was none.

        Raises:
            ConnectionFailed: No server, or chDB's directory is held by another process.
            EngineError: code 81, when there is no chDB directory yet.

        """
        if self._connection is None:
            if self.embedded:
                open_directory(embedded_path(self.url), self.shown, create=self.may_create)
            try:
                with self.told(self.context.reading):
                    self._connection = self.engine.connect()
            except (MigrationError, KeyboardInterrupt):
                raise
            except Exception as error:
                raise open_error(error, self.context) from error
        return self._connection

    def initialise(self) -> None:
        """Let the dialect look at its server, once; costs two queries."""
        if self.engine.dialect.initialize is _put_off:
            self.engine.dialect.initialize = self._initialise  # type: ignore[method-assign]
            self._initialise(self.connection)

    def told(self, timeout: float | None) -> AbstractContextManager[None]:
        """Say that the server does not answer; not of chDB, nor where there is no limit."""
        if self.embedded or timeout is None:
            return nullcontext()
        return waiting.told(self.shown, timeout)


def _put_off(connection: Connection) -> None:
    """Stand in for ``Dialect.initialize``."""
