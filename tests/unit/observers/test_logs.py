"""The log lines of a run, and what stands beside them for those who collect logs as data."""

from __future__ import annotations

import logging

import pytest

from budeval_migrations import events
from budeval_migrations.observers.logs import log_as_alembic, log_event

FINISHED = events.RevisionFinished("002_b", "upgrade", 12)
STARTED = events.RevisionStarted("002_b", "upgrade", ("001_a",), "Add b.", 3)
# Each kind of event -> its level and its line; None for what has none.
LINES: list[tuple[events.Event, tuple[str, str] | None]] = [
    (events.Notice("Look at this."), ("WARNING", "Look at this.")),
    (
        events.Interrupting("The run ends after statement 1."),
        ("WARNING", "The run ends after statement 1."),
    ),
    (
        events.LockWaiting("me@here pid 1", "10:00:00", 5),
        ("DEBUG", "waiting for the lock of me@here pid 1 since 10:00:00"),
    ),
    (events.LockAcquired(7), None),
    (events.RunStarted("upgrade", ("001_a", "002_b"), "r-1"), ("DEBUG", "upgrade of 2, run r-1")),
    (STARTED, ("INFO", "Running upgrade 001_a -> 002_b, Add b.")),
    (
        events.RevisionStarted("002_b", "downgrade", ("001_a",), "", None),
        ("INFO", "Running downgrade 002_b -> 001_a"),
    ),
    (
        events.StatementStarted("002_b", 1, 3, "SELECT '[HIDDEN]'"),
        ("DEBUG", "002_b statement 1 of 3: SELECT '[HIDDEN]'"),
    ),
    (events.StatementFinished("002_b", 1, 3, 4), None),
    (
        events.StatementWaiting("002_b", 2, "mutation of t", 11_500, 1, 2),
        ("INFO", "002_b statement 2: mutation of t (11 s)"),
    ),
    (
        events.StatementWaiting("002_b", 2, "mutation of t", 14_500, 1, 2),
        ("DEBUG", "002_b statement 2: mutation of t (14 s)"),
    ),
    (
        events.BackfillProgress("002_b", 3, 1, 4, 100, 400, 50, 2000, 150),
        ("INFO", "002_b statement 3: chunk 1 of 4, 100 of 400 rows, 2000 rows/s"),
    ),
    (FINISHED, ("INFO", "upgrade 002_b in 12 ms")),
    (
        events.RevisionFailed("002_b", "upgrade", 12, "ClickHouse 57: there is one"),
        ("ERROR", "002_b failed after 12 ms: ClickHouse 57: there is one"),
    ),
]


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize(("event", "line"), LINES)
def test_an_event_is_a_line_of_one_logger(
    event: events.Event, line: tuple[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    log_event(event)
    found = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert found == ([("budeval_migrations", *line)] if line else [])


def test_every_kind_of_event_is_in_the_table_above() -> None:
    assert {type(event) for event, _ in LINES} == set(events.Event.__subclasses__())


def test_the_fields_of_an_event_stand_beside_its_line(caplog: pytest.LogCaptureFixture) -> None:
    log_event(FINISHED)
    [record] = caplog.records
    wanted = {"event", "revision", "operation", "elapsed_ms"}
    found = {name: value for name, value in vars(record).items() if name in wanted}
    assert found == {
        "event": "revision_finished",
        "revision": "002_b",
        "operation": "upgrade",
        "elapsed_ms": 12,
    }


def test_under_alembics_command_a_revision_is_announced_by_alembics_logger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_as_alembic(STARTED)
    log_as_alembic(FINISHED)
    names = [record.name for record in caplog.records]
    assert names == ["alembic.runtime.migration", "budeval_migrations"]
