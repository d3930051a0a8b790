"""What became of a statement whose outcome is unknown: each question, one after the other."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.fingerprint import take
from budeval_migrations.clickhouse.queries import logged_query
from budeval_migrations.errors import EngineError, LockLost
from budeval_migrations.events import Event, StatementWaiting, ignore
from budeval_migrations.execution.barrier import Barrier
from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.execution.reconcile.reconciler import BACKFILL, REPEATABLE, Reconciler
from budeval_migrations.model import Direction
from budeval_migrations.sql.effects import effect
from budeval_migrations.state.lock.lock import Lock, NoLock
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent
from tests.engines.workspace import Workspace
from tests.support.servers import OldServer, QueryError
from tests.support.targets import engine_parameters
from tests.support.waiting import PATIENCE, wait_until

APPLIED, NOT_APPLIED, UNKNOWN = Outcome.APPLIED, Outcome.NOT_APPLIED, Outcome.UNKNOWN
servers = pytest.mark.parametrize(
    "engine_url", engine_parameters("modern-http", "old-http"), indirect=True
)
old = pytest.mark.parametrize(
    "engine_url", engine_parameters("old-http", "old-native"), indirect=True
)
embedded = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)


def intent(session: Session, text: str, **values: object) -> JournalEntry:
    """The entry that a run writes just before it sends a statement."""
    [before] = take(session, [effect(text)])
    made = JournalEntry(
        revision="001_a",
        direction=Direction.UP,
        since=0,
        position=2,
        event=JournalEvent.INTENT,
        hash="hash",
        statement=text,
        query_id=str(uuid.uuid4()),
        before=before.as_json(),
    )
    return replace(made, **values)  # type: ignore[arg-type]


def reconciler(session: Session, emit: object = ignore, lock: object | None = None) -> Reconciler:
    held: Lock = lock or NoLock()  # type: ignore[assignment]
    hosts = Hosts(session)
    return Reconciler(session, held, emit, hosts, Barrier(session, hosts, held), patience=5)  # type: ignore[arg-type]


# --- running --------------------------------------------------------------------------------

SLOW_MODERN = (
    "INSERT INTO t SELECT number, sleepEachRow(0.05) FROM numbers(30) SETTINGS max_block_size = 1"
)
SLOW_OLD = "INSERT INTO t SELECT number, sleep(1.5) FROM system.one ARRAY JOIN [1] AS number"


def slow(workspace: Workspace) -> str:
    return SLOW_MODERN if workspace.target.modern else SLOW_OLD


def prepare(workspace: Workspace) -> None:
    workspace.prepare(
        "CREATE TABLE t (k Int64, z UInt8) ENGINE = MergeTree PARTITION BY z ORDER BY k"
        if workspace.target.modern
        else "CREATE TABLE t (d Date DEFAULT toDate(0), k Int64, z UInt8) ENGINE = MergeTree(d, k, 8192)"
    )


def wait_until_running(session: Session, query_id: str) -> None:
    found = f"SELECT 1 FROM system.processes WHERE query_id = '{query_id}'"
    wait_until(lambda: session.query(found), "the slow query never began", pause=0.01)


@servers
def test_what_the_server_works_on_is_waited_for(workspace: Workspace) -> None:
    prepare(workspace)
    told: list[Event] = []
    with workspace.session() as session, workspace.session() as other:
        text = slow(workspace).replace("INTO t ", "INTO t (k, z) ")
        asked = intent(session, text)
        other.features  # noqa: B018  connects
        running = threading.Thread(
            target=other.execute, args=(text,), kwargs={"query_id": asked.query_id}
        )
        running.start()
        wait_until_running(session, asked.query_id)

        reconciled = reconciler(session, told.append).reconcile(asked)

        assert not session.query(
            f"SELECT 1 FROM system.processes WHERE query_id = '{asked.query_id}'"
        )
        running.join()
        assert reconciled.outcome in (APPLIED, UNKNOWN)  # the log of 18.16 knows; chDB has none
        assert (reconciled.outcome is APPLIED) == (not workspace.target.modern)
    waits = [e for e in told if isinstance(e, StatementWaiting)]
    assert waits
    assert {(e.revision, e.index, e.what) for e in waits} == {
        ("001_a", 2, "the server still works on it")
    }


@servers
def test_who_loses_the_lock_waits_for_nothing(workspace: Workspace) -> None:
    prepare(workspace)

    class Lost(NoLock):
        def check(self) -> None:
            raise LockLost("lost")

    with workspace.session() as session, workspace.session() as other:
        text = slow(workspace).replace("INTO t ", "INTO t (k, z) ")
        asked = intent(session, text)
        running = threading.Thread(
            target=other.execute, args=(text,), kwargs={"query_id": asked.query_id}
        )
        running.start()
        wait_until_running(session, asked.query_id)
        with pytest.raises(LockLost):
            reconciler(session, lock=Lost()).reconcile(asked)
        running.join()


# --- the server's log -----------------------------------------------------------------------


@pytest.fixture
def log(workspace: Workspace) -> Session:
    """A server that keeps a log of its queries."""
    prepare(workspace)
    with workspace.session() as session:
        session.execute("SELECT 1", settings={"log_queries": "1"})
        yield session  # type: ignore[misc]


LOGGED = {"log_queries": "1"}


@old
def test_the_log_says_that_it_finished(workspace: Workspace, log: Session) -> None:
    asked = intent(log, "INSERT INTO t (k, z) SELECT number, 1 FROM system.numbers LIMIT 5")
    log.execute(asked.statement, query_id=asked.query_id, settings=LOGGED)

    reconciled = reconciler(log).reconcile(asked)

    assert (reconciled.outcome, reconciled.why) == (
        APPLIED,
        "the server's query log says that it finished",
    )
    assert reconciled.rows_read == 5


@old
def test_the_log_says_that_it_was_refused_before_it_began(
    workspace: Workspace, log: Session
) -> None:
    asked = intent(log, "INSERT INTO t (k, z) SELECT nothing, 1")
    with pytest.raises(EngineError):
        log.execute(asked.statement, query_id=asked.query_id, settings=LOGGED)

    reconciled = reconciler(log).reconcile(asked)

    assert (reconciled.outcome, reconciled.why) == (NOT_APPLIED, "the server refused it")
    assert "nothing" in reconciled.error


@old
def test_what_failed_while_it_ran_and_left_nothing_was_not_applied(
    workspace: Workspace, log: Session
) -> None:
    asked = intent(
        log, "INSERT INTO t (k, z) SELECT throwIf(number = 3), 1 FROM system.numbers LIMIT 9"
    )
    with pytest.raises(EngineError):
        log.execute(asked.statement, query_id=asked.query_id, settings=LOGGED)

    reconciled = reconciler(log).reconcile(asked)

    assert reconciled.outcome is NOT_APPLIED
    assert reconciled.error


@old
def test_what_failed_while_it_ran_and_left_rows_is_unknown(
    workspace: Workspace, log: Session
) -> None:
    asked = intent(
        log, "INSERT INTO t (k, z) SELECT throwIf(number = 9), 1 FROM system.numbers LIMIT 20"
    )
    small = {
        "max_block_size": "1",
        "min_insert_block_size_rows": "1",
        "min_insert_block_size_bytes": "1",
    }
    with pytest.raises(EngineError):
        log.execute(asked.statement, query_id=asked.query_id, settings={**LOGGED, **small})
    [[left]] = log.query("SELECT count() FROM t")
    assert 0 < int(left) < 20

    reconciled = reconciler(log).reconcile(asked)

    assert reconciled.outcome is UNKNOWN
    assert reconciled.why.startswith("the server stopped it halfway, and ")


@old
def test_a_query_that_the_log_does_not_have_is_looked_for_in_the_catalogue(
    workspace: Workspace, log: Session
) -> None:
    asked = intent(log, "INSERT INTO t (k, z) SELECT 1, 1")

    assert reconciler(log).reconcile(asked).outcome is NOT_APPLIED


# --- harmless -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("CREATE TABLE IF NOT EXISTS x (k Int8) ENGINE = Log", ""),
        ("DROP TABLE IF EXISTS t", ""),
        ("OPTIMIZE TABLE t", ""),
        ("INSERT INTO t (k, z) SELECT 1, 1", REPEATABLE),
        ("INSERT INTO t (k, z) SELECT 1, 1", BACKFILL),
    ],
)
def test_what_may_be_run_twice_is_run_again(workspace: Workspace, text: str, note: str) -> None:
    prepare(workspace)
    with workspace.session() as session:
        reconciled = reconciler(session).reconcile(intent(session, text, note=note))

    assert reconciled.outcome is NOT_APPLIED
    assert reconciled.why == (
        "it goes on after its last finished chunk" if note == BACKFILL else "it may be run twice"
    )


def test_without_anything_to_compare_nobody_knows(workspace: Workspace) -> None:
    prepare(workspace)
    with workspace.session() as session:
        reconciled = reconciler(session).reconcile(
            intent(session, "INSERT INTO t (k, z) SELECT 1, 1", before="")
        )

    assert (reconciled.outcome, reconciled.why) == (UNKNOWN, "nothing tells whether it ran")


# --- the catalogue --------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A statement, what it needs, and what is known when it was run, or not."""

    text: str
    needs: tuple[str, ...] = ()
    ran: Outcome = APPLIED
    did_not: Outcome = NOT_APPLIED
    modern_only: bool = True
    tidy: tuple[str, ...] = field(default=())


