"""What goes on: a line at once, then one now and then, and the last one; on a terminal, a view."""

from __future__ import annotations

from io import StringIO
from unittest import mock

import pytest
from rich.console import Console

from budeval_migrations.cli import progress
from budeval_migrations.cli.progress import LiveView
from budeval_migrations.events import (
    BackfillProgress,
    LockWaiting,
    StatementStarted,
    StatementWaiting,
)


@pytest.fixture
def shown() -> StringIO:
    return StringIO()


@pytest.fixture
def work(shown: StringIO) -> LiveView:
    return LiveView(Console(file=shown, width=200))


def _wait(work: LiveView, seconds: int, *, done: int = 6, total: int = 6) -> None:
    with mock.patch.object(progress.time, "monotonic", return_value=1000.0 + seconds):
        work.waiting(StatementWaiting("001_a", 3, "it works", seconds * 1000, done, total))


def test_a_wait_is_told_every_ten_seconds_whatever_the_server_guesses(
    work: LiveView, shown: StringIO
) -> None:
    for second in range(25):
        _wait(work, second)
    assert shown.getvalue().splitlines() == [
        "    001_a statement 3: it works, 1 s",
        "    001_a statement 3: it works, 11 s",
        "    001_a statement 3: it works, 21 s",
    ]


def test_of_two_on_their_way_each_is_told_every_ten_seconds(
    work: LiveView, shown: StringIO
) -> None:
    for second in range(12):
        for revision in ("001_a", "001_b"):
            with mock.patch.object(progress.time, "monotonic", return_value=1000.0 + second):
                work.waiting(StatementWaiting(revision, 1, "it works", second * 1000))
    assert shown.getvalue().splitlines() == [
        "    001_a statement 1: it works, 1 s",
        "    001_b statement 1: it works, 1 s",
        "    001_a statement 1: it works, 11 s",
        "    001_b statement 1: it works, 11 s",
    ]


def test_on_a_terminal_two_on_their_way_have_a_bar_each(shown: StringIO) -> None:
    work = LiveView(Console(file=shown, width=100, force_terminal=True, color_system=None))
    for done in (1, 2):
        for revision in ("001_a", "001_b"):
            work.backfill(BackfillProgress(revision, 1, done, 3, done * 10, 30, 9, 5, None))
    work._view.refresh()  # type: ignore[union-attr]
    last = shown.getvalue().splitlines()[-2:]
    work.close()
    for name, line in zip(("001_a", "001_b"), last, strict=True):
        assert f"{name} statement 1: chunk 2 of 3, 20 of 30" in line


def test_the_end_of_a_backfill_is_told_at_once(work: LiveView, shown: StringIO) -> None:
    for chunk in (1, 2, 3):
        work.backfill(BackfillProgress("001_a", 3, chunk, 3, chunk * 10, 30, 9, 5, None))
    assert shown.getvalue().splitlines() == [
        "    001_a statement 3: chunk 1 of 3, 10 of 30 rows, 5 rows/s",
        "    001_a statement 3: chunk 3 of 3, 30 of 30 rows, 5 rows/s",
    ]


def test_on_a_terminal_it_is_shown_who_is_waited_for_until_the_lock_is_ours(
    shown: StringIO,
) -> None:
    work = LiveView(Console(file=shown, width=100, force_terminal=True, color_system=None))
    for doing in ("001_a statement 1", "001_a statement 2 of 3"):
        work.lock(LockWaiting("deploy@pod-1 pid 7", "12:00:00", 1000, doing))
    work._view.refresh()  # type: ignore[union-attr]
    last = shown.getvalue().splitlines()[-1]
    assert "  waiting for deploy@pod-1 pid 7, at 001_a statement 2 of 3" in last
    work.lock_taken()
    assert work._view is not None and not work._view.tasks
    work.close()


def test_elsewhere_a_statement_that_begins_and_a_lock_have_no_line_of_this_view(
    work: LiveView, shown: StringIO
) -> None:
    work.lock(LockWaiting("deploy@pod-1 pid 7", "12:00:00", 1000))
    work.started(StatementStarted("001_a", 1, 2, "SELECT 1"))
    work.ended(("001_a", 1))
    assert shown.getvalue() == ""
