"""Put the rules to the revisions, and the waivers to what they find. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from budeval_migrations.linter.registry import Rule, Spot, rules
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.linter.waivers import (
    Waiver,
    covering,
    read_python_waivers,
    read_sql_waivers,
)
from budeval_migrations.model.findings import Finding, LintReport, Severity, Waived
from budeval_migrations.sql.redact import redact

NO_REASON, UNKNOWN, UNUSED = "BM090", "BM091", "BM092"
_PROBLEM = {
    NO_REASON: "the waiver of {code} gives no reason, and waives nothing",
    UNKNOWN: "the waiver names {code}, and there is no such rule",
    UNUSED: "the waiver of {code} waives nothing: there is no such finding",
}


def lint_subjects(subjects: Iterable[Subject], codes: Collection[str]) -> LintReport:
    """Return what the rules find.

    Args:
        subjects: The revisions to report, parents before children; each is let go of
            before the next one is asked for.
        codes: The rules to apply.

    """
    findings: list[Finding] = []
    waived: list[Waived] = []
    revisions: list[str] = []
    dynamic: list[str] = []
    for subject in subjects:
        found, allowed = _look_at(subject, codes)
        findings += sorted(found, key=_place)
        waived += sorted(allowed, key=lambda one: _place(one.finding))
        revisions.append(subject.revision)
        dynamic += [subject.revision] if subject.dynamic else []
    return LintReport(tuple(findings), tuple(waived), tuple(revisions), tuple(dynamic))


def _look_at(subject: Subject, codes: Collection[str]) -> tuple[list[Finding], list[Waived]]:
    """Return what is found in one revision, and what of it is waived."""
    findings: list[Finding] = []
    waived: list[Waived] = []
    desk = _Desk(subject)
    for code in codes:
        rule = rules()[code]
        for spot in rule.check(subject):
            finding = _finding(rule, spot, subject)
            reason = desk.reason(finding, spot.said)
            if reason:
                waived.append(Waived(finding, redact(reason)))
            else:
                findings.append(finding)
    return [*findings, *desk.problems(codes)], waived


def _place(finding: Finding) -> tuple[str, int, str]:
    return finding.file or "", finding.line or 0, finding.rule


def _finding(rule: Rule, spot: Spot, subject: Subject) -> Finding:
    said = spot.said
    return Finding(
        rule.code,
        spot.severity or rule.severity,
        subject.revision,
        redact(spot.message),
        redact(spot.fix or rule.fix),
        said.statement.file if said else subject.file,
        said.statement.line if said else subject.line,
        said.number if said else None,
        said.direction if said else None,
    )


class _Desk:
    """The waivers of one revision, and which of them were of use."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._python = read_python_waivers(subject.file, subject.source)
        self._sql: dict[tuple[str, int], list[Waiver]] = defaultdict(list)
        for statements in (subject.up, subject.down or ()):
            for said, waiver in read_sql_waivers(statements):
                self._sql[said.direction.value, said.number].append(waiver)
        self._used: set[tuple[tuple[str, int], str]] = set()

    def reason(self, finding: Finding, said: Said | None) -> str:
        """Return why a finding is allowed; empty where it is not."""
        line = finding.line if said and finding.file == self._subject.file else None
        mine = self._sql[said.direction.value, said.number] if said else []
        for waiver in (*mine, *covering(self._python, line)):
            if finding.rule in waiver.codes and waiver.reason:
                self._used.add((waiver.place, finding.rule))
                return waiver.reason
        return ""

    def problems(self, codes: Collection[str]) -> list[Finding]:
        """Return what is wrong with the waivers themselves."""
        found = {}
        for waiver in (*self._python, *(w for mine in self._sql.values() for w in mine)):
            for code in waiver.codes or ("no rule",):
                problem = self._problem(waiver, code, codes)
                if problem in codes:
                    found[waiver.place, code] = self._told(problem, waiver, code)
        return list(found.values())

    def _problem(self, waiver: Waiver, code: str, codes: Collection[str]) -> str:
        if code not in rules():
            return UNKNOWN
        if not waiver.reason:
            return NO_REASON
        # One that belongs to a rule that was not asked for may well be of use.
        idle = code in codes and (waiver.place, code) not in self._used
        return UNUSED if idle and not self._subject.dynamic else ""

    def _told(self, problem: str, waiver: Waiver, code: str) -> Finding:
        rule = rules()[problem]
        message = redact(_PROBLEM[problem].format(code=code))
        severity: Severity = rule.severity
        return Finding(
            problem, severity, self._subject.revision, message, rule.fix, waiver.file, waiver.line
        )
