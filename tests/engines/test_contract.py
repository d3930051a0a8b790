"""What holds on every engine: the ledger, the order, the bytes, the failures."""

from __future__ import annotations

from io import StringIO

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import (
    AccessDenied,
    ChecksumMismatch,
    EngineError,
    LockLost,
    MissingRevision,
    RevisionNotFound,
    StatementFailed,
    Unsupported,
)
from budeval_migrations.events import Event, RevisionFinished
from budeval_migrations.model import Operation
from budeval_migrations.state.ledger import Ledger
from tests.engines.workspace import TABLE, Workspace
from tests.support.targets import engine_parameters

pytestmark = pytest.mark.every_engine


def test_upgrade_creates_the_database_applies_everything_and_says_so(workspace: Workspace) -> None:
    workspace.write_three()
    report = bm.upgrade(**workspace.options)
    assert report.applied == ("001_one", "002_two", "003_three")
    assert report.current == ("003_three",)
    assert report.pending == ()
    assert workspace.tables() == {"t1", "t2", "t3"}
    assert workspace.heads() == {"003_three"}


def test_a_second_upgrade_does_nothing_and_writes_nothing(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    before = workspace.rows("SELECT version, sequence FROM schema_migrations ORDER BY sequence")
    report = bm.upgrade(**workspace.options)
    assert report.applied == ()
    assert report.current == ("003_three",)
    assert (
        workspace.rows("SELECT version, sequence FROM schema_migrations ORDER BY sequence")
        == before
    )


def test_a_revision_is_told_as_applied_after_its_row_is_in_the_ledger(workspace: Workspace) -> None:
    workspace.write_three()
    found = []

    def look(event: Event) -> None:
        if isinstance(event, RevisionFinished):
            rows = workspace.rows("SELECT version FROM schema_migrations ORDER BY sequence")
            found.append((event.revision, event.revision in {version for (version,) in rows}))

    report = bm.upgrade(on_event=look, **workspace.options)
    assert found == [(name, True) for name in ("001_one", "002_two", "003_three")]
    assert report.applied == ("001_one", "002_two", "003_three")


def test_a_revision_whose_row_was_not_written_is_not_told_as_applied(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write_three()
    told: list[Event] = []

    def fail(*_: object) -> None:
        raise LockLost("Another runner has taken the lock over.")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", fail)
        with pytest.raises(LockLost):
            bm.upgrade(on_event=told.append, **workspace.options)
    assert [e for e in told if isinstance(e, RevisionFinished)] == []
    assert workspace.rows("SELECT count() FROM schema_migrations") in ([(0,)], [("0",)])


def test_a_resumed_revision_took_the_time_of_all_its_attempts(workspace: Workspace) -> None:
    """Of its failed attempts, too, and of statements that had no effect in them."""
    slow = "INSERT INTO t1 SELECT number, '' FROM numbers(2) WHERE NOT ignore(sleepEachRow(0.5))"
    refused = f"{slow} AND throwIf(number = 1)"
    table = TABLE.format(name="t1")
    workspace.project.write_revision("001_one", None, [table, slow, refused])
    for _ in range(2):
        with pytest.raises(StatementFailed):
            bm.upgrade(**workspace.options)
    workspace.project.write_revision("001_one", None, [table, slow, "SELECT 1"])
    told: list[Event] = []
    bm.upgrade(on_event=told.append, **workspace.options)
    [finished] = [e for e in told if isinstance(e, RevisionFinished)]
    times = [
        int(took)
        for (took,) in workspace.rows(
            "SELECT execution_time_ms FROM schema_migrations WHERE version = '001_one' "
            "ORDER BY sequence"
        )
    ]
    assert len(times) == 3
    assert finished.elapsed_ms == times[-1] >= sum(times[:-1]) >= 2000


def test_up_down_up_leaves_the_same_tables_and_every_attempt_in_the_ledger(
    workspace: Workspace,
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    down = bm.downgrade("base", **workspace.options)
    assert down.applied == ("003_three", "002_two", "001_one")
    assert workspace.tables() == set()
    assert workspace.heads() == set()
    bm.upgrade("002_two", **workspace.options)
    assert workspace.tables() == {"t1", "t2"}
    assert workspace.heads() == {"002_two"}
    rows = workspace.rows(
        "SELECT version, operation, direction, sequence, statements_applied FROM "
        "schema_migrations ORDER BY sequence"
    )
    assert [(v, o, d, int(s), int(n)) for v, o, d, s, n in rows] == [
        ("001_one", "upgrade", "up", 1, 1),
        ("002_two", "upgrade", "up", 2, 1),
        ("003_three", "upgrade", "up", 3, 1),
        ("003_three", "downgrade", "down", 4, 1),
        ("002_two", "downgrade", "down", 5, 1),
        ("001_one", "downgrade", "down", 6, 1),
        ("001_one", "upgrade", "up", 7, 1),
        ("002_two", "upgrade", "up", 8, 1),
    ]


def test_status_agrees_with_what_ran(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade("002_two", **workspace.options)
    found = bm.status(**workspace.options)
    assert found.database == workspace.target.database
    assert found.server_version.startswith("26." if workspace.target.modern else "18.16")
    assert (found.current, found.heads) == (("002_two",), ("003_three",))
    assert (found.at_head, found.pending) == (False, ("003_three",))
    lines = [(r.revision, r.state.value, r.checksum.value) for r in found.revisions]
    assert lines == [
        ("001_one", "applied", "ok"),
        ("002_two", "applied", "ok"),
        ("003_three", "pending", "none"),
    ]


def test_status_of_a_database_that_does_not_exist_creates_nothing(workspace: Workspace) -> None:
    workspace.write_three()
    found = bm.status(**workspace.options)
    assert (found.current, found.at_head) == ((), False)
    assert found.pending == ("001_one", "002_two", "003_three")
    with pytest.raises(Exception) as caught:
        workspace.rows("SELECT 1")
    assert caught.value.code == 81  # type: ignore[attr-defined]


def test_readers_work_for_a_user_who_may_only_read(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade("002_two", **workspace.options)
    reader = {**workspace.options, "url": workspace.target.reader_url}
    assert bm.status(**reader).pending == ("003_three",)
    assert bm.validate(**reader).ok
    with pytest.raises(AccessDenied) as caught:
        bm.upgrade(**reader)
    assert caught.value.exit_code == 8
    assert workspace.heads() == {"002_two"}


def test_a_failure_stops_the_run_and_is_in_the_ledger(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision(
        "002_two",
        "001_one",
        [TABLE.format(name="t2"), "INSERT INTO no_such_table SELECT 1"],
    )
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    error = caught.value
    assert (error.revision, error.index, error.total, error.code) == ("002_two", 2, 2, 60)
    assert error.file is not None and error.file.endswith("versions/002_two.py")
    assert error.line == 11
    assert error.report is not None
    assert error.report.applied == ("001_one",)
    assert error.report.pending == ("002_two", "003_three")
    assert workspace.heads() == {"001_one"}
    [row] = workspace.rows(
        "SELECT version, success, error_code, statements_applied, statements_total "
        "FROM schema_migrations WHERE success = 0"
    )
    assert [row[0], *map(int, row[1:])] == ["002_two", 0, 60, 1, 2]
    states = {r.revision: r.state.value for r in bm.status(**workspace.options).revisions}
    assert states == {"001_one": "applied", "002_two": "failed", "003_three": "pending"}


def test_correcting_the_failed_file_and_running_again_goes_on(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision("002_two", "001_one", "INSERT INTO no_such_table SELECT 1")
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    workspace.write_three()
    assert bm.upgrade(**workspace.options).applied == ("002_two", "003_three")
    assert workspace.heads() == {"003_three"}


BYTES = [
    "100%",
    "50%% off %s %(name)s",
    ":name ::cast a:b",
    "what? ?? $1",
    '{"k":1}',
    "{id:UInt32}",
    "a;b -- no comment /* nor this */ # x",
    "back\\\\slash \\' quote",
    "naïve ☃ 𝄞 ﷽",
    "two\nlines\tand a tab",
]


@pytest.mark.parametrize("literal", BYTES)
def test_sql_arrives_to_the_byte(workspace: Workspace, literal: str) -> None:
    workspace.project.write_revision(
        "001_bytes",
        None,
        [
            "CREATE TABLE IF NOT EXISTS t (s String) ENGINE = MergeTree ORDER BY tuple()",
            f"INSERT INTO t SELECT '{literal}'",
        ],
    )
    bm.upgrade(**workspace.options)
    expected = literal.replace("\\\\", "\\").replace("\\'", "'")
    assert workspace.rows("SELECT s FROM t") == [(expected,)]


def test_several_statements_in_one_string_run_one_by_one(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_several",
        None,
        "CREATE TABLE IF NOT EXISTS t (s String) ENGINE = MergeTree ORDER BY tuple();\n"
        "INSERT INTO t SELECT 'a;b'; -- first\n"
        "/* second; */ INSERT INTO t SELECT 'c';",
    )
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT s FROM t ORDER BY s") == [("a;b",), ("c",)]
    assert workspace.rows("SELECT toUInt64(statements_total) FROM schema_migrations") in (
        [(3,)],
        [("3",)],
    )


def test_rows_inline_arrive_or_are_refused_before_they_are_sent(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_values",
        None,
        [
            "CREATE TABLE IF NOT EXISTS t (a Int32, s String) ENGINE = MergeTree ORDER BY a",
            "INSERT INTO t VALUES (1, 'x;y'), (2, '%s')",
        ],
    )
    if workspace.target.name == "old-native":
        with pytest.raises(StatementFailed) as caught:
            bm.upgrade(**workspace.options)
        assert isinstance(caught.value.__cause__, Unsupported)
        assert workspace.rows("SELECT count() FROM t") == [(0,)]
        return
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT s FROM t ORDER BY a") == [("x;y",), ("%s",)]


def test_an_edited_applied_revision_is_refused_and_repair_accepts_it(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade("002_two", **workspace.options)
    workspace.project.write_revision("001_one", None, TABLE.format(name="other"))
    with pytest.raises(ChecksumMismatch) as caught:
        bm.upgrade(**workspace.options)
    assert "001_one" in str(caught.value)
    assert "repair --revision 001_one" in caught.value.hint
    assert workspace.tables() == {"t1", "t2"}
    bm.repair(["001_one"], **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ("003_three",)
    [row] = workspace.rows(
        "SELECT operation, server_user != '', host != '' FROM schema_migrations "
        "WHERE operation = 'repair'"
    )
    assert (row[0], int(row[2])) == ("repair", 1)


def test_a_reformatted_revision_is_told_and_not_refused(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade("002_two", **workspace.options)
    path = workspace.project.revision_file("001_one")
    path.write_text(path.read_text() + "\n# a remark\n")
    report = bm.upgrade(**workspace.options)
    assert report.applied == ("003_three",)
    assert any("001_one was edited" in notice for notice in report.notices)
    states = {r.revision: r.checksum.value for r in bm.status(**workspace.options).revisions}
    assert states["001_one"] == "reformatted"


def test_a_deleted_applied_revision_is_refused(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.project.revision_file("003_three").unlink()
    with pytest.raises(MissingRevision):
        bm.upgrade(**workspace.options)
    tolerant = bm.upgrade(on_ahead="warn", **workspace.options)
    assert tolerant.applied == ()
    assert "003_three" in tolerant.notices[0]


def test_an_unknown_revision_is_refused_with_the_nearest_name(workspace: Workspace) -> None:
    workspace.write_three()
    with pytest.raises(RevisionNotFound) as caught:
        bm.upgrade("002_tow", **workspace.options)
    assert caught.value.hint == "Did you mean 002_two?"


def test_a_dynamic_revision_reads_the_database_while_it_runs(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision(
        "004_dynamic",
        "003_three",
        body="""
        from sqlalchemy import text

        def upgrade() -> None:
            found = op.get_bind().execute(text("SELECT count() FROM t1")).scalar()
            op.execute(f"INSERT INTO t1 SELECT {int(found) + 41}, 'n'")

        def downgrade() -> None:
            pass
        """,
    )
    report = bm.upgrade(**workspace.options)
    assert report.applied[-1] == "004_dynamic"
    assert [int(a) for (a,) in workspace.rows("SELECT a FROM t1")] == [41]
    [row] = workspace.rows(
        "SELECT statements_applied, statements_total FROM schema_migrations "
        "WHERE version = '004_dynamic'"
    )
    assert [int(n) for n in row] == [1, 1]


def test_branches_and_their_merge_are_ledger_rows(workspace: Workspace) -> None:
    for name, below in (("1", None), ("2a", "1"), ("2b", "1"), ("3", ("2a", "2b"))):
        workspace.project.write_revision(name, below, TABLE.format(name=f"t{name}"))
    bm.upgrade("2a", **workspace.options)
    assert workspace.heads() == {"2a"}
    bm.upgrade("2b", **workspace.options)
    assert workspace.heads() == {"2a", "2b"}
    bm.upgrade(**workspace.options)
    assert workspace.heads() == {"3"}
    with pytest.raises(RevisionNotFound) as caught:
        bm.downgrade("-1", **workspace.options)
    assert caught.value.hint == "Name the revision that shall stay applied."
    assert bm.downgrade("2a", **workspace.options).applied == ("3",)
    assert workspace.heads() == {"2a", "2b"}


def test_execute_unless_does_not_send_what_the_probe_finds_done(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_guard",
        None,
        body=f'''
        PROBE = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'new'"

        def upgrade() -> None:
            op.execute("{TABLE.format(name="old")}")
            op.execute_unless(PROBE, "RENAME TABLE old TO new")
            op.execute("DROP TABLE IF EXISTS old")
            op.execute_unless(PROBE, "RENAME TABLE old TO new")
        ''',
    )
    report = bm.upgrade(**workspace.options)
    assert workspace.tables() == {"new"}
    assert "001_guard statement 4 was not sent: its probe finds it done." in report.notices


def test_stamp_and_purge_are_rows_and_run_nothing(workspace: Workspace) -> None:
    from alembic import command
    from alembic.config import Config

    workspace.write_three()
    config = Config(workspace.project.ini)
    command.stamp(config, "002_two")
    assert workspace.tables() == set()
    assert workspace.heads() == {"002_two"}
    command.stamp(config, "001_one", purge=True)
    assert workspace.heads() == {"001_one"}
    rows = workspace.rows(
        "SELECT version, operation, direction FROM schema_migrations ORDER BY sequence"
    )
    assert rows == [
        ("001_one", Operation.STAMP.value, "up"),
        ("002_two", Operation.STAMP.value, "up"),
        ("002_two", Operation.STAMP.value, "down"),
        ("001_one", Operation.STAMP.value, "up"),
    ]


def test_stamp_beside_a_head_without_a_file_says_what_to_do(workspace: Workspace) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    workspace.write_three()
    config = Config(workspace.project.ini)
    command.stamp(config, "003_three")
    workspace.project.revision_file("003_three").unlink()
    with pytest.raises(CommandError, match=r"003_three is applied and has no file") as refused:
        command.stamp(config, "001_one")
    assert "alembic stamp --purge" in str(refused.value)
    assert workspace.heads() == {"003_three"}
    command.stamp(config, "001_one", purge=True)
    assert workspace.heads() == {"001_one"}


def test_alembics_own_commands_agree_with_ours(workspace: Workspace) -> None:
    from alembic import command
    from alembic.config import Config

    workspace.write_three()
    printed = StringIO()
    config = Config(workspace.project.ini, stdout=printed)

    def current() -> str:
        printed.seek(0)
        printed.truncate()
        command.current(config)
        return printed.getvalue()

    command.upgrade(config, "+1")
    assert bm.status(**workspace.options).current == ("001_one",)
    command.upgrade(config, "head")
    assert workspace.heads() == {"003_three"}
    assert current() == "003_three (head)\n"
    command.current(config, check_heads=True)
    command.downgrade(config, "-1")
    assert current() == "002_two\n"
    command.downgrade(config, "base")
    assert workspace.tables() == set()
    assert workspace.heads() == set()


def test_what_a_failed_query_had_written_does_not_leak_into_the_next_answer(
    workspace: Workspace,
) -> None:
    workspace.prepare()
    with workspace.session() as session:
        with pytest.raises(EngineError):
            session.query("SELECT throwIf(number = 3) FROM system.numbers LIMIT 10")
        assert [int(n) for (n,) in session.query("SELECT 8")] == [8]


@pytest.mark.parametrize("engine_url", engine_parameters("embedded", "modern-http"), indirect=True)
def test_every_insert_into_the_bookkeeping_is_on_the_disk_when_it_is_answered(
    workspace: Workspace,
) -> None:
    durable = (
        "SELECT name, position(engine_full, 'fsync_after_insert = 1, fsync_part_directory = 1') > 0 "
        "FROM system.tables WHERE database = currentDatabase() "
        "AND name IN ('schema_migrations', 'schema_migrations_journal') ORDER BY name"
    )
    workspace.write_three()
    bm.upgrade("001_one", **workspace.options)
    every = [("schema_migrations", 1), ("schema_migrations_journal", 1)]
    assert workspace.rows(durable) == every
    for name, _ in every:
        workspace.prepare(
            f"ALTER TABLE {name} RESET SETTING fsync_after_insert, fsync_part_directory"
        )
    assert workspace.rows(durable) == [(name, 0) for name, _ in every]
    bm.upgrade(**workspace.options)
    assert workspace.rows(durable) == every
