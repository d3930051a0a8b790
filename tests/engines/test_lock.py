"""One runner: claims, leases, waiting, takeover; and many processes at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import budeval_migrations as bm
from budeval_migrations.engine.session import Session
from budeval_migrations.errors import EngineError, LockLost, LockTimeout, Unsupported
from budeval_migrations.events import Event, LockWaiting, ignore
from budeval_migrations.history.lock import LeaseLock, make_lock, read_holder
from budeval_migrations.settings import Settings
from tests.engines.stage import Stage
from tests.support.servers import ChdbFront
from tests.support.targets import engine_parameters

on_servers = pytest.mark.parametrize(
    "engine_url", engine_parameters("modern-http", "modern-connect"), indirect=True
)
on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@contextmanager
def held(stage: Stage, *, lease: float = 30.0, timeout: float = 5.0) -> Iterator[LeaseLock]:
    """A lock object of its own connection, not yet acquired."""
    settings = Settings(
        url=stage.target.url,
        database=stage.target.database,
        lock_lease=lease,
        lock_timeout=timeout,
    )
    with Session(settings) as session:
        lock = LeaseLock(session, ignore)
        try:
            yield lock
        finally:
            lock.release()


@on_servers
def test_a_second_runner_waits_and_is_told_for_whom(stage: Stage) -> None:
    stage.prepare()
    told: list[Event] = []
    with held(stage) as first:
        first.acquire()
        settings = Settings(url=stage.target.url, database=stage.target.database, lock_timeout=0.3)
        with Session(settings) as session:
            second = LeaseLock(session, told.append)
            with pytest.raises(LockTimeout) as caught:
                second.acquire()
    assert caught.value.exit_code == 5
    assert "pid" in caught.value.holder
    waiting = [event for event in told if isinstance(event, LockWaiting)]
    assert waiting and waiting[0].holder == caught.value.holder


@on_servers
def test_a_released_lock_is_free_at_once_and_the_generation_grows(stage: Stage) -> None:
    stage.prepare()
    for generation in (1, 2, 3):
        with held(stage) as lock:
            lock.acquire()
            assert lock.generation == generation
            holder = read_holder(lock._session)
            assert holder is not None and holder.alive
        with stage.session() as session:
            after = read_holder(session)
        assert after is not None and not after.alive


@on_http
def test_a_lease_that_is_not_renewed_is_taken_over_and_its_holder_stops(stage: Stage) -> None:
    stage.prepare()
    with held(stage, lease=1.0) as first, held(stage, lease=5.0) as second:
        first.acquire()
        first._stop.set()  # as a stopped process: the heartbeat is gone
        first.check()
        second.acquire()
        assert second.generation == 2
        with pytest.raises(LockLost):
            first.check()
        second.check()


@on_http
def test_a_lease_that_is_renewed_outlives_its_length(stage: Stage) -> None:
    stage.prepare()
    with held(stage, lease=1.0) as first, held(stage, timeout=1.5) as second:
        first.acquire()
        with pytest.raises(LockTimeout):
            second.acquire()
        first.check()


@on_http
def test_of_many_claims_of_a_generation_one_is_kept(stage: Stage) -> None:
    stage.prepare()
    winners: Counter[int] = Counter()
    barrier = threading.Barrier(8)

    def claim() -> None:
        with held(stage) as lock:
            lock._session.execute("SELECT 1")
            for generation in range(1, 11):
                barrier.wait()
                if lock._claim(generation):
                    winners[generation] += 1

    with stage.session() as session:
        from budeval_migrations.history.schema import create_lock

        session.execute(create_lock())
    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == dict.fromkeys(range(1, 11), 1)


@pytest.mark.parametrize("engine_url", engine_parameters("old-http"), indirect=True)
def test_a_server_without_a_correct_lock_refuses_until_lock_is_off(stage: Stage) -> None:
    stage.write_three()
    with pytest.raises(Unsupported) as caught:
        bm.upgrade(**{**stage.options, "lock": "auto"})
    assert "lock = off" in caught.value.hint
    with pytest.raises(EngineError) as missing:
        stage.tables()
    assert missing.value.code == 81  # not even the database was made
    assert bm.upgrade(**stage.options).applied == ("001_one", "002_two", "003_three")


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_threads_of_one_process_take_turns_on_chdb(stage: Stage) -> None:
    stage.write_three()
    stage.prepare()
    reports: list[bm.Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(bm.upgrade(**stage.options)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, 0, 0, 3]
    assert make_lock(stage.session(), ignore).generation == 0


@on_http
def test_processes_that_start_together_run_every_revision_once(
    stage: Stage, modern: ChdbFront
) -> None:
    ids = stage.project.write_chain(6, "CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a")
    runners = [stage.project.start("budeval_migrations", "--json", "up") for _ in range(8)]
    try:
        outputs = [runner.communicate(timeout=120) for runner in runners]
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
        and entry["database"] == stage.target.database
    )
    assert sent == {
        f"CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a": 1 for n in range(1, 7)
    }
    rows = stage.rows("SELECT version FROM schema_migrations ORDER BY sequence")
    assert [version for (version,) in rows] == ids


@on_http
def test_status_shows_the_revision_that_is_running(stage: Stage) -> None:
    stage.write_three()
    stage.project.write_revision("001_one", None, "SELECT sleepEachRow(1) FROM numbers(3)")
    options = {**stage.options, "lock_lease": 1.0}
    runner = threading.Thread(target=lambda: bm.upgrade(**options))
    runner.start()
    try:
        seen = set()
        deadline = time.monotonic() + 30
        while runner.is_alive() and time.monotonic() < deadline:
            found = {r.revision: r.state.value for r in bm.status(**options).revisions}
            seen.add(found["001_one"])
            time.sleep(0.1)
    finally:
        runner.join()
    assert "running" in seen
    assert bm.status(**options).at_head
