"""Recipes that a person writes by hand: what they refuse, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ChecksumMismatch, RevisionCompileError, StatementFailed
from budeval_migrations.recipes.view_exchange import _has_not
from budeval_migrations.sql import quote
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

on_embedded = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
ACCOUNTS = (
    "CREATE TABLE accounts (id UInt64, name String, updated_at DateTime DEFAULT now()) "
    "ENGINE = ReplacingMergeTree(updated_at) ORDER BY {}"
)
EVENTS = "CREATE TABLE events (id UInt64, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY id"
VIEW = (
    "CREATE MATERIALIZED VIEW days ENGINE = SummingMergeTree ORDER BY day AS "
    "SELECT toDate(at) AS day, count() AS visits FROM events GROUP BY day"
)


def write(workspace: Workspace, *calls: str) -> Path:
    """Write a revision 002 with these calls of op."""
    body = "def upgrade() -> None:\n" + "\n".join(f"    {call}" for call in calls)
    path = workspace.project.write_revision("002_recipe", "001_before", body=body + "\n")
    text = path.read_text().replace("from alembic import op", "from budeval_migrations import op")
    path.write_text(text)
    return path


def begin(workspace: Workspace, *statements: str) -> None:
    workspace.project.write_revision("001_before", None, list(statements))
    bm.upgrade(**workspace.options)


def texts(workspace: Workspace, sql: str) -> list[tuple[str, ...]]:
    return [tuple(str(value) for value in row) for row in workspace.rows(sql)]


@on_embedded
def test_a_table_that_has_the_key_already_is_left_alone(workspace: Workspace) -> None:
    begin(workspace, ACCOUNTS.format("id"), "INSERT INTO accounts VALUES (1, 'a', now())")
    copy = 'op.LatestRows({"id": "id"}, "updated_at")'
    create = ACCOUNTS.format("id").replace("name String", "name String CODEC(ZSTD)")
    write(workspace, f'op.rebuild_table("accounts", {create!r}, copy={copy})')
    with pytest.raises(StatementFailed, match="accounts has this sorting key already") as caught:
        bm.upgrade(**workspace.options)
    assert caught.value.index == 1
    tables = texts(workspace, "SELECT name FROM system.tables WHERE name LIKE 'accounts%'")
    assert tables == [("accounts",)]


LATEST = 'op.LatestRows({"id": "id"}, "updated_at")'
ROWS = "INSERT INTO accounts SELECT number % 5, toString(number), now() - 60 FROM numbers(10)"
KEPT = "SELECT count(), uniqExact(id) FROM accounts FINAL"


@on_embedded
@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("(id,\n updated_at)", "id, updated_at"),
        ("(id+1, `id`)", "id + 1, id"),
        ("(toYYYYMM(  updated_at ), id)", "toYYYYMM(updated_at), id"),
        ("(id, `updated_at`)", "id, updated_at"),
        ("(concat(name, ' `'), id)", "concat(name, ' `'), id"),
    ],
)
def test_the_new_table_is_known_however_its_key_is_written(
    workspace: Workspace, key: str, shown: str
) -> None:
    begin(workspace, ACCOUNTS.format("id"), ROWS)
    write(workspace, f'op.rebuild_table("accounts", {ACCOUNTS.format(key)!r}, copy={LATEST})')
    assert bm.upgrade(**workspace.options).applied == ("002_recipe",)

    assert texts(workspace, KEPT) == [("5", "5")]
    tables = "SELECT name, sorting_key FROM system.tables WHERE name LIKE 'accounts%'"
    assert texts(workspace, tables) == [("accounts", shown)]


@on_embedded
def test_a_key_that_the_server_writes_otherwise_is_refused_before_anything_is_exchanged(
    workspace: Workspace,
) -> None:
    begin(workspace, ACCOUNTS.format("id"), ROWS)
    create = ACCOUNTS.format("(id::UInt32, id)")
    write(workspace, f'op.rebuild_table("accounts", {create!r}, copy={LATEST})')
    with pytest.raises(StatementFailed, match="and drop accounts_new"):
        bm.upgrade(**workspace.options)
    keys = "SELECT sorting_key FROM system.tables WHERE name = 'accounts'"
    assert texts(workspace, keys) == [("id",)]

    workspace.prepare("DROP TABLE accounts_new")
    create = ACCOUNTS.format("(CAST(id, 'UInt32'), id)")
    write(workspace, f'op.rebuild_table("accounts", {create!r}, copy={LATEST})')
    with pytest.raises(ChecksumMismatch):
        bm.upgrade(**workspace.options)
    for statement in (1, 2, 3):
        bm.repair_statement("002_recipe", statement, applied=False, **workspace.options)
    bm.upgrade(**workspace.options)
    assert texts(workspace, keys) == [("CAST(id, 'UInt32'), id",)]
    assert texts(workspace, KEPT) == [("5", "5")]


@on_embedded
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            'op.rebuild_table("t", "CREATE TABLE u (a UInt8) ENGINE = MergeTree ORDER BY a", '
            'copy=op.LatestRows({"a": "a"}, "v"))',
            "op.rebuild_table('t'): the statement creates u.",
        ),
        (
            'op.rebuild_table("t", "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", '
            'copy=op.LatestRows({"a": "a"}, "v"))',
            "op.rebuild_table('t'): the engine does not keep the row with the greatest v.",
        ),
        (
            'op.rebuild_table("t", "CREATE TABLE t (a UInt8) ENGINE = Log", '
            'copy=op.AllRows(was="CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"))',
            "t cannot be rebuilt exactly as Log: only tables of the MergeTree family are copied "
            "by partitions.",
        ),
        (
            'op.rebuild_table("t", "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", '
            'copy=op.AllRows(was="CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"), '
            "recipe=7)",
            "op.rebuild_table('t'): there is no recipe 7.",
        ),
        (
            'op.create_view_with_history("v", "SELECT count() FROM t", '
            'history=op.History("at"), into=op.OwnTable("w"))',
            "A column of this SELECT has no name: 'count()'.",
        ),
        (
            'op.create_view_with_history("v", "SELECT a AS b FROM t WHERE a = 1", '
            'history=op.History("at", columns="a UInt8"), into=op.OwnTable("w"), replaces=True)',
            "This SELECT has a WHERE already: 'SELECT a AS b FROM t WHERE a = 1'.",
        ),
        (
            'op.create_view_with_history("v", "SELECT a FROM t", history=op.History("at"), '
            'into=op.OwnTable("w"), replaces=True)',
            "op.create_view_with_history('v'): History has no columns.",
        ),
    ],
    ids=["table", "engine", "family", "recipe", "unnamed", "where", "columns"],
)
def test_what_a_recipe_cannot_do_is_refused_when_the_revision_is_compiled(
    workspace: Workspace, call: str, said: str
) -> None:
    begin(workspace, EVENTS)
    path = write(workspace, call)
    with pytest.raises(RevisionCompileError) as caught:
        bm.upgrade(**workspace.options)
    assert said in caught.value.message
    assert f"{path.name}:10" in caught.value.message
    assert bm.status(**workspace.options).current == ("001_before",)


@on_embedded
def test_a_view_takes_the_place_of_another_one_and_counts_every_row_once(
    workspace: Workspace,
) -> None:
    begin(
        workspace,
        EVENTS,
        VIEW,
        # The old view has seen none of these.
        "ALTER TABLE days MODIFY QUERY SELECT toDate(at) AS day, count() AS visits FROM events "
        "WHERE id < 0 GROUP BY day",
        "INSERT INTO events SELECT number, now() - number FROM numbers(1000)",
        "CREATE TABLE days_data (visits UInt64, day Date) ENGINE = SummingMergeTree ORDER BY day",
    )
    write(
        workspace,
        'op.create_view_with_history("days", "SELECT toDate(e.at) AS day, count() AS visits '
        'FROM events AS e GROUP BY day", history=op.History("at", columns='
        '"id UInt64"), into=op.OwnTable("days_data"), replaces=True)',
    )
    bm.upgrade(**workspace.options)
    workspace.prepare("INSERT INTO events (id) VALUES (5000), (5001)")
    assert texts(workspace, "SELECT sum(visits) FROM days") == [("1002",)]
    left = texts(
        workspace,
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'days%' "
        "ORDER BY name",
    )
    assert left == [("days",), ("days_data",)]


@on_embedded
@pytest.mark.parametrize("replaces", [True, False], ids=["another view", "none"])
@pytest.mark.parametrize("kind", ["Nullable(DateTime)", "Date", "UInt32"])
def test_a_time_that_does_not_tell_old_rows_from_new_ones_is_refused(
    workspace: Workspace, kind: str, replaces: bool
) -> None:
    begin(
        workspace,
        EVENTS.replace("DateTime", kind),
        VIEW.replace("toDate(at)", "toDate(assumeNotNull(at))"),
        "CREATE TABLE days_data (day Date, visits UInt64) ENGINE = SummingMergeTree ORDER BY day",
    )
    name, columns = ("days", "id UInt64") if replaces else ("visits", "")
    write(
        workspace,
        f'op.create_view_with_history("{name}", "SELECT toDate(at) AS day, count() AS visits FROM '
        f'events GROUP BY day", history=op.History("at", columns="{columns}"), '
        f'into=op.OwnTable("days_data"), replaces={replaces})',
    )
    with pytest.raises(StatementFailed, match="rows would be missing") as caught:
        bm.upgrade(**workspace.options)
    assert caught.value.index == 1


@on_embedded
@pytest.mark.parametrize("name", ["days_mv", "the `days` TO e", "days"], ids=str)
def test_a_view_is_known_by_what_it_fills_and_not_by_its_names(
    workspace: Workspace, name: str
) -> None:
    view = quote.identifier(name)
    named_one = quote.identifier("target of days")
    workspace.prepare(
        "CREATE TABLE s (days UInt8) ENGINE = MergeTree ORDER BY days",
        f"CREATE TABLE {named_one} (days UInt8) ENGINE = MergeTree ORDER BY days",
    )
    probe = _has_not(name, "days", recipe=1)
    workspace.prepare(f"CREATE MATERIALIZED VIEW {view} TO {named_one} AS SELECT days FROM s")
    assert workspace.rows(probe) == []
    workspace.prepare(
        f"DROP TABLE {view}",
        f"CREATE MATERIALIZED VIEW {view} ENGINE = MergeTree ORDER BY days "
        "COMMENT ' TO days' AS SELECT days FROM s",
    )
    assert len(workspace.rows(probe)) == 1
