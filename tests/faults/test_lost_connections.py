"""A line that breaks between a migrating process and a healthy server, in every way there is.

After each fault the statement's effect is there exactly once, or not at all where the run says so;
the server's own log tells how often it was executed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import (
    LockLost,
    MigrationError,
    StatementFailed,
    StatementOutcomeUnknown,
)
from budeval_migrations.events import Event, Notice, StatementWaiting
from budeval_migrations.execution.reconcile.reconciler import Reconciler
from budeval_migrations.services import api
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront, OldServer, QueryError, Server

_IT = "/* 'it' \"it\" */"  # not to the letter wherever the statement is only spoken about
_INTENT, _OUTCOME = '"event": "intent"', '"event": "applied"'
_LEDGER, _HEARTBEAT = '"operation": "upgrade"', '"event": "renew"'
_QUESTION = "FROM system.processes"
_SLOW = "WHERE NOT ignore(sleepEachRow(0.4))"


@dataclass(frozen=True)
class Deed:
    """A statement, the ground that it needs, and how its effect looks from outside."""

    sql: str
    look: str
    none: str
    once: str
    ground: tuple[str, ...] = ("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a",)


def _there(name: str) -> str:
    return (
        f"SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = '{name}'"
    )


_TWO = (
    "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE u (b Int32) ENGINE = MergeTree ORDER BY b",
)
_ROWS = "SELECT count(), sum(a) FROM t"

DEEDS = {
    "create": Deed(
        f"CREATE TABLE made (a Int32) ENGINE = MergeTree ORDER BY a {_IT}",
        _there("made"), "0", "1",
    ),
    "create if not exists": Deed(
        f"CREATE TABLE IF NOT EXISTS made (a Int32) ENGINE = MergeTree ORDER BY a {_IT}",
        _there("made"), "0", "1",
    ),
    "add column": Deed(
        f"ALTER TABLE t ADD COLUMN b Int32 {_IT}",
        "SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = 't'",
        "1", "2",
    ),
    "drop": Deed(f"DROP TABLE t {_IT}", _there("t"), "1", "0"),
    "exchange": Deed(
        f"EXCHANGE TABLES t AND u {_IT}",
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 't'",
        "a", "b", _TWO,
    ),
    "insert values": Deed(f"INSERT INTO t {_IT} VALUES (1), (2), (3)", _ROWS, "0\t0", "3\t6"),
    "slow insert values": Deed(
        f"INSERT INTO t {_IT} VALUES (1 + (SELECT sleep(2.4))), (2), (3)",
        _ROWS, "0\t0", "3\t6",
    ),
    "slow insert select": Deed(
        f"INSERT INTO t SELECT toInt32(number + 1) FROM numbers(3) {_SLOW} {_IT}",
        _ROWS, "0\t0", "3\t6",
    ),
    "update": Deed(
        f"ALTER TABLE t UPDATE b = b + 1 WHERE a = 1 {_IT}",
        "SELECT sum(b) FROM t", "0", "1",
        (
            "CREATE TABLE t (a Int32, b Int32) ENGINE = MergeTree ORDER BY a",
            "INSERT INTO t VALUES (1, 0)",
        ),
    ),
    "fails": Deed(
        f"ALTER TABLE t ADD COLUMN a Int32 {_IT}",
        "SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = 't'",
        "1", "1",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What happens to which statement, and what must come of it.

    ``outcome``: ``gone on`` (the run finished), ``unknown`` or ``failed``.
    ``times``: how often the server executed the statement in the end.
    """

    deed: str
    how: How
    outcome: str
    times: int
    match: str = _IT
    server: str = "modern"
    options: str = ""
    fault: dict[str, Any] = field(default_factory=dict)
    more: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        what = {_IT: "", _INTENT: "intent of ", _OUTCOME: "outcome of ", _LEDGER: "ledger row of "}
        said = ", ".join(f"{k} {v}" for k, v in self.fault.items())
        said = f" ({said})" if said else ""
        where = "" if self.server == "modern" else f" on {self.server}"
        return f"{what.get(self.match, 'heartbeat of ')}{self.deed}: {self.how.name}{said}{where}"