ROWS = "INSERT INTO t SELECT number % 3, number, 'x' FROM numbers(9)"
MORE = "INSERT INTO u SELECT 1, number, 'u' FROM numbers(4)"
OLD = {"modern_only": False}
PROBES = {
    "create table": Probe("CREATE TABLE x (k Int8) ENGINE = Log", **OLD),
    "create table as select": Probe(
        "CREATE TABLE x ENGINE = Log AS SELECT 1 AS k", ran=UNKNOWN, **OLD
    ),
    "create view": Probe("CREATE VIEW x AS SELECT 1", **OLD),
    "create materialized view": Probe(
        "CREATE MATERIALIZED VIEW x ENGINE = Log AS SELECT k FROM t", **OLD
    ),
    "create dictionary": Probe(
        "CREATE DICTIONARY x (k UInt64, v String) PRIMARY KEY k "
        "SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(0)"
    ),
    "create function": Probe(
        "CREATE FUNCTION f_@ AS x -> x", tidy=("DROP FUNCTION IF EXISTS f_@",)
    ),
    "drop function": Probe(
        "DROP FUNCTION f_@",
        ("CREATE FUNCTION f_@ AS x -> x",),
        tidy=("DROP FUNCTION IF EXISTS f_@",),
    ),
    "create database": Probe(
        "CREATE DATABASE more_@", tidy=("DROP DATABASE IF EXISTS more_@",), **OLD
    ),
    "drop database": Probe(
        "DROP DATABASE more_@",
        ("CREATE DATABASE more_@",),
        tidy=("DROP DATABASE IF EXISTS more_@",),
        **OLD,
    ),
    "drop table": Probe("DROP TABLE u", **OLD),
    "detach table": Probe("DETACH TABLE u", **OLD),
    "rename table": Probe("RENAME TABLE u TO w", **OLD),
    "rename in a circle": Probe("RENAME TABLE t TO w, u TO t, w TO u"),
    "exchange tables": Probe("EXCHANGE TABLES t AND u"),
    "add column": Probe("ALTER TABLE t ADD COLUMN z UInt8", **OLD),
    "drop column": Probe("ALTER TABLE t DROP COLUMN v", **OLD),
    "rename column": Probe("ALTER TABLE t RENAME COLUMN v TO w"),
    "add two columns": Probe("ALTER TABLE t ADD COLUMN y UInt8, ADD COLUMN z UInt8", **OLD),
    "add index": Probe("ALTER TABLE t ADD INDEX i v TYPE minmax GRANULARITY 1"),
    "add projection": Probe("ALTER TABLE t ADD PROJECTION q (SELECT v, count() GROUP BY v)"),
    "add constraint": Probe("ALTER TABLE t ADD CONSTRAINT c CHECK k >= 0"),
    "remove ttl": Probe(
        "ALTER TABLE t REMOVE TTL",
        ("ALTER TABLE t MODIFY TTL toDateTime('2099-01-01 00:00:00') + toIntervalDay(k)",),
    ),
    "materialize index": Probe(
        "ALTER TABLE t MATERIALIZE INDEX i",
        ("ALTER TABLE t ADD INDEX i v TYPE minmax GRANULARITY 1",),
    ),
    "update": Probe("ALTER TABLE t UPDATE v = 'y' WHERE k > 2"),
    "delete": Probe("ALTER TABLE t DELETE WHERE k > 2"),
    "lightweight delete": Probe("DELETE FROM t WHERE k > 2"),
    "add column and update": Probe("ALTER TABLE t ADD COLUMN z UInt8, UPDATE v = 'y' WHERE 1"),
    "insert values": Probe("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')"),
    "insert select": Probe("INSERT INTO t SELECT 1, 1, 'a'", ran=UNKNOWN, **OLD),
    "truncate": Probe("TRUNCATE TABLE t", **OLD),
    "drop partition": Probe("ALTER TABLE t DROP PARTITION 1", **OLD),
    "drop all partitions": Probe("ALTER TABLE t DROP PARTITION ALL"),
    "detach partition": Probe("ALTER TABLE t DETACH PARTITION 1", **OLD),
    "attach partition": Probe(
        "ALTER TABLE t ATTACH PARTITION 1", ("ALTER TABLE t DETACH PARTITION 1",)
    ),
    "attach partition from": Probe("ALTER TABLE t ATTACH PARTITION 1 FROM u"),
    "replace partition": Probe("ALTER TABLE t REPLACE PARTITION 1 FROM u"),
    "move partition": Probe("ALTER TABLE t MOVE PARTITION 1 TO TABLE u"),
    "freeze": Probe("ALTER TABLE t FREEZE", ran=UNKNOWN, did_not=UNKNOWN),
    "insert into a log": Probe("INSERT INTO l SELECT 1", ran=UNKNOWN, did_not=UNKNOWN, **OLD),
}


