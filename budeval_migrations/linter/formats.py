"""Write a report for other programs: GitHub's annotations, SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from budeval_migrations.linter.registry import Rule, rules
from budeval_migrations.model.findings import Finding, LintReport, Severity
from budeval_migrations.version import __version__

SARIF_VERSION = "2.1.0"
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_SARIF = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def github(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield an annotation for each finding."""
    for finding in findings:
        title = f"{finding.rule} {rules()[finding.rule].name}"
        text = f"{finding.message}\n{finding.fix}"
        level = _GITHUB[finding.severity]
        yield annotation(level, text, title=title, file=finding.file, line=finding.line)


def annotation(level: str, text: str, *, title: str, file: str | None, line: int | None) -> str:
    """Return a workflow command, which GitHub shows at the line of a file.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions

    Args:
        level: ``error``, ``warning`` or ``notice``.

    """
    place = {"file": file, "line": line, "title": title}
    said = ",".join(
        f"{name}={_property(str(value))}" for name, value in place.items() if value is not None
    )
    return f"::{level} {said}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(report: LintReport) -> dict[str, Any]:
    """Return the report as a SARIF 2.1.0 log; a waived finding is a suppressed result.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    known = list(rules())
    results = [_result(finding, known) for finding in report.findings]
    for waived in report.waived:
        suppression = {"kind": "inSource", "justification": waived.reason}
        results.append({**_result(waived.finding, known), "suppressions": [suppression]})
    driver = {
        "name": "budeval-migrate lint",
        "version": __version__,
        "rules": [_rule(rule) for rule in rules().values()],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.why},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": _SARIF[rule.severity]},
    }


def _uri(file: str) -> str:
    return f"file://{quote(file)}" if file.startswith("/") else quote(file)


def _result(finding: Finding, known: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": known.index(finding.rule),
        "level": _SARIF[finding.severity],
        "message": {"text": f"{finding.message}\n{finding.fix}"},
    }
    if finding.file is not None:
        place: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.file)}}
        if finding.line is not None:
            place["region"] = {"startLine": finding.line}
        result["locations"] = [{"physicalLocation": place}]
    return result
