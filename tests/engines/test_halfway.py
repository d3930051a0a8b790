"""A server refuses a statement that did a part of its work: that is not "nothing took effect"."""

from __future__ import annotations

from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import StatementFailed, StatementOutcomeUnknown
from budeval_migrations.events import StatementWaiting
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
MERGE_TREE = "ENGINE = MergeTree ORDER BY a"
TABLE = f"CREATE TABLE {{}} (a Int64, b Int64 DEFAULT 0) {MERGE_TREE}"
ROW = "INSERT INTO t VALUES (1, 0)"
BLOCKS = (
    "SETTINGS max_block_size = 8192, max_threads = 1, max_insert_threads = 1, "
    "min_insert_block_size_rows = 8192, min_insert_block_size_bytes = 0"
)

# By name: what is there, the statement, what removes the reason, what tells how often it ran.
HALFWAY = {
    "a view of the table reads a table that is gone": (
        [
            TABLE.format("t"),
            TABLE.format("j"),
            TABLE.format("m"),
            "CREATE MATERIALIZED VIEW v TO m AS SELECT t.a AS a FROM t INNER JOIN j ON t.a = j.a",
            "DROP TABLE j",
        ],
        "INSERT INTO t VALUES (1, 0)",
        TABLE.format("j"),
        "SELECT count() FROM t",
        [(1,)],
    ),
    "the second pair of an exchange is missing": (
        [
            f"CREATE TABLE x (a Int64, is_x Int8) {MERGE_TREE}",
            f"CREATE TABLE y (a Int64, is_y Int8) {MERGE_TREE}",
            TABLE.format("z"),
        ],
        "EXCHANGE TABLES x AND y, z AND missing",
        TABLE.format("missing"),
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'x' "
        "AND name != 'a'",
        [("is_y",)],
    ),
    "the second clause of an ALTER names an unknown column": (
        [TABLE.format("t"), ROW],
        "ALTER TABLE t UPDATE b = b + 1 WHERE 1, ADD COLUMN c Int8 AFTER later",
        "ALTER TABLE t ADD COLUMN later Int8",
        "SELECT b FROM t",
        [(1,)],
    ),
    "the other half of PARALLEL WITH is refused": (
        [TABLE.format("t"), ROW],
        "ALTER TABLE t UPDATE b = b + 1 WHERE 1 PARALLEL WITH DROP TABLE missing",
        TABLE.format("missing"),
        "SELECT b FROM t",
        [(1,)],
    ),
    "the second source of an ATTACH is missing": (
        [
            "CREATE TABLE t (a Int64) ENGINE = MergeTree PARTITION BY a ORDER BY a",
            "CREATE TABLE s (a Int64) ENGINE = MergeTree PARTITION BY a ORDER BY a",
            "INSERT INTO s VALUES (1)",
        ],
        "ALTER TABLE t ATTACH PARTITION 1 FROM s, ATTACH PARTITION 1 FROM missing",
        "CREATE TABLE missing (a Int64) ENGINE = MergeTree PARTITION BY a ORDER BY a",
        "SELECT count() FROM t",
        [(1,)],
    ),
    "the second clause of an ALTER of an Alias names an unknown column": (
        [TABLE.format("s"), "CREATE TABLE t ENGINE = Alias('s')", "INSERT INTO s VALUES (1, 0)"],
        "ALTER TABLE t UPDATE b = b + 1 WHERE 1, ADD COLUMN c Int8 AFTER later",
        "ALTER TABLE s ADD COLUMN later Int8",
        "SELECT b FROM s",
        [(1,)],
    ),
    "the other half of PARALLEL WITH meets a text that is no SQL": (
        [
            TABLE.format("t"),
            ROW,
            "CREATE TABLE u (q String) ENGINE = MergeTree ORDER BY q",
            "CREATE TABLE src (q String) ENGINE = MergeTree ORDER BY q",
            "INSERT INTO src VALUES ('(')",
        ],
        "ALTER TABLE t UPDATE b = b + 1 WHERE 1 "
        "PARALLEL WITH INSERT INTO u SELECT formatQuery(q) FROM src",
        "TRUNCATE TABLE src",
        "SELECT b FROM t",
        [(1,)],
    ),
    "an UPDATE fails at a late block": (
        [
            "CREATE TABLE t (a Int64, b Int64) ENGINE = MergeTree ORDER BY a SETTINGS "
            "enable_block_number_column = 1, enable_block_offset_column = 1",
            "INSERT INTO t SELECT number, 0 FROM numbers(300000)",
        ],
        f"UPDATE t SET b = b + 1 + throwIf(a = 299999 AND b = 0, 'late') WHERE 1 {BLOCKS}",
        "ALTER TABLE t DELETE WHERE a = 299999 SETTINGS mutations_sync = 2",
        "SELECT max(b) FROM t",
        [(1,)],
    ),
}


@modern
@pytest.mark.parametrize("name", HALFWAY)
def test_a_refused_statement_that_did_a_part_is_not_sent_again(
    workspace: Workspace, name: str
) -> None:
    there, statement, remedy, question, once = HALFWAY[name]
    workspace.prepare(*there)
    workspace.project.write_revision("001_a", None, statement)
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)
    assert workspace.rows(question) == once
    workspace.prepare(remedy)

    with pytest.raises(StatementOutcomeUnknown) as caught:
        bm.upgrade(**workspace.options)

    assert (caught.value.revision, caught.value.index) == ("001_a", 1)
    assert workspace.rows(question) == once


