"""What a revision SETs holds for its later statements, on every engine, and ends with it."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import RevisionError, StatementFailed
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

pytestmark = pytest.mark.every_engine

LOG = "CREATE TABLE seen (n UInt8, name String, value String) ENGINE = MergeTree ORDER BY n"
modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "modern-connect"), indirect=True
)


def look(n: int) -> str:
    """Write down which of our settings the server has changed from its defaults."""
    return (
        f"INSERT INTO seen SELECT {n}, name, value FROM system.settings "
        "WHERE changed AND name IN ('max_block_size', 'join_use_nulls', 'max_memory_usage')"
    )


def seen(workspace: Workspace) -> list[tuple[int, str, str]]:
    rows = workspace.rows("SELECT n, name, value FROM seen ORDER BY n, name")
    return [(int(n), str(name), str(value)) for n, name, value in rows]


def test_a_set_holds_for_what_comes_after_it_in_its_revision(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            LOG,
            look(1),
            "SET max_block_size = 1234, join_use_nulls = 1",
            look(2),
            "-- less\nset max_block_size=0x10",
            look(3),
            "CREATE TABLE joined ENGINE = Log AS SELECT b FROM (SELECT 1 AS a) AS l ALL LEFT JOIN "
            "(SELECT 2 AS a, 3 AS b) AS r USING a",
        ],
    )
    workspace.project.write_revision("002_b", "001_a", [look(4)])
    bm.upgrade(**workspace.options)
    assert seen(workspace) == [
        (2, "join_use_nulls", "1"),
        (2, "max_block_size", "1234"),
        (3, "join_use_nulls", "1"),
        (3, "max_block_size", "16"),
    ]
    [[kind]] = workspace.rows(
        "SELECT type FROM system.columns WHERE table = 'joined' "
        f"AND database = '{workspace.options['database']}'"
    )
    assert kind == "Nullable(UInt8)"


def test_it_holds_after_a_resume_too(workspace: Workspace) -> None:
    head = [LOG, "SET max_block_size = 1234", look(1)]
    workspace.project.write_revision("001_a", None, [*head, "INSERT INTO nowhere SELECT 1"])
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    workspace.project.write_revision("001_a", None, [*head, look(2)])
    bm.upgrade(**workspace.options)
    assert seen(workspace) == [(1, "max_block_size", "1234"), (2, "max_block_size", "1234")]


def test_it_holds_for_probes_and_for_dynamic_revisions(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        body=f"""
            def upgrade() -> None:
                op.get_bind()
                op.execute({LOG!r})
                op.execute("SET max_block_size = 1234")
                op.execute_unless(
                    "SELECT 1 FROM system.settings WHERE name = 'max_block_size' "
                    "AND value = '1234'",
                    "INSERT INTO seen SELECT 9, '', ''",
                )
                op.execute({look(1)!r})
            """,
    )
    bm.upgrade(**workspace.options)
    assert seen(workspace) == [(1, "max_block_size", "1234")]


@modern
def test_default_ends_it(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            LOG,
            "SET max_block_size = 1234, join_use_nulls = true",
            "SET max_block_size = DEFAULT",
            look(1),
        ],
    )
    bm.upgrade(**workspace.options)
    assert seen(workspace) == [(1, "join_use_nulls", "1")]


@modern
def test_query_parameters_are_set_too(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            LOG,
            "SET param_n = 7, param_s = 'a\\\\tb\\''",
            "INSERT INTO seen SELECT {n:UInt8}, {s:String}, ''",
        ],
    )
    bm.upgrade(**workspace.options)
    assert seen(workspace) == [(7, "a\tb'", "")]


def test_a_setting_that_the_server_does_not_know_fails_at_its_set(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, "SET max_blok_size = 1", look(1)])
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    assert caught.value.index == 2
    assert "max_blok_size" in caught.value.message
    assert seen(workspace) == []


def test_the_settings_do_not_hold_for_the_bookkeeping(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a", None, [LOG, "SET max_result_rows = 1, result_overflow_mode = 'break'", look(1)]
    )
    workspace.project.write_revision("002_b", "001_a", ["SET max_result_rows = 2", look(2)])
    assert bm.upgrade(**workspace.options).applied == ("001_a", "002_b")
    assert bm.status(**workspace.options).current == ("002_b",)


@pytest.mark.parametrize("statement", ["USE other", "SET ROLE admin", "BEGIN TRANSACTION"])
def test_what_a_connection_alone_remembers_is_refused_before_anything_runs(
    workspace: Workspace, statement: str
) -> None:
    workspace.project.write_revision("001_a", None, [LOG, statement, "CREATE TABLE t ENGINE = Log"])
    with pytest.raises(RevisionError, match=f"{statement.split()[0]}|transaction"):
        bm.upgrade(**workspace.options)
    with workspace.session() as session:
        found = session.ask(
            f"SELECT name FROM system.tables WHERE database = '{workspace.options['database']}'"
        )
    assert found == []