def ground(workspace: Workspace, session: Session, probe: Probe) -> None:
    rows, more = ROWS, MORE
    if not workspace.target.modern:
        rows, more = (
            sql.replace("numbers(", "(SELECT number FROM system.numbers LIMIT ")
            for sql in (rows, more)
        )
    for sql in (
        "CREATE TABLE t (p UInt8, k UInt64, v String) ENGINE = MergeTree PARTITION BY p ORDER BY k",
        "CREATE TABLE u AS t",
        "CREATE TABLE l (n UInt8) ENGINE = Log",
        rows,
        more,
        *probe.needs,
    ):
        session.execute(sql.replace("@", workspace.target.database))


def everywhere() -> Iterator[object]:
    """Each probe on chDB, and on 18.16 where that knows it."""
    for name, probe in PROBES.items():
        yield pytest.param("embedded", name, marks=pytest.mark.embedded)
        if not probe.modern_only:
            yield pytest.param("old-http", name, marks=pytest.mark.old)


@pytest.mark.parametrize("was_run", [True, False], ids=["ran", "did not run"])
@pytest.mark.parametrize(("engine_url", "name"), list(everywhere()), indirect=["engine_url"])
def test_the_catalogue_tells_whether_it_ran(workspace: Workspace, name: str, was_run: bool) -> None:
    probe = PROBES[name]
    workspace.prepare()
    text = probe.text.replace("@", workspace.target.database)
    with workspace.session() as session:
        try:
            ground(workspace, session, probe)
            asked = intent(session, text)
            if was_run:
                session.execute(text, query_id=asked.query_id)

            evidence = reconciler(session).compare(asked)
            reconciled = reconciler(session).reconcile(asked)
        finally:
            for sql in probe.tidy:
                session.execute(sql.replace("@", workspace.target.database))

    expected = probe.ran if was_run else probe.did_not
    if name == "detach partition" and was_run and not workspace.target.modern:
        expected = UNKNOWN  # 18.16 does not list what is detached
    assert (evidence.outcome, evidence.why) == (expected, evidence.why)
    if workspace.target.modern:
        assert (reconciled.outcome, reconciled.why) == (evidence.outcome, evidence.why)


