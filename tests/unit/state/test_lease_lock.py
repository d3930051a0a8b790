"""A lease over time: how it is waited for, believed in, renewed and given back.

The clock and the table are the test's; that servers keep such a table as promised is shown in
tests/engines/test_lock.py and tests/engines/test_keeper_lock.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import accumulate
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from budeval_migrations.errors import EngineError, LockError, LockLost, LockTimeout
from budeval_migrations.events import LockAcquired, LockWaiting
from budeval_migrations.state import schema
from budeval_migrations.state.lock import lock as locks
from budeval_migrations.state.lock.lease import BEAT, Claim, Holder
from budeval_migrations.state.lock.lock import LeaseLock

LEASE, TIMEOUT, LATE = 30.0, 5.0, 2.0
MARGIN = LEASE / 10
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
OTHER = Holder(4, "other", "deploy@pod-1 pid 7", SINCE, alive=True, doing="001_a statement 2 of 3")


@dataclass
class World:
    """A clock, a table of one lease, and what was asked and told.

    Attributes:
        found: What looks at the holder find; the last one for ever.
        wins: What claims bring; the last one for ever.
        after: Called after each sleep and each wait of the heartbeat.

    """

    time: float = 1000.0
    found: list[Holder | None] = field(default_factory=lambda: [None])
    wins: list[bool] = field(default_factory=lambda: [True])
    asked: list[tuple[object, ...]] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    table: str = schema.LOCK

    def __post_init__(self) -> None:
        settings = SimpleNamespace(lock_lease=LEASE, lock_timeout=TIMEOUT)
        self.session: Any = SimpleNamespace(settings=settings, late=LATE, close=lambda: None)
        self.session.twin = lambda: self.session
        with mock.patch.object(locks, "LockPlace", lambda session: self):
            self.lock = LeaseLock(self.session, self.told.append)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def read(self, session: object = None) -> Holder | None:
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    # As a place, which claims without a session, and as a store.
    def claim(self, claim: Claim, doing: str) -> World | None:
        self.asked.append(("claim", claim.generation, claim.lease_ms, doing))
        won = self.wins.pop(0) if len(self.wins) > 1 else self.wins[0]
        return self if won else None

    def renew(self, session: object, claim: Claim, doing: str) -> None:
        assert session is not None
        self.asked.append(("renew", claim.generation, doing))

    def release(self, session: object, claim: Claim, doing: str) -> None:
        assert session is self.session
        self.asked.append(("release", claim.generation, doing))

    def fence(self, session: object, claim: Claim) -> str:
        return f"fence of {claim.generation}"

    def hold(self) -> None:
        """Take the lock, which nobody has; its heart does not beat."""
        self.lock.acquire()
        self.told.clear()
        self.asked.clear()
        held = Holder(1, self.lock._held.owner, "me", SINCE, alive=True)
        self.found = [held]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with (
        mock.patch.object(locks.clock, "now", lambda: made.time),
        mock.patch.object(locks.interrupts, "sleep", made.sleep),
        mock.patch.object(locks.threading, "Thread"),
    ):
        yield made


def test_a_free_lock_is_taken_at_once(world: World) -> None:
    assert (world.lock.generation, world.lock.doing, world.lock.alone_since) == (0, "", 0.0)
    world.lock.doing = "001_a"
    assert world.lock.fence == ""
    world.lock.acquire()

    assert world.asked == [("claim", 1, 30_000, "001_a")]
    assert world.told == [LockAcquired(1)]
    assert (world.lock.generation, world.lock.alone_since) == (1, 1000.0)
    assert world.lock.fence == "fence of 1"
    assert world.slept == []
    locks.threading.Thread.assert_called_once_with(  # type: ignore[attr-defined]
        target=world.lock._renew, name="budeval-lock", daemon=True
    )
    locks.threading.Thread.return_value.start.assert_called_once_with()  # type: ignore[attr-defined]


def test_a_released_lock_is_taken_without_a_wait(world: World) -> None:
    world.found = [replace(OTHER, alive=False, released=True)]
    world.lock.acquire()

    assert world.lock.generation == 5
    assert world.slept == []


def test_what_a_dead_holder_has_sent_is_waited_for(world: World) -> None:
    world.found = [replace(OTHER, alive=False)]
    world.lock.acquire()

    assert world.lock.generation == 5
    assert world.lock.alone_since == 1000.0 - MARGIN
    assert world.slept == [0.0]  # the margin is longer than anything is late

    late = World(time=2000.0, found=[replace(OTHER, alive=False)])
    late.session.late = 8.0
    with (
        mock.patch.object(locks.clock, "now", lambda: late.time),
        mock.patch.object(locks.interrupts, "sleep", late.sleep),
    ):
        late.lock.acquire()
    assert late.lock.alone_since == 2000.0 - 8.0
    assert late.lock._margin == 8.0

    world.found, world.session.late = [replace(OTHER, alive=False)], 100.0
    world.slept.clear()
    world.lock.acquire()
    assert world.slept == [100.0 - LEASE / 3]


def test_the_margin_is_a_third_of_the_lease_at_most(world: World) -> None:
    world.session.late = 100.0
    world.lock.acquire()

    assert world.lock._margin == LEASE / 3


def test_a_holder_is_waited_for_until_the_time_is_up(world: World) -> None:
    world.found = [OTHER]
    with pytest.raises(LockTimeout) as caught:
        world.lock.acquire()

    assert world.time == pytest.approx(1000.0 + TIMEOUT, abs=0.02)
    assert all(0 < pause <= 0.25 for pause in world.slept)
    assert world.asked == []
    looks = accumulate(world.slept, initial=1000.0)
    assert world.told == [
        LockWaiting(OTHER.name, SINCE.isoformat(), int((at - 1000.0) * 1000), OTHER.doing)
        for at in looks
    ]
    assert (caught.value.holder, caught.value.since) == (OTHER.name, SINCE.isoformat())
    assert caught.value.details["doing"] == OTHER.doing


def test_who_loses_a_claim_looks_again(world: World) -> None:
    world.found = [None, replace(OTHER, generation=1, alive=False, released=True)]
    world.wins = [False, True]
    world.lock.acquire()

    assert [generation for _, generation, *_ in world.asked] == [1, 2]
    assert world.lock.generation == 2


@pytest.mark.parametrize("code", locks.KEEPER_IS_GONE)
def test_a_keeper_that_is_gone_is_named(world: World, code: int) -> None:
    with (
        mock.patch.object(world, "read", side_effect=EngineError("no\nsession", code=code)),
        pytest.raises(EngineError) as caught,
    ):
        world.lock.acquire()

    assert caught.value.message == (
        "The lock is in ClickHouse Keeper, which the server cannot reach: no"
    )
    assert caught.value.code == code
    assert caught.value.hint == "Nothing was run. Bring Keeper back, then try again."


def test_another_error_of_the_server_is_its_own(world: World) -> None:
    error = EngineError("no", code=497)
    with (
        mock.patch.object(world, "read", side_effect=error),
        pytest.raises(EngineError) as caught,
    ):
        world.lock.acquire()
    assert caught.value is error


def test_a_lock_whose_start_is_interrupted_is_given_back(world: World) -> None:
    def stop(event: object) -> None:
        raise KeyboardInterrupt

    world.lock._emit = stop
    with pytest.raises(KeyboardInterrupt):
        world.lock.acquire()
    assert world.asked[-1] == ("release", 1, "")


def test_a_holder_believes_in_its_lease_until_the_margin(world: World) -> None:
    world.hold()
    world.time = 1000.0 + LEASE - MARGIN - 0.001
    world.lock.check()
    world.time = 1000.0 + LEASE - MARGIN
    with pytest.raises(LockLost) as caught:
        world.lock.check()

    assert caught.value.message == (
        "The lock (generation 1) could not be renewed in time; somebody else may be migrating "
        "now. Nothing more was sent."
    )
    assert caught.value.hint == "Look with: budeval-migrate status. Then run the upgrade again."
    world.time = 1000.0
    with pytest.raises(LockLost):  # what is lost stays lost
        world.lock.check()


def test_the_loss_tells_of_the_last_trouble_or_of_keeper(world: World) -> None:
    world.hold()
    world.time += LEASE
    world.lock._trouble = " (no route)"
    with pytest.raises(LockLost, match=r"renewed in time \(no route\); somebody"):
        world.lock.check()

    world.lock._lost, world.lock._trouble, world.table = "", "", schema.KEEPER_LOCK
    with pytest.raises(LockLost, match=r"in time \(it is in ClickHouse Keeper: does the server"):
        world.lock.check()


def test_a_lease_is_given_back_once_and_only_while_it_is_valid(world: World) -> None:
    world.hold()
    world.lock.doing = "001_a"
    world.lock.release()
    world.lock.release()
    assert world.asked == [("release", 1, "001_a")]
    heart = locks.threading.Thread.return_value  # type: ignore[attr-defined]
    heart.join.assert_called_once_with(timeout=locks._PATIENCE)

    later = World(time=1000.0)
    with mock.patch.object(locks.clock, "now", lambda: later.time):
        later.hold()
        later.time += LEASE
        later.lock.release()
    assert later.asked == []


def test_a_lease_that_cannot_be_given_back_runs_out(world: World) -> None:
    world.hold()
    with mock.patch.object(world, "release", side_effect=EngineError("no route", code=0)):
        world.lock.release()
    with pytest.raises(LockLost):
        world.lock.check()


def beats(world: World, times: int, each: Callable[[int], None] = lambda n: None) -> list[float]:
    """Run the heartbeat for so many beats, and return the waits between them."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) > times:
            return True
        world.time += seconds
        each(len(waits))
        return False

    with (
        mock.patch.object(world.lock._stop, "wait", wait),
        mock.patch.object(world.lock._stop, "is_set", lambda: False),
    ):
        world.lock._renew()
    return waits


