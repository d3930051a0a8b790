"""One runner: claims, leases, waiting, takeover and unlocking, on both stores."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy.engine import make_url

import budeval_migrations as bm
from budeval_migrations import clock
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    ConnectionFailed,
    EngineError,
    LockError,
    LockLost,
    LockTimeout,
    Unsupported,
)
from budeval_migrations.events import Event, LockWaiting, StatementFinished, ignore
from budeval_migrations.settings import Settings
from budeval_migrations.state import schema, stores
from budeval_migrations.state.lock.lease import Claim, TokenStore
from budeval_migrations.state.lock.lock import LeaseLock, break_lock, make_lock, read_holder
from tests.engines.workspace import Workspace
from tests.support import targets
from tests.support.project import REPOSITORY
from tests.support.proxy import RecordingProxy
from tests.support.servers import ChdbFront
from tests.support.targets import engine_parameters
from tests.support.waiting import PATIENCE, wait_until
from tests.support.zookeeper import ZooKeeper

on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@dataclass(frozen=True)
class Place:
    """A database on a server, and the table that its lock is kept in."""

    settings: Settings
    store: str
    server: ChdbFront

    @contextmanager
    def lock(self, emit: object = ignore, **settings: float) -> Iterator[LeaseLock]:
        """A lock with a connection of its own, not yet acquired."""
        with Session(replace(self.settings, **settings)) as session:  # type: ignore[arg-type]
            lock = LeaseLock(session, emit)  # type: ignore[arg-type]
            try:
                yield lock
            finally:
                lock.release()

    def session(self) -> Session:
        """A connection beside those of the locks."""
        return Session(self.settings)


@pytest.fixture(scope="module")
def front_with_keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbFront]:
    targets.require_packages("chdb")
    targets.require_zookeeper()
    directory = tmp_path_factory.mktemp("keeper")
    with ZooKeeper(directory / "zookeeper") as keeper:
        config = keeper.clickhouse_config()
        with ChdbFront(directory / "front", config_file=config) as server:
            yield server


@pytest.fixture(params=["tokens-http", "tokens-connect", "keeper-http", "keeper-connect"])
def place(request: pytest.FixtureRequest, database: str) -> Iterator[Place]:
    """An empty database with each kind of lock, over each HTTP driver."""
    kind, driver = request.param.split("-")
    targets.require_packages("chdb", *(["clickhouse_connect"] if driver == "connect" else []))
    server = request.getfixturevalue("front_with_keeper" if kind == "keeper" else "modern")
    dialect = "clickhouse+http" if driver == "http" else "clickhousedb"
    settings = Settings(url=server.url(dialect, database), database=database, lock_timeout=PATIENCE)
    with Session(settings) as session:
        session.ensure_database()
    yield Place(settings, schema.KEEPER_LOCK if kind == "keeper" else schema.LOCK, server)
    server.query(f"DROP DATABASE IF EXISTS {database} SYNC")


on_each_store = pytest.mark.parametrize("place", ["tokens-http", "keeper-http"], indirect=True)


def is_lost(lock: LeaseLock) -> bool:
    try:
        lock.check()
    except LockLost:
        return True
    return False


def test_a_second_runner_waits_and_is_told_for_whom_and_for_what(place: Place) -> None:
    told: list[Event] = []
    with place.lock() as first, place.lock(told.append, lock_timeout=0.3) as second:
        first.doing = "007_x statement 3 of 9"
        first.acquire()
        with pytest.raises(LockTimeout) as caught:
            second.acquire()

        holder = read_holder(first._session)
        assert holder is not None
        assert (holder.store, holder.alive) == (place.store, True)
    error = caught.value
    assert error.exit_code == 5
    assert error.holder == holder.name
    assert "@" in error.holder and " pid " in error.holder
    assert error.since == holder.since.isoformat()
    assert error.holder in error.message and "at 007_x statement 3 of 9" in error.message
    assert "budeval-migrate unlock" in error.hint
    waiting = [event for event in told if isinstance(event, LockWaiting)]
    assert waiting
    assert {(event.holder, event.since, event.doing) for event in waiting} == {
        (holder.name, error.since, "007_x statement 3 of 9")
    }


def test_a_released_lock_is_free_and_the_generation_grows(place: Place) -> None:
    for generation in (1, 2, 3):
        with place.lock() as lock:
            assert lock.fence == ""
            lock.acquire()
            assert lock.generation == generation
            holder = read_holder(lock._session)
            assert holder is not None and holder.alive
        with place.session() as session:
            after = read_holder(session)
        assert after is not None and not after.alive
        lock.release()  # idempotent


def test_where_there_is_no_lock_table_there_is_no_holder(place: Place) -> None:
    with place.session() as session:
        assert read_holder(session) is None
    url = make_url(place.settings.url).set(database="not_there")
    elsewhere = replace(
        place.settings, url=url.render_as_string(hide_password=False), database="not_there"
    )
    with Session(elsewhere) as session:
        assert read_holder(session) is None


def test_a_reader_who_may_only_read_sees_the_holder(place: Place) -> None:
    dialect = place.settings.url.partition("://")[0]
    url = place.server.url(dialect, place.settings.database, user=place.server.readonly_user)
    with place.lock() as lock, Session(replace(place.settings, url=url)) as reader:
        assert read_holder(reader) is None
        lock.acquire()
        holder = read_holder(reader)
    assert holder is not None and holder.alive


@on_each_store
def test_a_lease_that_ran_out_is_taken_over_and_its_holder_stops(place: Place) -> None:
    with place.lock(lock_lease=1.0) as first, place.lock() as second:
        first.acquire()
        first._stop.set()  # as a stopped process: the heartbeat is gone
        second.acquire()
        assert second.generation == 2
        with pytest.raises(LockLost) as caught:
            first.check()
        assert "could not be renewed in time" in caught.value.message
        second.check()


@on_each_store
def test_a_holder_believes_in_its_lease_for_less_time_than_the_server(place: Place) -> None:
    with place.lock(lock_lease=20.0) as lock:
        lock.acquire()
        lock._stop.set()
        lock._valid_until = clock.now() + 1.9  # a tenth of the lease, and less
        with pytest.raises(LockLost):
            lock.check()
        lock._valid_until = clock.now() + 20.0
        with pytest.raises(LockLost):  # what was lost once stays lost
            lock.check()


@on_each_store
def test_a_lease_runs_out_while_the_machine_sleeps(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = 0.0
    real = time.clock_gettime

    def boottime(which: int) -> float:
        return real(which) + (slept if which == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", boottime)
    with place.lock(lock_lease=20.0) as lock:
        lock.acquire()
        lock.check()
        slept = 30.0  # of which time.monotonic() knows nothing
        with pytest.raises(LockLost, match="could not be renewed in time"):
            lock.check()


@on_each_store
def test_a_lease_that_is_renewed_outlives_its_length(place: Place) -> None:
    with place.lock(lock_lease=6.0) as first, place.lock(lock_timeout=8.0) as second:
        first.acquire()
        with pytest.raises(LockTimeout):
            second.acquire()
        first.check()


@on_each_store
def test_a_heartbeat_that_fails_is_tried_again(place: Place) -> None:
    class Flaky(type(stores.STORES[place.store])):  # type: ignore[misc]
        failures = 0

        def renew(self, session: Session, claim: Claim, doing: str) -> None:
            if Flaky.failures < 2:
                Flaky.failures += 1
                raise ConnectionFailed("the line broke", sent=True)
            super().renew(session, claim, doing)

    with place.lock(lock_lease=15.0) as lock:
        lock.acquire()
        lock._store = Flaky()
        first = lock._valid_until
        wait_until(lambda: lock._valid_until > first, "the lease was not renewed")
        assert Flaky.failures == 2
        lock.check()


@on_each_store
def test_a_renewal_that_comes_back_too_late_is_not_believed(place: Place) -> None:
    class Slow(type(stores.STORES[place.store])):  # type: ignore[misc]
        def renew(self, session: Session, claim: Claim, doing: str) -> None:
            super().renew(session, claim, doing)
            lock._valid_until = clock.now()  # as if it had taken that long

    with place.lock(lock_lease=1.5) as lock:
        lock.acquire()
        thread = lock._thread
        assert thread is not None
        lock._store = Slow()
        wait_until(lambda: not thread.is_alive(), "the heartbeat went on")
        assert is_lost(lock)


@on_each_store
def test_what_the_holder_does_is_seen_after_a_heartbeat(place: Place) -> None:
    with place.lock() as lock, place.session() as session:
        lock.acquire()
        lock.doing = "008_y statement 1 of 'many' \\ 🙂"

        def seen() -> bool:
            holder = read_holder(session)
            return holder is not None and holder.doing == lock.doing

        wait_until(seen, "the statement was never shown")
        assert not is_lost(lock)


@on_each_store
def test_of_many_claims_of_a_generation_exactly_one_is_won(place: Place) -> None:
    claimants, generations = 16, 20
    winners: dict[int, list[int]] = {n: [] for n in range(1, generations + 1)}
    problems: list[BaseException] = []
    barrier = threading.Barrier(claimants)

    def claim(number: int) -> None:
        try:
            with place.lock() as lock:
                for generation in winners:
                    barrier.wait(120)
                    if lock._claim(generation):
                        winners[generation].append(number)
        except BaseException as problem:
            problems.append(problem)
            barrier.abort()

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(claimants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [len(found) for found in winners.values()] == [1] * generations
    with place.session() as session:
        names = session.query(f"SELECT generation, count() FROM {place.store} GROUP BY generation")
    assert max(int(generation) for generation, _ in names) == generations


@on_each_store
def test_a_claim_that_arrives_late_is_not_won(place: Place) -> None:
    with place.session() as session:
        for generation in range(1, 21):
            assert stores.LockPlace(session).claim(Claim(generation, 1000), "")
        # 1 and 2 have been pruned in Keeper; to the token store they are known.
        for generation in (1, 2, 20):
            late = Claim(generation, 1000)
            assert stores.STORES[place.store].claim(session, late, "late") is False
        newest = stores.STORES[place.store].read(session)
    assert newest is not None
    assert (newest.generation, newest.doing) == (20, "")


@on_each_store
def test_a_claim_whose_answer_is_lost_is_judged_by_what_is_there(place: Place) -> None:
    with RecordingProxy(place.server.http_port) as proxy:
        url = place.settings.url.replace(f":{place.server.http_port}/", f":{proxy.port}/")
        store = stores.STORES[place.store]
        with Session(replace(place.settings, url=url)) as session:
            stores.choose_store(session)
            proxy.cut_answers(1, match="INSERT")
            assert store.claim(session, Claim(1, 1000), "arrived") is True
            proxy.drop_next(1, match="INSERT")
            with pytest.raises(ConnectionFailed):
                store.claim(session, Claim(2, 1000), "never arrived")
            newest = store.read(session)
    assert newest is not None
    assert (newest.generation, newest.doing) == (1, "arrived")


@pytest.mark.parametrize("place", ["tokens-http"], indirect=True)
@pytest.mark.parametrize("profile", ["enable", "disable"])
def test_tokens_are_compared_whatever_the_users_profile_says(place: Place, profile: str) -> None:
    store = TokenStore()
    with place.session() as one, place.session() as two:
        for session in (one, two):
            raw: Any = session.connection.connection.dbapi_connection
            raw.transport.ch_settings["deduplicate_insert"] = profile
            assert session.query("SELECT getSetting('deduplicate_insert')") == [[profile]]
        assert stores.choose_store(one).table == schema.LOCK
        assert store.claim(one, Claim(1, 1000), "")
        assert not store.claim(two, Claim(1, 1000), "")
        [[kept]] = one.query(f"SELECT count() FROM {schema.LOCK}")
    assert int(kept) == 1


@pytest.mark.parametrize("place", ["tokens-http"], indirect=True)
def test_where_two_claims_of_a_generation_are_kept_nobody_has_it(place: Place) -> None:
    with place.session() as session:
        store = stores.choose_store(session)
        assert isinstance(store, TokenStore)
        store._append(session, Claim(1, 1000), "claim", "", "another token")
        assert store.claim(session, Claim(1, 1000), "") is False
        newest = store.read(session)
    assert newest is not None and newest.owner == ""


@on_each_store
def test_the_fence_is_true_exactly_while_the_generation_is_the_newest(place: Place) -> None:
    with place.lock() as first, place.lock() as second, place.session() as session:

        def inserts(lock: LeaseLock) -> int:
            session.execute("CREATE OR REPLACE TABLE w (a UInt8) ENGINE = MergeTree ORDER BY a")
            session.execute(f"INSERT INTO w SELECT 1 WHERE {lock.fence}")
            return int(session.query("SELECT count() FROM w")[0][0])

        first.acquire()
        assert inserts(first) == 1
        first.release()
        assert inserts(first) == 1  # nobody came after it
        second.acquire()
        assert (inserts(first), inserts(second)) == (0, 1)


@on_each_store
def test_unlock_takes_the_lock_from_its_holder_who_notices(place: Place) -> None:
    with place.lock() as lock, place.lock() as other, place.session() as session:
        lock.acquire()
        holder = read_holder(session)
        assert holder is not None
        break_lock(session, holder)

        assert session.query(f"SELECT 1 WHERE {lock.fence}") == []
        other.acquire()
        assert other.generation == 3
        wait_until(lambda: is_lost(lock), "the holder did not notice")
        with pytest.raises(LockLost) as caught:
            lock.check()
        assert "was taken away" in caught.value.message
        lock.release()
        after = read_holder(session)
        assert after is not None and after.generation == 3 and after.alive
        other.check()


@on_each_store
def test_unlock_refuses_when_the_lock_has_changed_hands(place: Place) -> None:
    with place.session() as session:
        with place.lock() as first:
            first.acquire()
            shown = read_holder(session)
        assert shown is not None
        with pytest.raises(LockError) as free:
            break_lock(session, shown)
        with place.lock() as second:
            second.acquire()
            with pytest.raises(LockError) as taken:
                break_lock(session, shown)
            second.check()
            after = read_holder(session)
    assert "is free now" in free.value.message.replace("it is", "is")
    assert "held by" in taken.value.message
    assert after is not None and after.alive and after.generation == 2


_HOLDER = """
import sys, time
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import LockLost
from budeval_migrations.events import ignore
from budeval_migrations.state.lock.lock import LeaseLock
from budeval_migrations.settings import Settings
with Session(Settings(url=sys.argv[1], database=sys.argv[2], lock_lease=2.0)) as session:
    lock = LeaseLock(session, ignore)
    lock.acquire()
    lock.check()
    print(lock.fence, flush=True)
    sys.stdin.readline()
    try:
        lock.check()
        print("still held")
    except LockLost as lost:
        print("lost:", lost.message)
    lock.release()
