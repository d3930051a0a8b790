"""Sending SQL to the byte, through each driver's own connection.

A wire wraps the DBAPI connection that SQLAlchemy made, so that hosts, users,
TLS and time-outs stay the driver's business, and sends text past the driver's
parameter substitution. Nothing is ever sent twice: clickhouse-connect would
repeat a request whose connection was reset (``max_attempts`` in its
``_backend/http_sync.py``, 1.12), so its pool is used without retries.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from budeval_migrations.engine.failures import SESSION_NOT_FOUND, connection_error, server_error
from budeval_migrations.errors import ConnectionFailed, EngineError, MigrationError, Unsupported
from budeval_migrations.model import PARAMETER
from budeval_migrations.sql import quote

Row = Sequence[Any]
Check = Callable[[], None]
Settings = Mapping[str, str]
NOTHING: Settings = {}
# An HTTP session closes within two seconds after its timeout (18.16: a request was accepted
# for 2.75 s with a timeout of 1 s, 96 tries). https://clickhouse.com/docs/interfaces/http
_SESSION = {"session_timeout": "1"}
_LATE = 3.5
# Without sessions nothing but time tells that a request will not arrive any more.
_LATE_WITHOUT_SESSIONS = 30.0
# Requests that must all find a session before it is relied upon.
_PROBES = 3
# Seconds that a write of ours may take beside a read: a majority of a cluster needs some.
_WRITE = 30.0
# What the server says when it refuses rows because their fence does not hold.
FENCED_OFF = "budeval_migrations: the lock is held by another runner"


@dataclass(frozen=True)
class Outcome:
    """What the server said about a statement that it ran."""

    rows_read: int = 0
    rows_written: int = 0


class Wire(Protocol):
    """A way to send SQL to the byte.

    Attributes:
        late: Seconds after which what was sent with a ``check`` can no longer reach
            the server, if it has not.

    """

    @property
    def late(self) -> float:
        """See the class."""

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT; numbers of 64 bits may come as text.

        Args:
            patient: Wait for the answer as long as it takes, or as the URL says.

        """

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        patient: bool = False,
    ) -> Outcome:
        """Run a statement and return when the server has answered.

        Args:
            check: Called right before the statement is sent, and may raise.
            patient: As of :meth:`query`.

        """

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows that have the same keys."""


@dataclass
class Context:
    """What a wire needs to know.

    Attributes:
        shown: The URL as people may see it.
        read_timeout: Seconds that the answer to a question may take.
        own_timeout: Seconds that the URL gives a driver for any answer; None for none.

    """

    shown: str
    redact: Callable[[str], str]
    read_timeout: float
    own_timeout: float | None = None

    @property
    def reading(self) -> float:
        """Seconds for the answer to a question of ours."""
        return min(self.read_timeout, self.own_timeout or self.read_timeout)

    def answering(self, patient: bool) -> float | None:
        """Return the seconds for the answer to a question; None for no limit."""
        return self.own_timeout if patient else self.reading

    def changing(self, patient: bool) -> float | None:
        """Return the seconds for the answer to a statement; None for no limit."""
        return self.own_timeout if patient else self.reading + _WRITE


class HttpWire:
    """ClickHouse's HTTP interface, over the session or pool of a driver.

    https://clickhouse.com/docs/interfaces/http
    """

    def __init__(self, post: _Post, context: Context) -> None:
        self._post = post
        self._context = context

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT."""
        params = {"default_format": "JSONCompact", **settings}
        answer = self._send(sql, params, self._context.answering(patient), whole=True)
        if not answer.body:
            raise self._cut_off()
        if answer.cut:
            raise self._error_in(answer) or EngineError(
                f"{self._context.shown} answered a question of ours with more than "
                f"{_MOST >> 20} MB.",
                hint="Is this ClickHouse's HTTP port, and not another service?",
            )
        try:
            found = json.loads(answer.body)
            rows: list[Row] = found["data"]
            if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
                raise TypeError("no rows")
        except (ValueError, KeyError, TypeError) as error:
            raise self._error_in(answer) or self._stranger(answer) from error
        if "exception" in found:  # http_write_exception_in_output_format
            raise server_error(str(found["exception"]), self._context.redact)
        return rows

    @property
    def late(self) -> float:
        """How long a request can be on its way: as long as its session lives."""
        return _LATE if self._has_sessions else _LATE_WITHOUT_SESSIONS

    @cached_property
    def _has_sessions(self) -> bool:
        """Whether requests of one session reach one server, and not others behind a balancer."""
        session = {"session_id": f"budeval-{uuid.uuid4()}", **_SESSION}
        self.query("SELECT 1", session)
        try:
            for _ in range(_PROBES):
                self.query("SELECT 1", {**session, "session_check": "1"})
        except EngineError as error:
            if error.code != SESSION_NOT_FOUND:
                raise
            return False
        return True

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        patient: bool = False,
    ) -> Outcome:
        """Run a statement.

        With a check, the statement is sent in an HTTP session of its own, which is
        opened before and closes by itself soon: a request that is held on its way, or
        a copy of it, is refused by then.

        Raises:
            EngineError: The server refused it, in whatever part of its answer it says so.
            ConnectionFailed: The answer is not ClickHouse's, or not whole; the outcome
                is unknown.

        """
        params = {"query_id": query_id, **settings}
        if check is not None:
            params.update(self._open_session(query_id))
            check()
        answer = self._change(sql, params, self._context.changing(patient))
        try:
            summary = json.loads(answer.headers.get("X-ClickHouse-Summary") or "{}")
        except ValueError as error:
            raise self._cut_off() from error
        return Outcome(
            rows_read=int(summary.get("read_rows", 0)),
            rows_written=int(summary.get("written_rows", 0)),
        )

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows."""
        self._change(insert_text(table, rows), dict(settings), self._context.changing(False))

    def _open_session(self, name: str) -> dict[str, str]:
        if not self._has_sessions:
            return {}
        session = {"session_id": f"budeval-{name}", **_SESSION}
        self.query("SELECT 1", session)
        return {**session, "session_check": "1"}

    def _change(self, sql: str, params: dict[str, str], timeout: float | None) -> HttpAnswer:
        """Send what changes something, and believe only ClickHouse's own answer to it."""
        answer = self._send(sql, {"send_progress_in_http_headers": "0", **params}, timeout)
        error = self._error_in(answer)
        if error is not None:
            raise error
        if not answer.is_clickhouse:
            raise self._stranger(answer)
        lengths = any(name in answer.headers for name in _LENGTHS)
        if not (answer.whole_head or lengths or answer.status == 204):
            raise self._cut_off()
        return answer

    def _send(
        self, sql: str, params: dict[str, str], timeout: float | None, *, whole: bool = False
    ) -> HttpAnswer:
        # wait_end_of_query makes the status tell the outcome, where nothing rewrites it.
        params = {"wait_end_of_query": "1", **params}
        try:
            answer = self._post(sql.encode("utf-8", "surrogateescape"), params, timeout, whole)
        except Exception as error:
            shown, redact = self._context.shown, self._context.redact
            raise connection_error(error, shown, redact, timeout) from error
        if answer.status in (200, 204):
            return answer
        code = answer.code
        if not code and "Code:" not in answer.text:
            raise self._stranger(answer)
        raise server_error(answer.text.strip(), self._context.redact, code)

    def _error_in(self, answer: HttpAnswer) -> MigrationError | None:
        """Return the server's exception in an answer with status 200; None without one.

        A proxy may change the status, and a server that has sent its head already
        writes the exception into the body (``X-ClickHouse-Exception-Tag``, 25.x).
        """
        text = answer.text
        if answer.code or text.startswith("Code: "):
            return server_error(text.strip(), self._context.redact, answer.code)
        _, marked, said = text.rpartition(f"__exception__\r\n{answer.tag}\r\n")
        if answer.tag and marked:
            said = said.partition(f" {answer.tag}")[0]  # its length stands before
            return server_error(said.rpartition("\n")[0].strip(), self._context.redact)
        if _EXCEPTION.search(text):
            return self._stranger(answer)
        return None

    def _cut_off(self) -> MigrationError:
        # Python's http.client takes an answer that ends within its head for a whole one.
        error = EOFError("the answer was cut off")
        return connection_error(error, self._context.shown, self._context.redact)

    def _stranger(self, answer: HttpAnswer) -> EngineError:
        said = self._context.redact(" ".join(answer.text[:200].split()))
        message = (
            f"{self._context.shown} answered HTTP {answer.status}, and not as ClickHouse does: "
            f"{said}"
        )
        hint = "Is this ClickHouse's HTTP port, and not a proxy or another service?"
        if answer.status == 429:
            hint = "Something in front of the server limits requests. Try again later."
        if answer.status < 400 or answer.status >= 500:  # the server behind it may be at work
            return ConnectionFailed(message, hint=hint, sent=True)
        return EngineError(message, hint=hint)


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP answer, whoever it is from.

    Attributes:
        headers: By name, in any case.
        whole_head: Its head surely did not end early.
        cut: The beginning of its body was too long to be kept.

    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole_head: bool
    cut: bool = False

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def code(self) -> int:
        """ClickHouse's error code in the headers; 0 without one."""
        said = self.headers.get("X-ClickHouse-Exception-Code") or ""
        return int(said) if said.isdigit() else 0

    @property
    def tag(self) -> str:
        """What newer servers mark an exception in the middle of a body with; empty without."""
        return self.headers.get("X-ClickHouse-Exception-Tag") or ""

    @property
    def is_clickhouse(self) -> bool:
        """Whether ClickHouse, and not something in front of it, wrote the answer.

        18.16 sends ``X-ClickHouse-Server-Display-Name`` alone (tried).
        """
        return any(name.lower().startswith("x-clickhouse-") for name in self.headers)


