"""Taking back what has no file here: the way of an older image."""

from __future__ import annotations

import json

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

import budeval_migrations as bm
from budeval_migrations.errors import (
    ChecksumMismatch,
    LedgerError,
    MissingRevision,
    RevisionNotFound,
    StatementFailed,
)
from tests.engines.workspace import TABLE, Workspace
from tests.support.targets import engine_parameters

modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "modern-connect"), indirect=True
)
LOG = "CREATE TABLE IF NOT EXISTS log (n Int64) ENGINE = MergeTree ORDER BY n"


def note(n: int) -> str:
    return f"INSERT INTO log SELECT {n}"


def logged(workspace: Workspace) -> list[int]:
    return [int(n) for (n,) in workspace.rows("SELECT n FROM log ORDER BY n")]


def unlink(workspace: Workspace, *revisions: str) -> None:
    for revision in revisions:
        workspace.project.revision_file(revision).unlink()


def kept(workspace: Workspace, revision: str) -> object:
    ((text,),) = workspace.rows(
        f"SELECT downgrade_statements FROM schema_migrations WHERE version = '{revision}'"
    )
    return json.loads(str(text))


def test_what_has_no_file_is_taken_back_from_the_ledger(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_two", "003_three")

    report = bm.downgrade("001_one", **workspace.options)

    assert report.applied == ("003_three", "002_two")
    assert report.current == ("001_one",)
    assert "Run from what the ledger keeps, without a file: 003_three, 002_two." in report.notices
    assert workspace.tables() == {"t1"}
    assert bm.status(**workspace.options).at_head
    assert workspace.rows(
        "SELECT version, parents, statements_applied, statements_total FROM schema_migrations "
        "WHERE direction = 'down' ORDER BY sequence"
    ) == [("003_three", ["002_two"], 1, 1), ("002_two", ["001_one"], 1, 1)]


@pytest.mark.parametrize(
    ("target", "left"),
    [("-1", {"t1", "t2"}), ("002_two", {"t1", "t2"}), ("002", {"t1", "t2"}), ("base", set())],
)
@modern
def test_every_way_to_name_the_target_knows_them(
    workspace: Workspace, target: str, left: set[str]
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_two", "003_three")
    bm.downgrade(target, **workspace.options)
    assert workspace.tables() == left


@modern
@pytest.mark.parametrize("target", ["001_one", "002_two", "-1"])
def test_a_repaired_parent_is_found_below_its_child(workspace: Workspace, target: str) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.project.write_revision(
        "002_two", "001_one", [LOG, TABLE.format(name="t2")], "SELECT 1"
    )
    bm.repair(["002_two"], **workspace.options)
    unlink(workspace, "002_two", "003_three")

    report = bm.downgrade(target, **workspace.options)

    assert report.applied[0] == "003_three"
    assert report.current == ("001_one" if target == "001_one" else "002_two",)


@modern
def test_alembic_takes_them_back_as_well(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_two", "003_three")
    config = Config(workspace.project.ini)
    command.downgrade(config, "-1")
    assert workspace.heads() == {"002_two"}
    command.downgrade(config, "001_one")
    assert workspace.heads() == {"001_one"} and workspace.tables() == {"t1"}


@modern
def test_the_file_counts_where_there_is_one(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.project.write_revision(
        "002_two",
        "001_one",
        TABLE.format(name="t2"),
        ["DROP TABLE IF EXISTS t2", "CREATE TABLE mended (a Int8) ENGINE = Log"],
    )
    unlink(workspace, "003_three")
    bm.downgrade("001_one", **workspace.options)
    assert workspace.tables() == {"t1", "mended"}


@modern
def test_branches_and_merges_are_taken_back_in_order(workspace: Workspace) -> None:
    write = workspace.project.write_revision
    write("001_a", None, [LOG, note(1)], "DROP TABLE log")
    write("002_left", "001_a", note(2), note(-2))
    write("002_right", "001_a", note(3), note(-3), depends_on="002_left")
    write("003_merge", ["002_left", "002_right"], note(4), note(-4))
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_left", "002_right", "003_merge")
    report = bm.downgrade("001_a", **workspace.options)
    assert report.applied == ("003_merge", "002_right", "002_left")
    assert logged(workspace) == [-4, -3, -2, 1, 2, 3, 4]


@modern
def test_a_statement_is_sent_to_the_byte_and_its_probe_is_asked(workspace: Workspace) -> None:
    odd = """INSERT INTO said VALUES ('100 % :x {id:UInt32} \\' ❄ "')"""
    workspace.project.write_revision(
        "001_a", None, "CREATE TABLE said (s String) ENGINE = MergeTree ORDER BY s"
    )
    workspace.project.write_revision(
        "002_b",
        "001_a",
        body=f"""
        def upgrade():
            pass

        def downgrade():
            op.execute_unless("SELECT 1 FROM said WHERE s = 'no'", {odd!r})
            op.execute_unless("SELECT 1 FROM said", "INSERT INTO said VALUES ('twice')")
        """,
    )
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_b")
    bm.downgrade("001_a", **workspace.options)
    assert workspace.rows("SELECT s FROM said") == [("""100 % :x {id:UInt32} ' ❄ \"""",)]


@modern
def test_a_backfill_goes_chunk_by_chunk_from_the_ledger_too(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            "CREATE TABLE old (k UInt64) ENGINE = MergeTree ORDER BY k",
            "CREATE TABLE new (k UInt64) ENGINE = MergeTree ORDER BY k",
            "INSERT INTO new SELECT number FROM numbers(1000)",
        ],
    )
    workspace.project.write_revision(
        "002_b",
        "001_a",
        body="""
        def upgrade():
            pass

        def downgrade():
            op.backfill(
                "old", select="SELECT k FROM new WHERE {chunk}", source="new", by="k",
                chunk_rows=100,
            )
        """,
    )
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_b")
    told: list[object] = []
    bm.downgrade("001_a", on_event=told.append, **workspace.options)
    chunks = [event for event in told if type(event).__name__ == "BackfillProgress"]
    assert len(chunks) >= 10
    assert workspace.rows("SELECT count(), uniqExact(k) FROM old") == [(1000, 1000)]


def test_one_that_failed_goes_on_where_it_stopped(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG])
    down = [note(1), "INSERT INTO later SELECT 2", note(3)]
    workspace.project.write_revision("002_b", "001_a", note(0), down)
    bm.upgrade(**workspace.options)
    unlink(workspace, "002_b")
    with pytest.raises(StatementFailed) as caught:
        bm.downgrade("001_a", **workspace.options)
    assert caught.value.index == 2
    workspace.prepare("CREATE TABLE later (n Int64) ENGINE = MergeTree ORDER BY n")
    bm.downgrade("001_a", **workspace.options)
    assert logged(workspace) == [0, 1, 3]
    assert [int(n) for (n,) in workspace.rows("SELECT n FROM later")] == [2]


@modern
def test_what_the_file_took_back_is_not_taken_back_again(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG])
    down = [note(1), "INSERT INTO later SELECT 2"]
    workspace.project.write_revision("002_b", "001_a", note(0), down)
    bm.upgrade(**workspace.options)
    with pytest.raises(StatementFailed):
        bm.downgrade("001_a", **workspace.options)
    unlink(workspace, "002_b")
    workspace.prepare("CREATE TABLE later (n Int64) ENGINE = MergeTree ORDER BY n")
    bm.downgrade("001_a", **workspace.options)
    assert logged(workspace) == [0, 1]


@modern
def test_one_that_was_begun_with_other_statements_is_refused(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG])
    workspace.project.write_revision("002_b", "001_a", note(0), [note(1), "SELECT nothing"])
    bm.upgrade(**workspace.options)
    workspace.project.write_revision("002_b", "001_a", note(0), [note(2), "SELECT nothing"])
    with pytest.raises(StatementFailed):
        bm.downgrade("001_a", **workspace.options)
    unlink(workspace, "002_b")
    with pytest.raises(ChecksumMismatch):
        bm.downgrade("001_a", **workspace.options)
    assert logged(workspace) == [0, 2]


