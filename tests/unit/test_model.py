"""The nouns: frozen, and JSON-ready where they are shown."""

from __future__ import annotations

import dataclasses
import inspect
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from budeval_migrations import events, model
from budeval_migrations.model import (
    ChecksumState,
    CompiledRevision,
    Direction,
    Failure,
    LedgerRow,
    Operation,
    Problem,
    Report,
    RevisionState,
    RevisionStatus,
    Statement,
    Status,
    Step,
    Validation,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
LINE = RevisionStatus("001_a", RevisionState.APPLIED, ChecksumState.OK, AT, 12, 2, 2)
PROBLEM = Problem("001_a", "missing_revision", "It has no file.", "Restore it.")
FAILURE = Failure("002_b", 1, None, 60, "no", "0 took effect", "v/002_b.py", 4, "Mend it.")

SHOWN: tuple[tuple[Any, dict[str, Any]], ...] = (
    (
        LINE,
        {
            "revision": "001_a",
            "state": "applied",
            "checksum": "ok",
            "executed_at": "2026-01-02T03:04:05.678000+00:00",
            "execution_time_ms": 12,
            "statements_applied": 2,
            "statements_total": 2,
            "error": None,
            "statement": None,
            "holder": None,
            "since": None,
        },
    ),
    (
        RevisionStatus("002_b", RevisionState.PENDING, ChecksumState.NONE),
        {
            "revision": "002_b",
            "state": "pending",
            "checksum": "none",
            "executed_at": None,
            "execution_time_ms": None,
            "statements_applied": None,
            "statements_total": None,
            "error": None,
            "statement": None,
            "holder": None,
            "since": None,
        },
    ),
    (
        Status(
            "d", "26.9.2.1", ("001_a",), ("002_b",), False, ("002_b",), (LINE,), ("Read this.",)
        ),
        {
            "database": "d",
            "server_version": "26.9.2.1",
            "topology": "single server",
            "current": ["001_a"],
            "heads": ["002_b"],
            "at_head": False,
            "pending": ["002_b"],
            "revisions": [LINE.as_dict()],
            "notices": ["Read this."],
        },
    ),
    (
        PROBLEM,
        {
            "revision": "001_a",
            "kind": "missing_revision",
            "message": "It has no file.",
            "hint": "Restore it.",
        },
    ),
    (
        Validation((PROBLEM,), ()),
        {"ok": False, "problems": [PROBLEM.as_dict()], "warnings": []},
    ),
    (
        Validation((), (PROBLEM,)),
        {"ok": True, "problems": [], "warnings": [PROBLEM.as_dict()]},
    ),
    (
        FAILURE,
        {
            "revision": "002_b",
            "statement": 1,
            "statements_total": None,
            "code": 60,
            "error": "no",
            "outcome": "0 took effect",
            "file": "v/002_b.py",
            "line": 4,
            "hint": "Mend it.",
        },
    ),
    (
        Report("upgrade", "d"),
        {
            "operation": "upgrade",
            "database": "d",
            "ok": True,
            "applied": [],
            "failed": None,
            "pending": [],
            "current": [],
            "elapsed_ms": 0,
            "run_id": "",
            "notices": [],
        },
    ),
    (
        Report("upgrade", "d", ("001_a",), FAILURE, ("002_b",), ("001_a",), 99, "run", ("x",)),
        {
            "operation": "upgrade",
            "database": "d",
            "ok": False,
            "applied": ["001_a"],
            "failed": FAILURE.as_dict(),
            "pending": ["002_b"],
            "current": ["001_a"],
            "elapsed_ms": 99,
            "run_id": "run",
            "notices": ["x"],
        },
    ),
)


@pytest.mark.parametrize(
    ("noun", "expected"), SHOWN, ids=[f"{type(noun).__name__}" for noun, _ in SHOWN]
)
def test_a_noun_reads_itself_out_as_json(noun: Any, expected: dict[str, Any]) -> None:
    assert noun.as_dict() == expected
    assert json.loads(json.dumps(noun.as_dict())) == expected


def _dataclasses() -> list[type]:
    return [
        kind
        for module in (model, events)
        for kind in vars(module).values()
        if inspect.isclass(kind) and dataclasses.is_dataclass(kind)
    ]


@pytest.mark.parametrize("kind", _dataclasses(), ids=lambda kind: kind.__name__)
def test_every_noun_is_frozen_and_says_what_it_is(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")


UP = CompiledRevision("001_a", Direction.UP, "v/001_a.py", (Statement("CREATE"),))
DOWN = CompiledRevision("001_a", Direction.DOWN, "v/001_a.py", (Statement("DROP"),))


@pytest.mark.parametrize(
    ("operation", "direction", "work"),
    [
        (Operation.UPGRADE, Direction.UP, UP),
        (Operation.DOWNGRADE, Direction.DOWN, DOWN),
        (Operation.STAMP, Direction.UP, None),
        (Operation.STAMP, Direction.DOWN, None),
        (Operation.ADOPT, Direction.UP, None),
        (Operation.REPAIR, Direction.UP, None),
        (Operation.REPAIR, Direction.DOWN, None),
    ],
)
def test_only_an_upgrade_and_a_downgrade_have_work(
    operation: Operation, direction: Direction, work: CompiledRevision | None
) -> None:
    assert Step("001_a", operation, direction, up=UP, down=DOWN).work is work


def test_the_words_that_the_ledger_keeps_never_change() -> None:
    assert [o.value for o in Operation] == ["upgrade", "downgrade", "stamp", "adopt", "repair"]
    assert [d.value for d in Direction] == ["up", "down"]


def test_the_states_are_those_of_the_design() -> None:
    assert [s.value for s in RevisionState] == [
        "pending",
        "running",
        "applied",
        "failed",
        "unknown",
    ]


@pytest.mark.parametrize(("sequence", "legacy"), [(0, True), (1, False)])
def test_a_row_without_a_number_is_an_older_tools(sequence: int, legacy: bool) -> None:
    assert LedgerRow("001_a", "", AT, 0, True, sequence=sequence).legacy is legacy


def test_an_old_row_reads_as_a_successful_upgrade() -> None:
    old = LedgerRow("001_a", "sum", AT, 12, True)

    assert (old.operation, old.direction, old.parents) == (Operation.UPGRADE, Direction.UP, ())
