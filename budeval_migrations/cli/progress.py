"""What long work looks like: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from budeval_migrations.events import BackfillProgress, StatementWaiting

# Seconds between two lines about a statement where there is no terminal.
_PAUSE = 10.0

_Place = tuple[str, int]  # revision, statement


class LongWork:
    """Shows the progress of the statements that are on their way.

    Args:
        console: Where to show it.

    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[_Place, TaskID] = {}
        self._last_lines: dict[_Place, float] = {}

    def waiting(self, event: StatementWaiting) -> None:
        """Show that a statement's work goes on on the server."""
        text = f"{event.revision} statement {event.index}: {event.what}, {_time(event.elapsed_ms)}"
        # What is done and what there is are guesses: a query can be at work with all rows read.
        self._show((event.revision, event.index), text, event.done, event.total, last=False)

    def backfill(self, event: BackfillProgress) -> None:
        """Show how far a backfill is."""
        left = f", {_time(event.left_ms)} left" if event.left_ms is not None else ""
        text = (
            f"{event.revision} statement {event.index}: chunk {event.chunk} of {event.chunks}, "
            f"{event.rows:,} of {event.rows_total:,} rows, {event.rows_per_second:,} rows/s{left}"
        )
        last = event.chunk == event.chunks
        self._show((event.revision, event.index), text, event.rows, event.rows_total, last=last)

    def close(self) -> None:
        """Take the bars away; idempotent."""
        bars, self._bars, self._tasks = self._bars, None, {}
        if bars is not None:
            bars.stop()

    def _show(self, place: _Place, text: str, done: int, total: int, *, last: bool) -> None:
        if not self._console.is_terminal:
            now = time.monotonic()
            if last or now - self._last_lines.get(place, float("-inf")) >= _PAUSE:
                self._last_lines[place] = now
                self._console.print(f"    {text}", markup=False)
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("    {task.description}", markup=False),
                BarColumn(bar_width=20),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        if place not in self._tasks:
            self._tasks[place] = self._bars.add_task(text, total=total or None)
        self._bars.update(self._tasks[place], description=text, completed=done, total=total or None)


def _time(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
