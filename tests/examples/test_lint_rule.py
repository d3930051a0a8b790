"""The package in examples/lint_rule, installed: its rule runs beside ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples import installed
from tests.support.project import Project

EXAMPLE = installed.EXAMPLES / "lint_rule"
README = (EXAMPLE / "README.md").read_text("utf-8")
INSTALL, LIST, LINT = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)[0].splitlines()


def lint(project: Project, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return installed.run(project, site, "lint", *words)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="shop")
    create = "CREATE TABLE IF NOT EXISTS {} (id UInt64) ENGINE = MergeTree ORDER BY id{}"
    project.write_revision(
        "001_a",
        None,
        [create.format("orders", ""), create.format("users", " COMMENT 'owner: crm'")],
        ["DROP TABLE users", "DROP TABLE orders"],
    )
    return project


def test_an_installed_rule_runs_beside_ours(project: Project, site: Path) -> None:
    assert INSTALL == "pip install examples/lint_rule"
    listed, found = (lint(project, site, *command.split()[2:]) for command in (LIST, LINT))

    assert (listed.returncode, found.returncode) == (0, 0)
    assert "SHOP001  warning  table-comment" in listed.stdout
    assert "BM001" in listed.stdout
    assert found.stdout.count("SHOP001") == 1
    assert "the table orders has no comment" in found.stdout
    assert "SHOP001" not in lint(project, site, "--ignore", "SHOP001").stdout
    assert "SHOP001" not in project.cli("lint").stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"SHOP001",',
            '"BM001",',
            "Two lint rules have the code BM001: populate and table-comment.",
        ),
        (
            "shop_lint_rules:COMMENTED",
            "shop_lint_rules:MISSING",
            "The lint rule shop_lint_rules:MISSING cannot be loaded: AttributeError: ",
        ),
        (
            "shop_lint_rules:COMMENTED",
            "shop_lint_rules:_check",
            "shop_lint_rules:_check is not a lint rule.",
        ),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(
    project: Project, site: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    changed = shutil.copytree(site, tmp_path / "site")
    for file in (changed / "shop_lint_rules.py", *changed.glob("*.dist-info/entry_points.txt")):
        file.write_text(file.read_text().replace(old, new))

    done = lint(project, changed)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
