"""Taking over what an older tool left."""

from __future__ import annotations

from io import StringIO

import pytest
from alembic import command
from alembic.config import Config

import budeval_migrations as bm
from budeval_migrations.errors import LedgerError, MissingRevision
from budeval_migrations.execution import adoption
from budeval_migrations.state import schema
from tests.engines.workspace import Workspace
from tests.support.legacy import LEGACY_TABLE
from tests.support.targets import engine_parameters

LEGACY_ROWS = """INSERT INTO schema_migrations
SELECT '000_migration_tracking', 'bootstrap', toDateTime64('2025-01-01 00:00:00', 3, 'UTC'), 0, 1, NULL
UNION ALL SELECT '001_one', 'abc1', toDateTime64('2025-01-01 00:00:01', 3, 'UTC'), 31, 1, NULL
UNION ALL SELECT '002_two', 'abc2', toDateTime64('2025-01-01 00:00:02', 3, 'UTC'), 7, 0, 'Code: 60.'
UNION ALL SELECT '002_two', 'abc2', toDateTime64('2025-01-01 00:00:03', 3, 'UTC'), 9, 1, NULL"""

on_modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "modern-connect"), indirect=True
)


def prepare_legacy(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.prepare(LEGACY_TABLE, LEGACY_ROWS)


@on_modern
def test_readers_understand_a_legacy_database_without_touching_it(workspace: Workspace) -> None:
    prepare_legacy(workspace)
    found = bm.status(**workspace.options)
    assert (found.current, found.pending) == (("002_two",), ("003_three",))
    lines = [(r.revision, r.state.value, r.checksum.value) for r in found.revisions]
    assert lines == [
        ("001_one", "applied", "legacy"),
        ("002_two", "applied", "legacy"),
        ("003_three", "pending", "none"),
    ]
    assert bm.validate(**workspace.options).ok
    printed = StringIO()
    command.current(Config(workspace.project.ini, stdout=printed))
    assert printed.getvalue() == "002_two\n"
    columns = workspace.rows(
        "SELECT count() FROM system.columns WHERE database = currentDatabase() "
        "AND table = 'schema_migrations'"
    )
    assert int(columns[0][0]) == 6


@on_modern
def test_upgrade_widens_the_legacy_table_and_runs_only_what_is_pending(
    workspace: Workspace,
) -> None:
    prepare_legacy(workspace)
    report = bm.upgrade(**workspace.options)
    assert report.applied == ("003_three",)
    assert workspace.tables() == {"t3"}
    assert workspace.heads() == {"003_three"}
    assert report.notices == (
        "Adopted 2 revisions from the old schema_migrations: 001_one, 002_two.",
    )
    kept = workspace.rows(
        "SELECT version, checksum, execution_time_ms FROM schema_migrations "
        "WHERE sequence = 0 ORDER BY executed_at"
    )
    assert kept == [
        ("000_migration_tracking", "bootstrap", 0),
        ("001_one", "abc1", 31),
        ("002_two", "abc2", 7),
        ("002_two", "abc2", 9),
    ]
    states = {r.revision: r.checksum.value for r in bm.status(**workspace.options).revisions}
    assert states == {"001_one": "legacy", "002_two": "legacy", "003_three": "ok"}
    assert bm.upgrade(**workspace.options).applied == ()
    assert bm.downgrade("001_one", **workspace.options).applied == ("003_three", "002_two")
    assert workspace.heads() == {"001_one"}


@pytest.mark.parametrize("adopted", [False, True])
@on_modern
def test_an_old_record_without_a_file_is_not_taken_back(
    workspace: Workspace, adopted: bool
) -> None:
    prepare_legacy(workspace)
    if adopted:
        bm.adopt(**workspace.options)
    for gone in ("002_two", "003_three"):
        workspace.project.revision_file(gone).unlink()
    for target in ("001_one", "base"):
        with pytest.raises(MissingRevision, match="what it builds on is not known") as refused:
            bm.downgrade(target, **workspace.options)
    assert "repair --forget 002_two" in refused.value.hint
    bm.repair(forget=["002_two"], **workspace.options)
    assert bm.downgrade("base", **workspace.options).applied == ("001_one",)


@on_modern
def test_adopt_takes_the_records_over_and_applies_nothing(workspace: Workspace) -> None:
    prepare_legacy(workspace)
    report = bm.adopt(**workspace.options)
    assert report.applied == ()
    assert report.pending == ("003_three",)
    assert workspace.heads() == {"002_two"}
    assert workspace.tables() == set()


@on_modern
def test_repair_records_the_checksum_of_an_adopted_revision(workspace: Workspace) -> None:
    prepare_legacy(workspace)
    bm.upgrade(**workspace.options)
    assert bm.repair(**workspace.options).applied == ("001_one", "002_two")
    states = {r.revision: r.checksum.value for r in bm.status(**workspace.options).revisions}
    assert states == {"001_one": "ok", "002_two": "ok", "003_three": "ok"}


FOREIGN = {
    "clickhouse-sqlalchemy": (
        "CREATE TABLE alembic_version (version_num String, dt DateTime DEFAULT now()) "
        "ENGINE = ReplacingMergeTree(dt) ORDER BY tuple()",
        "INSERT INTO alembic_version SELECT '001_one', toDateTime('2025-01-01 00:00:00')",
        "INSERT INTO alembic_version SELECT '002_two', toDateTime('2025-01-02 00:00:00')",
    ),
    "clickhouse-connect": (
        "CREATE TABLE alembic_version (version_num String) ENGINE = MergeTree ORDER BY version_num",
        "INSERT INTO alembic_version SELECT '002_two'",
    ),
}


@pytest.mark.parametrize("tool", FOREIGN)
def test_a_version_table_of_another_tool_is_taken_over(workspace: Workspace, tool: str) -> None:
    workspace.write_three()
    workspace.prepare(*FOREIGN[tool])
    assert bm.status(**workspace.options).current == ("002_two",)
    report = bm.upgrade(**workspace.options)
    assert report.applied == ("003_three",)
    assert report.notices == (
        "Adopted 2 revisions from alembic_version: 001_one, 002_two.",
        "The old table alembic_version is kept as alembic_version_before_ledger.",
    )
    assert workspace.heads() == {"003_three"}
    assert workspace.tables() == {"t3", "alembic_version_before_ledger"}
    assert ("002_two",) in workspace.rows("SELECT version_num FROM alembic_version_before_ledger")
    assert bm.upgrade(**workspace.options).applied == ()


def test_a_version_table_with_an_unknown_head_is_refused_and_left_alone(
    workspace: Workspace,
) -> None:
    workspace.write_three()
    workspace.prepare(
        "CREATE TABLE alembic_version (version_num String) ENGINE = MergeTree ORDER BY version_num",
        "INSERT INTO alembic_version SELECT 'f00ba4'",
    )
    with pytest.raises(MissingRevision) as caught:
        bm.upgrade(**workspace.options)
    assert "f00ba4" in str(caught.value)
    assert workspace.rows("SELECT version_num FROM alembic_version") == [("f00ba4",)]
    assert workspace.tables() == set()


@pytest.mark.parametrize("killed_after", ["rows", "rename"])
@on_modern
def test_a_killed_adoption_is_completed_by_the_next_run(
    workspace: Workspace, killed_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    workspace.write_three()
    workspace.prepare(*FOREIGN["clickhouse-connect"])
    with monkeypatch.context() as patch:
        if killed_after == "rows":
            patch.setattr(adoption, "_free_name", die)
        else:
            patch.setattr("budeval_migrations.state.ledger.Ledger.ensure_view", die)
        with pytest.raises(Killed):
            bm.upgrade(**workspace.options)
    assert bm.status(**workspace.options).current == ("002_two",)
    assert bm.upgrade(**workspace.options).applied == ("003_three",)
    assert workspace.heads() == {"003_three"}
    assert schema.KEPT_VERSION_TABLE in workspace.tables()


def test_a_ledger_of_a_newer_version_is_refused(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.prepare(
        "INSERT INTO schema_migrations (version, sequence, ledger_format) SELECT 'x', 9, 999"
    )
    for call in (bm.upgrade, bm.status):
        with pytest.raises(LedgerError) as caught:
            call(**workspace.options)
        assert "format 999" in str(caught.value)


def test_a_table_that_only_shares_the_name_is_refused(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.prepare("CREATE TABLE schema_migrations (id Int32) ENGINE = MergeTree ORDER BY id")
    with pytest.raises(LedgerError) as caught:
        bm.upgrade(**workspace.options)
    assert "is not a ledger of budeval" in str(caught.value)
    assert workspace.tables() == set()
