"""BM016: ON CLUSTER, written by hand."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject
from budeval_migrations.model import Reach
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.on_cluster import is_on_cluster


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        if said.statement.reach is Reach.HERE or not is_on_cluster(said.text):
            continue
        if subject.cluster:
            yield Spot(
                f"it says ON CLUSTER, and the setting cluster = {subject.cluster} puts it in",
                said,
                "Leave it out; for one host only, op.execute_here.",
            )
        else:
            yield Spot(
                "it says ON CLUSTER, so that it runs on no single server, chDB among them",
                said,
                severity=Severity.INFO,
            )


RULE = Rule(
    "BM016",
    "on-cluster",
    Severity.ERROR,
    "The same files serve one server and any cluster, where the tool puts ON CLUSTER in.",
    "Leave it out, and set cluster = name where the revisions shall run on a cluster.",
    _check,
)