ON, LATE = "gone on", {"seconds": 4.0}
CASES = [
    # The server never saw it: surely not applied, sent again.
    Case("create", How.SWALLOWED, ON, 1),
    Case("create", How.SWALLOWED, ON, 1, server="connect"),
    Case("create", How.SWALLOWED, ON, 1, fault={"count": 2}),
    Case("create", How.SWALLOWED, ON, 1, fault={"refuse": 1.0}),
    Case("add column", How.SWALLOWED, ON, 1),
    Case("drop", How.SWALLOWED, ON, 1),
    Case("exchange", How.SWALLOWED, ON, 1),
    Case("insert values", How.SWALLOWED, ON, 1),
    Case("insert values", How.SWALLOWED, ON, 1, server="connect"),
    Case("slow insert select", How.SWALLOWED, ON, 1),
    Case("update", How.SWALLOWED, ON, 1),
    Case("create if not exists", How.SWALLOWED, ON, 1),
    Case("fails", How.SWALLOWED, "failed", 1),
    Case("create", How.BALANCER_ALONE, ON, 1, fault={"status": 502}),
    Case("insert values", How.BALANCER_ALONE, ON, 1, fault={"status": 502}),
    Case("update", How.BALANCER_ALONE, ON, 1, fault={"status": 504}, server="connect"),
    # The server did it, and its answer was lost: verified.
    Case("create", How.CUT_ANSWER, ON, 1),
    Case("create", How.CUT_ANSWER, ON, 1, server="connect"),
    Case("create", How.CUT_ANSWER, ON, 1, fault={"refuse": 1.0}),
    Case("create", How.CUT_MIDDLE, ON, 1),
    Case("add column", How.CUT_ANSWER, ON, 1),
    Case("add column", How.CUT_MIDDLE, ON, 1, server="connect"),
    Case("drop", How.CUT_ANSWER, ON, 1),
    Case("exchange", How.CUT_ANSWER, ON, 1),
    Case("exchange", How.CUT_MIDDLE, ON, 1),
    Case("insert values", How.CUT_ANSWER, ON, 1),
    Case("insert values", How.CUT_MIDDLE, ON, 1, server="connect"),
    Case("update", How.CUT_ANSWER, ON, 1),
    Case("update", How.CUT_MIDDLE, ON, 1, server="connect"),
    Case("create", How.BALANCER, ON, 1, fault={"status": 502}),
    Case("update", How.BALANCER, ON, 1, fault={"status": 504}),
    # Something in between also answers the questions about it, for a while.
    Case(
        "insert values", How.CUT_ANSWER, ON, 1,
        more=({"how": How.BALANCER_ALONE, "match": _QUESTION, "count": 2},),
    ),
    Case(
        "insert values", How.CUT_ANSWER, ON, 1, server="connect",
        more=({"how": How.SWALLOWED, "match": _QUESTION, "count": 2},),
    ),
    # Twice is the same as once: run again without a question.
    Case("create if not exists", How.CUT_ANSWER, ON, 2),
    Case("create if not exists", How.CUT_ANSWER, ON, 2, server="connect"),
    Case("create if not exists", How.BALANCER, ON, 2),
    # The server works on it, and is waited for.
    Case("slow insert values", How.CUT_AT_ONCE, ON, 1),
    Case("slow insert values", How.BALANCER, ON, 1, fault={"status": 504}),
    Case("slow insert values", How.LATE, ON, 1, fault=LATE, options="?timeout=2"),
    Case(
        "slow insert values", How.LATE, ON, 1, server="connect", fault=LATE,
        options="?send_receive_timeout=2",
    ),
    Case("slow insert select", How.CUT_AT_ONCE, ON, 1, server="old"),
    Case("slow insert select", How.CUT_ANSWER, ON, 1, server="old"),
    Case("slow insert select", How.BALANCER, ON, 1, server="old"),
    Case("slow insert select", How.LATE, ON, 1, server="old", fault=LATE,
         options="?timeout=2"),
    # Nothing tells whether rows that nobody counted are all there: a person is asked.
    Case("slow insert select", How.CUT_AT_ONCE, "unknown", 1),
    Case("slow insert select", How.CUT_ANSWER, "unknown", 1, server="connect"),
    Case("slow insert select", How.BALANCER, "unknown", 1),
    Case("slow insert select", How.LATE, "unknown", 1, fault=LATE, options="?timeout=2"),
    # An answer that comes late, and in time all the same.
    Case("create", How.LATE, ON, 1, fault={"seconds": 1.5}),
    Case("slow insert select", How.LATE, ON, 1, fault={"seconds": 0.5}, server="connect"),
    # The server's words are lost: it is asked once more.
    Case("fails", How.CUT_MIDDLE, "failed", 2),
    Case("fails", How.CUT_MIDDLE, "failed", 2, server="connect"),
    Case("fails", How.CUT_ANSWER, "failed", 2),
    Case("fails", How.BALANCER, "failed", 2, fault={"status": 502}),
    # The bookkeeping itself.
    Case("insert values", How.CUT_ANSWER, ON, 1, match=_INTENT),
    Case("insert values", How.CUT_ANSWER, ON, 1, match=_OUTCOME),
    Case("slow insert select", How.CUT_ANSWER, ON, 1, match=_OUTCOME, server="connect"),
    Case("insert values", How.CUT_ANSWER, ON, 1, match=_LEDGER),
    Case("insert values", How.BALANCER, ON, 1, match=_LEDGER),
    Case("create", How.LATE, ON, 1, match=_LEDGER, fault=LATE, options="?timeout=2"),
    Case("insert values", How.SWALLOWED, ON, 1, match=_INTENT),
    Case("slow insert select", How.SWALLOWED, ON, 1, match=_OUTCOME),
    Case("insert values", How.SWALLOWED, ON, 1, match=_LEDGER),
    Case("slow insert select", How.SWALLOWED, ON, 1, match=_LEDGER, server="connect"),
    Case("update", How.BALANCER_ALONE, ON, 1, match=_LEDGER),
    Case("insert values", How.CUT_MIDDLE, ON, 1, match=_LEDGER),
    Case("slow insert values", How.CUT_ANSWER, ON, 1, match=_HEARTBEAT),
    Case("slow insert values", How.SWALLOWED, ON, 1, match=_HEARTBEAT),
]  # fmt: skip