"""


@on_each_store
@pytest.mark.parametrize("taken", [True, False], ids=["taken over", "nobody came"])
def test_a_process_that_was_stopped_and_goes_on_has_lost_its_lock(
    place: Place, taken: bool
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, place.settings.url, place.settings.database],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        fence = process.stdout.readline().strip()
        process.send_signal(signal.SIGSTOP)
        with place.lock() as lock, place.session() as session:
            if taken:
                lock.acquire()
            else:
                wait_until(lambda: not read_holder(session).alive, "it lives")  # type: ignore[union-attr]
            process.send_signal(signal.SIGCONT)
            output, _ = process.communicate("go on\n", timeout=PATIENCE)
            assert bool(session.query(f"SELECT 1 WHERE {fence}")) is not taken
            if taken:
                lock.check()
                assert lock.generation == 2
    finally:
        process.kill()
        process.communicate()
    assert output.startswith("lost:")


@pytest.mark.parametrize("engine_url", engine_parameters("old-http"), indirect=True)
def test_a_server_without_a_correct_lock_refuses_until_lock_is_off(workspace: Workspace) -> None:
    workspace.write_three()
    with pytest.raises(Unsupported) as caught:
        bm.upgrade(**{**workspace.options, "lock": "auto"})
    assert "lock = off" in caught.value.hint
    with pytest.raises(EngineError) as missing:
        workspace.tables()
    assert missing.value.code == 81  # not even the database was made
    with workspace.session() as session:
        assert read_holder(session) is None
    assert bm.upgrade(**workspace.options).applied == ("001_one", "002_two", "003_three")


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_threads_of_one_process_take_turns_on_chdb(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.prepare()
    reports: list[bm.Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(bm.upgrade(**workspace.options)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, 0, 0, 3]
    lock = make_lock(workspace.session(), ignore)
    assert (lock.generation, lock.fence) == (0, "")
    with workspace.session() as session:
        assert read_holder(session) is None


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_a_thread_that_waits_on_chdb_is_told_for_whom(workspace: Workspace) -> None:
    told: list[Event] = []
    settings = Settings(
        url=workspace.target.url, database=workspace.target.database, lock_timeout=0.1
    )
    with Session(settings) as session:
        first, second = make_lock(session, ignore), make_lock(session, told.append)
        first.acquire()
        try:
            first.doing = "001_one statement 1 of 1"
            with pytest.raises(LockTimeout) as caught:
                second.acquire()
        finally:
            first.release()
        second.acquire()
        second.release()
    assert "at 001_one statement 1 of 1" in caught.value.message
    assert threading.current_thread().name in caught.value.holder
    assert caught.value.hint
    waiting = [event for event in told if isinstance(event, LockWaiting)]
    assert waiting and waiting[0].doing == "001_one statement 1 of 1"


@on_http
def test_processes_that_start_together_run_every_revision_once(
    workspace: Workspace, modern: ChdbFront
) -> None:
    ids = workspace.project.write_chain(
        6, "CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a"
    )
    runners = [workspace.project.start("budeval_migrations", "--json", "up") for _ in range(8)]
    try:
        outputs = [runner.communicate(timeout=PATIENCE) for runner in runners]
    finally:
        for runner in runners:
            if runner.poll() is None:
                runner.kill()
                runner.wait()
    assert [runner.returncode for runner in runners] == [0] * 8, outputs
    sent = Counter(
        entry["query"]
        for entry in modern.queries()
        if entry["query"].startswith("CREATE TABLE t")
        and entry["database"] == workspace.target.database
    )
    assert sent == {
        f"CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a": 1 for n in range(1, 7)
    }
    rows = workspace.rows("SELECT version FROM schema_migrations ORDER BY sequence")
    assert [version for (version,) in rows] == ids


@on_http
def test_status_shows_the_revision_that_is_running(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision("001_one", None, "SELECT sleepEachRow(1) FROM numbers(3)")
    options = {**workspace.options, "lock_lease": 6.0}
    runner = threading.Thread(target=lambda: bm.upgrade(**options))
    runner.start()
    try:
        seen = set()
        while runner.is_alive():
            found = {r.revision: r.state.value for r in bm.status(**options).revisions}
            seen.add(found["001_one"])
            time.sleep(0.1)
    finally:
        runner.join()
    assert "running" in seen
    assert bm.status(**options).at_head


@pytest.mark.parametrize("place", ["tokens-http"], indirect=True)
def test_of_two_owners_of_one_generation_only_the_one_that_is_read_back_holds_it(
    place: Place,
) -> None:
    with place.lock() as first, place.lock() as second, place.session() as session:
        first.acquire()
        session.execute(f"DROP TABLE {schema.LOCK} SYNC")
        second.acquire()
        assert (first.generation, second.generation) == (1, 1)
        fences = [int(session.query(f"SELECT {lock.fence}")[0][0]) for lock in (first, second)]
        assert fences == [0, 1]
        wait_until(lambda: is_lost(first), "the first did not notice")
        assert not is_lost(second)


@on_each_store
def test_reset_waits_for_the_lock_and_takes_it_from_nobody(place: Place) -> None:
    settings = {
        "url": place.settings.url, "database": place.settings.database,
        "environment": "development",
    }  # fmt: skip
    with place.lock() as lock:
        lock.acquire()
        with pytest.raises(LockTimeout, match="The lock is held by "):
            bm.reset(**settings, lock_timeout=0.3)
        assert not is_lost(lock)
    bm.reset(**settings)
    with place.session() as session:
        assert stores.read_tables(session) == set()


@on_http
def test_a_run_whose_lock_was_taken_over_writes_nothing_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before its heartbeat has noticed: each row brings the condition with it."""
    monkeypatch.setattr("budeval_migrations.state.lock.lock.BEAT", 600.0)
    workspace.prepare()
    create = "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a"
    insert = "INSERT INTO t SELECT 1"
    workspace.project.write_revision("001_t", None, [create, insert, insert])
    settings = Settings(
        url=str(workspace.options["url"]), database=str(workspace.options["database"])
    )
    rows = (
        "SELECT (SELECT count() FROM schema_migrations), "
        "(SELECT count() FROM schema_migrations_journal)"
    )
    found: list[object] = []

    def take_over(event: Event) -> None:
        if isinstance(event, StatementFinished) and event.index == 2:
            with Session(settings) as session:
                holder = read_holder(session)
                assert holder is not None
                claim = Claim(holder.generation + 1, lease_ms=60_000)
                assert stores.stores(session)[holder.store].claim(session, claim, "")
            found.extend(workspace.rows(rows))

    with pytest.raises(LockLost, match="Another runner has taken the lock over"):
        bm.upgrade(on_event=take_over, lock_lease=1800.0, **workspace.options)
    assert workspace.rows(rows) == found
    assert workspace.rows("SELECT toString(count()) FROM t") == [("1",)]
