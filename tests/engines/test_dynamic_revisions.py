"""A revision that reads the database while it runs reports and records as any other does."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import MigrationError, RevisionError, StatementFailed
from tests.engines.workspace import TABLE, Workspace
from tests.support.targets import engine_parameters

_STATIC = """
def upgrade() -> None:
    op.execute("INSERT INTO t1 SELECT 1, 'x'")
    op.execute("SELECT * FROM nowhere")
"""
_DYNAMIC = _STATIC.replace("None:\n", "None:\n    op.get_bind()\n")
_CATCHES = """
def upgrade() -> None:
    op.get_bind()
    op.execute("INSERT INTO t1 SELECT 1, 'x'")
    try:
        op.execute({statement!r})
    except Exception:
        pass
    op.execute("INSERT INTO t1 SELECT 2, 'y'")
"""
_HALF = (
    "INSERT INTO t1 SELECT number + throwIf(number = 250000), '' FROM numbers(300000) "
    "SETTINGS max_block_size = 1000, min_insert_block_size_rows = 1000, max_threads = 1, "
    "max_insert_block_size = 1000, min_insert_block_size_bytes = 1"
)
_LEDGER = (
    "SELECT version, success, error_code, error_message, statements_applied FROM schema_migrations "
    "WHERE version = '002_it' ORDER BY sequence"
)
_JOURNAL = (
    "SELECT position, event, error_code, error FROM schema_migrations_journal "
    "WHERE revision = '002_it' AND event != 'intent' ORDER BY sequence"
)


def _run(workspace: Workspace, body: str) -> MigrationError | bm.Report:
    workspace.project.write_revision("001_t", None, TABLE.format(name="t1"))
    workspace.project.write_revision("002_it", "001_t", body=body)
    try:
        return bm.upgrade(**workspace.options)
    except MigrationError as error:
        return error


def _texts(workspace: Workspace, sql: str) -> list[tuple[str, ...]]:
    return [tuple(str(value) for value in row) for row in workspace.rows(sql)]


def test_a_refusal_is_reported_and_recorded_as_in_a_static_revision(workspace: Workspace) -> None:
    error = _run(workspace, _DYNAMIC)
    assert isinstance(error, StatementFailed), error
    assert (error.index, error.code, error.line) == (2, 60, 12)
    assert "upgrade()" not in error.message
    assert error.outcome == (
        "1 statement of this revision took effect; the next run goes on at statement 2"
    )
    ledger, journal = _texts(workspace, _LEDGER), _texts(workspace, _JOURNAL)
    assert [row[2] for row in ledger] == ["60"]
    assert [row[:3] for row in journal] == [("1", "applied", "0"), ("2", "failed", "60")]
    again = _run(workspace, _STATIC)
    assert isinstance(again, StatementFailed)
    assert (again.index, again.code, again.reason) == (2, 60, error.reason)
    assert _texts(workspace, _JOURNAL)[-1] == journal[-1]


def test_a_refusal_that_the_revision_catches_is_a_row_and_a_notice(workspace: Workspace) -> None:
    report = _run(workspace, _CATCHES.format(statement="SELECT * FROM nowhere"))
    assert isinstance(report, bm.Report), report
    assert report.applied == ("001_t", "002_it")
    [notice] = [n for n in report.notices if "was refused" in n]
    assert notice.startswith(
        "002_it statement 2 was refused, and the revision went on: ClickHouse 60: "
    )
    assert [row[:3] for row in _texts(workspace, _JOURNAL)] == [
        ("1", "applied", "0"),
        ("2", "failed", "60"),
        ("3", "applied", "0"),
    ]
    assert _texts(workspace, "SELECT a FROM t1 ORDER BY a") == [("1",), ("2",)]


@pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "modern-connect"), indirect=True
)
def test_a_revision_cannot_go_on_after_a_statement_that_left_something_behind(
    workspace: Workspace,
) -> None:
    error = _run(workspace, _CATCHES.format(statement=_HALF))
    assert isinstance(error, StatementFailed), error
    assert (error.index, error.code) == (2, 395)
    assert "and statement 2 perhaps in part" in error.outcome
    for answer in ("--applied", "--not-applied"):
        assert f"budeval-migrate repair --revision 002_it --statement 2 {answer}" in error.hint
    assert _texts(workspace, "SELECT count() FROM t1 WHERE s = 'y'") == [("0",)]
    assert [row[1:3] for row in _texts(workspace, _JOURNAL)] == [
        ("applied", "0"),
        ("doubtful", "395"),
    ]


def test_a_revision_cannot_remove_the_record_of_what_is_applied(workspace: Workspace) -> None:
    error = _run(workspace, _CATCHES.format(statement="TRUNCATE TABLE schema_migrations"))
    assert isinstance(error, StatementFailed), error
    assert (error.index, error.line) == (2, 13)
    assert error.reason == (
        "The statement would change schema_migrations, and with it the record of what is applied."
    )
    assert _texts(workspace, "SELECT * FROM t1") == [("1", "x")]
    versions = _texts(workspace, "SELECT version FROM schema_migrations ORDER BY sequence")
    assert versions == [("001_t",), ("002_it",)]


def test_nothing_is_sent_of_a_run_that_would_remove_the_record(workspace: Workspace) -> None:
    workspace.project.write_revision("001_t", None, TABLE.format(name="t1"))
    workspace.project.write_revision("002_it", "001_t", "TRUNCATE TABLE schema_migrations_journal")
    with pytest.raises(RevisionError, match=r"002_it  statement 1 .* schema_migrations_journal"):
        bm.upgrade(**workspace.options)
    assert bm.status(**workspace.options).current == ()


_OVER_THE_CONNECTION = """
from sqlalchemy import text