@old
def test_tables_alike_that_changed_places_are_not_taken_as_they_were(workspace: Workspace) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["drop table"])
        asked = intent(session, "RENAME TABLE t TO w, u TO t, w TO u")
        session.execute(asked.statement)

        assert reconciler(session).compare(asked).outcome is not NOT_APPLIED


@embedded
@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t UPDATE v = 'y' WHERE k > 2",
        "ALTER TABLE t DELETE WHERE k > 2 AND v != 'it''s'",
        "DELETE FROM t WHERE k > 2",
    ],
)
def test_the_mutation_of_another_is_not_taken_for_its_own(workspace: Workspace, text: str) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        asked = intent(session, text)
        session.execute("ALTER TABLE t UPDATE v = 'z' WHERE k = 77")

        reconciled = reconciler(session).reconcile(asked)

    assert reconciled.outcome is UNKNOWN
    assert reconciled.why.endswith("has a new mutation, which is not surely its own")


@embedded
@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE {} UPDATE v = concat(v, 'y') WHERE 1",
        "ALTER TABLE {} DELETE WHERE k > 2",
        "DELETE FROM {} WHERE k > 2",
    ],
)
@pytest.mark.parametrize("through", ["mv", "into", "alias", "memory"])
def test_what_a_mutation_does_to_a_table_behind_its_own_is_not_known(
    workspace: Workspace, through: str, text: str
) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        for create in (
            "CREATE MATERIALIZED VIEW mv ENGINE = MergeTree ORDER BY k AS SELECT k, v FROM t",
            "CREATE MATERIALIZED VIEW into TO t AS SELECT k, v FROM u",
            "CREATE TABLE alias ENGINE = Alias('t')",
            "CREATE TABLE memory (k UInt64, v String) ENGINE = Memory",
        ):
            session.execute(create)
        asked = intent(session, text.format(through))
        before = reconciler(session).compare(asked)
        with suppress(EngineError):  # Memory takes no DELETE FROM
            session.execute(asked.statement)
        after = reconciler(session).compare(asked)

    assert (before.outcome, after.outcome) == (UNKNOWN, UNKNOWN)
    assert after.why.endswith(f".{through} is no MergeTree table whose mutations could be seen")