@dataclass
class Place:
    """A project on a database of a server behind a proxy; what it says is kept."""

    project: Project
    server: Server
    proxy: RecordingProxy
    database: str
    dialect: str
    said: list[str] = field(default_factory=list)
    waits: int = 0

    def options(self, url_options: str = "", *, around: bool = False) -> dict[str, Any]:
        """Settings for calls from code; ``around`` goes past the proxy."""
        url = self.server.url(self.dialect, self.database) + url_options
        if not around:
            url = url.replace(f":{self.server.http_port}/", f":{self.proxy.port}/")
        lock = "off" if isinstance(self.server, OldServer) else "auto"
        versions = [str(self.project.versions)]
        return {"url": url, "database": self.database, "versions": versions, "lock": lock}

    def hear(self, event: Event) -> None:
        """Keep what a person would read."""
        if isinstance(event, Notice):
            self.said.append(event.message)
        self.waits += isinstance(event, StatementWaiting)

    def up(self, **options: Any) -> MigrationError | None:
        """Upgrade; return what stopped it."""
        try:
            bm.upgrade(on_event=self.hear, **options)
        except MigrationError as error:
            self.said.append(f"{error.message}\n{error.hint}\n{error.as_dict()}")
            return error
        return None

    def rows(self, sql: str) -> list[str]:
        """The lines of an answer, past the proxy."""
        return self.server.query(sql, database=self.database).splitlines()

    def executed(self, sql: str) -> int:
        """How often the server has executed a statement, once it works on none."""
        if isinstance(self.server, OldServer):
            self.server.query("SYSTEM FLUSH LOGS")
            text = sql.removesuffix(f" {_IT}")  # which it does not log
            found = self.server.query(
                f"SELECT countIf(query = '{text}') FROM system.query_log WHERE type != 1 AND "
                f"query_id IN (SELECT query_id FROM {self.database}.schema_migrations_journal)"
            )
            return int(found)
        assert isinstance(self.server, ChdbFront)
        while any(r["database"] == self.database for r in self.server.running()):
            time.sleep(0.02)
        ours = [r for r in self.server.queries() if r["database"] == self.database]
        return sum(r["query"] == sql for r in ours)

    def kept(self) -> str:
        """Every text that the bookkeeping holds."""
        tables = ("schema_migrations", "schema_migrations_journal")
        return "\n".join(line for t in tables for line in self.rows(f"SELECT * FROM {t}"))

    def ledger(self) -> list[str]:
        """Revision and success, in order; two rows of one attempt would be seen."""
        return self.rows(
            "SELECT version, toUInt8(success) FROM schema_migrations ORDER BY sequence"
        )

    def tells_no_secret(self) -> None:
        """No password of the server in anything that was said or recorded."""
        text = "\n".join(self.said) + self.kept()
        for password in self.server.users.values():
            for form in (password, quote(password, safe=""), password[-8:]):
                assert form not in text


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> Iterator[Place]:
    """The server that the case wants, with a proxy in front."""
    kind = request.param
    server: Server = request.getfixturevalue("old_server" if kind == "old" else "modern")
    with RecordingProxy(server.http_port) as proxy:
        dialect = "clickhousedb" if kind == "connect" else "clickhouse+http"
        yield Place(Project(tmp_path / "project"), server, proxy, database, dialect)
    with contextlib.suppress(QueryError):
        server.query(f"DROP DATABASE IF EXISTS {database}")


