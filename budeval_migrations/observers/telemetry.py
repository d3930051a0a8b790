"""Spans and metrics of a run, where the OpenTelemetry API is installed.

One more view of the events: a span for the run, one for each revision in it, one for each
statement in that. SQL and errors are redacted already. Where the API is missing, or nobody has
set it up, nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budeval_migrations import events
from budeval_migrations.errors import MigrationError
from budeval_migrations.events import Event, Listener
from budeval_migrations.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_NAME = "budeval_migrations"


@contextmanager
def traced(operation: str, database: str, emit: Listener) -> Iterator[Listener]:
    """Yield a listener that makes spans of the events it hands on.

    Args:
        operation: Such as ``upgrade``.
        database: The target database.
        tell: Who is told besides.

    """
    try:
        from opentelemetry import trace
    except ImportError:
        yield emit
        return
    tracer = trace.get_tracer(_NAME, __version__)
    known = {"db.system.name": "clickhouse", "db.namespace": database}
    # What a driver says of its exception is in its traceback, and may hold secrets.
    with tracer.start_as_current_span(
        f"{_NAME} {operation}",
        attributes=known,
        record_exception=False,
        set_status_on_exception=False,
    ) as run:
        spans = _Spans(run)

        def listen(event: Event) -> None:
            spans.take(event)
            emit(event)

        try:
            yield listen
        except BaseException as error:
            shown = str(error) if isinstance(error, MigrationError) else type(error).__name__
            spans.fail(shown)
            raise


class _Spans:
    """What is going on; statements of several threads may be."""

    def __init__(self, run: Span) -> None:
        from opentelemetry import metrics, trace

        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, __version__)
        self._run = run
        self._revisions: dict[str, Span] = {}
        self._statements: dict[tuple[str, int], Span] = {}
        meter = metrics.get_meter(_NAME, __version__)
        self._moved = meter.create_counter(
            f"{_NAME}.revisions", "{revision}", "Revisions that were moved, or failed to be."
        )
        self._took = meter.create_histogram(
            f"{_NAME}.statement.duration", "s", "From the sending of a statement to its outcome."
        )

    def take(self, event: Event) -> None:
        """Begin or end what an event is about."""
        if isinstance(event, events.RunStarted):
            self._run.set_attribute(f"{_NAME}.run_id", event.run_id)
            self._run.set_attribute(f"{_NAME}.revisions", event.revisions)
        elif isinstance(event, events.RevisionStarted):
            self._revisions[event.revision] = self._begin(
                f"{event.operation} {event.revision}", self._run, revision=event.revision
            )
        elif isinstance(event, events.StatementStarted):
            above = self._revisions.get(event.revision, self._run)
            span = self._begin(
                f"{event.revision} statement {event.index}",
                above,
                revision=event.revision,
                statement=event.index,
            )
            span.set_attribute("db.query.text", event.sql)
            self._statements[event.revision, event.index] = span
        elif isinstance(event, events.StatementFinished):
            started = self._statements.pop((event.revision, event.index), None)
            if event.skipped:
                if started:
                    started.set_attribute(f"{_NAME}.skipped", event.why)
            else:
                self._took.record(event.elapsed_ms / 1000)
            if started:
                started.end()
        elif isinstance(event, events.RevisionFinished):
            self._moved.add(1, {"operation": event.operation, "outcome": "done"})
            if event.revision in self._revisions:
                self._revisions.pop(event.revision).end()
        elif isinstance(event, events.RevisionFailed):
            self._moved.add(1, {"operation": event.operation, "outcome": "failed"})
            self._fail(event.error, event.revision)

    def fail(self, error: str) -> None:
        """End everything as failed."""
        for revision in {*self._revisions, *(name for name, _ in self._statements)}:
            self._fail(error, revision)
        self._run.set_status(self._trace.StatusCode.ERROR, error)

    def _begin(self, name: str, above: Span, **known: str | int) -> Span:
        attributes = {f"{_NAME}.{key}": value for key, value in known.items()}
        context = self._trace.set_span_in_context(above)
        return self._tracer.start_span(name, context, attributes=attributes)

    def _fail(self, error: str, revision: str) -> None:
        ended = [self._statements.pop(key) for key in list(self._statements) if key[0] == revision]
        if revision in self._revisions:
            ended.append(self._revisions.pop(revision))
        for span in ended:
            span.set_status(self._trace.StatusCode.ERROR, error)
            span.end()