@embedded
def test_rows_of_another_writer_are_not_taken_for_its_own(workspace: Workspace) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        asked = intent(session, "INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')")
        session.execute("INSERT INTO t VALUES (1, 9, 'another')")

        assert reconciler(session).reconcile(asked).outcome is UNKNOWN


@embedded
def test_rows_are_counted_and_not_read_which_is_a_limit_that_the_docs_name(
    workspace: Workspace,
) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        asked = intent(session, "INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')")
        session.execute("INSERT INTO t VALUES (1, 8, 'another'), (1, 9, 'another')")

        assert reconciler(session).reconcile(asked).outcome is APPLIED


@embedded
@pytest.mark.parametrize(
    ("text", "other", "outcome"),
    [
        ("ALTER TABLE t ADD COLUMN z UInt8", "ADD COLUMN another UInt8", NOT_APPLIED),
        ("ALTER TABLE t ADD COLUMN z UInt8", "ADD INDEX z v TYPE minmax", NOT_APPLIED),
        ("ALTER TABLE t ADD COLUMN z UInt8", "ADD COLUMN z UInt8, ADD COLUMN y Int8", APPLIED),
        ("ALTER TABLE t ADD COLUMN z UInt8, ADD COLUMN y Int8", "ADD COLUMN y Int8", UNKNOWN),
        ("ALTER TABLE t DROP COLUMN v", "ADD COLUMN y Int8", NOT_APPLIED),
        ("ALTER TABLE t DROP COLUMN v", "DROP COLUMN v, ADD COLUMN y Int8", APPLIED),
        ("ALTER TABLE t RENAME COLUMN v TO w", "ADD COLUMN y Int8", NOT_APPLIED),
        ("ALTER TABLE t RENAME COLUMN v TO w", "RENAME COLUMN v TO w", APPLIED),
        ("ALTER TABLE t RENAME COLUMN v TO w", "RENAME COLUMN v TO x", UNKNOWN),
        ("CREATE INDEX i ON t (v) TYPE minmax", "ADD COLUMN i UInt8", NOT_APPLIED),
        ("CREATE INDEX i ON t (v) TYPE minmax", "ADD INDEX i v TYPE set(3)", APPLIED),
        ("ALTER TABLE t ADD PROJECTION q (SELECT k ORDER BY k)", "ADD COLUMN q Int8", NOT_APPLIED),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK k < 99", "ADD COLUMN y Int8", NOT_APPLIED),
        ("ALTER TABLE t MODIFY COLUMN v REMOVE DEFAULT", "ADD COLUMN y Int8", APPLIED),
    ],
)
def test_a_change_of_another_to_the_same_table_is_not_taken_for_its_own(
    workspace: Workspace, text: str, other: str, outcome: Outcome
) -> None:
    """But for the last: of what it modifies, only that the table was changed can be seen."""
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        asked = intent(session, text)
        session.execute(f"ALTER TABLE t {other}")

        assert reconciler(session).reconcile(asked).outcome is outcome


