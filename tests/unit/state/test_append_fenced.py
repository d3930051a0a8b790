"""Rows of ours are appended under the lock, once, though the line or Keeper is away.

Time, the insert and what is read back are the test's; servers are asked in
tests/engines/test_bookkeeping.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from budeval_migrations.errors import ConnectionFailed, EngineError, LockLost, Unsupported
from budeval_migrations.model import Direction
from budeval_migrations.state import journal, schema
from budeval_migrations.state.journal import Journal, append_fenced
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

ROWS = [{"run_id": "r'1", "sequence": 7}, {"run_id": "r'1", "sequence": 8}]
BROKEN = ConnectionFailed("the line broke", sent=True)
NO_KEEPER = EngineError("Session expired\nat 4 places", code=999)


@dataclass
class World:
    """A clock, a server, and what was asked of it.

    Attributes:
        inserts: What each insert brings, an answer or an error; the last one for ever.
        counts: What each look finds, a number or an error; the last one for ever.

    """

    inserts: list[bool | EngineError] = field(default_factory=lambda: [True])
    counts: list[int | EngineError] = field(default_factory=lambda: [0])
    time: float = 1000.0
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session: Any = SimpleNamespace(
            embedded=False,
            shown="the server",
            database="d",
            settings=SimpleNamespace(lock_timeout=5.0),
            topology=SimpleNamespace(hosts=(), cluster="", majority=0),
            features=SimpleNamespace(insert_deduplication_token=True),
        )

    def on_cluster(self) -> None:
        self.session.topology = SimpleNamespace(hosts=("a", "b", "c"), cluster="all", majority=2)

    def insert(self, session: Any, table: str, *given: Any, settings: Any) -> bool:
        assert session is self.session
        self.asked.append((table, *given, settings))
        return _next(self.inserts)

    def read(self, session: Any, sql: str) -> list[list[str]]:
        assert session is self.session
        self.looks.append(sql)
        return [[str(int(_next(self.counts)))]]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def append(self, fence: str = "ours", rows: list[dict[str, Any]] = ROWS) -> None:
        append_fenced(self.session, "t", rows, schema.JOURNAL_COLUMNS, fence)


def _next(results: list[Any]) -> Any:
    found = results.pop(0) if len(results) > 1 else results[0]
    if isinstance(found, EngineError):
        raise found
    return found


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with (
        mock.patch.object(journal, "insert_fenced", made.insert),
        mock.patch.object(journal.quorum, "read", made.read),
        mock.patch.object(journal.quorum, "_inactive", lambda session: ["c:9000"]),
        mock.patch.object(journal.time, "monotonic", lambda: made.time),
        mock.patch.object(journal.interrupts, "sleep", made.sleep),
    ):
        yield made


def test_rows_are_one_insert_with_the_fence_and_the_types_of_the_table(world: World) -> None:
    world.append()

    [(table, rows, types, fence, settings)] = world.asked
    assert (table, rows, fence, settings) == ("t", ROWS, "ours", {})
    assert types == {column.name: column.type for column in schema.JOURNAL_COLUMNS}
    assert (types["run_id"], types["at"]) == ("String", "DateTime64(3)")
    assert (world.looks, world.slept) == ([], [])


def test_on_a_cluster_a_majority_takes_them_and_knows_them_when_they_come_again(
    world: World,
) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = True
    world.append()

    majority = {
        "select_sequential_consistency": "1",
        "insert_quorum": "2",
        "insert_quorum_timeout": "30000",
        "insert_quorum_parallel": "0",
    }
    assert world.asked[0][-1] == {**majority, "insert_deduplication_token": "r'1 7"}

    world.session.features.insert_deduplication_token = False
    world.append()
    assert world.asked[1][-1] == majority


def test_whoever_lost_the_lock_appends_nothing(world: World) -> None:
    world.inserts = [False]
    with pytest.raises(LockLost) as caught:
        world.append()

    assert caught.value.message == (
        "Another runner has taken the lock over. Nothing more was sent."
    )
    assert caught.value.hint == ("Look with: budeval-migrate status. Then run the upgrade again.")
    assert len(world.asked) == 1


def test_rows_whose_answer_was_lost_are_looked_for_and_not_sent_again(world: World) -> None:
    world.inserts, world.counts = [BROKEN], [2]
    world.append()

    assert len(world.asked) == 1
    assert world.looks == ["SELECT count() FROM t WHERE run_id = 'r\\'1' AND sequence = 8"]
    assert world.slept == [0.25]


def test_a_single_row_is_known_again_as_well(world: World) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = True
    world.inserts, world.counts = [BROKEN], [1]
    world.append(rows=ROWS[:1])

    assert world.asked[0][-1]["insert_deduplication_token"] == "r'1 7"
    assert world.looks == ["SELECT count() FROM t WHERE run_id = 'r\\'1' AND sequence = 7"]


def test_rows_that_did_not_arrive_are_sent_again(world: World) -> None:
    world.inserts, world.counts = [BROKEN, True], [ConnectionFailed("still away", sent=False), 0]
    world.append()

    assert (len(world.asked), len(world.looks)) == (2, 2)
    assert world.slept == [0.25, 0.25]


def test_a_row_that_is_there_once_has_arrived(world: World) -> None:
    world.inserts, world.counts = [BROKEN], [1]
    world.append()

    assert len(world.asked) == 1


def test_a_server_that_stays_away_is_given_up_after_half_a_minute(world: World) -> None:
    world.inserts, world.counts = [BROKEN], [ConnectionFailed("still away", sent=False)]
    with pytest.raises(ConnectionFailed, match="the line broke"):
        world.append()

    assert len(world.asked) == 1
    assert sum(world.slept) == 30.0


@pytest.mark.parametrize(
    "away",
    [
        ConnectionFailed("refused", sent=False),
        ConnectionFailed("no word of that"),
        EngineError("the proxy answered HTTP 429, and not as ClickHouse does"),
    ],
    ids=["unreachable", "unsaid", "gateway"],
)
def test_rows_are_held_while_the_server_cannot_be_reached(
    world: World, away: EngineError, caplog: pytest.LogCaptureFixture
) -> None:
    world.inserts, world.counts = [away, away, True], [away, 0]
    with caplog.at_level(logging.WARNING, "budeval_migrations"):
        world.append()

    assert [record.getMessage() for record in caplog.records] == [
        "the server does not take what is to be recorded. What ran so far is recorded as soon as "
        "it can."
    ]
    assert (len(world.asked), len(world.looks)) == (3, 3)
    assert world.slept == [0.25, 0.25, 0.25]


def test_rows_are_held_while_the_server_refuses_them_for_a_moment(world: World) -> None:
    world.inserts = [EngineError("Too many simultaneous queries", code=202), True]
    world.append()

    assert (len(world.asked), world.looks, world.slept) == (2, [], [0.25])


def test_a_refusal_that_does_not_pass_is_raised_after_half_a_minute(world: World) -> None:
    busy = EngineError("Too many simultaneous queries", code=202)
    world.inserts = [busy]
    with pytest.raises(EngineError) as caught:
        world.append()

    assert (caught.value, caught.value.__cause__) == (busy, None)
    assert sum(world.slept) == 30.0


def test_what_was_not_sent_for_a_reason_of_ours_is_not_tried_again(world: World) -> None:
    ours = Unsupported("This setting cannot be sent.")
    world.inserts = [ours]
    with pytest.raises(EngineError) as caught:
        world.append()

    assert caught.value is ours
    assert (world.looks, world.slept) == ([], [])


def test_chdb_in_this_process_is_not_asked_again(world: World) -> None:
    world.session.embedded, world.inserts = True, [BROKEN]
    with pytest.raises(ConnectionFailed) as caught:
        world.append()

    assert caught.value is BROKEN
    assert (world.looks, world.slept) == ([], [])


def test_a_refusal_is_the_callers(world: World) -> None:
    for on_cluster in (False, True):
        if on_cluster:
            world.on_cluster()
            world.session.features.insert_quorum_parallel = False
        denied = EngineError("Not enough privileges", code=497)
        world.inserts = [denied]
        with pytest.raises(EngineError) as caught:
            world.append()
        assert caught.value is denied
    assert (world.looks, world.slept) == ([], [])


def test_too_few_hosts_are_no_reason_to_wait_where_there_is_one_host(world: World) -> None:
    refused = EngineError("Number of alive replicas is less", code=285)
    world.inserts = [refused]
    with pytest.raises(EngineError) as caught:
        world.append()

    assert caught.value is refused
    assert (world.looks, world.slept) == ([], [])


@pytest.mark.parametrize("code", [285, 289])
def test_too_few_hosts_are_waited_for(world: World, code: int) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = False
    few = EngineError("Not now", code=code)
    world.inserts, world.counts = [few, few, True], [0]
    world.append()

    assert (len(world.asked), len(world.looks)) == (3, 2)
    assert world.slept == [0.25, 0.25, 0.25, 0.25]  # once to look, once to try again


def test_too_few_hosts_that_have_taken_the_rows_are_enough(world: World) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = False
    world.inserts, world.counts = [EngineError("Unknown", code=319)], [1]
    world.append()

    assert (len(world.asked), len(world.looks)) == (1, 1)


def test_too_few_hosts_for_half_a_minute_are_named(world: World) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = False
    few = EngineError("Number of alive replicas is less", code=285)
    world.inserts = [few]
    with pytest.raises(EngineError) as caught:
        world.append()

    assert caught.value.message == (
        "The bookkeeping cannot be written to 2 of the 3 hosts of all (unreachable: c:9000): "
        "Number of alive replicas is less"
    )
    assert (caught.value.code, caught.value.__cause__) == (285, few)
    assert sum(world.slept) == 30.0


def test_rows_are_held_while_keeper_which_the_fence_needs_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.inserts = [NO_KEEPER, NO_KEEPER, NO_KEEPER, True]
    with caplog.at_level(logging.WARNING, "budeval_migrations"):
        world.append()

    assert (len(world.asked), world.looks) == (4, [])
    assert world.slept == [0.25, 0.25, 0.25]
    [said] = caplog.records
    assert said.getMessage().startswith("the server cannot reach ClickHouse Keeper")


@pytest.mark.parametrize(("lock_timeout", "seconds"), [(5.0, 30.0), (300.0, 300.0)])
def test_a_keeper_that_stays_away_ends_the_run(
    world: World, lock_timeout: float, seconds: float
) -> None:
    world.inserts, world.session.settings.lock_timeout = [NO_KEEPER], lock_timeout
    with pytest.raises(LockLost) as caught:
        world.append()

    assert caught.value.message == (
        "The lock is in ClickHouse Keeper, which the server cannot reach: Session expired "
        "Nothing more was sent."
    )
    assert caught.value.hint == (
        "Bring Keeper back, then run: budeval-migrate up. It finds out what took effect."
    )
    assert caught.value.__cause__ is NO_KEEPER
    assert sum(world.slept) == seconds


def test_rows_without_a_fence_do_not_need_keeper(world: World) -> None:
    world.inserts = [NO_KEEPER]
    with pytest.raises(EngineError) as caught:
        world.append(fence="")

    assert caught.value is NO_KEEPER
    assert world.slept == []


def test_on_a_cluster_keeper_is_a_part_of_the_majority(world: World) -> None:
    world.on_cluster()
    world.session.features.insert_quorum_parallel = False
    world.inserts, world.counts = [NO_KEEPER, True], [0]
    world.append()

    assert len(world.looks) == 1  # it may have been written


# -- the journal ------------------------------------------------------------------------------


def entry(position: int, **more: Any) -> JournalEntry:
    return JournalEntry(
        revision="001_a",
        direction=Direction.DOWN,
        since=3,
        position=position,
        event=JournalEvent.CHUNK,
        hash="h",
        statement="shown",
        **more,
    )


def test_entries_are_numbered_on_from_each_other_and_carry_the_fence(world: World) -> None:
    kept = Journal(world.session, 41, "mine")
    kept.append([entry(1), entry(2)])
    kept.append([])
    kept.append([entry(3)])

    assert [(table, fence) for table, _, _, fence, _ in world.asked] == [
        (schema.JOURNAL, "mine")
    ] * 2
    first, second = (rows for _, rows, *_ in world.asked)
    assert [(row["position"], row["sequence"]) for row in (*first, *second)] == [
        (1, 41),
        (2, 42),
        (3, 43),
    ]
    assert world.asked[0][2] == {column.name: column.type for column in schema.JOURNAL_COLUMNS}

    Journal(world.session, 1).append([entry(1)])
    assert world.asked[-1][3] == ""


def test_a_row_has_every_field_but_the_servers_clock_and_the_secrets(world: World) -> None:
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)
    Journal(world.session, 1).append([entry(1, text="with a secret", at=now)])

    [row] = world.asked[0][1]
    assert (row["event"], row["direction"], row["statement"]) == ("chunk", "down", "shown")
    assert set(row) == set(schema.JOURNAL_FIELDS) - {"at"}
    assert "with a secret" not in row.values()