def changing(world: World) -> Callable[[int], None]:
    """Let the holder be at another statement at each beat, so that each has to write."""

    def each(beat: int) -> None:
        world.lock.doing = f"statement {beat}"

    return each


def test_a_heartbeat_looks_often_and_writes_every_third_of_the_lease(world: World) -> None:
    world.hold()
    pause = min(LEASE / 3, BEAT)
    assert set(beats(world, round(LEASE / pause))) == {pause}

    renewals = [each for each in world.asked if each[0] == "renew"]
    assert len(renewals) == 3
    assert world.lock._valid_until == world.time + LEASE
    world.lock.check()


def test_a_short_lease_beats_three_times(world: World) -> None:
    world.lock._lease = 3.0
    world.hold()
    assert set(beats(world, 3)) == {1.0}


def test_a_heartbeat_writes_at_once_what_the_holder_does_now(world: World) -> None:
    world.hold()

    def change(beat: int) -> None:
        if beat == 2:
            world.lock.doing = "001_a statement 2 of 3"

    beats(world, 3, change)
    assert world.asked == [("renew", 1, "001_a statement 2 of 3")]
    assert world.lock._valid_until == 1000.0 + 2 * min(LEASE / 3, BEAT) + LEASE


@pytest.mark.parametrize(
    ("newest", "who"),
    [
        (replace(OTHER, generation=2), "generation 2, deploy@pod-1 pid 7"),
        (replace(OTHER, generation=1), "generation 1, deploy@pod-1 pid 7"),
        (None, "its table is gone"),
    ],
)
def test_a_lease_that_is_another_s_is_not_renewed(
    world: World, newest: Holder | None, who: str
) -> None:
    world.hold()
    world.found = [newest]
    assert len(beats(world, 9, changing(world))) == 1

    assert world.asked == []
    with pytest.raises(LockLost) as caught:
        world.lock.check()
    assert caught.value.message.startswith(f"The lock (generation 1) was taken away ({who}); ")