@embedded
def test_a_partition_that_another_took_away_is_not_taken_for_its_own(workspace: Workspace) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        asked = intent(session, "ALTER TABLE t DROP PARTITION 1")
        session.execute("ALTER TABLE t DROP PARTITION 2")

        assert reconciler(session).reconcile(asked).outcome is NOT_APPLIED


@embedded
@pytest.mark.parametrize(
    ("by", "mine", "others"),
    [
        ("p Date", "'2030-01-02'", "'2030-01-01'"),
        ("p String", "'b'", "'a'"),
        ("p Date, q String", "('2030-01-02', 'b')", "('2030-01-01', 'a')"),
        ("p DateTime('UTC')", "'2030-01-02 00:00:00'", "'2030-01-01 00:00:00'"),
    ],
)
def test_of_partitions_by_any_type_the_one_that_is_named_is_looked_at(
    workspace: Workspace, by: str, mine: str, others: str
) -> None:
    key = "(p, q)" if "q" in by else "p"
    workspace.prepare(
        f"CREATE TABLE t ({by}) ENGINE = MergeTree PARTITION BY {key} ORDER BY tuple()"
    )
    rows = [row if row.startswith("(") else f"({row})" for row in (mine, others)]
    with workspace.session() as session:
        session.execute(f"INSERT INTO t VALUES {', '.join(rows)}")
        asked = intent(session, f"ALTER TABLE t DROP PARTITION {mine}")
        session.execute(f"ALTER TABLE t DROP PARTITION {others}")
        before = reconciler(session).reconcile(asked)
        session.execute(asked.statement)
        after = reconciler(session).reconcile(asked)

    assert (before.outcome, after.outcome) == (NOT_APPLIED, APPLIED)


