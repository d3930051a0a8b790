"""ClickHouse's engine for :mod:`tests.support.chdb_front`: chDB, one connection a request."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import chdb

from tests.support import clickhouse_http as ch

_READS = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(?:SELECT|WITH)\b", re.IGNORECASE | re.DOTALL
)
_PROCESSES = re.compile(
    r"(?P<literal>'(?:\\.|''|[^'\\])*')|(?<!\w)`?system`?\s*\.\s*`?processes`?(?!\w)",
    re.IGNORECASE | re.DOTALL,
)
_PROCESSES_VIEW = (
    "(select * replace(if(Settings['log_comment'] = '', query_id, Settings['log_comment'])"
    " as query_id) from system.processes)"
)
_SET = re.compile(rb"\s*SET\b", re.IGNORECASE)
_KILL = re.compile(r"\s*KILL\s+QUERY\b", re.IGNORECASE)
_QUERY_ID = re.compile(r"\bquery_id\b", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)\.")
_INSERT_VALUES = re.compile(r"\s*INSERT\b.*\bVALUES\b", re.IGNORECASE | re.DOTALL)


def connect(path: str) -> Any:
    """A chDB connection, with a database and settings of its own."""
    return chdb.connect(path)  # type: ignore[no-untyped-call]


class ServerError(Exception):
    """An error in ClickHouse's own words: ``Code: N. DB::Exception: … (NAME)``."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = _CODE.search(text)
        self.code = int(found.group(1)) if found else 1002


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    body: bytes
    status: int = 200
    code: int = 0
    format: str = ""
    summary: dict[str, str] = field(default_factory=dict)


@dataclass
class HttpSession:
    """What an HTTP session keeps: its SETs. Temporary tables are not kept."""

    sets: list[bytes] = field(default_factory=list)
    busy: bool = False
    closes: float = 0.0


