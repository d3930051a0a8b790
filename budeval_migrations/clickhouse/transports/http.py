"""HTTP, through the connection pools of requests and of clickhouse-connect.

clickhouse-connect would repeat a request whose connection was reset (``max_attempts``
in its ``_backend/http_sync.py``, 1.12), so its pool is used without retries.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budeval_migrations.clickhouse.failures import connection_error, server_error, stranger
from budeval_migrations.clickhouse.transports.base import (
    NOTHING,
    Check,
    Context,
    Counts,
    Row,
    Settings,
    insert_text,
)
from budeval_migrations.clickhouse.transports.http_session import HttpSessions
from budeval_migrations.errors import EngineError, MigrationError


class HttpTransport:
    """ClickHouse's HTTP interface, over the session or pool of a driver.

    https://clickhouse.com/docs/interfaces/http
    """

    reads_rows = True

    def __init__(self, post: _Post, context: Context) -> None:
        self._post = post
        self._context = context
        self._sessions = HttpSessions(self.query)

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
        """See :attr:`.HttpSessions.late`."""
        return self._sessions.late

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

        With a check, the statement is sent in an HTTP session of its own, which is
        opened before, if the fence holds, and closes with it or soon after: a request that
        is held on its way, or a copy of it, is refused by then.

        Raises:
            EngineError: The server refused it, in whatever part of its answer it says so.
            ConnectionFailed: The answer is not ClickHouse's, or not whole; the outcome
                is unknown.

        """
        params = {"query_id": query_id, **settings}
        if check is not None:
            params.update(self._sessions.open(query_id, fence))
            check()
        answer = self._change(sql, params, self._context.changing(patient))
        try:
            summary = json.loads(answer.headers.get("X-ClickHouse-Summary") or "{}")
        except ValueError as error:
            raise self._cut_off() from error
        return Counts(
            rows_read=int(summary.get("read_rows", 0)),
            rows_written=int(summary.get("written_rows", 0)),
        )

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows."""
        self._change(insert_text(table, rows), dict(settings), self._context.changing(False))

    def may_arrive(self, query_id: str) -> bool:
        """See :meth:`.HttpSessions.is_open`."""
        return self._sessions.is_open(query_id)

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
        # A page of a gateway may have an error code of its own.
        if answer.code or (answer.is_clickhouse and "Code:" in answer.text) or answer.is_exception:
            raise server_error(answer.text.strip(), self._context.redact, answer.code)
        raise self._stranger(answer)

    def _error_in(self, answer: HttpAnswer) -> MigrationError | None:
        """Return the server's exception in an answer with status 200; None without one.

        A proxy may change the status, and a server that has sent its head already
        writes the exception into the body (``X-ClickHouse-Exception-Tag``, 25.x).
        """
        text = answer.text
        if answer.code or answer.is_exception:
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
        return stranger(self._context.shown, answer.status, said)


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
    def is_exception(self) -> bool:
        """Whether the body is an exception of ClickHouse, whoever took its headers away."""
        return _EXCEPTION.match(self.text) is not None

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
_EXCEPTION = re.compile(r"^Code: \d+[.,] (?:e\.displayText\(\) = )?[A-Za-z]+::", re.M)
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
    from budeval_migrations.clickhouse.transports.http_client import Response

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

    from budeval_migrations.clickhouse.transports.http_client import seeing_through

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