def upgrade() -> None:
    bind = op.get_bind()
    before = bind.execute(text("SELECT count() FROM t1")).scalar()
    bind.exec_driver_sql("INSERT INTO t1 SELECT 1, 'a%b'")
    bind.execute(text("INSERT INTO t1 SELECT 2, 'c%d'"))
    with bind.engine.connect() as other:
        other.execute(text("INSERT INTO t1 SELECT 3, 'e'"))
    after = bind.exec_driver_sql("SELECT count() FROM t1").scalar()
    op.execute(f"INSERT INTO t1 SELECT 4, '{before} {after}'")
"""


def test_what_is_sent_over_the_connection_is_recorded_as_well(workspace: Workspace) -> None:
    report = _run(workspace, _OVER_THE_CONNECTION)
    assert isinstance(report, bm.Report), report
    assert sorted(_texts(workspace, "SELECT * FROM t1")) == [
        ("1", "a%b"),
        ("2", "c%d"),
        ("3", "e"),
        ("4", "0 3"),
    ]
    applied = _LEDGER.replace("success", "toUInt8(success)")
    assert _texts(workspace, applied) == [("002_it", "1", "0", "None", "4")]
    assert [row[:2] for row in _texts(workspace, _JOURNAL)] == [
        (position, "applied") for position in "1234"
    ]


def test_a_refusal_over_the_connection_is_that_of_a_statement(workspace: Workspace) -> None:
    error = _run(
        workspace, 'def upgrade():\n    op.get_bind().exec_driver_sql("INSERT INTO t1 SELECT no")\n'
    )
    assert isinstance(error, StatementFailed), error
    assert (error.revision, error.index, error.code, error.line) == ("002_it", 1, 47, 10)


def test_values_beside_the_text_are_refused_before_anything_is_sent(workspace: Workspace) -> None:
    body = (
        "import sqlalchemy as sa\n"
        "def upgrade():\n"
        "    insert = sa.text('INSERT INTO t1 SELECT :a, :b')\n"
        "    op.get_bind().execute(insert, {'a': 1, 'b': 'hunter2secret'})\n"
    )
    error = _run(workspace, body)
    assert isinstance(error, StatementFailed), error
    assert "The values of this statement stand beside its text" in error.message
    assert "hunter2secret" not in error.message
    assert error.hint == "Write op.execute(sa.text(…).bindparams(…)), or the values in the text."
    assert workspace.rows("SELECT * FROM t1") == []


def test_a_change_behind_a_question_is_recorded_as_well(workspace: Workspace) -> None:
    body = (
        "def upgrade():\n"
        "    op.get_bind().exec_driver_sql(\"SELECT 1; INSERT INTO t1 SELECT 1, 'x'\")\n"
    )
    assert isinstance(_run(workspace, body), bm.Report)
    assert _texts(workspace, "SELECT * FROM t1") == [("1", "x")]
    assert ("2", "applied") in [row[:2] for row in _texts(workspace, _JOURNAL)]
