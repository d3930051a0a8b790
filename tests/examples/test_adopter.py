"""The package in examples/adopter, installed: what an old script applied is adopted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples import installed
from tests.support.project import Project
from tests.support.servers import ChdbFront

EXAMPLE = installed.EXAMPLES / "adopter"
README = (EXAMPLE / "README.md").read_text("utf-8")
[SHOWN] = re.findall(r"^```console\n(.*?)^```", README, re.M | re.S)
CREATE = "CREATE TABLE {} (id UInt64) ENGINE = MergeTree ORDER BY id"
NAMES = {"001_orders": "orders", "002_items": "items", "003_totals": "totals"}
APPLIED = "SELECT version, operation FROM schema_migrations ORDER BY sequence"


@pytest.fixture
def project(tmp_path: Path, modern: ChdbFront, database: str) -> Project:
    """A project whose first two revisions the old script has applied."""
    project = Project(tmp_path / "project")
    project.configure(url=modern.url(database=database), database=database)
    above = None
    for name, table in NAMES.items():
        project.write_revision(name, above, CREATE.format(table), f"DROP TABLE {table}")
        above = name
    modern.query(f"CREATE DATABASE {database}")
    for statement in (
        CREATE.format("orders"),
        CREATE.format("items"),
        "CREATE TABLE migrations_done (number UInt32, finished Bool) ENGINE = Log",
        "INSERT INTO migrations_done VALUES (1, true), (2, true)",
    ):
        modern.query(statement, database=database)
    return project


def normal(text: str, database: str) -> str:
    text = text.replace(f"{database}:", "shop:").replace(f"{database} (", "shop (")
    text = re.sub(r"\d+ ms", "N ms", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d+", "AT", text)
    return re.sub(r" +", " ", text)


def test_what_the_script_applied_is_adopted_as_the_page_shows(
    project: Project, site: Path, modern: ChdbFront, database: str
) -> None:
    assert "pip install examples/adopter" in README
    said = ""
    for command in re.findall(r"^\$ budeval-migrate (.*)$", SHOWN, re.M):
        done = installed.run(project, site, *command.split())
        assert done.returncode == 0, done.stderr
        said += f"$ budeval-migrate {command}\n{done.stderr}{done.stdout}"
    applied = installed.run(project, site, "up")
    again = installed.run(project, site, "adopt", "--from", "shop")

    assert normal(said, database) == normal(SHOWN, "shop")
    assert (applied.returncode, again.returncode) == (0, 0), applied.stderr + again.stderr
    rows = [line.split("\t") for line in modern.query(APPLIED, database=database).splitlines()]
    assert rows == [["001_orders", "adopt"], ["002_items", "adopt"], ["003_totals", "upgrade"]]


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        (
            "INSERT INTO migrations_done VALUES (3, false)",
            4,
            "The records of shop cannot be adopted: ValueError: migration 3 of the old script has not finished",
        ),
        ("INSERT INTO migrations_done VALUES (9, true)", 4, "cannot be adopted: KeyError: 9"),
        ("TRUNCATE TABLE migrations_done", 0, "nothing to do"),
        ("DROP TABLE migrations_done", 8, "migrations_done"),
        (
            "INSERT INTO migrations_done SELECT 3, true FROM system.one",
            0,
            "3 adopted",
        ),
    ],
)
def test_what_the_script_left_undone_is_refused(
    project: Project,
    site: Path,
    modern: ChdbFront,
    database: str,
    statement: str,
    code: int,
    said: str,
) -> None:
    modern.query(statement, database=database)

    done = installed.run(project, site, "adopt", "--from", "shop")

    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if code:
        tables = modern.query(f"SHOW TABLES FROM {database}").split()
        assert "schema_migrations" not in tables


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"001_orders", 2', '"001_order", 2', "shop has applied 001_order, and there is no such"),
        (
            "for number, _ in rows]",
            "for number, _ in rows[1:]]",
            "shop has not applied 001_orders, and has applied what builds on it.",
        ),
        (
            "return [REVISIONS[int(number)]",
            "return [int(number)",
            "returned no list of revision ids",
        ),
    ],
)
def test_an_adopter_that_is_wrong_records_nothing(
    project: Project, site: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    changed = installed.edited(site, tmp_path / "site", "shop_adopters.py", old, new)

    done = installed.run(project, changed, "adopt", "--from", "shop")

    assert done.returncode != 0, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_no_package_has_is_refused(project: Project, site: Path) -> None:
    done = installed.run(project, site, "adopt", "--from", "shops")

    assert done.returncode == 2
    assert "No installed package has an adopter shops." in done.stderr
    assert "hint: Did you mean shop?" in done.stderr
