"""Rows in the bookkeeping that a newer package wrote, something else wrote, or that came twice."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import LedgerError, LockError, StatementFailed
from budeval_migrations.settings import Settings
from budeval_migrations.state import schema
from budeval_migrations.state.fast_check import fast_check
from budeval_migrations.state.ledger import Ledger
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("event", "intent/2", "has format 2; this package"),
        ("event", "paused", "'paused' is not a valid JournalEvent"),
        ("event", "", "'' is not a valid JournalEvent"),
        ("direction", "sideways", "'sideways' is not a valid Direction"),
        ("before", '{"shards":{}}', "unexpected keyword argument 'shards'"),
        ("before", '{"partitions":{"t":{"all":{}}}}', "KeyError"),
        ("before", "[]", "TypeError"),
        ("before", "{", "Expecting property name"),
    ],
)
def test_a_row_of_the_journal_that_is_not_understood_is_refused_in_a_sentence(
    workspace: Workspace, column: str, value: str, words: str
) -> None:
    workspace.project.write_revision("001_one", None, "SELECT * FROM nowhere")
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    row = {"revision": "001_one", "direction": "up", "event": "intent", "before": ""}
    row |= {"statement": "SELECT * FROM nowhere", "position": "1", "sequence": "99", column: value}
    texts = ", ".join(f"'{text}'" for text in row.values())
    workspace.prepare(f"INSERT INTO {schema.JOURNAL} ({', '.join(row)}) SELECT {texts}")
    for read in (bm.upgrade, bm.status):
        with pytest.raises(LedgerError) as caught:
            read(**workspace.options)
        assert words in caught.value.message
        assert "Use the" in caught.value.hint
    [problem] = bm.validate(**workspace.options).problems
    assert words in problem.message
    assert [int(n) for (n,) in workspace.rows(f"SELECT count() FROM {schema.LEDGER}")] == [1]


@on_http
def test_a_lock_of_a_newer_package_is_refused_in_a_sentence(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade("001_one", **workspace.options)
    workspace.prepare(
        f"INSERT INTO {schema.LOCK} (generation, event, owner) SELECT max(generation) + 1, 'share', "
        f"'x' FROM {schema.LOCK}"
    )
    with pytest.raises(LockError, match="holds rows that this package"):
        bm.upgrade(**workspace.options)
    assert workspace.tables() == {"t1"}


def test_a_ledger_row_that_arrived_twice_is_one(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    columns = ", ".join(column.name for column in schema.LEDGER_COLUMNS)
    workspace.prepare(
        f"INSERT INTO {schema.LEDGER} ({columns}) SELECT {columns} FROM {schema.LEDGER} "
        "WHERE version = '002_two'"
    )
    with Session(Settings(url=workspace.target.url, database=workspace.target.database)) as session:
        seen, rows = fast_check(session), Ledger(session).read_state().rows
    assert seen is not None and seen.heads == ("003_three",)
    assert [row.version for row in rows] == ["001_one", "002_two", "003_three"]
    assert bm.upgrade(**workspace.options).applied == ()
    assert workspace.heads() == {"003_three"}


def test_two_attempts_that_share_a_number_are_not_one(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    columns = ", ".join(c.name for c in schema.LEDGER_COLUMNS if c.name != "run_id")
    workspace.prepare(
        f"INSERT INTO {schema.LEDGER} ({columns}, run_id) SELECT {columns}, 'another' "
        f"FROM {schema.LEDGER} WHERE version = '002_two'"
    )
    with Session(Settings(url=workspace.target.url, database=workspace.target.database)) as session:
        assert fast_check(session) is None