@embedded
@pytest.mark.parametrize(
    ("create", "held", "text"),
    [
        ("(k Int8, v Int64) ENGINE = SummingMergeTree ORDER BY k", "(1, 5)", "(1, -5)"),
        ("(k Int8, s Int8) ENGINE = CollapsingMergeTree(s) ORDER BY k", "(1, 1)", "(1, -1)"),
    ],
)
def test_rows_that_a_merge_has_summed_up_to_nothing_are_not_taken_as_never_inserted(
    workspace: Workspace, create: str, held: str, text: str
) -> None:
    workspace.prepare(f"CREATE TABLE t {create}")
    with workspace.session() as session:
        session.execute(f"INSERT INTO t VALUES {held}")
        asked = intent(session, f"INSERT INTO t VALUES {text}")
        session.execute(asked.statement)
        session.execute("OPTIMIZE TABLE t FINAL")
        assert session.query("SELECT count() FROM t FINAL") in ([("0",)], [[0]], [["0"]], [(0,)])

        assert reconciler(session).reconcile(asked).outcome is UNKNOWN


@embedded
def test_what_an_alter_does_through_another_name_is_not_known(workspace: Workspace) -> None:
    workspace.prepare("CREATE TABLE t (k Int8) ENGINE = MergeTree ORDER BY k")
    with workspace.session() as session:
        session.execute("CREATE TABLE other ENGINE = Alias('t')")
        asked = intent(session, "ALTER TABLE other ADD COLUMN z UInt8")
        session.execute(asked.statement)

        assert reconciler(session).reconcile(asked).outcome is UNKNOWN


@embedded
def test_a_merge_changes_no_verdict(workspace: Workspace) -> None:
    workspace.prepare()
    with workspace.session() as session:
        ground(workspace, session, PROBES["update"])
        session.execute("INSERT INTO t SELECT number % 3, number, 'y' FROM numbers(9)")
        asked = [
            intent(session, text)
            for text in (
                "TRUNCATE TABLE t",
                "ALTER TABLE t DROP PARTITION 1",
                "INSERT INTO t VALUES (1, 1, 'a')",
                "ALTER TABLE t MOVE PARTITION 1 TO TABLE u",
            )
        ]
        session.execute("OPTIMIZE TABLE t FINAL")

        found = [reconciler(session).reconcile(each).outcome for each in asked]

    assert found == [NOT_APPLIED] * 4


@pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "old-http"), indirect=True
)
def test_rows_that_are_there_say_nothing_of_the_views_of_their_table(workspace: Workspace) -> None:
    prepare(workspace)
    with workspace.session() as session:
        asked = intent(session, "INSERT INTO t (k, z) VALUES (1, 1), (2, 1)")
        session.execute(asked.statement)
        assert reconciler(session).compare(asked).outcome is APPLIED
        session.execute(
            "CREATE MATERIALIZED VIEW mv ENGINE = MergeTree(d, k, 8192) AS SELECT d, k FROM t"
            if not workspace.target.modern
            else "CREATE MATERIALIZED VIEW mv ENGINE = MergeTree ORDER BY k AS SELECT k FROM t"
        )
        shown = reconciler(session).compare(asked)
        nothing = reconciler(session).compare(intent(session, asked.statement))
    assert (shown.outcome, nothing.outcome) == (UNKNOWN, UNKNOWN)
    for evidence in (shown, nothing):
        assert "whether its views (mv) have got theirs is not known" in evidence.why


