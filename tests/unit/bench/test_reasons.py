"""Why a tool did not run, in a few words of its output."""

from __future__ import annotations

from bench.processes import reason


def test_a_server_is_quoted_without_its_stack_trace() -> None:
    said = "Error: Code: 50.\nDB::Exception: Unknown type: DateTime64. Stack trace:\n\n0. /lib/x\n"
    assert reason(said) == "Unknown type: DateTime64."


def test_another_failure_is_its_last_line() -> None:
    assert reason("Traceback\n  File x\nImportError: no\n\n") == "ImportError: no"


def test_who_said_nothing_is_not_quoted() -> None:
    assert reason("\n") == ""
