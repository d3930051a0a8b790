"""What the ledger asks, makes and believes; its queries are the test's.

Servers are asked in tests/engines/test_bookkeeping.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from budeval_migrations.clickhouse.failures import NOT_AS_OURS, UNKNOWN_DATABASE
from budeval_migrations.errors import AccessDenied, ConnectionFailed, EngineError, LedgerError
from budeval_migrations.model import Direction
from budeval_migrations.state import ledger, schema
from budeval_migrations.state.journal import entry_of
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.unfinished import JournalEvent
from budeval_migrations.version import __version__

NO_COLUMN = EngineError("Missing columns", code=min(NOT_AS_OURS))
BUSY = EngineError("Too many simultaneous queries", code=202)
# A row of the ledger as the server gives it: nothing in it is of another type than text.
ROW = [
    "ledger",
    [
        *("001_a", "sum", "1767323045.5", "12", "1", "", "1", "upgrade", "up", "1", "1", "0", "1"),
        *("run", "7", "hash", "host", "user", "1"),
    ],
    ["000_z"],
]
UNCHANGED, CHANGED = ["settings", [], []], ["settings", ["limit"], []]


@dataclass
class World:
    """A server: what it answers to which query, and what it was asked and told."""

    answers: list[Any] = field(default_factory=lambda: [[ROW]])
    engine: str | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session: Any = SimpleNamespace(
            database="d",
            is_known=False,
            execute=self.said.append,
            query=self.query,
            features=SimpleNamespace(fsync_of_inserts=False, skipping_indices=False),
            topology=SimpleNamespace(on_cluster=False),
        )

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.session)

    def read(self, session: Any, sql: str, *, own: bool = True) -> Any:
        assert session is self.session
        self.asked.append((sql, own))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def query(self, sql: str) -> list[list[str]]:
        self.said.append(sql)
        return [["b"], ["a"], ["b"]]

    def create(self, session: Any, name: str, text: str) -> None:
        assert session is self.session
        self.made.append((name, text))

    def engines(self, session: Any, names: list[str]) -> dict[str, str]:
        assert session is self.session
        return {} if self.engine is None else dict.fromkeys(names, self.engine)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with (
        mock.patch.object(ledger.quorum, "read", made.read),
        mock.patch.object(ledger.replication, "create", made.create),
        mock.patch.object(ledger, "read_engines", made.engines),
        mock.patch.object(ledger.schema, "create_journal", lambda _: "the journal"),
        mock.patch.object(ledger.schema, "create_ledger", lambda _: "the ledger"),
    ):
        yield made


# -- reading ----------------------------------------------------------------------------------


def test_a_profile_that_changes_nothing_lets_one_query_do(world: World) -> None:
    world.answers = [[ROW, UNCHANGED]]
    state = world.ledger.read_state()

    assert [(row.version, row.parents, row.host) for row in state.rows] == [
        ("001_a", ("000_z",), "host")
    ]
    [(sql, own)] = world.asked
    assert sql.endswith("FROM system.settings")
    assert own is False  # the profile is what is asked about


@pytest.mark.parametrize(
    "first",
    [
        [ROW, CHANGED],
        [CHANGED],
        [ROW],
        [],
        [ROW, UNCHANGED, UNCHANGED],
        BUSY,
    ],
    ids=["changed", "rows cut off", "its row cut off", "all cut off", "doubled", "refused"],
)
def test_what_a_profile_may_have_changed_is_asked_again_with_our_own_settings(
    world: World, first: Any
) -> None:
    world.answers = [first, [ROW]]
    assert [row.version for row in world.ledger.read_state().rows] == ["001_a"]

    assert [own for _, own in world.asked] == [False, True]
    assert world.asked[1][0] + " UNION ALL SELECT" == world.asked[0][0].partition(" 'settings'")[0]


def test_a_session_whose_settings_are_known_is_asked_once(world: World) -> None:
    world.session.is_known = True
    world.ledger.read_state()
    assert [own for _, own in world.asked] == [True]


def test_a_server_that_is_away_is_not_asked_again(world: World) -> None:
    world.answers = [ConnectionFailed("away", sent=False)]
    with pytest.raises(ConnectionFailed):
        world.ledger.read_state()


def test_a_missing_database_is_told_by_the_first_query(world: World) -> None:
    world.answers = [EngineError("no database", code=UNKNOWN_DATABASE)]
    assert world.ledger.read_state() == LedgerState(Ground.NO_DATABASE)


def test_beside_a_ledger_without_a_journal_another_tools_table_is_looked_for(world: World) -> None:
    world.answers, world.engine = [NO_COLUMN, [ROW]], "MergeTree"
    state = world.ledger.read_state()
    assert (state.ground, state.foreign_heads) == (Ground.READY, ("a", "b"))


@pytest.mark.parametrize(
    ("engine", "final"),
    [
        ("MergeTree", ""),
        ("ReplacingMergeTree", " FINAL"),
        ("ReplicatedReplacingMergeTree", " FINAL"),
    ],
)
def test_rows_that_another_tool_replaced_do_not_count(
    world: World, engine: str, final: str
) -> None:
    world.engine = engine
    assert world.ledger.read_foreign_heads() == ("a", "b")
    assert world.said == [f"SELECT version_num FROM alembic_version{final}"]


@pytest.mark.parametrize("engine", [None, "View"])
def test_our_own_view_is_no_other_tools_table(world: World, engine: str | None) -> None:
    world.engine = engine
    assert world.ledger.read_foreign_heads() is None
    assert world.said == []


# -- making -----------------------------------------------------------------------------------

JOURNAL, LEDGER = (schema.JOURNAL, "the journal"), (schema.LEDGER, "the ledger")


@pytest.mark.parametrize(
    ("ground", "on_cluster", "made"),
    [
        (Ground.EMPTY, False, [JOURNAL, LEDGER]),
        (Ground.READY, False, [JOURNAL]),
        (Ground.READY, True, [JOURNAL, LEDGER]),
        (Ground.LEGACY, False, [JOURNAL]),
        (Ground.LEGACY, True, [JOURNAL]),
    ],
)
def test_the_journal_is_made_before_the_ledger_and_each_where_it_may_be_missing(
    world: World, ground: Ground, on_cluster: bool, made: list[tuple[str, str]]
) -> None:
    world.session.topology.on_cluster = on_cluster
    with mock.patch.object(ledger.schema, "widen_ledger", lambda _: "widen"):
        world.ledger.ensure(LedgerState(ground))
    assert world.made == made
    assert world.said == (["widen"] if ground is Ground.LEGACY else [])


def _durable(world: World, alter: Callable[..., None]) -> None:
    world.session.features.fsync_of_inserts = True
    with mock.patch.object(ledger.replication, "alter", alter):
        world.ledger.ensure(LedgerState(Ground.READY))


def test_tables_without_durability_get_it(world: World) -> None:
    told: list[str] = []
    _durable(world, lambda _, text: told.append(text))

    assert told == [schema.modify_durability(name) for name in ("b", "a", "b")]
    [asked] = world.said
    assert "position(engine_full, 'fsync_after_insert') = 0" in asked


def test_a_user_who_may_not_alter_a_table_goes_on_to_the_next(world: World) -> None:
    told: list[str] = []

    def alter(_: Any, text: str) -> None:
        told.append(text)
        raise AccessDenied("Not enough privileges", code=497)

    _durable(world, alter)
    assert len(told) == 3


@pytest.mark.parametrize(("on_cluster", "named"), [(False, ""), (True, "d")])
def test_the_view_names_its_database_where_another_host_makes_it(
    world: World, on_cluster: bool, named: str
) -> None:
    world.session.topology.on_cluster = on_cluster
    world.ledger.ensure_view()
    assert world.made == [("alembic_version", schema.create_version_view(named))]


# -- rows of the journal ----------------------------------------------------------------------


def journal_row(**values: str) -> list[str]:
    """A row as the server gives it."""
    given = {
        "revision": "001_a",
        "direction": "up",
        "event": "applied",
        "position": "3",
        "at": "1767323045.5",
        **values,
    }
    numbers = {
        each.name for each in schema.JOURNAL_COLUMNS if each.type.startswith(("Int", "UInt"))
    }
    return [given.get(name, "0" if name in numbers else "") for name in schema.JOURNAL_FIELDS]


def test_a_row_of_the_journal_has_the_servers_time_in_utc() -> None:
    found = entry_of(journal_row(note="n"), "d")

    assert found.at == datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=timezone.utc)
    assert (found.event, found.direction, found.position) == (JournalEvent.APPLIED, Direction.UP, 3)
    assert found.note == "n"


@pytest.mark.parametrize("number", [0, 1])
def test_a_format_of_the_journal_that_is_known_is_read(number: int) -> None:
    assert entry_of(journal_row(event=f"applied/{number}"), "d").event is JournalEvent.APPLIED


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"before": "["}, "cannot read"),
        ({"before": '{"unknown": 1}'}, "cannot read"),
        ({"event": "chunk", "note": f'["{"x" * 90}"]'}, f"{chr(39)}[\"{'x' * 78}' is no state"),
        ({"event": "odd"}, "cannot read: 'odd'"),
        ({"direction": "sideways"}, "cannot read: 'sideways'"),
    ],
)
def test_a_row_of_the_journal_that_nobody_can_read_is_named(
    values: dict[str, str], said: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        entry_of(journal_row(**values), "d")
    assert caught.value.message.startswith(
        "The journal in d holds a row about 001_a statement 3 that this package "
        f"({__version__}) cannot read: "
    )
    assert said in caught.value.message
    assert caught.value.hint == "Use the version of budeval-migrations that wrote it."


def test_a_newer_format_of_the_journal_is_named() -> None:
    with pytest.raises(LedgerError) as caught:
        entry_of(journal_row(event="merged/12"), "d")
    assert caught.value.message == (
        f"The journal in d has format 12; this package ({__version__}) knows formats up to 1."
    )
    assert caught.value.hint == schema.USE_THE_NEWER
    assert caught.value.details["journal_format"] == 12
