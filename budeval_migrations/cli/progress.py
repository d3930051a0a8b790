"""What goes on: a live view on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from budeval_migrations.events import (
    BackfillProgress,
    LockWaiting,
    StatementStarted,
    StatementWaiting,
)
from budeval_migrations.visible import printable

# Seconds between two lines about a statement where there is no terminal.
_PAUSE = 10.0
# Milliseconds before a line says that something is waited for.
_AT_LEAST = 1000

_Place = tuple[str, int]  # revision, statement
_LOCK: _Place = ("", 0)


class LiveView:
    """Shows the statements that are on their way, and whom we wait for.

    On a terminal each has a line of its own below what is printed, with the time that it
    has taken so far; it goes when the statement ends.

    Args:
        console: Where to show it.

    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view: Progress | None = None
        self._tasks: dict[_Place, TaskID] = {}
        self._last_lines: dict[_Place, float] = {}

    def lock(self, event: LockWaiting) -> None:
        """Show whom we wait for, and what they are at."""
        if self._console.is_terminal:
            doing = f", at {event.doing}" if event.doing else ""
            self._show(_LOCK, f"  waiting for {event.holder}{doing}")

    def lock_taken(self) -> None:
        """Wait for nobody any more."""
        self.ended(_LOCK)

    def started(self, event: StatementStarted) -> None:
        """Show that a statement is on its way."""
        if self._console.is_terminal:
            sql = " ".join(event.sql[:500].split())
            of = f" of {event.total}" if event.total is not None else ""
            place = (event.revision, event.index)
            self._show(place, f"    {event.revision} statement {event.index}{of}: {sql}")

    def waiting(self, event: StatementWaiting) -> None:
        """Show that a statement's work goes on on the server."""
        text = f"    {event.revision} statement {event.index}: {event.what}"
        place = (event.revision, event.index)
        if self._console.is_terminal:
            # What is done and what there is are guesses: all rows may be read, and it works on.
            self._show(place, text, event.done, event.total)
        elif event.elapsed_ms >= _AT_LEAST:
            self._say(place, f"{text}, {_time(event.elapsed_ms)}", last=False)

    def backfill(self, event: BackfillProgress) -> None:
        """Show how far a backfill is."""
        left = f", {_time(event.left_ms)} left" if event.left_ms is not None else ""
        text = (
            f"    {event.revision} statement {event.index}: chunk {event.chunk} of {event.chunks}, "
            f"{event.rows:,} of {event.rows_total:,} rows, {event.rows_per_second:,} rows/s{left}"
        )
        place = (event.revision, event.index)
        if self._console.is_terminal:
            self._show(place, text, event.rows, event.rows_total)
        else:
            self._say(place, text, last=event.chunk == event.chunks)

    def ended(self, place: _Place) -> None:
        """Take the line of a statement away."""
        task = self._tasks.pop(place, None)
        if task is not None and self._view is not None:
            self._view.remove_task(task)
            self._view.refresh()  # what is printed next stands above the view as it was last drawn

    def close(self) -> None:
        """Take all lines away; idempotent."""
        view, self._view, self._tasks = self._view, None, {}
        if view is not None:
            view.stop()

    def _say(self, place: _Place, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._last_lines.get(place, float("-inf")) >= _PAUSE:
            self._last_lines[place] = now
            self._console.print(text, markup=False)

    def _show(self, place: _Place, text: str, done: int = 0, total: int = 0) -> None:
        text = printable(text)
        if self._view is None:
            self._view = Progress(
                TextColumn(
                    "{task.description}",
                    markup=False,
                    table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
                ),
                _Bar(bar_width=20),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                expand=True,
            )
            self._view.start()
        if place not in self._tasks:
            self._tasks[place] = self._view.add_task(text, total=total or None)
        self._view.update(self._tasks[place], description=text, completed=done, total=total or None)


class _Bar(BarColumn):
    """A bar where it is known how much there is to do, nothing elsewhere."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        """Return what stands in the column."""
        return super().render(task) if task.total else Text()


def _time(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
