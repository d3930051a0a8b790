"""The package in examples/recipe, installed: a revision runs its recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import installed
from tests.support.project import Project

EXAMPLE = installed.EXAMPLES / "recipe"
README = (EXAMPLE / "README.md").read_text("utf-8")
[REVISION] = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
[(COMMAND, SHOWN)] = re.findall(
    r"^```console\n\$ budeval-migrate (.*?)\n(.*?)^```", README, re.M | re.S
)
NAME = "002_hide_deleted_orders"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    create = "CREATE TABLE IF NOT EXISTS orders (id UInt64) ENGINE = MergeTree ORDER BY id"
    project.write_revision("001_orders", None, create, "DROP TABLE orders")
    assert project.cli("up").returncode == 0
    (project.versions / f"{NAME}.py").write_text(REVISION)
    return project


def test_a_revision_runs_an_installed_recipe_and_the_page_shows_it(
    project: Project, site: Path
) -> None:
    assert "pip install examples/recipe" in README
    planned = installed.run(project, site, *COMMAND.split())
    applied = installed.run(project, site, "up", "--verbose")
    reverted = installed.run(project, site, "down", "001_orders")

    assert planned.stdout == SHOWN
    assert (applied.returncode, reverted.returncode) == (0, 0), applied.stderr + reverted.stderr
    assert "2 of 2  CREATE VIEW IF NOT EXISTS orders_now" in applied.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"hide_deleted"', '"hide_delete"', "No installed package has a recipe hide_delete."),
        ('"hide_deleted"', '"hide_delete"', "hint: Did you mean hide_deleted?"),
        ("recipe=1", "recipe=2", "ValueError: hide_deleted has version 1, not 2"),
        (', table="orders"', "", "missing 1 required keyword-only argument: 'table'"),
    ],
)
def test_a_call_that_is_wrong_is_refused_before_anything_runs(
    project: Project, site: Path, old: str, new: str, said: str
) -> None:
    path = project.versions / f"{NAME}.py"
    path.write_text(path.read_text().replace(old, new))

    done = installed.run(project, site, "up")

    assert done.returncode == 3
    assert said in done.stderr
    assert f"versions/{NAME}.py" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "entry_points.txt",
            "shop_recipes:hide_deleted",
            "shop_recipes:missing",
            "The recipe shop_recipes:missing cannot be loaded: AttributeError: ",
        ),
        (
            "shop_recipes.py",
            "    return [",
            '    return "DROP TABLE orders"\n    return [',
            "The recipe hide_deleted (shop_recipes:hide_deleted) returned no list of statements.",
        ),
        (
            "shop_recipes.py",
            "    return [",
            "    return [1]\n    return [",
            "The recipe hide_deleted (shop_recipes:hide_deleted) returned no list of statements.",
        ),
    ],
)
def test_a_recipe_that_cannot_be_used_is_named(
    project: Project, site: Path, tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    changed = installed.edited(site, tmp_path / "site", file, old, new)

    done = installed.run(project, changed, "up")

    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_two_packages_with_one_recipe_are_named(
    project: Project, site: Path, tmp_path: Path
) -> None:
    changed = installed.double(site, tmp_path / "site", "shop", "other")

    done = installed.run(project, changed, "up")

    assert done.returncode == 3
    names = "other_recipes:hide_deleted and shop_recipes:hide_deleted"
    assert f"Two packages have a recipe hide_deleted: {names}." in done.stderr
