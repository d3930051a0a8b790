"""Whoever runs, on whichever host, and through whatever stands before them: one at a time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import LockLost
from budeval_migrations.events import ignore
from budeval_migrations.settings import Settings
from budeval_migrations.state.lock.claims import ClaimStore
from budeval_migrations.state.lock.lease import Claim
from budeval_migrations.state.lock.lock import make_lock
from budeval_migrations.state.stores import choose_store
from tests.cluster.aim import aim, count, heads, ledger
from tests.support.cluster import Cluster
from tests.support.project import Project
from tests.support.round_robin import RoundRobin

pytestmark = [pytest.mark.old, pytest.mark.timeout(600), pytest.mark.usefixtures("dropped")]

# Seconds; nobody dies here, and a machine that stands still for half a minute loses no lease.
LEASE = 300


def write(project: Project, revisions: int) -> list[str]:
    """Write revisions whose rows tell how often they ran."""
    names = [f"{n:03}_step" for n in range(1, revisions + 1)]
    for n, name in enumerate(names, start=1):
        project.write_revision(
            name,
            names[n - 2] if n > 1 else None,
            [
                f"CREATE TABLE t{n} (a UInt32) ENGINE = MergeTree ORDER BY a",
                f"INSERT INTO t{n} SELECT {n}",
            ],
        )
    return names


def test_two_runners_on_two_hosts_at_the_same_moment(
    pair: Cluster, project: Project, database: str
) -> None:
    names = write(project, 4)
    aim(project, pair.nodes[0], database)
    started = [
        project.start(
            "budeval_migrations",
            "up",
            "--json",
            env={
                "BUDEVAL_MIGRATIONS_URL": node.url(database=database),
                "BUDEVAL_MIGRATIONS_LOCK_LEASE": str(LEASE),
            },
        )
        for node in pair.nodes * 2
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * 4, outputs
    done = Counter(name for out, _ in outputs for name in json.loads(out)["applied"])
    assert done == Counter(names)
    for n in range(1, 5):
        assert count(pair.nodes, database, f"t{n}") == [1, 1]
    assert ledger(pair.nodes[1], database) == [(name, "upgrade") for name in names]


@pytest.mark.parametrize("calls", [300, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_no_call_through_a_load_balancer_gives_a_wrong_answer(
    pair: Cluster, project: Project, database: str, calls: int
) -> None:
    names = write(project, 5)
    with RoundRobin([node.http_port for node in pair.nodes]) as balancer:
        node = pair.nodes[0]
        url = node.url(database=database).replace(f":{node.http_port}/", f":{balancer.port}/")
        shared = {"url": url, "database": database, "cluster": "crew", "lock_lease": LEASE}
        settings = {**shared, "versions": [str(project.versions)]}
        wrong = []
        for turn, name in enumerate(names, start=1):
            report = bm.upgrade(name, **settings)  # type: ignore[arg-type]
            if report.applied != (name,):
                wrong.append(f"{name}: applied {report.applied}")
            for _ in range(calls // len(names) - 1):
                again = bm.upgrade(name, **settings)  # type: ignore[arg-type]
                if again.applied or again.current != (name,) or len(again.pending) != 5 - turn:
                    wrong.append(f"{name}: {again}")
        assert wrong == []
        assert min(balancer.hits.values()) > 0.4 * calls
    assert heads(pair, database) == [[names[-1]]] * 2
    assert ledger(pair.nodes[0], database) == [(name, "upgrade") for name in names]
    for n in range(1, 6):
        assert count(pair.nodes, database, f"t{n}") == [1, 1]


@pytest.fixture
def sessions(pair: Cluster, database: str) -> Iterator[list[Session]]:
    """A connection to each host, in a database that both have."""
    pair.nodes[0].query(f"CREATE DATABASE {database} ON CLUSTER crew")
    opened = [
        Session(Settings(url=n.url(database=database), database=database, cluster="crew"))
        for n in pair.nodes
    ]
    yield opened
    for session in opened:
        session.close()


def test_a_claim_on_one_host_holds_on_all(sessions: list[Session]) -> None:
    for session in sessions:
        assert isinstance(choose_store(session), ClaimStore)
    store = ClaimStore()
    claims = [Claim(1, 60_000), Claim(1, 60_000)]
    assert store.claim(sessions[1], claims[1], "here")
    assert not store.claim(sessions[0], claims[0], "there")
    seen = [store.read(session) for session in sessions]
    assert [(h.generation, h.owner, h.alive) for h in seen if h] == [(1, claims[1].owner, True)] * 2
    store.release(sessions[1], claims[1], "")
    assert [h.alive for session in sessions if (h := store.read(session))] == [False, False]
    assert store.claim(sessions[0], Claim(2, 60_000), "there")


def test_a_claimant_that_was_killed_right_after_its_claim_holds_it_for_one_lease(
    sessions: list[Session],
) -> None:
    choose_store(sessions[0])
    number = "0000000001"
    path = f"/clickhouse/budeval_migrations/{sessions[0].database}/claims/{number}"
    sessions[0].execute(
        f"CREATE TABLE schema_migrations_claim_{number} (`me 3000 somebody` UInt8) "
        f"ENGINE = ReplicatedMergeTree('{path}', 'holder') ORDER BY tuple()"
    )
    held = ClaimStore().read(sessions[1])
    assert held is not None
    assert (held.owner, held.name, held.alive) == ("me", "somebody", True)
    lock = make_lock(sessions[1], ignore)
    lock.acquire()
    assert lock.generation == 2
    lock.release()


def test_a_holder_whose_lock_was_broken_on_another_host_loses_it(sessions: list[Session]) -> None:
    lock = make_lock(sessions[0], ignore)
    lock.acquire()
    store = ClaimStore()
    taken = Claim(lock.generation + 1, 0)
    assert store.claim(sessions[1], taken, "unlock")
    fence = sessions[0].query(f"SELECT {lock.fence}")
    assert int(fence[0][0]) == 0
    with pytest.raises(LockLost):
        for _ in range(100):
            lock.check()
            time.sleep(0.1)
    lock.release()


def test_old_claims_are_dropped_wherever_they_are(sessions: list[Session]) -> None:
    for turn in range(8):
        lock = make_lock(sessions[turn % 2], ignore)
        lock.acquire()
        lock.release()
    left = set()
    for session in sessions:
        rows = session.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() "
            "AND name LIKE 'schema_migrations_claim_%'"
        )
        left |= {str(name)[-1] for (name,) in rows}
    assert left <= set("45678")
