"""The error tree: its shape, its exit codes, its JSON."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from budeval_migrations import errors
from budeval_migrations.errors import (
    ChecksumMismatch,
    ConnectionFailed,
    EngineError,
    LockTimeout,
    MigrationError,
    StatementFailed,
    StatementSyntaxError,
)
from budeval_migrations.model import Report

# DESIGN §7: class -> (parent, exit code)
TREE = {
    "MigrationError": ("Exception", 1),
    "ConfigError": ("MigrationError", 2),
    "RevisionError": ("MigrationError", 3),
    "RevisionNotFound": ("RevisionError", 3),
    "MultipleHeads": ("RevisionError", 3),
    "RevisionCompileError": ("RevisionError", 3),
    "StatementSyntaxError": ("RevisionError", 3),
    "LedgerError": ("MigrationError", 4),
    "ChecksumMismatch": ("LedgerError", 4),
    "MissingRevision": ("LedgerError", 4),
    "StatementOutcomeUnknown": ("LedgerError", 4),
    "LockError": ("MigrationError", 5),
    "LockTimeout": ("LockError", 5),
    "LockLost": ("LockError", 5),
    "ExecutionError": ("MigrationError", 6),
    "StatementFailed": ("ExecutionError", 6),
    "MutationFailed": ("StatementFailed", 6),
    "DistributedDDLPending": ("ExecutionError", 10),
    "HookFailed": ("ExecutionError", 6),
    "DriftDetected": ("MigrationError", 7),
    "EngineError": ("MigrationError", 8),
    "ConnectionFailed": ("EngineError", 8),
    "AccessDenied": ("EngineError", 8),
    "HostsNotReady": ("EngineError", 8),
    "Unsupported": ("EngineError", 8),
    "PendingRevisions": ("MigrationError", 9),
    "StatementError": ("MigrationError", 1),
}

EXAMPLES = (
    MigrationError("it broke", hint="Mend it.", revision="001_a", several=["a", None, 1]),
    StatementSyntaxError("no end of the literal", line=3, column=7, file="v/001_a.py"),
    LockTimeout("held", holder="u@h pid 7", since="2026-01-02T03:04:05+00:00"),
    StatementFailed(
        revision="003_add_status",
        index=2,
        total=2,
        reason="Cannot add column status: column with this name already exists",
        code=44,
        file="versions/003_add_status.py",
        line=18,
        hint="Make the statement repeatable.",
    ),
    EngineError("no", code=60),
    ConnectionFailed("no", sent=False),
    ChecksumMismatch("changed", revision="001_a", kind="checksum_mismatch"),
)


def _classes() -> dict[str, type[MigrationError]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, MigrationError)
    }


def _drawn() -> Iterator[tuple[str, str]]:
    """Yield every class of the drawing in the docstring with its parent."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ((?:[│├└─ ]{3})*)([A-Z]\w+)", line)
        if found:
            del path[len(found[1]) // 3 :]
            yield found[2], path[-1] if path else "Exception"
            path.append(found[2])


def test_the_tree_is_that_of_the_design() -> None:
    tree = {name: (kind.__bases__[0].__name__, kind.exit_code) for name, kind in _classes().items()}

    assert tree == TREE


def test_the_drawing_of_the_tree_is_the_tree() -> None:
    assert dict(_drawn()) == {name: parent for name, (parent, _) in TREE.items()}


def test_the_drawing_names_the_exit_code_of_every_branch() -> None:
    drawn = dict(re.findall(r"([A-Z]\w+) +(?:exit )?(\d)$", errors.__doc__ or "", re.M))

    assert drawn == {
        name: str(code)
        for name, (parent, code) in TREE.items()
        if parent in ("Exception", "MigrationError")
    }


def test_no_two_branches_share_an_exit_code() -> None:
    branches = {n: c for n, (p, c) in TREE.items() if p in ("Exception", "MigrationError")}
    del branches["StatementError"]  # what two errors of other branches share
    codes = branches.values()

    assert sorted(codes) == list(range(1, 10))


@pytest.mark.parametrize("kind", _classes().values(), ids=_classes())
def test_every_error_says_what_it_means(kind: type[MigrationError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.split("\n")[0].endswith(".")


@pytest.mark.parametrize("kind", _classes().values(), ids=_classes())
def test_every_error_says_what_is_safe_and_what_to_do_next(kind: type[MigrationError]) -> None:
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    told = {
        found[1] for each in paragraphs if (found := re.match(r"(Safe|Next): .*\.$", each, re.S))
    }

    assert told == {"Safe", "Next"}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_json_ready(error: MigrationError) -> None:
    shown = error.as_dict()

    assert json.loads(json.dumps(shown)) == shown
    assert shown["error"] == type(error).__name__
    assert shown["message"] == error.message == str(error)
    assert shown["hint"] == error.hint
    assert shown["exit_code"] == type(error).exit_code
    assert shown.items() >= error.details.items()


def test_details_cannot_hide_what_every_error_says() -> None:
    error = MigrationError("it broke", error="another", exit_code=0)

    assert (error.as_dict()["error"], error.as_dict()["exit_code"]) == ("MigrationError", 1)


def test_a_plain_error_has_nothing_to_add() -> None:
    assert MigrationError("it broke").as_dict() == {
        "error": "MigrationError",
        "message": "it broke",
        "hint": "",
        "exit_code": 1,
    }


def test_an_error_has_no_report_until_a_run_gives_it_one() -> None:
    error = MigrationError("it broke")
    assert error.report is None

    error.report = Report("upgrade", "budeval")

    assert MigrationError.report is None


def test_a_failed_statement_reads_as_in_the_style_guide() -> None:
    error = EXAMPLES[3]

    assert error.message == (
        "003_add_status  statement 2 of 2  (versions/003_add_status.py:18)\n"
        "  ClickHouse 44: Cannot add column status: column with this name already exists"
    )
    assert error.details == {
        "revision": "003_add_status",
        "statement": 2,
        "statements_total": 2,
        "code": 44,
        "reason": "Cannot add column status: column with this name already exists",
        "outcome": "",
        "file": "versions/003_add_status.py",
        "line": 18,
    }


@pytest.mark.parametrize(
    ("total", "code", "file", "line", "message"),
    [
        (3, 60, "v/1.py", 4, "1  statement 2 of 3  (v/1.py:4)\n  ClickHouse 60: no"),
        (None, 60, "v/1.py", 4, "1  statement 2  (v/1.py:4)\n  ClickHouse 60: no"),
        (3, 0, "v/1.py", 4, "1  statement 2 of 3  (v/1.py:4)\n  no"),
        (3, 60, "v/1.py", None, "1  statement 2 of 3  (v/1.py)\n  ClickHouse 60: no"),
        (3, 60, None, None, "1  statement 2 of 3\n  ClickHouse 60: no"),
        (None, 0, None, None, "1  statement 2\n  no"),
    ],
)
def test_a_failed_statement_says_only_what_is_known(
    total: int | None, code: int, file: str | None, line: int | None, message: str
) -> None:
    error = StatementFailed(
        revision="1", index=2, total=total, reason="no", code=code, file=file, line=line
    )

    assert str(error) == message


@pytest.mark.parametrize(
    ("file", "message"), [("v/1.py", "v/1.py:3:7: bad"), (None, "line 3, column 7: bad")]
)
def test_a_statement_that_does_not_parse_says_where(file: str | None, message: str) -> None:
    error = StatementSyntaxError("bad", line=3, column=7, file=file, revision="1")

    assert (error.message, error.hint) == (message, "Correct the statement; nothing was run.")
    assert (error.reason, error.line, error.column) == ("bad", 3, 7)
    assert (error.file, error.revision) == (file, "1")
    assert error.details == {"revision": "1", "file": file, "line": 3, "column": 7}


def test_a_lock_that_was_not_had_says_who_has_it() -> None:
    error = LockTimeout(
        "held", holder="u@h pid 7", since="2026-01-02T03:04:05", doing="1 statement 2", hint="Wait."
    )

    assert (error.holder, error.since, error.hint) == ("u@h pid 7", "2026-01-02T03:04:05", "Wait.")
    assert error.details == {
        "holder": "u@h pid 7",
        "since": "2026-01-02T03:04:05",
        "doing": "1 statement 2",
    }


def test_an_engines_error_carries_the_servers_code() -> None:
    assert (EngineError("no", code=60).code, EngineError("no").code) == (60, 0)
    assert ConnectionFailed("no", code=210, sent=True).details == {"code": 210, "sent": True}