# A slip of the pen in a statement that can do a part of its work.
SLIPS = {
    "an INSERT into a table with a view": (
        [
            TABLE.format("t"),
            TABLE.format("m"),
            "CREATE MATERIALIZED VIEW v TO m AS SELECT a FROM t",
        ],
        "INSERT INTO t SELECT nme, 0 FROM numbers(3)",
        "INSERT INTO t SELECT number, 0 FROM numbers(3)",
        "SELECT count() FROM t",
        [(3,)],
    ),
    "an INSERT into a table whose parts nobody sees": (
        ["CREATE TABLE t (a Int64) ENGINE = Memory"],
        "INSERT INTO t SELECT nme FROM numbers(3)",
        "INSERT INTO t SELECT number FROM numbers(3)",
        "SELECT count() FROM t",
        [(3,)],
    ),
    "an INSERT into a function": (
        [],
        "INSERT INTO FUNCTION null('a Int64') SELECT nme FROM numbers(3)",
        "INSERT INTO FUNCTION null('a Int64') SELECT number FROM numbers(3)",
        "SELECT 1",
        [(1,)],
    ),
    "a mutation": (
        [TABLE.format("t"), ROW],
        "ALTER TABLE t UPDATE b = b + later WHERE 1",
        "ALTER TABLE t UPDATE b = b + 1 WHERE 1",
        "SELECT b FROM t",
        [(1,)],
    ),
    "an ALTER of several clauses": (
        [TABLE.format("t")],
        "ALTER TABLE t ADD COLUMN c Int8, ADD COLUMN d Int8 AFTER later",
        "ALTER TABLE t ADD COLUMN c Int8, ADD COLUMN d Int8 AFTER c",
        "SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = 't'",
        [(4,)],
    ),
    "an UPDATE": (
        [
            "CREATE TABLE t (a Int64, b Int64) ENGINE = MergeTree ORDER BY a SETTINGS "
            "enable_block_number_column = 1, enable_block_offset_column = 1",
            ROW,
        ],
        "UPDATE t SET b = b + later WHERE 1",
        "UPDATE t SET b = b + 1 WHERE 1",
        "SELECT b FROM t",
        [(1,)],
    ),
    "what this package does not know": (
        [TABLE.format("t")],
        "FROBNICATE TABLE t",
        "SELECT 1",
        "SELECT count() FROM t",
        [(0,)],
    ),
}


@modern
@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_corrected_and_the_run_goes_on(workspace: Workspace, name: str) -> None:
    there, slip, correct, question, once = SLIPS[name]
    workspace.prepare(*there)
    workspace.project.write_revision("001_a", None, slip)
    with pytest.raises(bm.MigrationError):
        bm.upgrade(**workspace.options)
    workspace.project.write_revision("001_a", None, correct)

    assert bm.upgrade(**workspace.options).applied == ("001_a",)

    assert workspace.rows(question) == once


@modern
def test_a_mutation_that_is_killed_while_it_is_waited_for_is_not_applied(
    workspace: Workspace,
) -> None:
    workspace.prepare(TABLE.format("t"), "INSERT INTO t SELECT number, 0 FROM numbers(10)")
    workspace.project.write_revision(
        "001_a", None, "ALTER TABLE t UPDATE b = b + 1 + sleepEachRow(0.2) WHERE 1"
    )

    def kill(event: object) -> None:
        if isinstance(event, StatementWaiting) and "to do" in event.what:
            with workspace.session() as session:
                session.execute("KILL MUTATION WHERE database = currentDatabase() ASYNC")

    with pytest.raises(StatementFailed, match="was killed before it was done"):
        bm.upgrade(on_event=kill, **workspace.options)
    with pytest.raises(StatementOutcomeUnknown):
        bm.upgrade(**workspace.options)


def test_a_mutation_that_the_server_has_twice_is_not_taken_for_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.prepare(TABLE.format("t"), "INSERT INTO t SELECT 1, 0")
    workspace.project.write_revision("001_a", None, "ALTER TABLE t UPDATE b = b + 1 WHERE 1")
    send = Session.execute

    def twice(self: Session, sql: str, **options: Any) -> Any:
        if options.get("query_id") and "UPDATE b" in sql:
            with workspace.session() as session:
                send(session, sql)
        return send(self, sql, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "execute", twice)
        with pytest.raises(StatementFailed, match="have its command: it ran twice, or"):
            bm.upgrade(**workspace.options)

    with pytest.raises(StatementOutcomeUnknown, match="have its command: it ran twice, or"):
        bm.upgrade(**workspace.options)


@modern
def test_a_probe_is_asked_as_it_is_written(workspace: Workspace) -> None:
    workspace.prepare(TABLE.format("t"), ROW)
    workspace.project.write_revision("001_a", None, "SET offset = 1")
    file = workspace.project.revision_file("001_a")
    call = "op.execute_unless('SELECT 1 FROM t WHERE a = 1', 'INSERT INTO t VALUES (1, 0)')"
    head, _, tail = file.read_text().partition("\n\n\ndef downgrade")
    file.write_text(f"{head}\n    {call}\n\n\ndef downgrade{tail}")

    bm.upgrade(**workspace.options)

    assert workspace.rows("SELECT count() FROM t") == [(1,)]
