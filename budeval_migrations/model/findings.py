"""What lint says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from budeval_migrations.model.revision import Direction


class Severity(Enum):
    """How bad a finding is: an ERROR is refused, the others are told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """What a rule of lint has to say of a revision.

    Attributes:
        rule: Its code, ``BM001``.
        severity: ``ERROR`` is refused, ``WARNING`` and ``INFO`` are told.
        revision: The revision's id.
        message: What is doubtful, in one sentence.
        fix: What to do about it, in one sentence.
        file: The file; None where it is not known.
        line: 1-based line of the file; None where it is not known.
        statement: Number of the statement, from 1; None where it is about the revision.
        direction: Whose statement it is, upgrade()'s or downgrade()'s.

    """

    rule: str
    severity: Severity
    revision: str
    message: str
    fix: str
    file: str | None = None
    line: int | None = None
    statement: int | None = None
    direction: Direction | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        direction = self.direction.value if self.direction else None
        return {**vars(self), "severity": self.severity.value, "direction": direction}


@dataclass(frozen=True)
class Waived:
    """A finding that the revision's author answers for.

    Attributes:
        finding: What was found.
        reason: Why, in the author's words.

    """

    finding: Finding
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {**self.finding.as_dict(), "reason": self.reason}


@dataclass(frozen=True)
class LintReport:
    """What lint found in the revision files.

    Attributes:
        findings: Parents' before children's, then by line.
        waived: What a comment with a reason allows.
        revisions: Those that were looked at; the others of the directory are context.
        dynamic: Those among them that read the database while they run, so that their
            statements could not be looked at.

    """

    findings: tuple[Finding, ...] = ()
    waived: tuple[Waived, ...] = ()
    revisions: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found that is an error."""
        return not self.count(Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "ok": self.ok,
            "revisions": list(self.revisions),
            "dynamic": list(self.dynamic),
            "counts": {severity.value: self.count(severity) for severity in Severity}
            | {"waived": len(self.waived)},
            "findings": [finding.as_dict() for finding in self.findings],
            "waived": [waived.as_dict() for waived in self.waived],
        }