def _write(place: Place, deed: Deed) -> None:
    place.project.write_revision("001_ground", None, deed.ground)
    place.project.write_revision("002_it", "001_ground", deed.sql)
    place.project.write_revision(
        "003_after", "002_it", "CREATE TABLE IF NOT EXISTS after (a Int32) ENGINE = Log"
    )
    assert place.up(target="001_ground", **place.options(around=True)) is None


def _answer(place: Place, error: StatementOutcomeUnknown, *, applied: bool) -> None:
    """Run the command that the error shows, in-process."""
    flag = "--applied" if applied else "--not-applied"
    command = f"budeval-migrate repair --revision 002_it --statement 1 {flag}"
    assert command in error.message.splitlines()[-2 if applied else -1], error.message
    api.repair_statement("002_it", 1, applied=applied, **place.options(around=True))


@pytest.mark.parametrize(
    ("case", "place"), [pytest.param(c, c.server, id=str(c)) for c in CASES], indirect=["place"]
)
def test_a_line_that_breaks_never_loses_nor_doubles_a_statement(case: Case, place: Place) -> None:
    deed = DEEDS[case.deed]
    _write(place, deed)
    place.proxy.add(Fault(case.how, case.match, **case.fault))
    for more in case.more:
        place.proxy.add(Fault(**more))
    heartbeat = {"lock_lease": 6.0} if case.match == _HEARTBEAT else {}
    error = place.up(**place.options(case.options), **heartbeat)
    said = "\n".join(place.said)
    effect = "\n".join(place.rows(deed.look))
    assert place.executed(deed.sql) == case.times, said
    state = {r.revision: r.state.value for r in bm.status(**place.options(around=True)).revisions}
    if case.outcome == "gone on":
        assert error is None, said
        assert effect == deed.once
        assert set(state.values()) == {"applied"}
        if case.match == _IT and case.how not in (How.HELD, How.LATE):
            assert "002_it statement 1: " in said and "What became of it is looked up." in said
            again = case.how in (How.SWALLOWED, How.BALANCER_ALONE) or case.times > 1
            assert ("002_it statement 1 is sent again, since " in said) is again
        if case.times > 1:
            assert "since it may be run twice: " in said
        assert place.ledger() == ["001_ground\t1", "002_it\t1", "003_after\t1"]
    elif case.outcome == "unknown":
        assert isinstance(error, StatementOutcomeUnknown), said
        assert effect == deed.once
        assert (state["002_it"], state["003_after"]) == ("unknown", "pending")
        assert place.ledger() == ["001_ground\t1", "002_it\t0"]
        _answer(place, error, applied=True)
    else:
        assert isinstance(error, StatementFailed), said
        assert "1 statement of" not in error.outcome
        assert "0 statements of this revision took effect" in error.outcome
        assert effect == deed.none
        assert (state["002_it"], state["003_after"]) == ("failed", "pending")
        assert place.ledger() == ["001_ground\t1", "002_it\t0"]
    if case.outcome != "gone on":
        again = place.up(**place.options(around=True))
        assert (again is None) is (case.deed != "fails")
        if again is None:
            assert "\n".join(place.rows(deed.look)) == deed.once
            assert place.ledger()[-2:] == ["002_it\t1", "003_after\t1"]
    place.tells_no_secret()


