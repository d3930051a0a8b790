"""What may be assumed about a statement, by its kind and its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.execution.task import (
    Task,
    effect_of,
    make_task,
    redactor_of,
    statement_hash,
    tasks_of,
)
from budeval_migrations.model import (
    Backfill,
    CompiledRevision,
    Direction,
    LedgerRow,
    Operation,
    Statement,
    Step,
)
from budeval_migrations.settings import Settings
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.effects import Effect, effect
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.unfinished import JournalEvent

UP = Step("001_a", Operation.UPGRADE, Direction.UP, checksum="sum")
DOWN = Step("001_a", Operation.DOWNGRADE, Direction.DOWN, checksum="sum")
BACKFILL = Backfill("t", "SELECT k FROM s WHERE {chunk}", "s", "k", 10)


def task(text: str, step: Step = UP, **more: object) -> Task:
    return Task(step, 7, 2, 3, Statement(text, **more), text)  # type: ignore[arg-type]


# text, repeatable, quick
KINDS = {
    "CREATE TABLE t (k Int8) ENGINE = MergeTree ORDER BY k": (False, True),
    "CREATE TABLE IF NOT EXISTS t (k Int8) ENGINE = MergeTree ORDER BY k": (True, True),
    "CREATE TABLE t ENGINE = MergeTree ORDER BY k AS SELECT 1 AS k": (False, False),
    "CREATE VIEW v AS SELECT 1": (False, True),
    "CREATE OR REPLACE VIEW v AS SELECT 1": (True, True),
    "CREATE MATERIALIZED VIEW v ENGINE = Log POPULATE AS SELECT 1": (False, False),
    "CREATE FUNCTION f AS x -> x": (False, True),
    "CREATE DATABASE d": (False, False),
    "DROP TABLE t": (False, False),
    "DROP TABLE IF EXISTS t": (True, False),
    "DROP TABLE t, u": (False, False),
    "RENAME TABLE t TO u": (False, False),
    "RENAME TABLE t TO u, v TO w": (False, False),
    "EXCHANGE TABLES t AND u": (False, False),
    "ALTER TABLE t ADD COLUMN z Int8": (False, True),
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8": (True, True),
    "ALTER TABLE t ADD COLUMN y Int8, ADD COLUMN z Int8": (False, False),
    "ALTER TABLE t ON CLUSTER c ADD COLUMN z Int8": (False, False),
    "CREATE TABLE t ON CLUSTER c (k Int8) ENGINE = Log": (False, False),
    "ALTER TABLE t DROP COLUMN z": (False, False),
    "ALTER TABLE t MODIFY COLUMN z Int16": (True, False),
    "ALTER TABLE t UPDATE z = 1 WHERE 1": (False, False),
    "ALTER TABLE t DELETE WHERE 1": (False, False),
    "DELETE FROM t WHERE 1": (False, False),
    "TRUNCATE TABLE t": (False, False),
    "INSERT INTO t VALUES (1)": (False, False),
    "INSERT INTO t SELECT 1": (False, False),
    "ALTER TABLE t DROP PARTITION 1": (False, False),
    "ALTER TABLE t MOVE PARTITION 1 TO TABLE u": (False, False),
    "OPTIMIZE TABLE t FINAL": (True, False),
    "SELECT 1": (True, False),
    "SYSTEM FLUSH LOGS": (True, False),
    "GRANT SELECT ON t TO u": (True, False),
    "BACKUP TABLE t TO Disk('d', 'b')": (False, False),
}


@pytest.mark.parametrize(("text", "expected"), KINDS.items(), ids=KINDS)
def test_a_kind_of_statement_is_repeatable_or_quick(text: str, expected: object) -> None:
    found = task(text)

    assert (found.repeatable, found.quick) == expected


@pytest.mark.parametrize("text", KINDS)
def test_on_the_way_up_what_is_not_repeatable_needs_an_intent(text: str) -> None:
    found = task(text)

    assert found.needs_intent is not found.repeatable


@pytest.mark.parametrize("text", KINDS)
def test_on_the_way_down_everything_needs_an_intent(text: str) -> None:
    assert task(text, DOWN).needs_intent


@pytest.mark.parametrize("text", KINDS)
def test_a_probe_makes_any_statement_repeatable_and_none_quick(text: str) -> None:
    found = task(text, unless="SELECT 1")

    assert (found.repeatable, found.quick) == (True, False)


@pytest.mark.parametrize("text", KINDS)
def test_one_with_a_probe_is_looked_for_by_its_intent_like_one_without(text: str) -> None:
    assert task(text, unless="SELECT 1").needs_intent is task(text).needs_intent


def test_a_backfill_is_neither_repeatable_nor_quick() -> None:
    found = task("INSERT INTO t SELECT k FROM s WHERE (1)", backfill=BACKFILL)

    assert (found.repeatable, found.quick, found.needs_intent) == (False, False, True)


def test_quick_statements_are_told_by_tables_and_functions_alone() -> None:
    quick = [task(text) for text in KINDS if task(text).quick]

    assert {w.value for t in quick for w in t.effect.watches} == {"tables", "functions"}
    assert all(t.effect.atomic and not t.effect.mutation for t in quick)


def test_an_entry_says_which_statement_it_is_about() -> None:
    found = task("SELECT 1").entry(JournalEvent.FAILED, query_id="q", error_code=60)

    assert (found.revision, found.direction, found.since, found.position) == (
        "001_a",
        Direction.UP,
        7,
        2,
    )
    assert (found.event, found.query_id, found.error_code) == (JournalEvent.FAILED, "q", 60)
    assert (found.statement, found.checksum) == ("SELECT 1", "sum")
    assert found.hash == statement_hash(Statement("SELECT 1"))


def test_an_entry_holds_the_text_that_people_may_see() -> None:
    made = Task(UP, 0, 1, 1, Statement("CREATE USER u IDENTIFIED BY 'x'"), "CREATE USER u ***")

    assert made.entry(JournalEvent.INTENT).statement == "CREATE USER u ***"
    assert made.hash == statement_hash(Statement("CREATE USER u IDENTIFIED BY 'x'"))


def test_where_a_statement_stands_is_no_part_of_its_hash() -> None:
    assert statement_hash(Statement("SELECT 1", "a.py", 3)) == statement_hash(Statement("SELECT 1"))


def test_a_probe_is_part_of_the_hash() -> None:
    assert statement_hash(Statement("SELECT 1", unless="SELECT 2")) != statement_hash(
        Statement("SELECT 1")
    )


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"chunk_rows": 99}, True),
        ({"pause": 1.0}, True),
        ({"columns": ("k",)}, False),
        ({"by": "j"}, False),
        ({"into": "u"}, False),
        ({"select": "SELECT k + 1 FROM s WHERE {chunk}"}, False),
        ({"source": "r"}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_how_fast_a_backfill_goes_is_no_part_of_its_hash(
    changed: dict[str, object], same: bool
) -> None:
    one = statement_hash(Statement("x", backfill=BACKFILL))
    other = statement_hash(Statement("x", backfill=replace(BACKFILL, **changed)))  # type: ignore[arg-type]

    assert (one == other) is same


# --- the tasks of a step --------------------------------------------------------------------

APPLIED_BEFORE = LedgerRow(
    "001_a", "sum", datetime(2026, 1, 2, tzinfo=timezone.utc), 5, success=True, sequence=7
)
STATE = LedgerState(Ground.READY, (APPLIED_BEFORE,))


def not_opened() -> Session:
    """A session that is asked for its redaction alone."""
    return Session(Settings(url="clickhouse+http://me:url-password@127.0.0.1:1/d", database="d"))


def test_the_tasks_of_a_step_are_its_statements_in_their_places() -> None:
    texts = ("SELECT 1", "CREATE USER u IDENTIFIED BY 'hunter2'")
    statements = tuple(Statement(text, "v/001_a.py", n) for n, text in enumerate(texts, 9))
    step = replace(UP, up=CompiledRevision("001_a", Direction.UP, "v/001_a.py", statements))

    assert tasks_of(not_opened(), STATE, step) == (
        Task(step, 7, 1, 2, statements[0], "SELECT 1"),
        Task(step, 7, 2, 2, statements[1], "CREATE USER u IDENTIFIED BY '[HIDDEN]'"),
    )


def test_a_step_without_statements_has_no_tasks() -> None:
    assert tasks_of(not_opened(), STATE, Step("001_a", Operation.STAMP, Direction.UP)) == ()


def test_a_task_is_shown_without_the_password_of_the_url() -> None:
    statement = Statement("SELECT 'url-password'")

    made = make_task(not_opened(), LedgerState(Ground.READY), DOWN, 3, None, statement)

    assert made == Task(DOWN, 0, 3, None, statement, "SELECT '[HIDDEN]'")


def test_an_entry_is_of_the_statement_with_its_hash_or_its_shown_text() -> None:
    entry = task("CREATE USER u IDENTIFIED BY 'old'").entry(JournalEvent.INTENT)
    other_secret = Task(
        UP, 7, 2, 3, Statement("CREATE USER u IDENTIFIED BY 'new'"), entry.statement
    )
    other_shown = replace(task("CREATE USER u IDENTIFIED BY 'old'"), shown="something else")

    assert other_secret.is_of(entry)
    assert other_shown.is_of(entry)
    assert not task("SELECT 1").is_of(entry)


def test_the_effect_of_an_entry_is_that_of_its_text_or_of_what_is_shown_of_it() -> None:
    text = "ALTER TABLE t ON CLUSTER c ADD COLUMN z Int8"
    entry = replace(task("SELECT 1").entry(JournalEvent.INTENT), text=text)
    shown = replace(entry, text="", statement=text)
    for each in (entry, shown):
        assert effect_of(each) == effect(text)
        assert effect_of(each, on_one_host=True) == effect(text, on_one_host=True)
    assert effect(text) != effect(text, on_one_host=True)


def test_what_was_hidden_of_an_entry_may_have_said_that_it_cannot_be_repeated() -> None:
    entry = replace(task("SELECT 1").entry(JournalEvent.INTENT), text="")
    assert effect_of(entry).repeatable
    hidden = replace(entry, statement="SELECT '[HIDDEN]'")
    assert not effect_of(hidden).repeatable
    assert effect_of(replace(hidden, text="SELECT 'secret'")).repeatable
    assert effect_of(replace(entry, statement="ALTER TABLE t UPDATE a = 'not closed")) == Effect(
        Kind.OTHER, False
    )


def test_the_secrets_of_its_sets_are_hidden_in_a_servers_words_too() -> None:
    statement = Statement(
        "INSERT INTO t SELECT nope, {password:String}", settings=(("param_password", "S3cr3tXY"),)
    )
    hide = redactor_of(statement)
    assert hide("In scope SELECT nope, 'S3cr3tXY'") == "In scope SELECT nope, '[HIDDEN]'"
    plain = Statement("SELECT nope", settings=(("max_threads", "12345"),))
    assert redactor_of(plain)("Unknown 12345") == "Unknown 12345"