@pytest.mark.parametrize("ran", [True, False])
@pytest.mark.parametrize("text", ["INSERT INTO {}.t VALUES (1), (2)", "TRUNCATE TABLE {}.t"])
@pytest.mark.parametrize("engine_url", engine_parameters("embedded", "modern-http"), indirect=True)
def test_the_parts_of_a_table_that_is_loaded_when_it_is_read_tell_nothing(
    workspace: Workspace, text: str, ran: bool
) -> None:
    lazy = f"lazy_{uuid.uuid4().hex[:8]}"
    workspace.prepare(
        f"CREATE DATABASE {lazy} ENGINE = Atomic SETTINGS lazy_load_tables = true",
        f"CREATE TABLE {lazy}.t (a Int64) ENGINE = MergeTree ORDER BY a",
        f"INSERT INTO {lazy}.t VALUES (0)",
        f"DETACH DATABASE {lazy}",
        f"ATTACH DATABASE {lazy}",
    )
    with workspace.session() as session:
        before = intent(session, text.format(lazy))
        session.query(f"SELECT count() FROM {lazy}.t")
        if ran:
            session.execute(text.format(lazy))

        reconciled = reconciler(session).reconcile(before)

        session.execute(f"DROP DATABASE {lazy}")
    assert reconciled.outcome is UNKNOWN
    assert reconciled.why == f"{lazy}.t is no MergeTree table whose parts could be seen"


@pytest.mark.parametrize("engine_url", engine_parameters("embedded", "modern-http"), indirect=True)
def test_tables_that_are_loaded_when_they_are_read_are_told_apart(workspace: Workspace) -> None:
    lazy = f"lazy_{uuid.uuid4().hex[:8]}"
    workspace.prepare(
        f"CREATE DATABASE {lazy} ENGINE = Atomic SETTINGS lazy_load_tables = 1",
        f"CREATE TABLE {lazy}.a (a Int64) ENGINE = MergeTree ORDER BY a",
        f"CREATE TABLE {lazy}.b (b Int64) ENGINE = MergeTree ORDER BY b",
        f"DETACH DATABASE {lazy}",
        f"ATTACH DATABASE {lazy}",
    )
    with workspace.session() as session:
        before = intent(session, f"EXCHANGE TABLES {lazy}.a AND {lazy}.b")
        session.query(f"SELECT count() FROM {lazy}.a")
        session.query(f"SELECT count() FROM {lazy}.b")
        not_run = reconciler(session).reconcile(before)
        session.execute(before.statement)
        run = reconciler(session).reconcile(before)

        session.execute(f"DROP DATABASE {lazy}")
    assert (not_run.outcome, run.outcome) == (NOT_APPLIED, APPLIED)


@pytest.mark.parametrize("engine_url", engine_parameters("old-http"), indirect=True)
def test_the_refusal_of_a_second_copy_does_not_hide_how_the_first_one_ended(
    workspace: Workspace, old_server: OldServer
) -> None:
    """A gateway has repeated the request while the first one ran; the log has both."""
    workspace.prepare()
    name = f"twice-{workspace.target.database}"
    first = threading.Thread(
        target=lambda: old_server.query("SELECT sleep(2)", query_id=name), daemon=True
    )
    first.start()
    time.sleep(1)
    with pytest.raises(QueryError) as refused:
        old_server.query("SELECT sleep(2)", query_id=name)
    first.join(PATIENCE)
    assert refused.value.code == 216
    with workspace.session() as session:
        wait_until(lambda: logged_query(session, name) is not None, "the log tells nothing")
        found = logged_query(session, name)
    assert found is not None
    assert (found.finished, found.code, found.error) == (True, 0, "")


@embedded
def test_a_table_that_the_catalogue_does_not_list_is_not_missing(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1\n")
    workspace.prepare(f"CREATE DATABASE listed_nowhere ENGINE = Filesystem('{tmp_path}')")
    with workspace.session() as session:
        text = "INSERT INTO listed_nowhere.`rows.csv` VALUES (7)"
        asked = intent(session, text)
        assert reconciler(session).reconcile(asked).outcome is UNKNOWN
        session.execute("DROP DATABASE listed_nowhere")
