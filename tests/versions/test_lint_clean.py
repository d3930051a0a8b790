"""budeval's own revisions, in the eyes of the linter."""

from __future__ import annotations

from pathlib import Path

import pytest

import budeval_migrations

VERSIONS = Path(__file__).parents[2] / "versions"


@pytest.mark.parametrize("cluster", ["", "main"])
def test_nothing_is_found_in_them(cluster: str) -> None:
    report = budeval_migrations.lint(versions=[str(VERSIONS)], cluster=cluster)

    assert [f"{f.file}:{f.line} {f.rule} {f.message}" for f in report.findings] == []
    assert report.revisions[0] == "001_initial_schema"
    assert len(report.revisions) == len(list(VERSIONS.glob("0*.py")))
    assert report.dynamic == ()


def test_what_is_waived_is_the_precision_of_a_default() -> None:
    report = budeval_migrations.lint(versions=[str(VERSIONS)])

    assert {waived.finding.rule for waived in report.waived} == {"BM017"}
    assert all("existing installations" in waived.reason for waived in report.waived)