def test_a_lease_that_is_taken_while_it_is_renewed_is_lost(world: World) -> None:
    world.hold()
    world.found = [world.found[0], replace(OTHER, generation=2)]
    assert len(beats(world, 9, changing(world))) == 1

    assert world.asked == [("renew", 1, "statement 1")]
    with pytest.raises(LockLost, match="was taken away"):
        world.lock.check()


def test_a_heartbeat_that_fails_is_tried_again_over_another_connection(world: World) -> None:
    world.hold()
    closed: list[str] = []
    first, second = (
        SimpleNamespace(close=lambda name=name: closed.append(name)) for name in ("first", "second")
    )
    sessions = iter([first, second])
    world.session.twin = lambda: next(sessions)
    ours, asked = world.found[0], []

    def read(session: object) -> Holder | None:
        asked.append(session)
        if session is first:
            raise EngineError("no route", code=0)
        return ours

    with mock.patch.object(world, "read", read):
        beats(world, 1, changing(world))
        assert world.lock._trouble == " (no route)"
        asked.clear()
        sessions = iter([first, second])
        closed.clear()
        world.asked.clear()
        waits = beats(world, 2, changing(world))

    assert waits == [min(LEASE / 3, BEAT), locks._POLL, min(LEASE / 3, BEAT)]
    assert closed == ["first", "second"]
    assert asked == [first, second, second]
    assert world.lock._trouble == ""
    assert world.asked == [("renew", 1, "statement 2")]


def test_a_heartbeat_that_comes_too_late_renews_nothing(world: World) -> None:
    world.hold()

    def sleep_over(beat: int) -> None:
        world.lock.doing = "changed"
        world.time = 1000.0 + LEASE

    beats(world, 9, sleep_over)
    assert world.asked == []
    with pytest.raises(LockLost):
        world.lock.check()


def test_a_renewal_that_comes_back_too_late_is_not_believed(world: World) -> None:
    world.hold()
    renew = world.renew

    def slow(session: object, claim: Claim, doing: str) -> None:
        renew(session, claim, doing)
        world.time = 1000.0 + LEASE

    with mock.patch.object(world, "renew", slow):
        assert len(beats(world, 9, changing(world))) == 1
    assert world.lock._valid_until == 1000.0 + LEASE


def test_a_lock_that_keeps_no_claim_is_given_up(world: World) -> None:
    world.found, world.wins = [replace(OTHER, alive=False)], [False]
    with (
        mock.patch.object(world, "read", lambda: [world.sleep(1.0), world.found[0]][1]),
        pytest.raises(LockError) as caught,
    ):
        world.lock.acquire()

    assert caught.value.message == (
        "The lock has no holder, and no claim of a generation after 4 was kept; tried for 5 s."
    )
    assert "drop the table" in caught.value.hint
    assert len(world.asked) == 5
