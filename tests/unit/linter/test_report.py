"""Findings and waivers put together."""

from __future__ import annotations

from budeval_migrations.linter.known import Tables
from budeval_migrations.linter.registry import rules
from budeval_migrations.linter.report import lint_subjects
from budeval_migrations.linter.subject import Subject, read_statements
from budeval_migrations.model import CompiledRevision, Direction, Statement
from budeval_migrations.model.findings import Finding, LintReport, Severity

FILE = "versions/001.py"
SOURCE = "def upgrade() -> None:\n    ...\n    ...\n"
MINE = ("BM002", "BM090", "BM091", "BM092")


def look(
    *texts: str, source: str = SOURCE, codes: tuple[str, ...] = MINE, dynamic: bool = False
) -> LintReport:
    """Lint one revision whose statements stand on line 2 and the lines behind it."""
    statements = tuple(Statement(text, FILE, line) for line, text in enumerate(texts, start=2))
    up, _ = read_statements(CompiledRevision("001", Direction.UP, FILE, statements), Tables())
    return lint_subjects([Subject("001", FILE, source, 1, up, (), dynamic)], codes)


def codes(report: LintReport) -> list[tuple[str, int | None]]:
    return [(finding.rule, finding.line) for finding in report.findings]


def test_a_finding_says_where_it_is_and_what_to_do() -> None:
    report = look("SELECT 1", "DROP TABLE t")

    rule = rules()["BM002"]
    message = "the upgrade drops t, and the file does not say that it may"
    assert report.findings == (
        Finding("BM002", Severity.ERROR, "001", message, rule.fix, FILE, 3, 2, Direction.UP),
    )
    assert (report.ok, report.revisions, report.dynamic) == (False, ("001",), ())


def test_a_reason_waives_it_and_is_shown() -> None:
    report = look("DROP TABLE t -- lint: allow BM002: because nobody reads it")

    assert (report.findings, report.ok) == ((), True)
    assert [(w.finding.rule, w.reason) for w in report.waived] == [
        ("BM002", "because nobody reads it")
    ]


def test_a_comment_in_python_waives_it_as_well() -> None:
    source = "def upgrade() -> None:\n    op.execute('…')  # lint: allow BM002: it is empty\n"

    assert codes(look("DROP TABLE t", "DROP TABLE u", source=source)) == [("BM002", 3)]


def test_a_comment_above_upgrade_waives_all_of_the_file() -> None:
    source = f"# lint: allow BM002: they are empty\n{SOURCE}"

    assert codes(look("DROP TABLE t", "DROP TABLE u", source=source)) == []


def test_without_a_reason_it_waives_nothing_and_is_an_error() -> None:
    report = look("DROP TABLE t -- lint: allow BM002")

    assert codes(report) == [("BM002", 2), ("BM090", 2)]
    assert report.findings[1].severity is Severity.ERROR


def test_a_code_that_is_no_rules_is_told() -> None:
    report = look("SELECT 1 -- lint: allow BM202: because it is empty")

    assert [(f.rule, f.severity, f.message) for f in report.findings] == [
        (
            "BM091",
            Severity.WARNING,
            "the waiver names BM202, and there is no such rule",
        )
    ]


def test_one_that_waives_nothing_is_told() -> None:
    report = look("SELECT 1 -- lint: allow BM002: because it is empty")

    assert codes(report) == [("BM092", 2)]
    assert report.ok


def test_one_of_a_rule_that_was_not_asked_for_is_left_alone() -> None:
    text = "DROP TABLE t -- lint: allow BM002: because it is empty"

    assert codes(look(text, codes=("BM001", "BM092"))) == []
    assert codes(look(text.replace("DROP TABLE t", "SELECT 1"), codes=("BM002",))) == []


def test_what_a_dynamic_revision_does_may_need_its_waivers() -> None:
    source = f"# lint: allow BM002: it drops what it finds\n{SOURCE}"
    report = look(source=source, dynamic=True)

    assert (report.findings, report.dynamic) == ((), ("001",))


def test_the_same_text_sent_twice_has_one_waiver() -> None:
    statement = Statement("DROP TABLE t -- lint: allow BM002", FILE, 2)
    up, tables = read_statements(
        CompiledRevision("001", Direction.UP, FILE, (statement,)), Tables()
    )
    down, _ = read_statements(CompiledRevision("001", Direction.DOWN, FILE, (statement,)), tables)

    report = lint_subjects([Subject("001", FILE, SOURCE, 1, up, down)], ("BM090",))

    assert codes(report) == [("BM090", 2)]


def test_secrets_are_not_shown() -> None:
    report = look(
        "DROP TABLE t -- lint: allow BM002: because of url://user:hunter2@host", codes=MINE
    )

    assert [waived.reason for waived in report.waived] == ["because of url://user:[HIDDEN]@host"]


def test_the_json_form_holds_everything() -> None:
    report = look("DROP TABLE t", "DROP TABLE u -- lint: allow BM002: because nobody reads it")

    assert report.as_dict() == {
        "ok": False,
        "revisions": ["001"],
        "dynamic": [],
        "counts": {"error": 1, "warning": 0, "info": 0, "waived": 1},
        "findings": [
            {
                "rule": "BM002",
                "severity": "error",
                "revision": "001",
                "message": "the upgrade drops t, and the file does not say that it may",
                "fix": rules()["BM002"].fix,
                "file": FILE,
                "line": 2,
                "statement": 1,
                "direction": "up",
            }
        ],
        "waived": [
            {
                "rule": "BM002",
                "severity": "error",
                "revision": "001",
                "message": "the upgrade drops u, and the file does not say that it may",
                "fix": rules()["BM002"].fix,
                "file": FILE,
                "line": 3,
                "statement": 2,
                "direction": "up",
                "reason": "because nobody reads it",
            }
        ],
    }


def test_rows_that_only_look_like_sql_are_not_read() -> None:
    report = look("INSERT INTO t FORMAT CSV\n1,'-- lint: allow BM002: x", codes=tuple(rules()))

    assert [f.rule for f in report.findings] == ["BM019"]
