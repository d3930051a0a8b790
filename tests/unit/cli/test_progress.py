"""Long work without a terminal: a line at once, then one now and then, and the last one."""

from __future__ import annotations

from io import StringIO
from unittest import mock

import pytest
from rich.console import Console

from budeval_migrations.cli import progress
from budeval_migrations.cli.progress import LongWork
from budeval_migrations.events import BackfillProgress, StatementWaiting


@pytest.fixture
def shown() -> StringIO:
    return StringIO()


@pytest.fixture
def work(shown: StringIO) -> LongWork:
    return LongWork(Console(file=shown, width=200))


def _wait(work: LongWork, seconds: int, *, done: int = 6, total: int = 6) -> None:
    with mock.patch.object(progress.time, "monotonic", return_value=1000.0 + seconds):
        work.waiting(StatementWaiting("001_a", 3, "it works", seconds * 1000, done, total))


def test_a_wait_is_told_every_ten_seconds_whatever_the_server_guesses(
    work: LongWork, shown: StringIO
) -> None:
    for second in range(25):
        _wait(work, second)
    assert shown.getvalue().splitlines() == [
        "    001_a statement 3: it works, 0 s",
        "    001_a statement 3: it works, 10 s",
        "    001_a statement 3: it works, 20 s",
    ]


def test_of_two_on_their_way_each_is_told_every_ten_seconds(
    work: LongWork, shown: StringIO
) -> None:
    for second in range(12):
        for revision in ("001_a", "001_b"):
            with mock.patch.object(progress.time, "monotonic", return_value=1000.0 + second):
                work.waiting(StatementWaiting(revision, 1, "it works", second * 1000))
    assert shown.getvalue().splitlines() == [
        "    001_a statement 1: it works, 0 s",
        "    001_b statement 1: it works, 0 s",
        "    001_a statement 1: it works, 10 s",
        "    001_b statement 1: it works, 10 s",
    ]


def test_on_a_terminal_two_on_their_way_have_a_bar_each(shown: StringIO) -> None:
    work = LongWork(Console(file=shown, width=100, force_terminal=True, color_system=None))
    for done in (1, 2):
        for revision in ("001_a", "001_b"):
            work.backfill(BackfillProgress(revision, 1, done, 3, done * 10, 30, 9, 5, None))
    work._bars.refresh()  # type: ignore[union-attr]
    last = shown.getvalue().splitlines()[-2:]
    work.close()
    for name, line in zip(("001_a", "001_b"), last, strict=True):
        assert f"{name} statement 1: chunk 2 of 3, 20 of 30" in line


def test_the_end_of_a_backfill_is_told_at_once(work: LongWork, shown: StringIO) -> None:
    for chunk in (1, 2, 3):
        work.backfill(BackfillProgress("001_a", 3, chunk, 3, chunk * 10, 30, 9, 5, None))
    assert shown.getvalue().splitlines() == [
        "    001_a statement 3: chunk 1 of 3, 10 of 30 rows, 5 rows/s",
        "    001_a statement 3: chunk 3 of 3, 30 of 30 rows, 5 rows/s",
    ]