# One of these is in every whole head of an answer.
_LENGTHS = ("Content-Length", "Transfer-Encoding", "X-ClickHouse-Summary")
# How an exception begins on a line of its own, in the spellings of 18.16 to 26.x.
_EXCEPTION = re.compile(r"^Code: \d+[.,] (?:e\.displayText\(\) = )?DB::", re.M)
# Data, parameters, seconds, and whether a long answer is of no use without its beginning.
_Post = Callable[[bytes, "dict[str, str]", "float | None", bool], HttpAnswer]
# Bytes of an answer that are read at a time, and that are kept in memory of one.
_READ, _MOST = 1 << 16, 1 << 28


def _answer(
    status: int, headers: Mapping[str, str], chunks: Iterator[bytes], raw: Any, *, whole: bool
) -> HttpAnswer:
    """Read an answer; of one that is too long, the end is kept, where an error would stand.

    Args:
        whole: Of no use without its beginning: reading ends there.

    """
    from budeval_migrations.engine.http import Response

    kept, size, cut = deque[bytes](), 0, False
    for chunk in chunks:
        kept.append(chunk)
        size += len(chunk)
        while size > _MOST and len(kept) > 1:
            size -= len(kept.popleft())
            cut = True
        if cut and whole:
            break
    ours = isinstance(getattr(raw, "_original_response", None), Response)
    return HttpAnswer(status, headers, b"".join(kept), ours, cut)