@pytest.mark.parametrize("place", ["modern", "connect"], indirect=True)
def test_a_server_that_does_not_come_back_leaves_a_doubt_that_the_next_run_settles(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    deed = DEEDS["insert values"]
    _write(place, deed)
    monkeypatch.setattr(Reconciler.__init__, "__defaults__", (0.5,))
    place.proxy.add(Fault(How.CUT_ANSWER, _IT, refuse=600))
    error = place.up(**place.options(), lock_lease=5.0)
    assert isinstance(error, StatementOutcomeUnknown), place.said
    assert "the server cannot be asked, and the next run asks again" in error.message
    assert error.report is not None
    [lost] = [n for n in error.report.notices if "could not be recorded" in n]
    assert lost.startswith("The failed attempt could not be recorded: ")
    found = {r.revision: r for r in bm.status(**place.options(around=True)).revisions}
    assert found["002_it"].state.value in ("unknown", "running")
    assert place.up(**place.options(around=True)) is None
    assert place.rows(deed.look) == [deed.once]
    assert place.executed(deed.sql) == 1
    assert place.ledger() == ["001_ground\t1", "002_it\t0", "002_it\t1", "003_after\t1"]
    place.tells_no_secret()


@pytest.mark.parametrize("place", ["modern"], indirect=True)
def test_a_holder_whose_heartbeats_are_lost_stops_and_the_next_run_goes_on(place: Place) -> None:
    deed = DEEDS["slow insert values"]
    _write(place, deed)
    place.proxy.add(Fault(How.SWALLOWED, _HEARTBEAT, 1000))
    error = place.up(**place.options(), lock_lease=1.0)
    assert isinstance(error, LockLost), place.said
    assert "could not be renewed in time" in error.message
    assert "Nothing more was sent." in error.message
    # What it knew it has written all the same, since nobody has taken over: the outcome of
    # the statement, and the revision's row where it had come so far.
    assert place.ledger() in (["001_ground\t1"], ["001_ground\t1", "002_it\t1"])
    assert place.up(**place.options(around=True)) is None
    assert place.rows(deed.look) == [deed.once]
    assert place.executed(deed.sql) == 1
    good = [line for line in place.ledger() if line.endswith("\t1")]
    assert good == ["001_ground\t1", "002_it\t1", "003_after\t1"]
    place.tells_no_secret()
