"""Answers that something between the process and the server has changed.

The server's own tables decide what happened: a status, a header and a count can be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import MigrationError, StatementFailed, StatementOutcomeUnknown
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront

_IT = "/* 'it' */"  # not to the letter wherever the statement is only spoken about
_THROWS = f"INSERT INTO c {_IT} SELECT number + throwIf(number = 1) FROM numbers(3)"
_ROWS = f"INSERT INTO c {_IT} VALUES (1), (2), (3)"
_OUTCOME = '"event": "applied'


def _status(status: bytes) -> Callable[[bytes], bytes]:
    return lambda answer: re.sub(rb"^HTTP/1.1 \d+ [^\r]*", b"HTTP/1.1 " + status, answer)


def _without(header: bytes, answer: bytes) -> bytes:
    return re.sub(rb"(?i)\r\n" + header + rb":[^\r]*", b"", answer, count=1)


def _page(
    status: bytes, head: bytes = b"", page: bytes = b"<html>Please log in</html>"
) -> Callable[[bytes], bytes]:
    length = str(len(page)).encode()
    return lambda _: (
        b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\n" + head
        + b"Content-Length: " + length + b"\r\n\r\n" + page
    )  # fmt: skip


def _exception(code: int, words: str) -> Callable[[bytes], bytes]:
    body = f"Code: {code}. DB::Exception: {words} (version 26.9.1)\n".encode()
    return lambda _: (
        b"HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Server-Display-Name: a\r\n"
        b"X-ClickHouse-Exception-Code: %d\r\nContent-Length: %d\r\n\r\n" % (code, len(body)) + body
    )


def _marked(answer: bytes) -> bytes:
    """The answer as a newer server writes it when its head has been sent already."""
    body = (
        b"1\n2\n\r\n__exception__\r\nabcdefghijklmnop\r\n"
        b"Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero.\n"
        b"74 abcdefghijklmnop\r\n__exception__\r\n"
    )
    return (
        b"HTTP/1.1 200 OK\r\nX-ClickHouse-Server-Display-Name: a\r\n"
        b"X-ClickHouse-Exception-Tag: abcdefghijklmnop\r\nContent-Length: %d\r\n\r\n"
        % len(body)
        + body
    )


class Place:
    """A project on a database of a server behind a proxy."""

    def __init__(
        self, directory: Path, server: ChdbFront, proxy: RecordingProxy, database: str, dialect: str
    ) -> None:
        self.server, self.proxy, self.database, self.dialect = server, proxy, database, dialect
        self.project = Project(directory)

    def up(self, sql: str) -> MigrationError | None:
        """Make the table ``c``, then run one statement past nothing but the proxy."""
        create = "CREATE TABLE IF NOT EXISTS c (x UInt64) ENGINE = MergeTree ORDER BY x"
        self.project.write_revision("001_c", None, (create,))
        self.project.write_revision("002_it", "001_c", sql)
        url = self.server.url(self.dialect, self.database)
        options: dict[str, Any] = {
            "url": url.replace(f":{self.server.http_port}/", f":{self.proxy.port}/"),
            "database": self.database,
            "versions": [str(self.project.versions)],
        }
        try:
            bm.upgrade(**options)
        except MigrationError as error:
            return error
        return None

    def rows(self, sql: str) -> list[str]:
        """The lines of an answer, past the proxy."""
        return self.server.query(sql, database=self.database).splitlines()

    def ledger(self) -> list[str]:
        """Revision, success and error code, in order."""
        return self.rows(
            "SELECT version, toUInt8(success), error_code FROM schema_migrations ORDER BY sequence"
        )


@pytest.fixture(params=["clickhouse+http", "clickhousedb"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, modern: ChdbFront, database: str
) -> Iterator[Place]:
    with RecordingProxy(modern.http_port) as proxy:
        yield Place(tmp_path / "project", modern, proxy, database, request.param)
    modern.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(_status(b"200 OK"), id="status 200"),
        pytest.param(
            lambda answer: _without(b"X-ClickHouse-Exception-Code", _status(b"200 OK")(answer)),
            id="status 200 and no code",
        ),
        pytest.param(_marked, id="an exception in the middle of the body"),
        pytest.param(_page(b"200 OK"), id="a login page"),
        pytest.param(_page(b"302 Found", b"Location: /login\r\n"), id="a redirect"),
    ],
)
def test_an_error_under_another_status_is_still_that_error(
    place: Place, rewrite: Callable[[bytes], bytes]
) -> None:
    place.proxy.add(Fault(How.REWRITTEN, _IT, rewrite=rewrite))
    error = place.up(_THROWS)
    assert isinstance(error, StatementFailed), error
    assert error.code == 395
    assert place.ledger() == ["001_c\t1\t0", "002_it\t0\t395"]
    assert place.rows("SELECT count() FROM c") == ["0"]
    assert [each.target for each in place.proxy.requests if "login" in each.target] == []


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(_page(b"200 OK"), id="a login page"),
        pytest.param(_page(b"302 Found", b"Location: /login\r\n"), id="a redirect"),
        pytest.param(_exception(216, "Query with id = 1 is already running."), id="216"),
        pytest.param(
            _page(b"504 Gateway Timeout", page=b"<html><p>Error Code: 504</p></html>"),
            id="a gateway's page with a code of its own",
        ),
        pytest.param(_page(b"200 OK", page=b"Code: 504 Gateway Timeout"), id="a code, and 200"),
    ],
)
def test_a_statement_that_ran_behind_a_strange_answer_runs_once(
    place: Place, rewrite: Callable[[bytes], bytes]
) -> None:
    place.proxy.add(Fault(How.REWRITTEN, _IT, rewrite=rewrite))
    assert place.up(_ROWS) is None
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]
    assert place.ledger() == ["001_c\t1\t0", "002_it\t1\t0"]


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda a: _without(b"X-ClickHouse-Summary", a), id="no summary"),
        pytest.param(
            lambda a: re.sub(rb'"written_rows": *"?\d+"?', b'"written_rows": "0"', a),
            id="a summary that counts nothing",
        ),
    ],
)
def test_no_run_depends_on_the_summary(place: Place, rewrite: Callable[[bytes], bytes]) -> None:
    place.proxy.add(Fault(How.REWRITTEN, "", 1000, rewrite=rewrite))
    assert place.up(_ROWS) is None
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]
    assert place.ledger() == ["001_c\t1\t0", "002_it\t1\t0"]


def test_rows_that_the_server_has_not_flushed_in_time_are_not_taken_as_never_inserted(
    place: Place,
) -> None:
    """A queue of asynchronous inserts goes on after 159; here it holds no rows that could be seen."""
    said = "Wait for async insert timeout (120000 ms) exceeded. (TIMEOUT_EXCEEDED)"
    place.proxy.add(Fault(How.REWRITTEN, _IT, rewrite=_exception(159, said)))

    error = place.up(f"INSERT INTO c SELECT number FROM numbers(3) WHERE 0 {_IT}")

    assert isinstance(error, StatementOutcomeUnknown), error
    assert "the server may insert the rows after it has answered so" in error.message


@pytest.mark.parametrize("code", [202, 517])
@pytest.mark.parametrize(
    "sql",
    [f"EXCHANGE TABLES a AND b {_IT}", f"ALTER TABLE a {_IT} ADD COLUMN y UInt8"],
    ids=["exchange", "add column"],
)
def test_a_statement_that_ran_and_is_answered_with_a_passing_error_runs_once(
    place: Place, sql: str, code: int
) -> None:
    """A gateway has sent it twice, and the answer is of the second request."""
    place.server.query(f"CREATE DATABASE {place.database}")
    for table, value in (("a", 1), ("b", 2)):
        create = f"CREATE TABLE {table} ENGINE = MergeTree ORDER BY x AS SELECT {value} AS x"
        place.server.query(create, database=place.database)
    said = "Too many simultaneous queries."
    place.proxy.add(Fault(How.REWRITTEN, _IT, rewrite=_exception(code, said)))
    assert place.up(sql) is None
    assert place.rows("SELECT * FROM a") == (["2"] if "EXCHANGE" in sql else ["1\t0"])
    assert place.ledger() == ["001_c\t1\t0", "002_it\t1\t0"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: Fault(How.BALANCER_ALONE, _OUTCOME, 3, status=429), id="429"),
        pytest.param(lambda: Fault(How.BALANCER_ALONE, _OUTCOME, 3, status=403), id="403"),
        pytest.param(lambda: Fault(How.BALANCER, _OUTCOME, status=429), id="429, and it ran"),
        pytest.param(
            lambda: Fault(How.REWRITTEN, _OUTCOME, rewrite=_exception(202, "Too many queries.")),
            id="too many queries",
        ),
        pytest.param(lambda: Fault(How.SWALLOWED, _OUTCOME, refuse=1.5), id="nobody there"),
    ],
)
def test_an_outcome_is_held_until_it_can_be_written(
    place: Place, fault: Callable[[], Fault]
) -> None:
    asked = place.proxy.add(fault())
    assert place.up(_ROWS) is None
    assert asked.arrived.is_set()
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]
    assert place.ledger() == ["001_c\t1\t0", "002_it\t1\t0"]
    events = "SELECT DISTINCT event, note FROM schema_migrations_journal WHERE revision = '002_it'"
    assert place.rows(f"{events} ORDER BY sequence") == ["intent\t", "applied\t"]


@pytest.mark.parametrize("match", ["", _IT], ids=["every request", "the statement"])
def test_a_gateway_that_limits_requests_is_told_apart_from_a_wrong_statement(
    place: Place, match: str
) -> None:
    place.proxy.add(Fault(How.BALANCER_ALONE, match, 1000, status=429))
    error = place.up(_ROWS)
    assert error is not None
    assert "answered HTTP 429" in error.message
    assert error.hint == "Something in front of the server limits requests. Try again later."
    place.proxy.forget_faults()
    assert place.up(_ROWS) is None
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]


def test_a_statement_that_never_reached_the_server_is_not_said_to_have_run_perhaps(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.sender._RETRIES", ())
    place.proxy.add(Fault(How.SWALLOWED, _IT))
    error = place.up(_ROWS)
    assert isinstance(error, StatementFailed)
    assert error.hint == "Nothing was changed by it. Check the server, then try again."
    assert error.details["outcome"] == (
        "0 statements of this revision took effect; the next run goes on at statement 1"
    )
    assert place.up(_ROWS) is None
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]


@pytest.mark.parametrize("code", [216, 372, 373])
def test_a_request_of_ours_that_came_late_is_not_blamed_on_the_users_profile(
    place: Place, code: int
) -> None:
    late = _exception(code, "Session not found.")
    place.proxy.add(Fault(How.REWRITTEN, "CREATE VIEW", rewrite=late))
    error = place.up(_ROWS)
    assert error is not None
    assert error.hint == (
        "A request reached the server twice, or after its session had closed. "
        "Look with: budeval-migrate status. Then run the command again."
    )
    assert place.up(_ROWS) is None
    assert place.rows("SELECT count(), sum(x) FROM c") == ["3\t6"]
