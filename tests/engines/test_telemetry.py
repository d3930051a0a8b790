"""Spans and metrics of real runs, as OpenTelemetry's own SDK takes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import budeval_migrations as bm
from budeval_migrations import events
from budeval_migrations.errors import StatementFailed
from budeval_migrations.observers.telemetry import traced
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

on_one = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@dataclass
class Collected:
    """What an application that has set up OpenTelemetry would export."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """Ended spans by name."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def above(self, name: str) -> str:
        """The name of a span's parent; empty for none."""
        parent = self.spans[name].parent
        found = [n for n, span in self.spans.items() if parent and span.context == parent]
        return found[0] if found else ""

    def points(self, metric: str) -> list[tuple[dict[str, Any], int]]:
        """A metric's attributes and count."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "count", 0)))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        ]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Collected:
    """Providers of this test's own; the API has one for the whole process."""
    found = Collected(InMemorySpanExporter(), InMemoryMetricReader())
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(found.exporter))
    meters = MeterProvider([found.reader])
    monkeypatch.setattr(trace, "get_tracer", lambda *a: tracers.get_tracer(*a))
    monkeypatch.setattr(metrics, "get_meter", lambda *a: meters.get_meter(*a))
    return found


@on_one
def test_a_run_has_a_span_with_its_revisions_and_they_with_their_statements(
    workspace: Workspace, collected: Collected
) -> None:
    workspace.write_three()
    report = bm.upgrade(**workspace.options)

    first = report.applied[0]
    run = "budeval_migrations upgrade"
    assert collected.above(f"{first} statement 1") == f"upgrade {first}"
    assert collected.above(f"upgrade {first}") == run
    assert collected.above(run) == ""
    told = dict(collected.spans[run].attributes or {})
    assert told["db.namespace"] == report.database
    assert told["budeval_migrations.revisions"] == report.applied
    assert told["budeval_migrations.run_id"] == report.run_id
    moved = ({"operation": "upgrade", "outcome": "done"}, len(report.applied))
    assert collected.points("budeval_migrations.revisions") == [moved]


@on_one
def test_a_failure_is_told_without_its_secrets(workspace: Workspace, collected: Collected) -> None:
    secret = "hunter2hunter2"
    workspace.project.write_revision(
        "001_fails",
        None,
        f"SELECT * FROM remote('127.0.0.1:1', 'no', 'no', 'me', '{secret}')",
    )
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)

    spans = collected.spans
    assert {name: span.status.status_code.name for name, span in spans.items()} == {
        "budeval_migrations upgrade": "ERROR",
        "upgrade 001_fails": "ERROR",
        "001_fails statement 1": "ERROR",
    }
    assert "[HIDDEN]" in str((spans["001_fails statement 1"].attributes or {})["db.query.text"])
    assert secret not in "".join(span.to_json() for span in spans.values())
    moved = ({"operation": "upgrade", "outcome": "failed"}, 1)
    assert collected.points("budeval_migrations.revisions") == [moved]


@on_one
def test_at_head_there_is_nothing_to_tell(workspace: Workspace, collected: Collected) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    collected.exporter.clear()
    bm.upgrade(**workspace.options)
    assert collected.spans == {}


def emit(listen: events.Listener, *told: events.Event) -> None:
    for event in told:
        listen(event)


def test_statements_of_two_revisions_at_the_same_time_stay_below_their_own(
    collected: Collected,
) -> None:
    seen: list[events.Event] = []
    with traced("upgrade", "d", seen.append) as listen:
        emit(
            listen,
            events.RevisionStarted("a", "upgrade", (), "", 1),
            events.RevisionStarted("b", "upgrade", (), "", 1),
            events.StatementStarted("b", 1, 1, "SELECT 2"),
            events.StatementStarted("a", 1, 1, "SELECT 1"),
            events.StatementFinished("b", 1, 1, 5),
            events.RevisionFinished("b", "upgrade", 6),
            events.StatementFinished("a", 1, 1, 0, skipped=True, why="it is there"),
            events.RevisionFinished("a", "upgrade", 7),
        )
    assert len(seen) == 8
    assert [collected.above(f"{name} statement 1") for name in "ab"] == ["upgrade a", "upgrade b"]
    skipped = collected.spans["a statement 1"].attributes or {}
    assert skipped["budeval_migrations.skipped"] == "it is there"
    assert collected.points("budeval_migrations.statement.duration") == [({}, 1)]


def test_a_run_that_is_interrupted_leaves_no_span_open(collected: Collected) -> None:
    def interrupted() -> None:
        with traced("upgrade", "d", events.ignore) as listen:
            listen(events.RevisionStarted("a", "upgrade", (), "", 1))
            listen(events.StatementStarted("a", 1, 1, "SELECT 1"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    told = {name: span.status.description for name, span in collected.spans.items()}
    assert told == dict.fromkeys(
        ["budeval_migrations upgrade", "upgrade a", "a statement 1"], "KeyboardInterrupt"
    )


def test_without_the_api_a_listener_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    names: Sequence[events.Event] = []
    with traced("upgrade", "d", names.append) as listen:
        assert listen == names.append
