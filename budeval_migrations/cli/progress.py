"""What long work looks like: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from budeval_migrations.events import BackfillProgress, StatementWaiting

# Seconds between two lines where there is no terminal.
_PAUSE = 10.0


class LongWork:
    """Shows the progress of one statement at a time.

    Args:
        console: Where to show it.

    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = 0.0

    def waiting(self, event: StatementWaiting) -> None:
        """Show that a statement's work goes on on the server."""
        text = f"{event.revision} statement {event.index}: {event.what}, {_time(event.elapsed_ms)}"
        # What is done and what there is are guesses: a query can be at work with all rows read.
        self._show(text, event.done, event.total, last=False)

    def backfill(self, event: BackfillProgress) -> None:
        """Show how far a backfill is."""
        left = f", {_time(event.left_ms)} left" if event.left_ms is not None else ""
        text = (
            f"{event.revision} statement {event.index}: chunk {event.chunk} of {event.chunks}, "
            f"{event.rows:,} of {event.rows_total:,} rows, {event.rows_per_second:,} rows/s{left}"
        )
        self._show(text, event.rows, event.rows_total, last=event.chunk == event.chunks)

    def close(self) -> None:
        """Take the bar away; idempotent."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def _show(self, text: str, done: int, total: int, *, last: bool) -> None:
        if not self._console.is_terminal:
            if last or not self._last_line or time.monotonic() - self._last_line >= _PAUSE:
                self._last_line = time.monotonic()
                self._console.print(f"    {text}", markup=False)
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("    {task.description}", markup=False),
                BarColumn(bar_width=20),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(text, total=total or None)
        self._bar.update(self._task, description=text, completed=done, total=total or None)


def _time(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
