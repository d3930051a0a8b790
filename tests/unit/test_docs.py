"""README, docs and the other pages: links that lead somewhere, commands that exist."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import click
import pytest

from budeval_migrations.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.M)
_COMMAND = re.compile(r"budeval-migrate((?: --?[a-z-]+)*) ([a-z]+)")


def _pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(listed.stdout.split())


PAGES = _pages()


@cache
def _anchors(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", h) for h in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/operating.md", "docs/lint/BM001.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    here = ROOT / page
    broken = []
    for link in _LINK.findall(_FENCE.sub("", here.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        known = anchor in _anchors(target) if anchor and target.suffix == ".md" else True
        if not target.exists() or not known:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    named = {found[1] for found in _COMMAND.findall((ROOT / page).read_text("utf-8"))}
    assert named <= set(cli.commands)


def test_the_readme_lists_every_command() -> None:
    table = re.findall(r"^\| `budeval-migrate (\w+)[^|]*\|", (ROOT / "README.md").read_text(), re.M)
    also = re.findall(r"`(\w+) REVISION`", (ROOT / "README.md").read_text())
    assert {*table, *also} == set(cli.commands)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_help_of_every_command_has_an_example_and_says_its_options(name: str) -> None:
    command = cli.commands[name]
    found = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for each in found:
        assert "Example" in (each.help or ""), each.name
        for option in each.params:
            if isinstance(option, click.Option):
                assert option.help, (each.name, option.name)
