"""The log lines of a run: one view of its events.

All of them are of the logger ``budeval_migrations``; a record's ``event`` is the kind of event, and
the event's fields are attributes of the record beside it (``revision``, ``elapsed_ms`` …).
"""

from __future__ import annotations

import logging
import re
from dataclasses import asdict
from typing import Any

from budeval_migrations import events

_LOG = logging.getLogger("budeval_migrations")
_ALEMBICS = logging.getLogger("alembic.runtime.migration")
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def log_event(event: events.Event) -> None:
    """Write an event as a log line."""
    _write(event, _LOG)


def log_as_alembic(event: events.Event) -> None:
    """Do the same, with the line ``Running upgrade …`` where users of Alembic look for it."""
    _write(event, _ALEMBICS if isinstance(event, events.RevisionStarted) else _LOG)


def _write(event: events.Event, log: logging.Logger) -> None:
    told = _line(event)
    if told is None:
        return
    level, text, *values = told
    kind = _WORD.sub("_", type(event).__name__).lower()
    # A record's message is its own.
    fields = {name: value for name, value in asdict(event).items() if name != "message"}
    log.log(level, text, *values, extra={"event": kind, **fields})


def _line(event: events.Event) -> tuple[Any, ...] | None:
    """Return level, text and values; None for what is not worth a line."""
    if isinstance(event, events.RunStarted):
        return (
            logging.DEBUG,
            "%s of %d, run %s",
            event.operation,
            len(event.revisions),
            event.run_id,
        )
    if isinstance(event, events.RevisionStarted):
        return logging.INFO, "Running %s %s", event.operation, _movement(event)
    if isinstance(event, events.RevisionFinished):
        return logging.INFO, "%s %s in %d ms", event.operation, event.revision, event.elapsed_ms
    if isinstance(event, events.RevisionFailed):
        text = "%s failed after %d ms: %s"
        return logging.ERROR, text, event.revision, event.elapsed_ms, event.error
    if isinstance(event, events.StatementStarted):
        of = f" of {event.total}" if event.total is not None else ""
        return logging.DEBUG, "%s statement %d%s: %s", event.revision, event.index, of, event.sql
    if isinstance(event, events.StatementWaiting):
        # Polled every two seconds at most: about one line in ten seconds.
        now = event.elapsed_ms % 10_000 < 2_000 <= event.elapsed_ms
        level = logging.INFO if now else logging.DEBUG
        seconds = event.elapsed_ms // 1000
        return level, "%s statement %d: %s (%d s)", event.revision, event.index, event.what, seconds
    if isinstance(event, events.BackfillProgress):
        return (
            logging.INFO, "%s statement %d: chunk %d of %d, %d of %d rows, %d rows/s",
            event.revision, event.index, event.chunk, event.chunks, event.rows, event.rows_total,
            event.rows_per_second,
        )  # fmt: skip
    if isinstance(event, events.LockWaiting):
        return logging.DEBUG, "waiting for the lock of %s since %s", event.holder, event.since
    if isinstance(event, (events.Notice, events.Interrupting)):
        return logging.WARNING, "%s", event.message
    return None


def _movement(event: events.RevisionStarted) -> str:
    below = ", ".join(event.parents)
    down = event.operation == "downgrade"
    doc = f", {event.doc}" if event.doc else ""
    return f"{event.revision} -> {below}{doc}" if down else f"{below} -> {event.revision}{doc}"