class HttpSessions:
    """The HTTP sessions of a server: those of 18.16, and ``close_session`` of newer ones."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], HttpSession] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def enter(self, user: str, params: Mapping[str, str]) -> Iterator[HttpSession | None]:
        """Hold the session that a request names; None where it names none."""
        name = params.get("session_id")
        if not name:
            yield None
            return
        check = params.get("session_check") == "1"
        timeout = float(params.get("session_timeout") or 60)
        with self._lock:
            found = self._open.get((user, name))
            if found is not None and not found.busy and time.monotonic() >= found.closes:
                found = self._open.pop((user, name)) and None
            if found is None and check:
                raise ServerError(
                    "Code: 372. DB::Exception: Session not found. (SESSION_NOT_FOUND)"
                )
            if found is not None and found.busy:
                raise ServerError(
                    "Code: 373. DB::Exception: Session is locked by a concurrent client. "
                    "(SESSION_IS_LOCKED)"
                )
            held = self._open.setdefault((user, name), HttpSession())
            held.busy = True
        try:
            yield held
        finally:
            with self._lock:
                # It looks for those that are to be closed once a second.
                held.busy, held.closes = False, time.monotonic() + timeout + 1
                if params.get("close_session") == "1":
                    del self._open[user, name]


@dataclass
class Request:
    """One request, from its first byte to its line in the log."""

    query_id: str
    user: str
    database: str
    query: bytes
    settings: dict[str, str]
    default_format: str
    method: str
    session: HttpSession | None = None
    time: float = field(default_factory=time.time)

    def log_record(self, status: int, code: int) -> dict[str, Any]:
        """The line for the log."""
        return {
            "time": self.time,
            "finished": time.time(),
            "user": self.user,
            "database": self.database,
            "query": self.query.decode("utf-8", "backslashreplace"),
            "query_id": self.query_id,
            "settings": self.settings,
            "status": status,
            "code": code,
        }


class Engine:
    """chDB on one directory, and who may use it."""

    def __init__(self, path: str, users: dict[str, str], readonly_users: frozenset[str]) -> None:
        self.path = path
        self._users = users
        self._readonly_users = readonly_users
        self.profiles: dict[str, dict[str, str]] = {}  # of whoever works in a database
        self._root = connect(path)  # holds the data directory for as long as we live
        version, zone = (
            self._root.query("select version(), timezone()", "TSV").bytes().decode().split()
        )
        self.version: str = version
        self.timezone: str = zone

    def close(self) -> None:
        """Let the data directory go."""
        self._root.close()

    def authenticate(self, who: ch.Credentials) -> None:
        """Raise 516 unless the user is known and the password is right."""
        if self._users.get(who.user) != who.password:
            raise ServerError(
                f"Code: 516. DB::Exception: {who.user}: Authentication failed: password is "
                "incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
            )

    def run(self, request: Request, began: Callable[[], None] | None = None) -> Answer:
        """Run one query on a connection of its own; ``began`` is called as it is executed."""
        connection = connect(self.path)
        try:
            self._prepare(connection, request)
            query = self._rewrite(connection, request.query)
            if began is not None:
                began()
            started = time.perf_counter_ns()
            result = connection.query(query, request.default_format)
            body = result.bytes()
            if request.session is not None and _SET.match(query):
                request.session.sets.append(query)
            summary = {
                "read_rows": result.storage_rows_read(),
                "read_bytes": result.storage_bytes_read(),
                "written_rows": result.rows_written(),
                "written_bytes": result.bytes_written(),
                "total_rows_to_read": 0,
                "result_rows": result.rows_read(),
                "result_bytes": len(body),
                "elapsed_ns": time.perf_counter_ns() - started,
            }
            return Answer(
                body=body,
                format=ch.output_format(request.query, request.default_format) if body else "",
                summary={name: str(value) for name, value in summary.items()},
            )
        except ServerError:
            raise
        except Exception as error:  # chDB raises ChdbError, RuntimeError and others
            raise ServerError(str(error)) from error
        finally:
            connection.close()

    def _prepare(self, connection: Any, request: Request) -> None:
        connection.query(f"USE {ch.quote_identifier(request.database)}")
        connection.query(f"SET log_comment = {ch.quote_string(request.query_id)}")
        for name, value in self.profiles.get(request.database, {}).items():
            connection.query(f"SET {name} = {value}")
        if request.user in self._readonly_users:
            connection.query("SET readonly = 1")
        elif request.method == "GET":
            connection.query("SET readonly = 2")
        for text in request.session.sets if request.session else ():
            connection.query(text)
        if request.settings:
            pairs = (f"{name} = {ch.quote_string(v)}" for name, v in request.settings.items())
            connection.query(f"SET {', '.join(pairs)}".encode("utf-8", "surrogateescape"))

    def _rewrite(self, connection: Any, query: bytes) -> bytes:
        """Make chDB refuse and show what a server would; every other byte stays as it came."""
        try:
            text = query.decode()
        except UnicodeDecodeError:
            return query
        if not text.strip():
            raise ServerError(
                "Code: 62. DB::Exception: Syntax error: failed at position 1 (end of query): . "
                "Empty query. (SYNTAX_ERROR)"
            )
        if ch.has_text_after_semicolon(text):
            self._refuse_several_statements(connection, text)
        if _KILL.match(text):
            return _QUERY_ID.sub("Settings['log_comment']", text).encode()
        if _READS.match(text):
            text = _PROCESSES.sub(lambda m: m["literal"] or _PROCESSES_VIEW, text)
        return text.encode()

    def _refuse_several_statements(self, connection: Any, text: str) -> None:
        """ClickHouse's HTTP interface takes one statement; chDB takes any number."""
        try:
            connection.query(f"SELECT formatQuery({ch.quote_string(text)})")
        except Exception as error:
            if "Multi-statements are not allowed" in str(error):
                message = str(error).split(": In scope ")[0]
                raise ServerError(f"{message} (SYNTAX_ERROR)") from error
        else:
            if _INSERT_VALUES.match(text):
                raise ServerError(
                    "Code: 33. DB::Exception: Cannot read data after semicolon: While executing "
                    "ValuesBlockInputFormat. (CANNOT_READ_ALL_DATA)"
                )
