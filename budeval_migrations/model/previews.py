"""What is found by looking ahead: two schemas compared, a plan, a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from budeval_migrations.model.findings import Finding, Severity
from budeval_migrations.model.reports import Failure


@dataclass(frozen=True)
class Difference:
    """Where two schemas are not the same.

    Attributes:
        name: Of the table, view, dictionary or function.
        kind: ``table``, ``view``, ``materialized view``, ``dictionary``, ``function``.
        part: What of it: ``column status``, ``ORDER BY``; empty for all of it.
        before: The text on the one side; None where it is not there.
        after: The text on the other side; None where it is not there.

    """

    name: str
    kind: str
    part: str
    before: str | None
    after: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return dict(vars(self))


@dataclass(frozen=True)
class Rehearsal:
    """What an upgrade did on a shadow engine.

    Attributes:
        engine: The version of the server that it was tried on.
        server: The version of the server that it is meant for.
        applied: Revisions that went through, in order.
        failed: What stopped it; None when nothing did.
        changes: What it makes of the schema.
        taken_back: The downgrade ran to its end.
        back: What a downgrade leaves different from what was there before its revision.
        back_at: That revision, the first of them on the way down; empty where there is none.
        back_failed: Why there is no way back, in a sentence; empty when there is.
        back_error: The statement of the downgrade that failed.
        notes: What was not the same as on the live server.
        elapsed_ms: Wall time in milliseconds.

    """

    engine: str
    server: str
    applied: tuple[str, ...] = ()
    failed: Failure | None = None
    changes: tuple[Difference, ...] = ()
    taken_back: bool = False
    back: tuple[Difference, ...] = ()
    back_at: str = ""
    back_failed: str = ""
    back_error: Failure | None = None
    notes: tuple[str, ...] = ()
    elapsed_ms: int = 0

    @property
    def ok(self) -> bool:
        """True when production may go ahead."""
        return self.failed is None and self.back_error is None and not self.back

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "ok": self.ok,
            "engine": self.engine,
            "server": self.server,
            "applied": list(self.applied),
            "failed": self.failed.as_dict() if self.failed else None,
            "changes": [difference.as_dict() for difference in self.changes],
            "downgrade": {
                "taken_back": self.taken_back,
                "impossible": self.back_failed or None,
                "failed": self.back_error.as_dict() if self.back_error else None,
                "incomplete": self.back_at or None,
                "differences": [difference.as_dict() for difference in self.back],
            },
            "notes": list(self.notes),
            "elapsed_ms": self.elapsed_ms,
        }


@dataclass(frozen=True)
class Drift:
    """Where a live database is not what its applied revisions yield.

    Attributes:
        database: The database.
        revisions: Those that are applied.
        differences: ``before`` is what the revisions yield, ``after`` what is there.
        notes: What could not be compared.

    """

    database: str
    revisions: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when there is no difference."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "ok": self.ok,
            "database": self.database,
            "revisions": list(self.revisions),
            "differences": [difference.as_dict() for difference in self.differences],
            "notes": list(self.notes),
        }


class Cost(Enum):
    """What a statement has the server do."""

    METADATA = "metadata only"
    MUTATION = "mutation"
    REWRITE = "rewrite"
    MOVEMENT = "data movement"
    QUERY = "query"


@dataclass(frozen=True)
class Touched:
    """What is in a table that a statement goes through.

    Attributes:
        table: Its name.
        rows: As ``system.parts`` counts them.
        bytes: On disk.
        parts: Active ones.

    """

    table: str
    rows: int
    bytes: int
    parts: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return dict(vars(self))


@dataclass(frozen=True)
class PlannedStatement:
    """A statement as it would be sent, without its secrets.

    Attributes:
        position: Its number in the revision, from 1.
        sql: As it would be sent, without its secrets.
        file: The file that holds it; None where it is not known.
        line: 1-based line of its first token; None where it is not known.
        everywhere: Every host of the cluster would run it; None for a single server.
        cost: What it has the server do.
        touched: The tables whose rows it goes through.

    """

    position: int
    sql: str
    file: str | None
    line: int | None
    everywhere: bool | None
    cost: Cost
    touched: tuple[Touched, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        touched = [table.as_dict() for table in self.touched]
        return {**vars(self), "cost": self.cost.value, "touched": touched}


@dataclass(frozen=True)
class PlannedRevision:
    """A revision that would be applied.

    Attributes:
        revision: The revision's id.
        doc: First line of the file's docstring.
        dynamic: It reads the database while it runs, so that its statements are known only then.
        statements: In order; empty for a dynamic revision.

    """

    revision: str
    doc: str
    dynamic: bool
    statements: tuple[PlannedStatement, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        statements = [statement.as_dict() for statement in self.statements]
        return {**vars(self), "statements": statements}


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do.

    Attributes:
        database: The target database.
        topology: The servers that it would be done on, as a sentence; empty for a single one.
        revisions: In the order in which they would be applied.
        notices: Sentences that the user should read.
        findings: What lint says of these revisions.
        rehearsal: What it did on a shadow engine; None where it was not tried.

    """

    database: str
    topology: str
    revisions: tuple[PlannedRevision, ...]
    notices: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    rehearsal: Rehearsal | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "database": self.database,
            "topology": self.topology or "single server",
            "revisions": [revision.as_dict() for revision in self.revisions],
            "findings": [finding.as_dict() for finding in self.findings],
            "rehearsal": self.rehearsal.as_dict() if self.rehearsal else None,
            "notices": list(self.notices),
        }


@dataclass(frozen=True)
class Verified:
    """How one revision went up, down and up again on an empty server.

    Attributes:
        revision: The revision's id.
        failed: What stopped it; None when nothing did.
        direction: Which way that was.
        back: What the downgrade left different from what was there before.
        again: What the second upgrade made different from the first.
        no_way_back: It has no downgrade.
        unstable: Compiled twice, it says two things.

    """

    revision: str
    failed: Failure | None = None
    direction: str = ""
    back: tuple[Difference, ...] = ()
    again: tuple[Difference, ...] = ()
    no_way_back: bool = False
    unstable: bool = False

    @property
    def ok(self) -> bool:
        """True when it does what it should, both ways."""
        return self.failed is None and not (self.back or self.again or self.unstable)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "revision": self.revision,
            "ok": self.ok,
            "failed": self.failed.as_dict() if self.failed else None,
            "direction": self.direction or None,
            "downgrade_leaves": [difference.as_dict() for difference in self.back],
            "second_upgrade_differs": [difference.as_dict() for difference in self.again],
            "no_downgrade": self.no_way_back,
            "unstable": self.unstable,
        }


@dataclass(frozen=True)
class Verification:
    """What there is to say of all revisions, on an empty server.

    Attributes:
        engine: The version of the server that they were tried on.
        heads: More than one is a problem.
        revisions: In the order in which they are applied, up to one that fails.
        untried: Those behind it.
        findings: What lint says of all revisions.
        notes: Statements that a shadow engine runs otherwise than a server.

    """

    engine: str
    heads: tuple[str, ...]
    revisions: tuple[Verified, ...]
    untried: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when every revision is in order, and they have one head."""
        refused = any(finding.severity is Severity.ERROR for finding in self.findings)
        good = all(revision.ok for revision in self.revisions)
        return good and len(self.heads) < 2 and not refused and not self.untried

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "ok": self.ok,
            "engine": self.engine,
            "heads": list(self.heads),
            "revisions": [revision.as_dict() for revision in self.revisions],
            "untried": list(self.untried),
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
        }
