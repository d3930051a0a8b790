"""Whether a mutation of the server is the one that a statement made."""

from __future__ import annotations

import pytest

from budeval_migrations.execution.reconcile.commands import may_have_made
from budeval_migrations.execution.task import Task, effect_of
from budeval_migrations.model import Direction, Operation, Statement, Step
from budeval_migrations.state.journal import _values
from budeval_migrations.state.unfinished import JournalEvent

STEP = Step("001_a", Operation.UPGRADE, Direction.UP)


@pytest.mark.parametrize(
    ("statement", "command"),
    [
        ("ALTER TABLE n DELETE WHERE a > 12", "(DELETE WHERE a > 12)"),
        ("ALTER TABLE n DELETE WHERE (a > 12) AND b", "DELETE WHERE (a > 12) AND b"),
        ("DELETE FROM n WHERE a > 12", "(UPDATE _row_exists = 0 WHERE a > 12)"),
        (
            "alter table t update v = 'it''s' where k <> 2 settings mutations_sync = 1",
            "(UPDATE v = 'it\\'s' WHERE k != 2)",
        ),
        ("ALTER TABLE t UPDATE a = 1 WHERE b, DROP COLUMN c", "UPDATE a = 1 WHERE b"),
        ("ALTER TABLE n MATERIALIZE INDEX `i`", "(MATERIALIZE INDEX i)"),
    ],
)
def test_its_own_mutation_is_known_in_the_words_of_the_server(statement: str, command: str) -> None:
    assert may_have_made(statement, command)


@pytest.mark.parametrize(
    ("statement", "command"),
    [
        ("ALTER TABLE n DELETE WHERE a > 12", "(UPDATE b = 5 WHERE a = 1)"),
        ("ALTER TABLE n DELETE WHERE a > 12", "(DELETE WHERE a < 12)"),
        ("DELETE FROM n WHERE id > 100", "(UPDATE x = 0 WHERE 1)"),
        ("DELETE FROM n WHERE id > 100", "(UPDATE x = 0 WHERE id > 100)"),
        ("ALTER TABLE n DELETE WHERE id = 10", "(DELETE WHERE id = 1)"),
        ("ALTER TABLE n DELETE WHERE id = 1 AND b", "(DELETE WHERE id = 1)"),
        ("ALTER TABLE n UPDATE x = 1 WHERE a", "(UPDATE _row_exists = 0 WHERE a)"),
        ("ALTER TABLE n MATERIALIZE INDEX idx", "(MATERIALIZE INDEX i)"),
        ("ALTER TABLE n DELETE WHERE 1", "DELETE WHERE '"),
    ],
)
def test_the_mutation_of_another_is_not_taken_for_its_own(statement: str, command: str) -> None:
    assert not may_have_made(statement, command)


def test_what_a_statement_changes_is_read_from_its_text_and_not_from_what_is_shown() -> None:
    text = "ALTER TABLE t DELETE WHERE a = 'TOPSECRET'"
    shown = "ALTER TABLE t MODIFY COMMENT '[HIDDEN]'"
    entry = Task(STEP, 0, 1, 1, Statement(text), shown).entry(JournalEvent.INTENT)
    assert effect_of(entry).mutation
    kept = _values(entry)
    assert "TOPSECRET" not in repr(kept) + repr(entry)
    assert kept["statement"] == shown


def test_where_the_text_is_not_known_what_was_hidden_may_not_be_run_twice() -> None:
    def entry(shown: str) -> object:
        from dataclasses import replace

        made = Task(STEP, 0, 1, 1, Statement("SELECT 1"), shown).entry(JournalEvent.INTENT)
        return effect_of(replace(made, text=""))

    assert entry("ALTER TABLE t MODIFY COMMENT 'x'").repeatable  # type: ignore[attr-defined]
    assert not entry("ALTER TABLE t MODIFY COMMENT '[HIDDEN]'").repeatable  # type: ignore[attr-defined]
    assert not entry("ALTER TABLE t /* cut").repeatable  # type: ignore[attr-defined]
