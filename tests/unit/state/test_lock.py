"""Which lock is taken, what is said of its holder, and when a lease may be broken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from budeval_migrations.errors import LockError, Unsupported
from budeval_migrations.events import ignore
from budeval_migrations.state import schema, stores
from budeval_migrations.state.lock import lock as locks
from budeval_migrations.state.lock.lease import BEAT, Claim, Holder
from budeval_migrations.state.lock.lock import LeaseLock, NoLock, make_lock

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
HOLDER = Holder(7, "owner", "deploy@pod-1 pid 7", SINCE, alive=True)


def session_of(lock: str = "auto", **more: Any) -> Any:
    known: dict[str, Any] = {
        "settings": SimpleNamespace(lock=lock, lock_lease=30.0, lock_timeout=60.0),
        "embedded": False,
        "features": SimpleNamespace(insert_deduplication_token=True),
        "topology": SimpleNamespace(on_cluster=False),
        "server_version": "18.16.1",
        "url": SimpleNamespace(database="/tmp/data", get_backend_name=lambda: "chdb"),
        "shown": "here",
        "late": 2.0,
    }
    return SimpleNamespace(**known | more)


WITHOUT = SimpleNamespace(insert_deduplication_token=False)


@pytest.mark.parametrize(
    ("session", "kind"),
    [
        (session_of("off"), NoLock),
        (session_of("off", embedded=True), NoLock),
        (session_of("off", features=WITHOUT), NoLock),
        (session_of(), LeaseLock),
        (session_of(features=WITHOUT, topology=SimpleNamespace(on_cluster=True)), LeaseLock),
    ],
)
def test_the_settings_and_the_server_decide_which_lock_is_taken(session: Any, kind: type) -> None:
    told: list[object] = []
    made = make_lock(session, told.append)

    assert type(made) is kind
    if isinstance(made, LeaseLock):
        assert (made._session, made._emit) == (session, told.append)


def test_chdb_has_a_lock_of_its_own() -> None:
    session = session_of(embedded=True)
    with mock.patch.object(locks, "EmbeddedLock") as made:
        assert make_lock(session, ignore) is made.return_value
    made.assert_called_once_with(session, ignore)


def test_a_server_without_a_lock_is_refused_with_the_way_out() -> None:
    with pytest.raises(Unsupported) as refused:
        make_lock(session_of(features=WITHOUT), ignore)

    assert refused.value.message == (
        "ClickHouse 18.16.1 can offer no correct lock (insert_deduplication_token needs 22.8)."
    )
    assert refused.value.hint == (
        "Make sure that only one runner starts, and set lock = off under [budeval_migrations] in "
        "alembic.ini."
    )


@pytest.mark.parametrize(
    ("doing", "where"), [("", ""), ("001_x statement 3 of 7", ", at 001_x statement 3 of 7")]
)
def test_who_waited_too_long_is_told_for_whom(doing: str, where: str) -> None:
    error = locks._timeout("deploy@pod-1 pid 7", SINCE.isoformat(), doing, 61.4)

    assert error.message == (
        f"The lock is held by deploy@pod-1 pid 7 since 2026-01-02 03:04:05 UTC{where}; waited 61 s."
    )
    assert error.hint == (
        "Wait for it, or raise lock_timeout. A dead holder's lease runs out by itself; to take it "
        "away: budeval-migrate unlock."
    )
    assert (error.holder, error.since) == ("deploy@pod-1 pid 7", SINCE.isoformat())
    assert error.details["doing"] == doing


@pytest.mark.parametrize(("holder", "number"), [(None, 0), (HOLDER, 7)])
def test_a_lock_that_keeps_no_claim_is_told_with_its_newest_generation(
    holder: Holder | None, number: int
) -> None:
    error = locks._unclaimed(holder, 61.4)

    assert error.message == (
        f"The lock has no holder, and no claim of a generation after {number} was kept; tried for "
        "61 s."
    )
    assert error.hint == (
        "Look at the newest rows of the lock's table. When nobody migrates, drop the table."
    )


def test_without_a_lock_a_run_is_alone_from_when_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks.clock, "now", lambda: 12.5)
    lock = locks.NoLock()
    lock.acquire()
    assert (lock.alone_since, lock.generation, lock.fence) == (12.5, 0, "")


def test_a_lock_that_was_never_taken_holds_nothing() -> None:
    lock = LeaseLock(session_of(), ignore)
    lock.release()

    assert (lock.generation, lock.fence) == (0, "")
    with pytest.raises(LockError):
        lock.check()


@pytest.mark.parametrize(
    ("took", "longest"),
    [(0.0, 0.25), (0.01, 0.25), (0.1, 1.0), (10.0, BEAT)],
)
def test_a_waiter_looks_seldom_at_a_slow_server_and_not_in_step_with_others(
    took: float, longest: float
) -> None:
    found = [locks._pause(took) for _ in range(500)]

    assert longest * 0.5 <= min(found) < longest * 0.55
    assert longest * 0.95 < max(found) <= longest


@dataclass
class Store:
    """A lease store that notes what is asked of it."""

    wins: bool = True
    asked: list[tuple[object, ...]] = field(default_factory=list)
    table: str = schema.LOCK

    def claim(self, session: object, claim: Claim, doing: str) -> bool:
        self.asked.append(("claim", session, claim.generation, claim.lease_ms, doing))
        return self.wins

    def release(self, session: object, claim: Claim, doing: str) -> None:
        self.asked.append(("release", session, claim.generation, claim.lease_ms, doing))


def break_lock(store: Store, *found: Holder | None) -> tuple[object, list[float]]:
    """Break the lock of HOLDER, where a look finds these one after the other."""
    session, slept = session_of(), list[float]()
    with (
        mock.patch.object(stores, "stores", lambda asked: {schema.LOCK: store}),
        mock.patch.object(stores, "read_holder", side_effect=[*found]),
        mock.patch.object(stores.interrupts, "sleep", slept.append),
    ):
        stores.break_lock(session, HOLDER)
    return session, slept


def test_a_broken_lock_is_free_once_its_holder_must_have_noticed() -> None:
    store = Store()
    session, slept = break_lock(store, HOLDER)

    lease = int(2000 * (2.0 + BEAT))
    assert slept == [2.0 + BEAT]
    assert store.asked == [
        ("claim", session, 8, lease, "unlock"),
        ("release", session, 8, lease, "unlock"),
    ]


OTHER = replace(HOLDER, generation=8, owner="other", name="ci@pod-2 pid 9")


@pytest.mark.parametrize(
    ("now", "who"),
    [
        (None, "free"),
        (replace(HOLDER, alive=False), "free"),
        (OTHER, "held by ci@pod-2 pid 9"),
        (replace(HOLDER, owner="other"), "held by deploy@pod-1 pid 7"),
        (replace(HOLDER, generation=8), "held by deploy@pod-1 pid 7"),
        (replace(HOLDER, store=schema.KEEPER_LOCK), "held by deploy@pod-1 pid 7"),
    ],
)
def test_a_lock_that_is_another_s_by_now_is_not_broken(now: Holder | None, who: str) -> None:
    store = Store()
    with pytest.raises(LockError) as refused:
        break_lock(store, now)

    assert store.asked == []
    assert refused.value.message == (
        f"The lock is not deploy@pod-1 pid 7's any more (generation 7); it is {who} now. "
        "Nothing was changed."
    )
    assert refused.value.hint == "Look with: budeval-migrate status."


def test_who_is_faster_keeps_the_lock() -> None:
    store = Store(wins=False)
    with pytest.raises(LockError, match="it is held by ci@pod-2 pid 9 now"):
        break_lock(store, HOLDER, OTHER)

    assert [what for what, *_ in store.asked] == ["claim"]