def requests_post(transport: Any) -> _Post:
    """Return how to post over clickhouse-sqlalchemy's HTTP transport."""
    from requests.adapters import HTTPAdapter

    from budeval_migrations.engine.http import seeing_through

    for adapter in transport.http.adapters.values():
        if type(adapter) is HTTPAdapter:  # and not one that the application has put there
            seeing_through(adapter.poolmanager)

    def post(data: bytes, params: dict[str, str], timeout: float | None, whole: bool) -> HttpAnswer:
        response = transport.http.post(
            transport.db_url,
            auth=transport.auth if transport.auth[0] else None,
            params={**transport.ch_settings, "database": transport.db_name, **params},
            data=data,
            timeout=timeout,
            headers={**transport.headers, "Accept-Encoding": "identity"},
            verify=transport.verify,
            cert=transport.cert,
            allow_redirects=False,
            stream=True,
        )
        with response:
            chunks = response.iter_content(_READ)
            return _answer(
                response.status_code, response.headers, chunks, response.raw, whole=whole
            )

    return post


def connect_post(client: Any, timeout: float | None) -> _Post:
    """Return how to post over clickhouse-connect's pool, without its retries.

    Args:
        timeout: Seconds that it has from now on where the caller says none.

    """
    from urllib3 import Timeout

    connect_timeout = client.timeout.connect_timeout
    client.timeout = Timeout(connect=connect_timeout, read=timeout)
    # In one session, a statement that is still at work would lock all others out (373).
    own = {name: value for name, value in client.params.items() if name != "session_id"}

    def post(data: bytes, params: dict[str, str], timeout: float | None, whole: bool) -> HttpAnswer:
        from urllib.parse import urlencode

        query = urlencode({**own, "database": client.database, **params})
        response = client.http.request(
            "POST",
            f"{client.url}/?{query}",
            body=data,
            headers={**client.headers, "Accept-Encoding": "identity"},
            timeout=Timeout(connect=connect_timeout, read=timeout),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            chunks = response.stream(_READ, decode_content=True)
            answer = _answer(response.status, response.headers, chunks, response, whole=whole)
            if answer.cut:
                response.close()
            return answer
        except BaseException:
            response.close()  # what is left of it would be read as the next answer
            raise

    return post


class NativeWire:
    """ClickHouse's native protocol, through clickhouse-driver's client."""

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
        patient: bool = False,
    ) -> Outcome:
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
        if check is not None:
            check()
        self._run(sql, query_id, settings, self._context.changing(patient))
        progress = getattr(self._client.last_query, "progress", None)
        return Outcome(
            rows_read=int(getattr(progress, "rows", 0) or 0),
            rows_written=int(getattr(progress, "written_rows", 0) or 0),
        )

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
            self._guard(lambda: _shake_hands(connection, self._context.reading))
        connection.socket.settimeout(timeout)

    def _guard(self, call: Callable[[], Any], timeout: float | None = None) -> Any:
        from clickhouse_driver.errors import Error, NetworkError, ServerException
        from clickhouse_driver.errors import SocketTimeoutError as SocketTimeout

        try:
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
    from budeval_migrations.sql.classify import classify  # a start-up at head classifies nothing

    return classify(sql).inline_data


