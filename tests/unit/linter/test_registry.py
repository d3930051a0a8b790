"""Every rule is complete, and has a page of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from budeval_migrations.linter import rules as package
from budeval_migrations.linter.registry import Rule, rules

DOCS = Path(__file__).parents[3] / "docs"
PAGES = DOCS / "lint"
ALL = list(rules().values())


def test_every_module_has_the_rule_of_its_name() -> None:
    modules = {path.stem for path in Path(package.__path__[0]).glob("bm*.py")}

    assert {module.split("_", 1)[0].upper() for module in modules} == set(rules())
    assert len(modules) == len(rules())


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_a_rule_says_why_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"BM\d{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.why.endswith(".")
    assert rule.fix


def test_names_are_given_once() -> None:
    assert len({rule.name for rule in ALL}) == len(ALL)


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(rules())


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_a_page_says_what_why_and_what_instead(rule: Rule) -> None:
    page = (PAGES / f"{rule.code}.md").read_text("utf-8")

    assert page.startswith(f"# {rule.code}: {rule.name}\n\n*{rule.severity.value}*\n")
    for heading in ("## What it finds", "## Why it matters", "## What to write instead"):
        assert heading in page
    assert "```" in page


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_the_index_lists_it(rule: Rule) -> None:
    index = (DOCS / "lint.md").read_text("utf-8")

    assert f"| [{rule.code}](lint/{rule.code}.md) | {rule.name} | {rule.severity.value} |" in index
