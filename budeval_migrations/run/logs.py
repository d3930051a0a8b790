"""The log lines of a run: one view of its events.

Alembic's own users look for its logger and its wording, so the lines about
revisions go there.
"""

from __future__ import annotations

import logging

from budeval_migrations import events

_RUNS = logging.getLogger("alembic.runtime.migration")
_LOG = logging.getLogger("budeval_migrations")


def log_event(event: events.Event) -> None:
    """Write an event as a log line."""
    if isinstance(event, events.RevisionStarted):
        _RUNS.info("Running %s %s", event.operation, _movement(event))
    elif isinstance(event, events.RevisionFinished):
        _LOG.info("%s %s in %d ms", event.operation, event.revision, event.elapsed_ms)
    elif isinstance(event, events.RevisionFailed):
        _LOG.error("%s failed after %d ms: %s", event.revision, event.elapsed_ms, event.error)
    elif isinstance(event, events.StatementStarted):
        of = f" of {event.total}" if event.total is not None else ""
        _LOG.debug("%s statement %d%s: %s", event.revision, event.index, of, event.sql)
    elif isinstance(event, events.StatementWaiting):
        # Polled every two seconds at most: about one line in ten seconds.
        now = event.elapsed_ms % 10_000 < 2_000 <= event.elapsed_ms
        level = logging.INFO if now else logging.DEBUG
        _LOG.log(
            level, "%s statement %d: %s (%d s)", event.revision, event.index, event.what,
            event.elapsed_ms // 1000,
        )  # fmt: skip
    elif isinstance(event, events.BackfillProgress):
        _LOG.info(
            "%s statement %d: chunk %d of %d, %d of %d rows, %d rows/s", event.revision,
            event.index, event.chunk, event.chunks, event.rows, event.rows_total,
            event.rows_per_second,
        )  # fmt: skip
    elif isinstance(event, events.LockWaiting):
        _LOG.debug("waiting for the lock of %s since %s", event.holder, event.since)
    elif isinstance(event, events.Notice):
        _LOG.warning("%s", event.message)


def _movement(event: events.RevisionStarted) -> str:
    below = ", ".join(event.parents)
    down = event.operation == "downgrade"
    doc = f", {event.doc}" if event.doc else ""
    return f"{event.revision} -> {below}{doc}" if down else f"{below} -> {event.revision}{doc}"