class EmbeddedWire:
    """chDB: ClickHouse in this process.

    The current database belongs to the connection, and is set before the first
    statement, so that a missing database is an error of that statement.
    """

    def __init__(self, connection: Any, database: str, context: Context) -> None:
        self._connection = connection
        self._database: str | None = database
        self._context = context

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT."""
        with self._holding(settings):
            return _rows(self._run(sql, "JSONCompact").bytes())

    late = 0.0

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        patient: bool = False,
    ) -> Outcome:
        """Run a statement; chDB takes no ``query_id``."""
        if check is not None:
            check()
        with self._holding(settings):
            result = self._run(sql, "Null")
        return Outcome(
            rows_read=int(result.storage_rows_read()), rows_written=int(result.rows_written())
        )

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows; chDB takes no settings from outside."""
        self._run(insert_text(table, rows), "Null")

    def without_database(self, sql: str) -> list[Row]:
        """Run what must not wait for the database to exist, and return its rows."""
        return _rows(self._call(sql, "JSONCompact").bytes())

    @contextmanager
    def _holding(self, settings: Settings) -> Iterator[None]:
        """Let settings hold for one statement: chDB takes none beside it."""
        if not settings:
            yield
            return
        said = ", ".join(f"{name} = {quote.string(value)}" for name, value in settings.items())
        self._run(f"SET {said}", "Null")
        try:
            yield
        finally:
            # Their defaults; a query parameter has none, and stays.
            names = [name for name in settings if not name.startswith(PARAMETER)]
            if names:
                self._call("SET " + ", ".join(f"{name} = DEFAULT" for name in names), "Null")

    def _run(self, sql: str, output_format: str) -> Any:
        if self._database is not None:
            self._call(f"USE {quote.identifier(self._database)}", "Null")
            self._database = None
        return self._call(sql, output_format)

    def _call(self, sql: str, output_format: str) -> Any:
        try:
            return self._connection.query(sql, output_format)
        except Exception as error:
            self._discard_leftovers()
            raise server_error(str(error), self._context.redact) from error

    def _discard_leftovers(self) -> None:
        # What a query had written before it failed comes out with the next one's
        # result (tried on chDB 26.9).
        with suppress(Exception):
            self._connection.query("SELECT 1", "CSV")


