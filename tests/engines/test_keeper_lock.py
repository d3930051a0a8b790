"""Which store the lock is kept in, and what becomes of it when the server changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    AccessDenied,
    EngineError,
    LockError,
    LockLost,
    LockTimeout,
)
from budeval_migrations.events import ignore
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.services.inspect import review_status
from budeval_migrations.settings import Settings
from budeval_migrations.sql.splitter import split
from budeval_migrations.state import schema, stores
from budeval_migrations.state.lock.lease import Claim
from budeval_migrations.state.lock.lock import LeaseLock, break_lock, read_holder
from tests.support import targets
from tests.support.project import Project
from tests.support.servers import ChdbFront
from tests.support.waiting import PATIENCE, wait_until
from tests.support.zookeeper import ZooKeeper

DATABASE = "d"


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """Do not end it: make a ZooKeeper of your own."""
    targets.require_packages("chdb")
    targets.require_zookeeper()
    with ZooKeeper(tmp_path_factory.mktemp("zookeeper")) as server:
        yield server


@pytest.fixture
def front(tmp_path: Path) -> Iterator[ChdbFront]:
    """A server that is not yet started: see :func:`start`."""
    server = ChdbFront(tmp_path / "front")
    yield server
    server.stop()


@pytest.fixture
def prefix(database: str) -> str:
    """A place in Keeper that no other test uses."""
    return f"/{database}"


def start(front: ChdbFront, config: Path | None = None) -> None:
    front.stop()
    front.config_file = config
    front.start()


def open_session(front: ChdbFront, **settings: Any) -> Session:
    options: dict[str, Any] = {"lock_timeout": 60.0, **settings}
    session = Session(Settings(url=front.url(database=DATABASE), database=DATABASE, **options))
    session.ensure_database()
    return session


def take(session: Session) -> LeaseLock:
    lock = LeaseLock(session, ignore)
    lock.acquire()
    return lock


def tables(session: Session) -> set[str]:
    rows = session.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    return {str(name) for (name,) in rows}


def test_the_server_decides_which_store_is_used(
    front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front, keeper.clickhouse_config(None))  # a Keeper, but not for KeeperMap
    with open_session(front) as session:
        lock = take(session)
        assert f".{schema.LOCK})" in lock.fence
        lock.release()
        assert tables(session) == {schema.LOCK}
        session.execute(f"DROP DATABASE {DATABASE}")

    start(front, keeper.clickhouse_config(prefix))
    with open_session(front) as session:
        lock = take(session)
        assert f".{schema.KEEPER_LOCK})" in lock.fence
        lock.release()
        assert tables(session) == {schema.KEEPER_LOCK}


def test_a_prefix_without_a_keeper_is_an_error_and_no_reason_for_another_lock(
    front: ChdbFront, keeper: ZooKeeper
) -> None:
    start(front, keeper.clickhouse_config("/x", keeper=False))
    with open_session(front) as session:
        with pytest.raises(EngineError) as caught:
            take(session)
        assert tables(session) == set()
    assert caught.value.code == 139
    assert "<zookeeper>" in caught.value.hint


def test_a_user_who_may_not_create_the_table_is_told_what_to_grant(
    front: ChdbFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(front)
    with open_session(front) as session:
        execute = session.execute

        def refuse(sql: str, *, query_id: str = "") -> object:
            if "KeeperMap" in sql:
                raise AccessDenied("it's necessary to have the grant …", code=497, hint="Grant it.")
            return execute(sql, query_id=query_id)

        monkeypatch.setattr(session, "execute", refuse)
        with pytest.raises(AccessDenied) as caught:
            take(session)
        assert tables(session) == set()
    assert "TABLE ENGINE ON KeeperMap" in caught.value.hint


def test_a_keeper_that_is_down_is_an_error_until_it_is_back(
    tmp_path: Path, front: ChdbFront
) -> None:
    targets.require_zookeeper()
    with ZooKeeper(tmp_path / "zookeeper") as keeper:
        start(front, keeper.clickhouse_config())
        with open_session(front) as session:
            take(session).release()
        project = Project(tmp_path / "project")
        project.write_revision("001_a", None, "SELECT 1")
        with open_session(front, versions=(str(project.versions),)) as session:
            raw: Any = session.connection.connection.dbapi_connection
            raw.transport.ch_settings["keeper_max_retries"] = "1"  # or it tries for 26 s
            keeper.kill()
            with pytest.raises(EngineError) as caught:
                take(session)
            with pytest.raises(EngineError) as seen:
                read_holder(session)
            assert {caught.value.code, seen.value.code} <= {999, 668}
            assert "in ClickHouse Keeper" in caught.value.message
            assert "\n" not in caught.value.message
            assert "Bring Keeper back" in caught.value.hint
            assert tables(session) == {schema.KEEPER_LOCK}
            shown = review_status(session, read_files(session.settings))
            assert shown.pending == ("001_a",)
            assert [n for n in shown.notices if "Who holds the lock cannot be seen" in n]

            keeper.start()
            again = _when_keeper_is_back(session)
            assert again.generation == 2
            again.release()


@pytest.mark.exhaustive  # the server tries to reach Keeper for 26 s
def test_a_keeper_that_is_down_is_no_reason_for_another_lock(
    tmp_path: Path, front: ChdbFront
) -> None:
    targets.require_zookeeper()
    with ZooKeeper(tmp_path / "zookeeper") as keeper:
        start(front, keeper.clickhouse_config())
        with open_session(front) as session:
            keeper.kill()
            with pytest.raises(EngineError) as caught:
                take(session)
            assert caught.value.code in {999, 668}
            assert tables(session) == set()


@pytest.mark.parametrize(
    "lease",
    [
        pytest.param(120, id="in time", marks=pytest.mark.exhaustive),
        pytest.param(15, id="too late"),
    ],
)
def test_what_ran_while_keeper_was_away_is_recorded_when_it_is_back(
    tmp_path: Path, front: ChdbFront, lease: int
) -> None:
    slow = (
        "INSERT INTO c SELECT number + 1 FROM numbers(3) WHERE NOT ignore(sleepEachRow(3)) "
        "SETTINGS max_block_size = 1"
    )
    project = Project(tmp_path / "project")
    create = "CREATE TABLE {0} (x UInt64) ENGINE = MergeTree ORDER BY x"
    last = create.format("d")
    project.write_revision("001_c", None, [create.format("c"), slow, last])
    with ZooKeeper(tmp_path / "zookeeper") as keeper:
        start(front, keeper.clickhouse_config())
        options: dict[str, Any] = {"database": DATABASE, "versions": [str(project.versions)]}
        options |= {"url": front.url(database=DATABASE), "lock_lease": lease}

        def kill() -> None:
            wait_until(lambda: any(r["query"].startswith("INSERT INTO c") for r in front.running()))
            keeper.kill()
            time.sleep(20)
            keeper.start()

        timer = threading.Thread(target=kill)
        timer.start()
        failed = None
        try:
            bm.upgrade(**options)
        except LockLost as error:
            failed = error
        finally:
            timer.join()
        if failed is not None:
            assert lease == 15
            assert "could not be renewed in time" in failed.message
            assert "Keeper" in failed.message
            assert "correct" not in failed.hint
        outcome = "SELECT event FROM schema_migrations_journal WHERE position = 2 ORDER BY sequence"
        events = front.query(outcome, database=DATABASE).split()
        assert [event.partition("/")[0] for event in events] == ["intent", "applied"]
        with open_session(front) as session:
            _when_keeper_is_back(session).release()
        bm.upgrade(**options)
        rows = front.query("SELECT count(), sum(x) FROM c", database=DATABASE).split()
        assert rows == ["3", "6"]


def _when_keeper_is_back(session: Session) -> LeaseLock:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return take(session)
        except EngineError:
            assert time.monotonic() < deadline, "Keeper did not come back"
            time.sleep(0.2)


def test_old_generations_are_deleted_and_numbers_never_come_again(
    front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front, keeper.clickhouse_config(prefix))
    with open_session(front) as session:
        numbers = []
        for _ in range(40):
            lock = take(session)
            numbers.append(lock.generation)
            lock.release()
        assert numbers == list(range(1, 41))
        kept = session.query(f"SELECT generation FROM {schema.KEEPER_LOCK} ORDER BY generation")
        assert [int(generation) for (generation,) in kept] == list(range(25, 41))
        # A holder of long ago: its late words change nothing and bring nothing back.
        store, old = stores.STORES[schema.KEEPER_LOCK], Claim(3, 1000)
        store.renew(session, old, "late")
        store.release(session, old, "late")
        assert len(session.query(f"SELECT 1 FROM {schema.KEEPER_LOCK}")) == 16


def test_two_servers_on_one_keeper_share_the_lock(
    tmp_path: Path, front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front, keeper.clickhouse_config(prefix))
    other = ChdbFront(tmp_path / "other", config_file=keeper.clickhouse_config(prefix))
    with other, open_session(front) as here, open_session(other, lock_timeout=0.3) as there:
        lock = take(here)
        with pytest.raises(LockTimeout):
            take(there)
        holder = read_holder(there)
        assert holder is not None and holder.generation == lock.generation
        lock.release()
        second = take(there)
        assert second.generation == 2
        assert here.query(f"SELECT 1 WHERE {lock.fence}") == []
        second.release()


def test_a_lease_by_token_is_waited_for_when_the_server_gets_a_keeper(
    front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front)
    with open_session(front, lock_lease=300) as session:
        first = take(session)
        first._stop.set()
    start(front, keeper.clickhouse_config(prefix))
    with open_session(front, lock_timeout=0.5) as session:
        with pytest.raises(LockTimeout):
            take(session)
        holder = read_holder(session)
        assert holder is not None and (holder.store, holder.generation) == (schema.LOCK, 1)
        break_lock(session, holder)

        second = take(session)
        assert f".{schema.KEEPER_LOCK})" in second.fence
        assert second.generation > 1
        assert session.query(f"SELECT 1 WHERE {first.fence}") == []
        assert session.query(f"SELECT 1 WHERE {second.fence}") != []
        holder = read_holder(session)
        assert holder is not None
        assert (holder.store, holder.generation) == (schema.KEEPER_LOCK, second.generation)
        second.release()
        third = take(session)
        assert third.generation == second.generation + 1
        third.release()
        moved = session.query(f"SELECT count() FROM {schema.LOCK} WHERE event = 'moved'")
        assert int(moved[0][0]) == 1


def test_who_won_a_token_gives_way_when_keeper_came_meanwhile(
    front: ChdbFront, keeper: ZooKeeper, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(front, keeper.clickhouse_config(prefix))
    with open_session(front) as session:
        session.execute(schema.create_lock(session.features))
        session.execute(schema.create_keeper_lock(DATABASE))
        with monkeypatch.context() as patch:  # it had looked before Keeper was configured
            patch.setattr(stores, "choose_store", lambda _: stores.STORES[schema.LOCK])
            assert stores.LockPlace(session).claim(Claim(1, 60_000), "") is None
        holder = read_holder(session)
        assert holder is not None and not holder.alive
        lock = take(session)
        assert f".{schema.KEEPER_LOCK})" in lock.fence
        lock.release()


def test_a_lock_that_was_moved_to_keeper_does_not_come_back_by_itself(
    front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front)
    with open_session(front) as session:
        take(session).release()
    start(front, keeper.clickhouse_config(prefix))
    with open_session(front) as session:
        take(session).release()
        session.execute(f"DROP TABLE {schema.KEEPER_LOCK} SYNC")
    start(front)
    with open_session(front) as session:
        with pytest.raises(LockError) as caught:
            take(session)
        assert f"DROP TABLE {schema.LOCK}" in caught.value.hint
        session.execute(f"DROP TABLE {schema.LOCK}")
        take(session).release()


def test_threads_that_find_a_new_keeper_together_move_the_lock_once(
    front: ChdbFront, keeper: ZooKeeper, prefix: str
) -> None:
    start(front)
    with open_session(front) as session:
        take(session).release()
    start(front, keeper.clickhouse_config(prefix))
    generations: list[int] = []
    inside: list[int] = []

    def run() -> None:
        with open_session(front) as mine:
            lock = take(mine)
            inside.append(lock.generation)
            assert len(inside) == 1
            generations.append(lock.generation)
            inside.remove(lock.generation)
            lock.release()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(generations) == 8
    assert generations == sorted(set(generations))
    with open_session(front) as session:
        moved = session.query(f"SELECT countIf(event = 'moved') FROM {schema.LOCK}")
    assert int(moved[0][0]) == 1


def test_a_keeper_that_goes_away_costs_the_holder_its_lock(
    tmp_path: Path, front: ChdbFront
) -> None:
    targets.require_zookeeper()
    with ZooKeeper(tmp_path / "zookeeper") as keeper:
        start(front, keeper.clickhouse_config())
        with open_session(front, lock_lease=2.0) as session:
            lock = take(session)
            keeper.kill()
            deadline = time.monotonic() + PATIENCE
            with pytest.raises(LockLost):
                while time.monotonic() < deadline:
                    lock.check()
                    time.sleep(0.05)
            lock.release()


def test_an_upgrade_goes_through_keeper(
    front: ChdbFront, keeper: ZooKeeper, prefix: str, project: Project
) -> None:
    start(front, keeper.clickhouse_config(prefix))
    ids = project.write_chain(2)
    options = {"url": front.url(database=DATABASE), "versions": [str(project.versions)]}
    report = bm.upgrade(**options)
    assert report.applied == tuple(ids)
    with open_session(front) as session:
        holder = read_holder(session)
        assert holder is not None
        assert (holder.store, holder.alive) == (schema.KEEPER_LOCK, False)
        assert schema.LOCK not in tables(session)
    assert bm.status(**options).at_head


@pytest.mark.parametrize("name", ["a", "A_b-1", "..", "a/b", "a%b", "ü", "a'b", "\\", "a b"])
def test_every_database_has_a_place_of_its_own_in_keeper(name: str) -> None:
    ddl = schema.create_keeper_lock(name)
    assert [piece.text for piece in split(ddl)] == [ddl]
    place = ddl.partition("/budeval_migrations/")[2].partition("/lock'")[0]
    assert place and all(c.isalnum() or c in "_-%" for c in place) and place.isascii()


def test_places_in_keeper_differ_where_names_do() -> None:
    names = ["a.b", "a%2Eb", "a_b", "a-b", "a b", "A.b"]
    assert len({schema.create_keeper_lock(name) for name in names}) == len(names)
