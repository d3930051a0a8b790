"""ClickHouse's native protocol, through clickhouse-driver."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from budeval_migrations.clickhouse.failures import connection_error, server_error
from budeval_migrations.clickhouse.transports.base import (
    NOTHING,
    Check,
    Context,
    Counts,
    Row,
    Settings,
    hold,
)
from budeval_migrations.errors import Unsupported
from budeval_migrations.model import PARAMETER
from budeval_migrations.sql import quote


class NativeTransport:
    """ClickHouse's native protocol, through clickhouse-driver's client."""

    reads_rows = False

    def __init__(self, client: Any, context: Context) -> None:
        self._client = client
        self._context = context

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT."""
        rows: list[Row] = self._run(sql, None, settings, self._context.answering(patient))
        return rows

    # The server cancels a query whose connection is gone.
    late = 0.0

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        fence: str = "",
        patient: bool = False,
    ) -> Counts:
        """Run a statement.

        Raises:
            Unsupported: Rows inline in an INSERT, on a server older than 19.3.3,
                which would wait for ever for blocks of data (tried on 18.16.1).

        """
        if not self._takes_inline_data() and _has_inline_data(sql):
            raise Unsupported(
                "This server does not read the rows after VALUES or FORMAT over the "
                "native protocol.",
                hint="Use INSERT … SELECT, or a clickhouse+http:// URL.",
            )
        self._check_settings(settings)
        if fence:
            hold(self.query(f"SELECT {fence}"))
        if check is not None:
            check()
        self._run(sql, query_id, settings, self._context.changing(patient))
        progress = getattr(self._client.last_query, "progress", None)
        return Counts(
            rows_read=int(getattr(progress, "rows", 0) or 0),
            rows_written=int(getattr(progress, "written_rows", 0) or 0),
        )

    def may_arrive(self, query_id: str) -> bool:
        """Return that it does not."""
        return False

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows as a block of data."""
        columns = ", ".join(quote.identifier(name) for name in rows[0])
        text = f"INSERT INTO {quote.identifier(table)} ({columns}) VALUES"
        values = [tuple(_native(v) for v in row.values()) for row in rows]
        self._connect(self._context.changing(False))
        self._guard(
            lambda: self._client.execute(text, values, settings=dict(settings)),
            self._context.changing(False),
        )

    def _run(
        self, sql: str, query_id: str | None, settings: Settings, timeout: float | None
    ) -> Any:
        self._connect(timeout)
        return self._guard(
            lambda: self._client.execute(sql, query_id=query_id, settings=dict(settings)), timeout
        )

    def _connect(self, timeout: float | None) -> None:
        """Connect if need be, and let what comes wait for so long."""
        connection = self._client.connection
        if not connection.connected:
            most = min(connection.connect_timeout, self._context.reading)
            self._guard(lambda: _shake_hands(connection, most), most)
        connection.socket.settimeout(timeout)

    def _guard(self, call: Callable[[], Any], timeout: float | None = None) -> Any:
        """Make a call and translate its errors.

        Args:
            timeout: Seconds that it may take; None for no limit.

        """
        from clickhouse_driver.errors import Error, NetworkError, ServerException
        from clickhouse_driver.errors import SocketTimeoutError as SocketTimeout

        try:
            with _limited(self._client.connection, timeout):
                return call()
        except (NetworkError, SocketTimeout, EOFError, OSError) as error:
            shown, redact = self._context.shown, self._context.redact
            raise connection_error(error, shown, redact, timeout) from error
        except ServerException as error:
            text = f"Code: {error.code}. {error.message}"
            raise server_error(text, self._context.redact, error.code or 0) from error
        except Error as error:
            raise connection_error(error, self._context.shown, self._context.redact) from error

    def _check_settings(self, settings: Settings) -> None:
        """Refuse a setting that clickhouse-driver would leave out with a line in its log.

        Servers from before 19.9 read settings in a binary form (revision 54429), and it
        knows the form of some (``settings/writer.py``, 0.2.10).
        """
        from clickhouse_driver.defines import DBMS_MIN_REVISION_WITH_SETTINGS_SERIALIZED_AS_STRINGS
        from clickhouse_driver.settings.available import settings as known

        if not settings:
            return
        self._connect(self._context.reading)
        old = (
            self._client.connection.server_info.used_revision
            < DBMS_MIN_REVISION_WITH_SETTINGS_SERIALIZED_AS_STRINGS
        )
        for name in settings:
            if name.startswith(PARAMETER) or (old and name not in known):
                raise Unsupported(
                    f"The setting {name} cannot be sent over the native protocol.",
                    hint="Write SETTINGS in the statement, or use a clickhouse+http:// URL.",
                )

    def _takes_inline_data(self) -> bool:
        self._connect(None)
        info = self._client.connection.server_info
        return (info.version_major, info.version_minor) >= (19, 4)


def _has_inline_data(sql: str) -> bool:
    from budeval_migrations.sql.statement import parse  # a start-up at head parses nothing

    return parse(sql).has_rows


@contextmanager
def _limited(connection: Any, seconds: float | None) -> Iterator[None]:
    """Break the connection where the body takes longer; the driver limits each part of an answer.

    Raises:
        TimeoutError: It did.

    """
    if seconds is None:
        yield
        return
    late = threading.Event()

    def hang_up() -> None:
        late.set()
        with suppress(OSError, AttributeError):
            connection.socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise TimeoutError("timed out") from error
        raise
    finally:
        timer.cancel()


def _shake_hands(connection: Any, most: float) -> None:
    """Connect; a port that does not speak the protocol shall not be waited for long.

    clickhouse-driver waits for the greeting as long as for a statement (300 s).

    Args:
        most: Seconds that it may take.

    """
    from budeval_migrations.clickhouse.transports.http_client import KEEPALIVE

    patience = connection.send_receive_timeout
    connection.send_receive_timeout = connection.connect_timeout = most
    try:
        connection.connect()
        for level, option, value in KEEPALIVE:
            connection.socket.setsockopt(level, option, value)
    except BaseException:
        connection.disconnect()  # a greeting that was refused leaves it half open
        raise
    finally:
        connection.send_receive_timeout = patience


def _native(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