def _shake_hands(connection: Any, most: float) -> None:
    """Connect; a port that does not speak the protocol shall not be waited for long.

    clickhouse-driver waits for the greeting as long as for a statement (300 s).

    Args:
        most: Seconds that it may take, where the driver would allow more.

    """
    from budeval_migrations.engine.http import KEEPALIVE

    patience = connection.send_receive_timeout
    connection.send_receive_timeout = connection.connect_timeout = min(
        connection.connect_timeout, most
    )
    try:
        connection.connect()
        for level, option, value in KEEPALIVE:
            connection.socket.setsockopt(level, option, value)
    except BaseException:
        connection.disconnect()  # a greeting that was refused leaves it half open
        raise
    finally:
        connection.send_receive_timeout = patience


def insert_text(table: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an INSERT with its rows as JSONEachRow, which every version reads."""
    columns = ", ".join(quote.identifier(name) for name in rows[0])
    data = "\n".join(json.dumps(row, default=_json, ensure_ascii=False) for row in rows)
    return f"INSERT INTO {quote.identifier(table)} ({columns}) FORMAT JSONEachRow\n{data}"


def fenced_insert_text(
    table: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, str], fence: str
) -> str:
    """Return an INSERT that appends all rows, or fails where a condition does not hold.

    It fails loudly, since no count in an answer can be believed: proxies remove
    ``X-ClickHouse-Summary``, and servers up to 22.x count no rows of an INSERT there.

    Args:
        types: The ClickHouse types of the columns; needs 22.4.
        fence: An SQL expression.

    """
    columns = ", ".join(quote.identifier(name) for name in rows[0])
    structure = ", ".join(f"{quote.identifier(name)} {types[name]}" for name in rows[0])
    data = "\n".join(json.dumps(row, default=_json, ensure_ascii=False) for row in rows)
    return (
        f"INSERT INTO {quote.identifier(table)} ({columns}) SELECT {columns} "
        f"FROM format(JSONEachRow, {quote.string(structure)}, {quote.string(data)}) "
        f"WHERE throwIf(NOT ({fence}), {quote.string(FENCED_OFF)}) = 0"
    )


def _rows(body: bytes) -> list[Row]:
    rows: list[Row] = json.loads(body)["data"] if body else []
    return rows


def _json(value: Any) -> Any:
    # An epoch is the same moment in every server's time zone; a text is not.
    # DateTime of old servers takes whole seconds only.
    if isinstance(value, datetime):
        return f"{value.timestamp():.3f}" if value.microsecond else int(value.timestamp())
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _native(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
