"""The SQLAlchemy engine and the transport behind a session: which driver, with which arguments.

Sends nothing but the check of the URL's settings. May import transports and url, not sessions.
"""

from __future__ import annotations

import difflib
import re
import warnings
from typing import TYPE_CHECKING

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from budeval_migrations.clickhouse.drivers import find_driver
from budeval_migrations.clickhouse.failures import connection_error, nothing_changed
from budeval_migrations.clickhouse.transports.base import Context, Transport
from budeval_migrations.clickhouse.url import (
    know_dialect,
    secrets_of,
    shown_url,
    unknown_setting,
)
from budeval_migrations.errors import ConfigError, ConnectionFailed, MigrationError, Unsupported

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from budeval_migrations.sql.redact import Redactor


def make_engine(url: URL, read_timeout: float) -> Engine:
    """Return an engine that opens a connection when asked, and keeps none.

    Args:
        read_timeout: Seconds that clickhouse-connect waits for an answer.

    Raises:
        ConfigError: The driver rejects the URL.

    """
    driver = find_driver(url.drivername)
    arguments = driver.arguments(url, read_timeout)
    url = driver.engine_url(url)
    try:
        with warnings.catch_warnings():
            # clickhouse-connect tells that clickhouse:// is not its own; nobody asked.
            warnings.filterwarnings("ignore", message="The 'clickhouse://' URL remains")
            know_dialect(url)
            return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except Exception as error:
        said = redactor_of(url)(str(error))
        raise ConfigError(
            f"The URL {shown_url(url)} cannot be used: {said}", hint=_option_hint(said)
        ) from error


def make_transport(url: URL, connection: Connection, database: str, context: Context) -> Transport:
    """Return the way to send SQL to the byte over a connection."""
    raw = connection.connection.dbapi_connection
    return find_driver(url.drivername).transport(raw, database, context)


def check_settings(url: URL, transport: Transport) -> None:
    """Refuse settings of a URL that the server does not know.

    Raises:
        ConfigError: Names the setting, and the nearest one that there is.
        EngineError: The server rejects the query.

    """
    names = find_driver(url.drivername).settings_in(url)
    if not names:
        return
    known = {str(name) for (name,) in transport.query("SELECT name FROM system.settings")}
    for name in names:
        if name not in known:
            raise unknown_setting(name, sorted(known), url)


def redactor_of(url: URL) -> Redactor:
    """Return what hides the secrets of a URL."""
    # Its patterns take longer to compile than a start-up at head should, which has
    # nothing to say.
    from budeval_migrations.sql.redact import Redactor

    return Redactor(secrets_of(url))


def open_error(error: Exception, context: Context) -> MigrationError:
    """Return what a driver's error while it connects means."""
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
