"""What is written to the ledger and the journal is what a server gives back."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import AccessDenied, EngineError, LedgerError, LockLost
from budeval_migrations.model import (
    CompiledRevision,
    Direction,
    LedgerRow,
    Operation,
    Statement,
)
from budeval_migrations.state import quorum, replication, schema
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent
from budeval_migrations.version import __version__
from tests.engines.workspace import Workspace
from tests.support.spy import spied
from tests.support.targets import engine_parameters

on_each = pytest.mark.parametrize(
    "engine_url", engine_parameters("modern-http", "old-http"), indirect=True
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)
ODD = "a 'quoted' \\ \n\t`text` ж🙂\0"
GOOD = LedgerRow(
    version="002_b ж'\\",
    checksum="c" * 64,
    executed_at=AT,
    execution_time_ms=4_000_000_000,
    success=True,
    error_message=None,
    operation=Operation.REPAIR,
    direction=Direction.DOWN,
    parents=("001_a", ODD),
    statements_applied=3,
    statements_total=4,
    error_code=-7,
    sequence=9_000_000_000,
    run_id="run",
    lock_generation=8_000_000_000,
    statements_checksum="d" * 64,
)
LEGACY_TABLE = (
    "CREATE TABLE schema_migrations (version String, checksum String, executed_at DateTime64(3), "
    "execution_time_ms UInt32, success UInt8, error_message Nullable(String)) "
    "ENGINE = MergeTree ORDER BY version"
)


def ready(session: Session) -> Ledger:
    """A ledger and a journal, both empty."""
    session.ensure_database()
    ledger = Ledger(session)
    ledger.ensure(LedgerState(Ground.EMPTY))
    return ledger


def entry(**values: Any) -> JournalEntry:
    given: dict[str, Any] = {
        "revision": "001_a",
        "direction": Direction.UP,
        "since": 0,
        "position": 1,
        "event": JournalEvent.INTENT,
        "hash": "h",
        "statement": "SELECT 1",
        **values,
    }
    return JournalEntry(**given)


def compiled(direction: Direction, *texts: str) -> CompiledRevision:
    return CompiledRevision("002_b", direction, "002_b.py", tuple(Statement(t) for t in texts))


@on_each
def test_a_row_of_the_ledger_comes_back_as_it_was(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        failed = replace(GOOD, sequence=GOOD.sequence + 1, success=False, error_message=ODD)
        ledger.append([Attempt(GOOD), Attempt(failed, ours=False)])
        ledger.append([])
        state = ledger.read_state()

        at = AT if workspace.target.modern else AT.replace(microsecond=0)
        ours = {"host": socket.gethostname(), "server_user": session.server_user}
        assert session.server_user == "default"
        assert state.rows == (
            replace(GOOD, executed_at=at, **ours),
            replace(failed, executed_at=at),
        )
        assert (state.ground, state.entries, state.foreign_heads) == (Ground.READY, (), None)
        written = session.query(
            "SELECT DISTINCT tool_version, server_version, ledger_format, upgrade_statements, "
            f"downgrade_statements FROM {schema.LEDGER}"
        )
    assert written == [[__version__, session.server_version, 1, "", ""]]


@on_each
def test_a_long_error_is_cut(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        ledger.append([Attempt(replace(GOOD, success=False, error_message="é" * 4001))])
        [row] = ledger.read_state().rows
    assert row.error_message == "é" * 4000


@on_each
def test_the_statements_of_both_directions_are_kept_without_secrets(workspace: Workspace) -> None:
    up = compiled(Direction.UP, "SELECT 1", "CREATE USER u IDENTIFIED BY 'secret'")
    with workspace.session() as session:
        ledger = ready(session)
        ledger.append([Attempt(GOOD, upgrade=up, downgrade=compiled(Direction.DOWN, "SELECT 2"))])
        [[upgrade, downgrade]] = session.query(
            f"SELECT upgrade_statements, downgrade_statements FROM {schema.LEDGER}"
        )
    assert [each["sql"] for each in json.loads(downgrade)] == ["SELECT 2"]
    first, second = json.loads(upgrade)
    assert first["sql"] == "SELECT 1"
    assert "secret" not in upgrade
    assert (first.get("replayable", True), second["replayable"]) == (True, False)


@on_each
def test_rows_are_in_the_order_of_their_numbers_then_of_their_times(workspace: Workspace) -> None:
    later = AT + timedelta(hours=1)
    rows = [
        replace(GOOD, version="d", sequence=2),
        replace(GOOD, version="c", sequence=1, executed_at=later),
        replace(GOOD, version="b", sequence=0, executed_at=later),
        replace(GOOD, version="a", sequence=0),
    ]
    with workspace.session() as session:
        ledger = ready(session)
        for row in rows:
            ledger.append([Attempt(row)])
        found = ledger.read_state().rows
    assert [row.version for row in found] == ["a", "b", "c", "d"]


@on_each
def test_an_entry_of_the_journal_comes_back_as_it_was(workspace: Workspace) -> None:
    full = entry(
        revision=ODD,
        direction=Direction.DOWN,
        position=4_000_000_000,
        event=JournalEvent.CHUNK,
        hash="h" * 64,
        statement=ODD,
        checksum="c" * 64,
        query_id="q",
        run_id="r",
        lock_generation=8_000_000_000,
        before=json.dumps({"missing": [ODD]}),
        note=json.dumps({"chunk": ODD}),
        elapsed_ms=4_000_000_000,
        rows_read=2**63,
        rows_written=2**63 + 1,
        error_code=-7,
        error=ODD,
        text="what is sent",
    )
    with workspace.session() as session:
        ledger = ready(session)
        Journal(session, 2**40).append([full, entry()])
        found = {each.revision: each for each in ledger.read_state().entries}
        [[now]] = session.query("SELECT toUnixTimestamp(now())")

    first, second = found[ODD], found["001_a"]
    assert first.at is not None and first.at.tzinfo is timezone.utc
    assert abs(first.at.timestamp() - int(now)) < 60
    assert replace(first, at=None) == replace(full, sequence=2**40)
    assert first.text == ""
    assert replace(second, at=None) == entry(sequence=2**40 + 1)


@on_each
def test_an_entry_that_arrived_twice_is_one(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        for _ in range(2):
            Journal(session, 5).append([entry()])
        Journal(session, 6).append([entry()])
        entries = ledger.read_state().entries
    assert [each.sequence for each in entries] == [5, 6]


@on_each
def test_only_entries_since_the_last_good_row_of_a_revision_are_read(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        good = replace(GOOD, version="001_a", sequence=3)
        failed = replace(good, sequence=4, success=False)
        legacy = replace(good, version="old", sequence=0)
        ledger.append([Attempt(good), Attempt(failed), Attempt(legacy)])
        Journal(session, 1).append(
            [
                entry(since=0),
                entry(since=3),
                entry(since=4),
                entry(since=0, revision="002_b"),
                entry(since=0, revision="old"),
            ]
        )
        found = [(each.revision, each.since) for each in ledger.read_state().entries]
    assert sorted(found) == [("001_a", 3), ("002_b", 0), ("old", 0)]


@on_each
def test_where_there_is_nothing_nothing_is_found(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = Ledger(session)
        assert ledger.read_state() == LedgerState(Ground.NO_DATABASE)
        session.ensure_database()
        assert ledger.read_state() == LedgerState(Ground.EMPTY)
        ready(session)
        assert ledger.read_state() == LedgerState(Ground.READY)


@on_each
def test_a_ledger_without_its_journal_is_read(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        ledger.append([Attempt(GOOD)])
        session.execute(f"DROP TABLE {schema.JOURNAL}")
        state = ledger.read_state()
    assert (state.ground, state.entries) == (Ground.READY, ())
    assert [row.version for row in state.rows] == [GOOD.version]


@on_each
def test_a_journal_without_its_ledger_is_an_empty_ledger(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        session.execute(f"DROP TABLE {schema.LEDGER}")
        assert ledger.read_state() == LedgerState(Ground.EMPTY)
        ledger.ensure(ledger.read_state())
        assert ledger.read_state() == LedgerState(Ground.READY)


@pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
def test_the_ledger_of_the_first_tool_is_read_and_widened(workspace: Workspace) -> None:
    with workspace.session() as session:
        session.ensure_database()
        session.execute(LEGACY_TABLE)
        values = [("b", 1, "NULL"), ("a", 0, "''"), ("c", 0, "'why'")]
        for number, (version, success, message) in enumerate(values):
            session.execute(
                f"INSERT INTO {schema.LEDGER} VALUES ('{version}', 'sum', "
                f"'2026-01-02 03:04:0{number}', {number + 1}, {success}, {message})"
            )
        session.execute("CREATE TABLE alembic_version (version_num String) ENGINE = Memory")
        session.execute("INSERT INTO alembic_version VALUES ('x')")
        ledger = Ledger(session)
        legacy = ledger.read_state()
        ledger.ensure(legacy)
        widened = ledger.read_state()

    assert (legacy.ground, legacy.entries, legacy.foreign_heads) == (Ground.LEGACY, (), ("x",))
    assert [(r.version, r.success, r.error_message, r.execution_time_ms) for r in legacy.rows] == [
        ("b", True, None, 1),
        ("a", False, "", 2),
        ("c", False, "why", 3),
    ]
    assert {(row.checksum, row.sequence, row.parents, row.operation) for row in legacy.rows} == {
        ("sum", 0, (), Operation.UPGRADE)
    }
    assert [row.executed_at.second for row in legacy.rows] == [0, 1, 2]
    assert widened == replace(legacy, ground=Ground.READY)


@on_each
def test_a_table_of_that_name_that_is_something_else_is_not_touched(workspace: Workspace) -> None:
    workspace.prepare(
        "CREATE TABLE schema_migrations (version UInt64, dirty UInt8) ENGINE = TinyLog"
    )
    with workspace.session() as session, pytest.raises(LedgerError) as caught:
        Ledger(session).read_state()
    database = workspace.target.database
    assert caught.value.message.startswith(
        f"The table {database}.schema_migrations is not a ledger of budeval: "
    )
    assert caught.value.hint == "Rename that table, or choose another database."


@on_each
def test_a_newer_format_is_refused(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        ledger.append([Attempt(GOOD)])
        session.execute(f"INSERT INTO {schema.LEDGER} (version, ledger_format) VALUES ('n', 2)")
        with pytest.raises(LedgerError) as caught:
            ledger.read_state()
    assert caught.value.message == (
        f"The ledger in {workspace.target.database} has format 2; this package ({__version__}) knows "
        "formats up to 1."
    )
    assert caught.value.hint == "Use the newer version of budeval-migrations that wrote it."
    assert caught.value.details["ledger_format"] == 2


@on_each
def test_a_format_that_is_known_is_read(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        session.execute(
            f"INSERT INTO {schema.JOURNAL} (revision, direction, event) VALUES ('a', 'up', 'failed/1')"
        )
        [found] = ledger.read_state().entries
    assert found.event is JournalEvent.FAILED


@on_each
@pytest.mark.parametrize(
    "before",
    [
        "[]",
        '{"shards": {}}',
        "{",
        '{"queue": 7}',
        '{"partitions": {"t": {"p": {"first": "x", "last": 1, "rows": 1, "hashes": []}}}}',
    ],
)
def test_a_fingerprint_that_nobody_knows_is_refused(workspace: Workspace, before: str) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        Journal(session, 1).append([entry(before=before)])
        with pytest.raises(LedgerError, match=r"that this package .* cannot read: "):
            ledger.read_state()


@on_each
def test_a_newer_format_of_the_journal_is_refused(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        session.execute(
            f"INSERT INTO {schema.JOURNAL} (revision, direction, event) VALUES ('a', 'up', 'x/2')"
        )
        with pytest.raises(LedgerError) as caught:
            ledger.read_state()
        assert caught.value.message == (
            f"The journal in {workspace.target.database} has format 2; this package ({__version__}) "
            "knows formats up to 1."
        )
        assert caught.value.hint == "Use the newer version of budeval-migrations that wrote it."
        assert caught.value.details["journal_format"] == 2

        session.execute(f"TRUNCATE TABLE {schema.JOURNAL}")
        session.execute(
            f"INSERT INTO {schema.JOURNAL} (revision, direction, event, position, note) "
            "VALUES ('a', 'up', 'chunk', 3, '[]')"
        )
        with pytest.raises(LedgerError) as caught:
            ledger.read_state()
    assert caught.value.message == (
        f"The journal in {workspace.target.database} holds a row about a statement 3 that this package "
        f"({__version__}) cannot read: '[]' is no state of a chunk"
    )
    assert caught.value.hint == "Use the version of budeval-migrations that wrote it."


@on_each
@pytest.mark.parametrize(("column", "value"), [("operation", "squash"), ("direction", "sideways")])
def test_a_row_that_nobody_knows_is_refused(workspace: Workspace, column: str, value: str) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        session.execute(f"INSERT INTO {schema.LEDGER} (version, {column}) VALUES ('n', '{value}')")
        with pytest.raises(LedgerError) as caught:
            ledger.read_state()
    assert caught.value.message == (
        f"The ledger holds a row with {column} '{value}', which this package ({__version__}) does "
        "not know."
    )
    assert caught.value.hint == "Use the version of budeval-migrations that wrote it."


@on_each
@pytest.mark.parametrize("refused", [1, 2])
def test_a_server_that_refuses_to_read_is_not_an_empty_ledger(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    asked: list[str] = []

    def read(session: Session, sql: str, **more: object) -> object:
        asked.append(sql)
        if len(asked) == refused:
            raise EngineError("Memory limit exceeded", code=241)
        raise EngineError("Missing columns", code=47)

    with workspace.session() as session:
        ready(session)
        assert session.query("SELECT 1") == [[1]]  # from here on its profile is known
        monkeypatch.setattr(quorum, "read", read)
        with pytest.raises(EngineError, match="Memory limit exceeded"):
            Ledger(session).read_state()
    assert len(asked) == refused


@on_each
def test_what_another_tool_calls_alembic_version_is_read_where_it_matters(
    workspace: Workspace,
) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        assert ledger.read_foreign_heads() is None
        ledger.ensure_view()
        ledger.ensure_view()
        assert ledger.read_foreign_heads() is None

        session.execute("DROP TABLE alembic_version")
        session.execute(
            "CREATE TABLE alembic_version (version_num String, dt DateTime DEFAULT now()) "
            "ENGINE = ReplacingMergeTree(dt) ORDER BY tuple()"
        )
        assert ledger.read_foreign_heads() == ()
        for version in ("a", "b"):
            session.execute(f"INSERT INTO alembic_version (version_num) VALUES ('{version}')")
            session.execute("SELECT sleep(1)")
        assert ledger.read_foreign_heads() == ("b",)  # it replaces its only row
        session.execute("DROP TABLE alembic_version")
        session.execute("CREATE TABLE alembic_version (version_num String) ENGINE = Log")
        session.execute("INSERT INTO alembic_version VALUES ('b'), ('a'), ('b')")
        assert ledger.read_foreign_heads() == ("a", "b")
        assert ledger.read_state().foreign_heads == ("a", "b")
        ledger.append([Attempt(GOOD)])
        assert ledger.read_state().foreign_heads is None
        assert ledger.read_state(thorough=True).foreign_heads == ("a", "b")
        session.execute(f"DROP TABLE {schema.JOURNAL}")
        assert ledger.read_state().foreign_heads == ("a", "b")


@on_each
def test_the_tables_are_made_once_and_what_is_in_them_stays(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        ledger.append([Attempt(GOOD)])
        for state in (LedgerState(Ground.EMPTY), ledger.read_state()):
            ledger.ensure(state)
        assert len(ledger.read_state().rows) == 1
        if not workspace.target.modern:
            return
        settings = (
            "SELECT count() FROM system.tables WHERE database = currentDatabase() AND "
            "position(engine_full, 'fsync_after_insert = 1') > 0"
        )
        assert session.query(settings) == [[2]]
        session.execute(f"ALTER TABLE {schema.LEDGER} RESET SETTING fsync_after_insert")
        assert session.query(settings) == [[1]]
        ledger.ensure(ledger.read_state())
        assert session.query(settings) == [[2]]


@on_each
def test_a_user_who_may_not_alter_goes_on_without_durability(workspace: Workspace) -> None:
    def deny(text: str, **_: object) -> None:
        if text.startswith("ALTER"):
            raise AccessDenied("Not enough privileges", code=497)

    with workspace.session() as session:
        ledger = ready(session)
        if workspace.target.modern:
            session.execute(f"ALTER TABLE {schema.LEDGER} RESET SETTING fsync_after_insert")
        with spied(session, "execute", deny):
            ledger.ensure(ledger.read_state())


@on_each
def test_on_a_cluster_the_view_names_the_database(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(replication, "create", lambda _, table, text: made.append((table, text)))
    with workspace.session() as session:
        Ledger(session).ensure_view()
        session._topology = SimpleNamespace(on_cluster=True)  # type: ignore[assignment]
        Ledger(session).ensure_view()
    assert made == [
        (schema.VERSION_VIEW, schema.create_version_view()),
        (schema.VERSION_VIEW, schema.create_version_view(workspace.target.database)),
    ]


@on_each
def test_nothing_is_appended_where_the_fence_does_not_hold(workspace: Workspace) -> None:
    with workspace.session() as session:
        ledger = ready(session)
        for write in (
            lambda fence: ledger.append([Attempt(GOOD)], fence),
            lambda fence: Journal(session, 1, fence).append([entry()]),
        ):
            with pytest.raises(LockLost):
                write("1 = 2")
            assert ledger.read_state() == LedgerState(Ground.READY)
        ledger.append([Attempt(GOOD)], "1 = 1")
        Journal(session, 1, "1 = 1").append([entry()])
        state = ledger.read_state()
    assert (len(state.rows), len(state.entries)) == (1, 1)