@modern
def test_a_statement_whose_secret_was_taken_out_is_not_run(workspace: Workspace) -> None:
    secret = "SELECT * FROM mysql('h:3306', 'd', 't', 'u', 'hunter2')"
    workspace.project.write_revision("001_a", None, [LOG])
    workspace.project.write_revision("002_b", "001_a", note(0), [note(1), secret])
    bm.upgrade(**workspace.options)
    assert "hunter2" not in str(kept(workspace, "002_b"))
    unlink(workspace, "002_b")
    with pytest.raises(MissingRevision, match="statement 2 of its downgrade held a secret"):
        bm.downgrade("001_a", **workspace.options)
    assert logged(workspace) == [0]


@pytest.mark.parametrize(
    "downgrade", [None, "def downgrade():\n    op.get_bind().exec_driver_sql('SELECT 1')"]
)
@modern
def test_without_statements_in_the_ledger_nothing_is_taken_back(
    workspace: Workspace, downgrade: str | None
) -> None:
    workspace.write_three()
    body = "def upgrade():\n    op.execute('SELECT 1')\n\n" + (downgrade or "")
    workspace.project.write_revision("004_four", "003_three", body=body)
    workspace.project.write_revision("005_five", "004_four", "SELECT 1", "DROP TABLE t1")
    bm.upgrade(**workspace.options)
    unlink(workspace, "004_four", "005_five")
    with pytest.raises(MissingRevision, match="the ledger keeps no downgrade of it"):
        bm.downgrade("003_three", **workspace.options)
    assert workspace.tables() == {"t1", "t2", "t3"}
    bm.downgrade("004_four", **workspace.options)
    assert workspace.tables() == {"t2", "t3"}


