"""One row tells whether a ledger says what the files say; it agrees with all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from random import Random

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.model import Direction, LedgerRow, Operation
from budeval_migrations.sql.checksum import summary
from budeval_migrations.state import schema
from budeval_migrations.state.fast_check import FastCheck, fast_check
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NAMES = ("001_a", "002_b", "003_ж'\\", "004 d")

on_each = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "old-http"), indirect=True
)


def row(version: str, sequence: int, **other: object) -> LedgerRow:
    made = LedgerRow(
        version=version,
        checksum=f"sum {version}",
        executed_at=BEGIN,
        execution_time_ms=12,
        success=True,
        sequence=sequence,
    )
    return replace(made, **other)


def write(session: Session, *rows: LedgerRow) -> None:
    ledger = Ledger(session)
    session.ensure_database()
    ledger.ensure(LedgerState(Ground.EMPTY))
    session.execute(f"TRUNCATE TABLE {schema.LEDGER}")
    ledger.append([Attempt(each) for each in rows])


def read_all(session: Session) -> FastCheck:
    """The same, from every row."""
    recorded = Ledger(session).read_state().recorded
    adopted = {name for name, each in recorded.items() if each.operation is Operation.ADOPT}
    covered = {parent for each in recorded.values() for parent in each.parents}
    return FastCheck(
        summary((n, "" if n in adopted else each.checksum) for n, each in recorded.items()),
        frozenset(adopted),
        tuple(name for name in recorded if name not in covered),
    )


def histories(seed: int) -> list[LedgerRow]:
    """Rows as runs could have left them, and as they could not."""
    random = Random(seed)
    made = []
    for sequence in range(1, random.randrange(2, 14)):
        version = random.choice(NAMES)
        others = [name for name in NAMES if name != version]
        made.append(
            row(
                version,
                sequence,
                checksum=random.choice(("x", "y", "")),
                success=random.random() < 0.8,
                direction=random.choice((Direction.UP, Direction.UP, Direction.DOWN)),
                operation=random.choice((Operation.UPGRADE, Operation.STAMP, Operation.ADOPT)),
                parents=tuple(random.sample(others, random.randrange(3))),
                executed_at=BEGIN.replace(second=random.randrange(60)),
            )
        )
    return made


@on_each
def test_it_says_what_all_the_rows_say(workspace: Workspace) -> None:
    with workspace.session() as session:
        for seed in range(25):
            write(session, *histories(seed))
            seen = fast_check(session)
            if seen is None:
                assert Ledger(session).read_state().recorded == {}, seed
            else:
                assert seen == read_all(session), seed


@on_each
def test_what_is_odd_has_to_be_read_row_by_row(workspace: Workspace) -> None:
    good = (row("001_a", 1), row("002_b", 2, parents=("001_a",)))
    with workspace.session() as session:
        assert fast_check(session) is None, "no database"
        session.ensure_database()
        assert fast_check(session) is None, "no ledger"
        write(session)
        assert fast_check(session) is None, "no rows, so that another tool's table is looked for"
        write(session, *good)
        expected = FastCheck(
            summary([("001_a", "sum 001_a"), ("002_b", "sum 002_b")]), frozenset(), ("002_b",)
        )
        assert fast_check(session) == expected
        write(session, *good, row("001_a", 0), row(schema.BOOTSTRAP_VERSION, 0))
        assert fast_check(session) == expected, "an older tool's rows that were adopted"
        write(session, *good, row("003_c", 0))
        assert fast_check(session) is None, "one that was not"
        write(session, *good, row("003_c", 2))
        assert fast_check(session) is None, "two rows with one number"
        write(session, *good)
        intent = JournalEntry("003_c", Direction.UP, 0, 1, JournalEvent.INTENT, "hash", "SELECT 1")
        Journal(session, 1).append([intent])
        assert fast_check(session) is None, "a revision that was begun"
        write(session, *good, row("003_c", 3, checksum="sum", parents=("002_b",)))
        assert fast_check(session) == FastCheck(
            summary(
                [("001_a", "sum 001_a"), ("002_b", "sum 002_b"), ("003_c", "sum")],
            ),
            frozenset(),
            ("003_c",),
        ), "and was finished"


@on_each
def test_a_format_that_is_too_new_is_refused_at_head_too(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    columns = ", ".join(c.name for c in schema.LEDGER_COLUMNS if c.name != "ledger_format")
    workspace.prepare(
        f"INSERT INTO {schema.LEDGER} ({columns}, ledger_format) "
        f"SELECT {columns.replace('sequence', 'sequence + 100')}, {schema.LEDGER_FORMAT + 1} "
        f"FROM {schema.LEDGER} WHERE sequence = 1"
    )
    with pytest.raises(bm.MigrationError, match="has format"):
        bm.upgrade(**workspace.options)


@on_each
def test_a_file_that_was_edited_is_found_at_head(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    assert bm.upgrade(**workspace.options).current == ("003_three",)
    file = workspace.project.versions / "002_two.py"
    file.write_text(file.read_text().replace("Int32", "Int64"))
    with pytest.raises(bm.MigrationError, match="002_two"):
        bm.upgrade(**workspace.options)
