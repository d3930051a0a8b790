"""What each answer leads to when the outcome of a statement is looked up.

Time and the answers are the test's; servers are asked in tests/engines/test_reconciliation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from budeval_migrations.clickhouse.cluster.ddl_queue import HostAnswer, QueueEntry
from budeval_migrations.clickhouse.fingerprint import Fingerprint, Partition
from budeval_migrations.clickhouse.queries import Logged, Mutation, Running
from budeval_migrations.errors import ConnectionFailed, EngineError, LockLost
from budeval_migrations.events import StatementWaiting
from budeval_migrations.execution import patience
from budeval_migrations.execution.reconcile import reconciler
from budeval_migrations.execution.reconcile.outcome import Evidence, Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.reconcile.reconciler import BACKFILL, REPEATABLE, Reconciler
from budeval_migrations.model import Direction
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

APPLIED, NOT_APPLIED, UNKNOWN = Outcome.APPLIED, Outcome.NOT_APPLIED, Outcome.UNKNOWN
CREATE = "CREATE TABLE t (a Int8) ENGINE = Log"
ADD = "ALTER TABLE t ADD COLUMN b Int8"
INSERT = "INSERT INTO t VALUES (1)"
UPDATE = "ALTER TABLE t UPDATE a = 1 WHERE 1"
EMPTY = Fingerprint()
THERE = Fingerprint(objects={"d.t": "Log 0 hash"})
NONE_OF_T = Fingerprint(missing=("d.t",))
# Answers that stand for "the server does not answer".
AWAY = ConnectionFailed("away", sent=False)


def intent(sql: str, before: Fingerprint | None = EMPTY, **more: Any) -> JournalEntry:
    return JournalEntry(
        revision="001_a",
        direction=Direction.UP,
        since=0,
        position=2,
        event=JournalEvent.INTENT,
        hash="h",
        statement=sql,
        query_id="q1",
        before="" if before is None else before.as_json(),
        **more,
    )


@dataclass
class World:
    """A clock, servers, and what was asked of them.

    Attributes:
        hosts: Of the cluster; none on a single server.
        running, logged, now: What each look finds, by host; the last one for ever.

    """

    hosts: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()
    running: list[Any] = field(default_factory=lambda: [None])
    logged: list[Any] = field(default_factory=lambda: [None])
    now: list[Any] = field(default_factory=lambda: [EMPTY])
    mutations: list[Mutation] = field(default_factory=list)
    views: list[list[str]] = field(default_factory=list)
    arriving: list[Any] = field(default_factory=lambda: [False])
    late: float = 0.0
    embedded: bool = False
    lost_at: float = float("inf")
    entries: list[Any] = field(default_factory=lambda: [None])
    forgotten: bool = False
    answers: list[list[HostAnswer]] = field(default_factory=lambda: [[]])
    time: float = 1000.0
    asked: list[str] = field(default_factory=list)
    told: list[StatementWaiting] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def make(self, alone_since: float = 0.0) -> Reconciler:
        self.session: Any = SimpleNamespace(
            name="session",
            database="d",
            embedded=self.embedded,
            late=self.late,
            absent=self.absent,
            topology=SimpleNamespace(hosts=self.hosts),
            settings=SimpleNamespace(ddl_timeout=20.0),
            redact=lambda text: text.replace("secret", "***"),
            may_arrive=self.may_arrive,
            query=self.query,
        )
        lock: Any = SimpleNamespace(check=self.check, alone_since=alone_since)
        barrier: Any = SimpleNamespace(
            lower=lambda: self.asked.append("lower"), wait=lambda: self.asked.append("barrier")
        )
        emit: Any = self.told.append
        return Reconciler(
            self.session,
            lock,
            emit,
            SimpleNamespace(ask=self.ask),
            barrier,
            5,  # type: ignore[arg-type]
        )

    def check(self) -> None:
        if self.time >= self.lost_at:
            raise LockLost("lost")

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def ask(self, question: Callable[[Any], Any]) -> Iterator[tuple[str | None, Any]]:
        if not self.hosts:
            yield None, question(self.session)
        for host in self.hosts:
            if host not in self.absent:
                yield host, question(SimpleNamespace(**{**vars(self.session), "name": host}))

    def may_arrive(self, query_id: str) -> bool:
        self.asked.append(f"may {query_id} arrive")
        return bool(_next(self.arriving))

    def query(self, sql: str) -> list[list[str]]:
        self.asked.append(sql)
        return self.views

    def running_query(self, session: Any, query_id: str) -> Any:
        self.asked.append(f"running {query_id} on {session.name}")
        return _next(self.running, session.name)

    def logged_query(self, session: Any, query_id: str) -> Any:
        self.asked.append(f"logged {query_id} on {session.name}")
        return _next(self.logged, session.name)

    def take(self, session: Any, effects: list[Any]) -> list[Any]:
        assert len(effects) == 1
        self.asked.append(f"catalogue of {session.name}")
        return [_next(self.now, session.name)]

    def made(self, session: Any, database: str, table: str, known: Any) -> list[Mutation]:
        self.asked.append(f"mutations of {database}.{table} but {list(known)} on {session.name}")
        return self.mutations

    def find_entry(self, session: Any, sql: str, after: str) -> Any:
        assert session is self.session
        self.asked.append(f"entry of {sql} after {after}")
        return _next(self.entries)

    def is_forgotten(self, session: Any, after: str) -> bool:
        assert session is self.session
        self.asked.append(f"forgotten after {after}")
        return self.forgotten

    def wait(self, session: Any, entry: Any, hosts: set[str], seconds: float, rest: Any) -> Any:
        assert session is self.session
        self.asked.append(f"wait {seconds} s for {', '.join(sorted(hosts))} to do {entry.name}")
        while len(self.answers) > 1:
            rest(self.answers.pop(0))
        return self.answers[0]


def _next(found: list[Any], host: str = "") -> Any:
    value = found.pop(0) if len(found) > 1 else found[0]
    if isinstance(value, dict):
        value = value[host]
    if isinstance(value, Exception):
        raise value
    return value


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with (
        mock.patch.object(reconciler.queries, "running_query", made.running_query),
        mock.patch.object(reconciler.queries, "logged_query", made.logged_query),
        mock.patch.object(reconciler.queries, "mutations", made.made),
        mock.patch.object(reconciler, "take", made.take),
        mock.patch.object(reconciler, "find_entry", made.find_entry),
        mock.patch.object(reconciler, "is_forgotten", made.is_forgotten),
        mock.patch.object(reconciler, "wait", made.wait),
        mock.patch.object(reconciler.clock, "now", lambda: made.time),
        mock.patch.object(reconciler.time, "monotonic", lambda: made.time),
        mock.patch.object(reconciler.interrupts, "sleep", made.sleep),
        mock.patch.object(patience.interrupts, "sleep", made.sleep),
    ):
        yield made


# -- is it at work ----------------------------------------------------------------------------


def test_the_questions_come_in_their_order_each_once_or_as_often_as_it_must(world: World) -> None:
    world.now = [THERE]
    found = world.make().reconcile(intent(CREATE, NONE_OF_T))

    assert found == Reconciled(APPLIED, "d.t is changed as it makes it")
    assert world.asked == [
        *["running q1 on session"] * 3,
        "logged q1 on session",
        "lower",
        "barrier",
        "catalogue of session",
    ]
    assert (world.slept, world.told) == ([0.05, 0.05, 0.05], [])


def test_what_the_server_works_on_is_waited_for_and_told_every_two_seconds(world: World) -> None:
    world.running = [None, *(Running(0.25 * n, n, 40) for n in range(10)), None]
    world.now = [THERE]
    world.make().reconcile(intent(CREATE, NONE_OF_T))

    said = "the server still works on it"
    assert world.told == [
        StatementWaiting("001_a", 2, said, 0, 0, 40),
        StatementWaiting("001_a", 2, said, 2000, 8, 40),
    ]
    assert world.slept == [0.05, *[0.25] * 10, 0.05, 0.05, 0.05]


def test_whoever_lost_the_lock_waits_no_longer(world: World) -> None:
    world.running, world.lost_at = [Running(1.0, 0, 0)], 1001.0
    with pytest.raises(LockLost):
        world.make().reconcile(intent(CREATE))


def test_chdb_has_neither_a_list_of_queries_nor_a_log(world: World) -> None:
    world.embedded, world.now = True, [THERE]
    assert world.make().reconcile(intent(CREATE, NONE_OF_T)).outcome is APPLIED
    assert world.asked == ["lower", "barrier", "catalogue of session"]


def test_any_host_of_a_cluster_may_have_it(world: World) -> None:
    world.hosts, world.absent = ("a", "b", "c"), frozenset({"b"})
    world.logged = [{"a": None, "c": Logged(True, True, elapsed_ms=7)}]
    found = world.make().reconcile(intent(INSERT))

    assert (found.outcome, found.elapsed_ms) == (APPLIED, 7)
    assert world.asked[-2:] == ["logged q1 on a", "logged q1 on c"]
    assert "running q1 on c" in world.asked


# -- its log ----------------------------------------------------------------------------------


def test_what_the_log_says_has_finished_is_applied(world: World) -> None:
    world.logged = [Logged(True, True, elapsed_ms=12, rows_read=3, rows_written=4)]
    assert world.make().reconcile(intent(INSERT)) == Reconciled(
        APPLIED,
        "the server's query log says that it finished",
        elapsed_ms=12,
        rows_read=3,
        rows_written=4,
    )
    assert "lower" not in world.asked


@pytest.mark.parametrize(
    ("text", "started"), [(CREATE, True), (INSERT, False)], ids=["in one step", "not begun"]
)
def test_what_the_log_says_was_refused_is_not_applied(
    world: World, text: str, started: bool
) -> None:
    world.logged = [Logged(False, started, code=44, error="the secret is wrong")]
    assert world.make().reconcile(intent(text)) == Reconciled(
        NOT_APPLIED, "the server refused it", "the *** is wrong", 44
    )


def test_what_was_stopped_halfway_is_not_applied_where_it_left_nothing(world: World) -> None:
    held = Fingerprint(partitions={"d.t": {"all": Partition(1, 1, 5)}})
    world.logged, world.now = [Logged(False, True, code=395, error="thrown")], [held]
    assert world.make().reconcile(intent(INSERT, held)) == Reconciled(
        NOT_APPLIED, "the server refused it", "thrown", 395
    )


def test_what_was_stopped_halfway_is_unknown_where_it_left_something(world: World) -> None:
    held = Fingerprint(partitions={"d.t": {"all": Partition(1, 1, 5)}})
    world.logged = [Logged(False, True, code=395, error="thrown")]
    world.now = [Fingerprint(partitions={"d.t": {"all": Partition(1, 2, 6)}})]
    found = world.make().reconcile(intent("INSERT INTO t SELECT 1", held))

    assert (found.outcome, found.error, found.code) == (UNKNOWN, "thrown", 395)
    assert found.why.startswith("the server stopped it halfway, and ")


def test_what_an_error_of_the_analysis_stopped_left_nothing_where_nothing_is_seen(
    world: World,
) -> None:
    unseen = Fingerprint(objects={"d.t": "Memory 0 hash"})
    world.logged, world.now = [Logged(False, True, code=47, error="no such column")], [unseen]
    assert world.make().reconcile(intent(UPDATE, unseen)).outcome is NOT_APPLIED

    said = "no such column: while executing 'FUNCTION f'"
    world.logged = [Logged(False, True, code=47, error=said)]
    assert world.make().reconcile(intent(UPDATE, unseen)).outcome is UNKNOWN


# -- may it run again -------------------------------------------------------------------------


def test_what_may_run_twice_is_run_again(world: World) -> None:
    expected = Reconciled(NOT_APPLIED, "it may be run twice", repeatable=True)
    text = "CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = Log"
    assert world.make().reconcile(intent(text)) == expected
    assert world.make().reconcile(intent(CREATE, note=REPEATABLE)) == expected
    assert "lower" not in world.asked


def test_a_backfill_goes_on_and_is_not_waited_for(world: World) -> None:
    world.late = 30.0
    assert world.make().reconcile(intent(INSERT, note=BACKFILL), sent=True) == Reconciled(
        NOT_APPLIED, "it goes on after its last finished chunk", repeatable=True
    )
    assert "may q1 arrive" not in world.asked


# -- what the catalogue shows -----------------------------------------------------------------


def test_without_a_look_at_the_catalogue_before_nothing_tells(world: World) -> None:
    assert world.make().reconcile(intent(CREATE, None)) == Reconciled(
        UNKNOWN, "nothing tells whether it ran"
    )
    assert "lower" not in world.asked


def test_a_mutation_is_its_own_or_nobody_knows(world: World) -> None:
    before = Fingerprint(mutations={"d.t": ("m1",)})
    world.now = [Fingerprint(mutations={"d.t": ("m1", "m2")})]
    world.mutations = [Mutation("m2", "(UPDATE a = 1 WHERE 1)", 0, True, False, "", 0)]
    assert world.make().reconcile(intent(UPDATE, before)) == Reconciled(
        APPLIED, "it made m2 of d.t"
    )
    assert world.asked[-1] == "mutations of d.t but ['m1'] on session"

    world.mutations = [Mutation("m2", "(DELETE WHERE 1)", 0, True, False, "", 0)]
    assert world.make().reconcile(intent(UPDATE, before)) == Reconciled(
        UNKNOWN, "d.t has a new mutation, which is not surely its own"
    )

    world.mutations = []  # the server has forgotten it
    assert world.make().reconcile(intent(UPDATE, before)).outcome is UNKNOWN


def test_a_mutation_of_another_database_is_looked_for_there(world: World) -> None:
    before = Fingerprint(mutations={"e.t": ()})
    world.now = [Fingerprint(mutations={"e.t": ("m1",)})]
    world.mutations = [Mutation("m1", "(UPDATE a = 1 WHERE 1)", 0, True, False, "", 0)]
    found = world.make().reconcile(intent("ALTER TABLE e.t UPDATE a = 1 WHERE 1", before))

    assert found.outcome is APPLIED
    assert world.asked[-1] == "mutations of e.t but [] on session"


@pytest.mark.parametrize("last", [1, 2], ids=["none of its rows", "its rows"])
def test_an_insert_whose_table_has_views_is_unknown(world: World, last: int) -> None:
    before = Fingerprint(partitions={"e'.t": {"all": Partition(1, 1, 5)}})
    world.now = [Fingerprint(partitions={"e'.t": {"all": Partition(1, last, 4 + last)}})]
    world.views = [["v1"], ["v2"]]
    found = world.make().reconcile(intent("INSERT INTO `e'`.t VALUES (1)", before))

    assert found.outcome is UNKNOWN
    assert found.why.endswith(", and whether its views (v1, v2) have got theirs is not known")
    assert world.asked[-1] == (
        "SELECT arrayJoin(dependencies_table) FROM system.tables WHERE database = 'e\\'' "
        "AND name = 't'"
    )

    blind = world.make().compare(intent("INSERT INTO `e'`.t VALUES (1)", before)).blind
    assert blind is (last == 1)

    world.views = []
    assert world.make().reconcile(intent("INSERT INTO `e'`.t VALUES (1)", before)).outcome is (
        NOT_APPLIED if last == 1 else APPLIED
    )


# -- when it can still arrive -----------------------------------------------------------------


def test_that_it_did_nothing_is_believed_when_it_cannot_arrive_any_more(world: World) -> None:
    world.late, world.now = 3.5, [NONE_OF_T]
    found = world.make().reconcile(intent(CREATE, NONE_OF_T), sent=True)

    assert found.outcome is NOT_APPLIED
    # 0.15 seconds went into three looks; then all is asked once more.
    assert world.slept == [0.05] * 3 + [0.25] * 13 + [pytest.approx(0.1)] + [0.05] * 3
    assert world.asked.count("catalogue of session") == 2
    waited = "waiting until its request cannot reach the server any more"
    assert world.told[0] == StatementWaiting("001_a", 2, waited, 0, 0, 0)
    assert world.told[13].elapsed_ms == 3250
    assert {event.what for event in world.told} == {waited}


def test_what_arrives_meanwhile_is_found(world: World) -> None:
    world.late, world.now = 3.5, [NONE_OF_T, THERE]
    assert world.make().reconcile(intent(CREATE, NONE_OF_T), sent=True).outcome is APPLIED


def test_a_request_that_has_arrived_in_part_is_waited_for(world: World) -> None:
    world.late, world.now, world.arriving = 3.5, [NONE_OF_T], [True, AWAY, True, False]
    world.make().reconcile(intent(CREATE, NONE_OF_T), sent=True)

    assert world.asked.count("may q1 arrive") == 4
    assert world.time == pytest.approx(1000 + 3 * 3.5 + 0.25 + 0.15)


def test_what_a_run_before_this_one_sent_is_waited_for_from_when_it_ended(world: World) -> None:
    world.late, world.now = 3.5, [NONE_OF_T]
    world.make(alone_since=990.0).reconcile(intent(CREATE, NONE_OF_T))
    assert world.asked.count("catalogue of session") == 1  # long over

    world.time, world.slept = 1000.0, []
    world.make(alone_since=999.0).reconcile(intent(CREATE, NONE_OF_T))
    assert world.time == pytest.approx(1002.5 + 0.15)


def test_whoever_loses_the_lock_meanwhile_waits_no_longer(world: World) -> None:
    world.late, world.now, world.lost_at = 30.0, [NONE_OF_T], 1002.0
    with pytest.raises(LockLost):
        world.make().reconcile(intent(CREATE, NONE_OF_T), sent=True)
    assert world.time == pytest.approx(1002.15)


@pytest.mark.parametrize(
    "logged", [Logged(True, True), Logged(False, False, 44, "refused")], ids=["done", "refused"]
)
def test_what_the_log_knows_needs_no_wait(world: World, logged: Logged) -> None:
    world.late, world.logged = 30.0, [logged]
    world.make().reconcile(intent(CREATE), sent=True)
    assert "may q1 arrive" not in world.asked


# -- a server that does not answer ------------------------------------------------------------


def test_a_server_that_is_away_is_asked_again(world: World) -> None:
    busy = EngineError("the proxy answered HTTP 502")
    world.running, world.logged = [AWAY, None], [busy, Logged(True, True)]
    assert world.make().reconcile(intent(INSERT)).outcome is APPLIED


def test_a_server_that_stays_away_leaves_it_unknown(world: World) -> None:
    world.running = [AWAY]
    assert world.make().reconcile(intent(INSERT)) == Reconciled(
        UNKNOWN, "the server cannot be asked, and the next run asks again (away)"
    )
    assert world.time == 1005.0


def test_a_refusal_to_answer_leaves_it_unknown_at_once(world: World) -> None:
    world.running = [EngineError("not allowed", code=497)]
    found = world.make().reconcile(intent(INSERT))
    assert (found.outcome, world.slept) == (UNKNOWN, [])
    assert found.why.endswith("(not allowed)")


# -- what a refused statement left behind -----------------------------------------------------

REFUSED = EngineError("thrown", code=395)


def test_a_refusal_by_the_parser_or_of_an_insert_by_the_analysis_left_nothing(
    world: World,
) -> None:
    asked = world.make()
    backup = "BACKUP TABLE t TO Disk('d', 'b')"
    assert asked.left_behind(intent(backup, None), EngineError("syntax", code=62)) == ""
    assert asked.left_behind(intent(INSERT, None), EngineError("unknown table", code=60)) == ""
    assert world.asked == []


def test_where_no_catalogue_tells_what_it_did_that_is_said(world: World) -> None:
    asked, said = world.make(), "nothing in the catalogue tells what it did before that"
    backup = "BACKUP TABLE t TO Disk('d', 'b')"
    assert asked.left_behind(intent(backup, None), EngineError("unknown table", code=60)) == said
    assert asked.left_behind(intent(backup), REFUSED) == said
    assert asked.left_behind(intent(INSERT, None), REFUSED) == said


def test_the_catalogue_tells_what_a_refused_statement_left(world: World) -> None:
    asked, two = world.make(), "ALTER TABLE t ADD COLUMN b Int8, MODIFY COLUMN a Int16"
    world.now = [THERE]
    assert asked.left_behind(intent(two, THERE), REFUSED) == ""
    assert world.asked == ["lower", "barrier", "catalogue of session"]

    world.now = [Fingerprint(objects={"d.t": "Log 0 other"}, elements={"d.t": ("column b",)})]
    left = asked.left_behind(intent(two, THERE), REFUSED)
    assert left == "d.t is changed as it makes it"


def test_a_catalogue_that_shows_nothing_is_believed_after_an_error_of_the_analysis(
    world: World,
) -> None:
    unseen = Fingerprint(objects={"d.t": "Memory 0 hash"})
    world.now = [unseen]
    asked = world.make()
    assert asked.left_behind(intent(UPDATE, unseen), EngineError("no such", code=47)) == ""
    assert "could be seen" in asked.left_behind(intent(UPDATE, unseen), REFUSED)
    assert "could be seen" in asked.left_behind(
        intent(f"{UPDATE}, UPDATE a = 2 WHERE 1", unseen), EngineError("no such", code=47)
    )


def test_a_catalogue_that_cannot_be_read_is_said(world: World) -> None:
    world.now = [EngineError("not allowed", code=497)]
    assert world.make().left_behind(intent(ADD, THERE), REFUSED) == (
        "what it left behind cannot be looked up: not allowed"
    )


# -- a cluster's queue ------------------------------------------------------------------------

QUEUED = replace(THERE, queue="query-7")
ENTRY = QueueEntry("query-8", ADD, ("a:1", "b:1"))
A_DID, B_DID = HostAnswer("a:1", 0), HostAnswer("b:1", 0)
CHANGED = Fingerprint(objects={"d.t": "Log 0 other"}, elements={"d.t": ("column b",)})


@pytest.fixture
def cluster(world: World) -> World:
    world.hosts = ("a:1", "b:1")
    world.entries, world.answers = [ENTRY], [[A_DID, B_DID]]
    return world


def refused(host: str, code: int) -> HostAnswer:
    return HostAnswer(host, code, "secret")


def test_what_every_host_has_done_is_applied(cluster: World) -> None:
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        APPLIED, "2 hosts have done it"
    )
    assert cluster.asked == [
        f"entry of {ADD} after query-7",
        "wait 20.0 s for a:1, b:1 to do query-8",
    ]


def test_the_text_is_looked_for_where_it_is_known(cluster: World) -> None:
    cluster.make().reconcile(intent("shown", QUEUED, text=ADD))
    assert cluster.asked[0] == f"entry of {ADD} after query-7"


def test_hosts_that_are_absent_are_not_waited_for(cluster: World) -> None:
    cluster.absent, cluster.answers = frozenset({"b:1"}), [[A_DID]]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        APPLIED, "1 hosts have done it; b:1 will do it when back"
    )
    assert cluster.asked[-1] == "wait 20.0 s for a:1 to do query-8"

    cluster.absent, cluster.answers = frozenset({"a:1", "b:1"}), [[]]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).why == (
        "0 hosts have done it; a:1, b:1 will do it when back"
    )


def test_the_hosts_that_are_waited_for_are_told(cluster: World) -> None:
    cluster.answers = [*[[]] * 25, [A_DID], *[[A_DID]] * 40, [A_DID, B_DID]]
    cluster.make().reconcile(intent(ADD, QUEUED))

    assert set(cluster.slept) == {0.05}
    told = [(each.what, each.elapsed_ms, each.done, each.total) for each in cluster.told]
    assert told == [
        ("waiting for a:1, b:1", pytest.approx(1000, abs=50), 0, 2),
        ("waiting for b:1", pytest.approx(3000, abs=120), 1, 2),
    ]
    assert {(each.revision, each.index) for each in cluster.told} == {("001_a", 2)}


def test_whoever_loses_the_lock_meanwhile_follows_no_longer(cluster: World) -> None:
    cluster.answers, cluster.lost_at = [[], []], 1000.0
    with pytest.raises(LockLost):
        cluster.make().reconcile(intent(ADD, QUEUED))


@pytest.mark.parametrize(
    ("answers", "done", "left"),
    [([], "no host", ("a:1", "b:1")), ([B_DID], "b:1", ("a:1",))],
)
def test_what_hosts_have_not_come_to_is_pending(
    cluster: World, answers: list[HostAnswer], done: str, left: tuple[str, ...]
) -> None:
    cluster.answers = [answers]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        UNKNOWN, f"pending on {', '.join(left)} after 20 s; done on {done}", pending=left
    )


def test_what_came_into_the_queue_while_it_was_looked_for_is_found(cluster: World) -> None:
    cluster.entries = [None, ENTRY]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).outcome is APPLIED
    assert cluster.asked[1:4] == [
        "running q1 on a:1",
        "running q1 on b:1",
        "running q1 on a:1",
    ]


def test_what_never_came_into_the_queue_did_nothing(cluster: World) -> None:
    cluster.entries = [None]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        NOT_APPLIED, "it never came into the queue of the cluster"
    )
    assert cluster.asked[-2:] == ["forgotten after query-7", "may q1 arrive"]
    assert not [each for each in cluster.asked if each.startswith("logged")]


def test_of_a_queue_that_forgets_the_catalogue_is_asked(cluster: World) -> None:
    cluster.entries, cluster.forgotten, cluster.now = [None], True, [CHANGED]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).outcome is APPLIED
    assert cluster.asked[-1] == "catalogue of session"


def test_a_statement_that_every_host_refuses_at_once_did_nothing(cluster: World) -> None:
    cluster.answers = [[refused("a:1", 60), refused("b:1", 60)]]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        NOT_APPLIED, "every host refused it", "a:1: ***; b:1: ***", 60
    )


def test_on_its_host_a_statement_of_the_cluster_is_one_step(cluster: World) -> None:
    add = "ALTER TABLE t ON CLUSTER c ADD COLUMN b Int8"
    cluster.answers = [[refused("a:1", 60), refused("b:1", 60)]]
    found = cluster.make().reconcile(intent(add, QUEUED))
    assert (found.outcome, found.why) == (NOT_APPLIED, "every host refused it")

    create = "CREATE TABLE t ON CLUSTER c (a Int8) ENGINE = Log"
    cluster.answers, cluster.now = [[A_DID, refused("b:1", 57)]], [THERE]
    found = cluster.make().reconcile(intent(create, replace(NONE_OF_T, queue="query-7")))
    assert (found.outcome, found.why) == (APPLIED, "every host shows it, though b:1: ***")


def test_a_refusal_of_one_host_is_judged_by_what_each_shows(cluster: World) -> None:
    cluster.answers = [[A_DID, refused("b:1", 44)]]
    cluster.now = [{"a:1": CHANGED, "b:1": THERE}, {"a:1": CHANGED, "b:1": THERE}, CHANGED]
    found = cluster.make().reconcile(intent(ADD, QUEUED))
    assert (found.outcome, found.why) == (APPLIED, "every host shows it, though b:1: ***")

    cluster.now = [THERE]
    cluster.answers = [[refused("a:1", 44), refused("b:1", 57)]]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        NOT_APPLIED, "no host shows it", "a:1: ***; b:1: ***", 44
    )


def test_hosts_that_show_the_same_are_looked_at_once(cluster: World) -> None:
    cluster.answers, cluster.now = [[A_DID, refused("b:1", 44)]], [CHANGED]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).outcome is APPLIED
    assert cluster.slept == []


def test_hosts_that_stay_different_leave_it_unknown(cluster: World) -> None:
    cluster.answers = [[A_DID, refused("b:1", 44)]]
    cluster.now = [{"a:1": CHANGED, "b:1": THERE}]
    found = cluster.make().reconcile(intent(ADD, QUEUED))

    assert (found.outcome, found.error, found.code) == (UNKNOWN, "b:1: ***", 44)
    assert found.why == ("a:1: d.t is changed as it makes it; b:1: d.t is as it was before")
    assert (cluster.time, set(cluster.slept)) == (1010.0, {0.25})


def test_whoever_loses_the_lock_while_replicas_differ_waits_no_longer(cluster: World) -> None:
    cluster.answers, cluster.lost_at = [[A_DID, refused("b:1", 44)]], 1001.0
    cluster.now = [{"a:1": CHANGED, "b:1": THERE}]
    with pytest.raises(LockLost):
        cluster.make().reconcile(intent(ADD, QUEUED))


def test_a_refusal_that_no_catalogue_explains_is_unknown_but_for_what_may_run_twice(
    cluster: World,
) -> None:
    cluster.answers = [[refused("a:1", 44), B_DID]]
    said = "no catalogue tells what it did"
    found = cluster.make().reconcile(intent("SYSTEM RELOAD CONFIG", QUEUED))
    assert (found.why, found.error, found.code) == (said, "a:1: ***", 44)
    assert found.outcome is NOT_APPLIED  # it may run twice
    found = cluster.make().reconcile(intent("BACKUP TABLE t TO Disk('d', 'b')", QUEUED))
    assert (found.outcome, found.why) == (UNKNOWN, said)


@pytest.mark.parametrize("code", [159, 48])
def test_a_host_that_goes_on_after_its_answer_is_waited_for(cluster: World, code: int) -> None:
    cluster.answers = [[A_DID, refused("b:1", code)]]
    cluster.now = [{"a:1": CHANGED, "b:1": THERE}, {"a:1": CHANGED, "b:1": THERE}, CHANGED]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(APPLIED, "2 hosts show it")
    assert cluster.slept == [0.25]


def test_a_host_that_goes_on_for_too_long_is_pending(cluster: World) -> None:
    cluster.answers = [[refused("a:1", 159), refused("b:1", 159)]]
    cluster.now = [{"a:1": THERE, "b:1": CHANGED}]
    assert cluster.make().reconcile(intent(ADD, QUEUED)) == Reconciled(
        UNKNOWN, "pending on a:1 after 20 s", pending=("a:1",)
    )
    assert cluster.time == 1020.0


def test_all_hosts_that_go_on_for_too_long_are_named(cluster: World) -> None:
    cluster.answers, cluster.now = [[refused("a:1", 159), refused("b:1", 159)]], [THERE]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).why == "pending on a:1, b:1 after 20 s"


def test_all_hosts_that_have_done_it_are_named_beside_the_pending_one(cluster: World) -> None:
    cluster.entries = [replace(ENTRY, hosts=("a:1", "b:1", "c:1"))]
    assert cluster.make().reconcile(intent(ADD, QUEUED)).why == (
        "pending on c:1 after 20 s; done on a:1, b:1"
    )


# -- for others -------------------------------------------------------------------------------


def test_a_comparison_is_made_after_every_host_has_caught_up(world: World) -> None:
    world.now = [THERE]
    assert world.make().compare(intent(ADD, THERE)) == Evidence(
        NOT_APPLIED, "d.t is as it was before"
    )
    assert world.asked == ["lower", "barrier", "catalogue of session"]