@modern
def test_what_the_ledger_keeps_can_have_been_spoilt(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    unlink(workspace, "003_three")
    workspace.prepare(
        "ALTER TABLE schema_migrations UPDATE downgrade_statements = '[1]' "
        "WHERE version = '003_three' SETTINGS mutations_sync = 2"
    )
    with pytest.raises(LedgerError, match="keeps of 003_three cannot be read"):
        bm.downgrade("002_two", **workspace.options)


@modern
def test_a_half_applied_one_without_a_file_keeps_what_it_builds_on(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision("004_four", "003_three", ["SELECT 1", "SELECT nothing"])
    workspace.project.write_revision(
        "005_five", "003_three", TABLE.format(name="t5"), "DROP TABLE t5"
    )
    bm.upgrade("005_five", **workspace.options)
    with pytest.raises(StatementFailed):
        bm.upgrade("004_four", **workspace.options)
    unlink(workspace, "004_four", "005_five")
    with pytest.raises(LedgerError, match="004_four is half applied") as refused:
        bm.downgrade("002_two", **workspace.options)
    assert "builds on what would be reverted" in refused.value.message
    assert "up of the image that has its file" in refused.value.hint
    bm.downgrade("003_three", **workspace.options)
    assert workspace.tables() == {"t1", "t2", "t3"}


@modern
def test_a_target_that_nobody_knows_is_still_refused(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    unlink(workspace, "003_three")
    with pytest.raises(RevisionNotFound):
        bm.downgrade("009_nine", **workspace.options)
    with pytest.raises(CommandError, match="009_nine"):
        command.downgrade(Config(workspace.project.ini), "009_nine")
    with pytest.raises(MissingRevision):
        bm.upgrade(**workspace.options)
    assert workspace.tables() == {"t1", "t2", "t3"}
