"""The examples on the pages of the rules, linted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import budeval_migrations
from tests.support.project import Project
from tests.unit.linter.bench import EVENTS

PAGES = sorted((Path(__file__).parents[2] / "docs" / "lint").glob("*.md"))
ON_A_CLUSTER = ("BM015", "BM016")


def example(page: Path, heading: str) -> tuple[str, str]:
    """The block of code behind a heading, and its language."""
    found = re.search(rf"^{heading}:\n\n```(\w+)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    assert found is not None, f"{page.name} has no example behind {heading}:"
    return found[1], found[2]


def found_in(project: Project, page: Path, heading: str) -> set[str]:
    language, text = example(page, heading)
    project.configure(url="")
    project.write_revision("001_events", None, EVENTS, "DROP TABLE IF EXISTS events")
    if language == "python":
        project.write_revision("002_example", "001_events", body=text)
    else:
        project.write_revision("002_example", "001_events", text, "SYSTEM FLUSH LOGS")
    cluster = "main" if page.stem in ON_A_CLUSTER else ""
    report = budeval_migrations.lint(versions=[str(project.versions)], cluster=cluster)
    return {finding.rule for finding in report.findings if finding.revision == "002_example"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_is_found_is_found(project: Project, page: Path) -> None:
    assert page.stem in found_in(project, page, "Found")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_is_fine_has_no_finding_at_all(project: Project, page: Path) -> None:
    assert found_in(project, page, "Fine") == set()
