"""Requests that reach the server after everybody has given them up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import MigrationError, StatementOutcomeUnknown
from budeval_migrations.events import Event, StatementWaiting
from budeval_migrations.settings import Settings
from tests.cli.shell import Shell
from tests.faults.processes import started
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront, OldServer, Server
from tests.support.waiting import PATIENCE

_IT = "/* 'it' \"it\" */"  # not to the letter wherever the statement is only spoken about
_TABLE = "CREATE TABLE t (a Int32, b Int32) ENGINE = MergeTree ORDER BY a"
_INSERT = f"INSERT INTO t {_IT} VALUES (1, 0), (2, 0), (3, 0)"
_SELECT = f"INSERT INTO t {_IT} SELECT toInt32(number), 0 FROM numbers(3)"
_UPDATE = f"ALTER TABLE t UPDATE b = b + 1 WHERE a = 1 {_IT}"
_DROP = f"DROP TABLE IF EXISTS t {_IT}"
_ROWS = "SELECT count(), sum(b) FROM t"
# A statement, what is there before it, and the rows after it.
_VALUES = pytest.param(_INSERT, [_TABLE], "3\t0", id="values")
_MUTATION = pytest.param(_UPDATE, [_TABLE, "INSERT INTO t VALUES (1, 0)"], "1\t1", id="update")


@dataclass
class Place:
    """A project on a database of a server behind a proxy."""

    project: Project
    server: Server
    proxy: RecordingProxy
    database: str
    dialect: str
    waits: list[str] = field(default_factory=list)

    def up(self) -> MigrationError | None:
        """Upgrade through the proxy; return what stopped it."""
        url = self.server.url(self.dialect, self.database)
        options: dict[str, Any] = {
            "url": url.replace(f":{self.server.http_port}/", f":{self.proxy.port}/"),
            "versions": [str(self.project.versions)],
            "lock": "off" if isinstance(self.server, OldServer) else "auto",
        }
        try:
            bm.upgrade(on_event=self.hear, **options)
        except MigrationError as error:
            return error
        return None

    def hear(self, event: Event) -> None:
        """Keep what a run says that it waits for."""
        if isinstance(event, StatementWaiting):
            self.waits.append(event.what)

    def rows(self, sql: str) -> list[str]:
        """The lines of an answer, past the proxy."""
        return self.server.query(sql, database=self.database).splitlines()


@pytest.fixture(params=["modern", "connect", "old"])
def place(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> Iterator[Place]:
    server: Server = request.getfixturevalue("old_server" if request.param == "old" else "modern")
    dialect = "clickhousedb" if request.param == "connect" else "clickhouse+http"
    with RecordingProxy(server.http_port) as proxy:
        yield Place(Project(tmp_path / "project"), server, proxy, database, dialect)
    server.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.mark.parametrize("seconds", [0.5, 3.0, 6.0])
@pytest.mark.parametrize(
    ("sql", "ground", "rows"),
    [
        _VALUES,
        pytest.param(_SELECT, [_TABLE], "3\t0", id="select"),
        _MUTATION,
    ],
)
def test_a_request_that_a_gateway_gave_up_and_delivers_late_runs_at_most_once(
    place: Place, sql: str, ground: list[str], rows: str, seconds: float
) -> None:
    place.project.write_revision("001_t", None, ground)
    place.project.write_revision("002_it", "001_t", sql)
    fault = place.proxy.add(Fault(How.DELIVERED_LATE, _IT, seconds=seconds))
    error = place.up()
    assert fault.answered.wait(PATIENCE)
    if isinstance(error, StatementOutcomeUnknown):
        # It arrived in time, and without a query log nobody knows whether all rows are there.
        assert (sql, place.server.__class__.__name__) == (_SELECT, "ChdbFront")
        assert seconds < 6
    else:
        assert error is None, error
    assert place.rows(_ROWS) == [rows]
    if seconds == 6 and isinstance(place.server, ChdbFront):  # 18.16 takes longer to flush its log
        assert "waiting until its request cannot reach the server any more" in place.waits


@pytest.mark.parametrize("place", ["modern", "connect"], indirect=True)
@pytest.mark.parametrize("seconds", [0.0, 0.3], ids=["after", "meanwhile"])
@pytest.mark.parametrize(
    ("sql", "ground", "rows"),
    [
        _VALUES,
        _MUTATION,
        pytest.param(
            f"EXCHANGE TABLES t AND u {_IT}",
            [_TABLE, "CREATE TABLE u AS t", "INSERT INTO u VALUES (1, 7)"],
            "1\t7",
            id="exchange",
        ),
    ],
)
def test_a_request_that_a_gateway_repeats_runs_once(
    place: Place, sql: str, ground: list[str], rows: str, seconds: float
) -> None:
    """Its answer was lost on the way to the gateway, and the first ran, or still runs."""
    place.project.write_revision("001_t", None, ground)
    place.project.write_revision("002_it", "001_t", sql)
    fault = place.proxy.add(Fault(How.DOUBLED, _IT, seconds=seconds))
    error = place.up()
    assert fault.arrived.is_set()
    assert error is None, error
    assert place.rows(_ROWS) == [rows]


@pytest.mark.parametrize("place", ["old"], indirect=True)
def test_a_request_whose_head_arrives_at_once_and_whose_rest_is_late_runs_once(
    place: Place,
) -> None:
    """A server that has its head keeps its session open until it has the rest."""
    place.project.write_revision("001_t", None, _TABLE)
    place.project.write_revision("002_it", "001_t", _INSERT)
    fault = place.proxy.add(Fault(How.DELIVERED_LATE, _IT, seconds=8, head_first=True))
    error = place.up()
    assert fault.answered.wait(PATIENCE)
    assert error is None, error
    assert place.rows(_ROWS) == ["3\t0"]


@pytest.mark.parametrize("sql", [_INSERT, _DROP], ids=["insert", "drop if exists"])
def test_a_request_that_is_held_past_the_lease_of_its_runner_is_refused(
    tmp_path: Path, modern: ChdbFront, database: str, sql: str
) -> None:
    shell = Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "5"})
    again = [_TABLE, _INSERT.replace(_IT, "")] if sql is _DROP else []
    shell.project.write_revision("001_t", None, _TABLE)
    shell.project.write_revision("002_it", "001_t", sql)
    if again:
        shell.project.write_revision("003_again", "002_it", again)
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        held = proxy.add(Fault(How.KEPT_BACK, _IT))
        with started(shell, "budeval_migrations", "--url", url, "up") as zombie:
            assert held.arrived.wait(PATIENCE)
            zombie.send_signal(signal.SIGSTOP)
            shell.ok("up")
            held.release()
            assert held.answered.wait(PATIENCE)
            zombie.send_signal(signal.SIGCONT)
            zombie.communicate(timeout=PATIENCE)
        assert zombie.returncode == 5
    assert shell.rows(_ROWS) == ["3\t0"]
    assert shell.ok("up").returncode == 0
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def test_behind_a_balancer_that_knows_no_sessions_a_request_is_waited_for_longer(
    tmp_path: Path, modern: ChdbFront, database: str
) -> None:
    with RecordingProxy(modern.http_port) as proxy:
        proxy.add(Fault(How.REWRITTEN, "SELECT 1", 1000, rewrite=_no_session_but_the_first()))
        url = modern.url("clickhouse+http", database)
        with Session(
            Settings(url=url.replace(f":{modern.http_port}/", f":{proxy.port}/"), database=database)
        ) as session:
            session.ensure_database()
            assert session.late == 30.0
            session.execute("SELECT 2", check=lambda: None)
            assert "session_id" not in proxy.requests[-1].parameters
        with Session(Settings(url=url, database=database)) as session:
            assert session.late == 3.5
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def _no_session_but_the_first() -> Callable[[bytes], bytes]:
    """The answers of servers behind a balancer: the second does not know what the first opened."""
    seen: list[bytes] = []
    body = b"Code: 372. DB::Exception: Session not found. (SESSION_NOT_FOUND)\n"
    refusal = (
        b"HTTP/1.1 404 Not Found\r\nX-ClickHouse-Server-Display-Name: a\r\n"
        b"X-ClickHouse-Exception-Code: 372\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )

    def rewrite(answer: bytes) -> bytes:
        seen.append(answer)
        return refusal if len(seen) > 1 else answer

    return rewrite
