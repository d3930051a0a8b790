"""``budeval-migrate init``: the project that it writes works at once, and nothing is written over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import clean_environment
from tests.support.targets import require_packages

FILES = {
    "alembic.ini",
    "env.py",
    "script.py.mako",
    "versions/001_create_events.py",
    "tests/test_revisions.py",
    ".github/workflows/migrations.yml",
    ".gitignore",
}


def run(
    where: Path, *words: str, module: str = "budeval_migrations", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=where,
        env=clean_environment(variables),
        capture_output=True,
        text=True,
        timeout=240,
    )


def written(where: Path) -> set[str]:
    return {path.relative_to(where).as_posix() for path in where.rglob("*") if path.is_file()}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    require_packages("chdb", "chdb_sqlalchemy")
    done = run(tmp_path, "init", "shop")
    assert done.returncode == 0, done.stderr
    return tmp_path / "shop"


def test_init_names_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    done = run(tmp_path, "init", "a shop")
    assert set(done.stdout.splitlines()) == {f"a shop/{name}" for name in FILES}
    assert done.stderr == (
        "note The database is named a_shop; alembic.ini may say another name.\n"
        "note Now: cd 'a shop' && alembic upgrade head\n"
    )
    assert written(tmp_path / "a shop") == FILES


@pytest.mark.parametrize(
    ("directory", "database"),
    [("shop", "shop"), ("My-Shop.2", "my_shop_2"), ("Ünïcode", "unicode"), ("магазин", "app")],
)
def test_a_database_is_named_as_the_directory_is(
    tmp_path: Path, directory: str, database: str
) -> None:
    assert json.loads(run(tmp_path, "init", directory, "--json").stdout)["database"] == database


def test_a_project_in_a_project_is_told(tmp_path: Path) -> None:
    run(tmp_path, "init", "shop")
    done = run(tmp_path / "shop", "init", "shop")
    assert done.stderr.splitlines()[0] == (
        "note The directory above it has an alembic.ini, and is a project as well."
    )


@pytest.mark.parametrize("place", ["a-file", "a-file/shop"])
def test_a_file_is_no_place_for_a_project(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    done = run(tmp_path, "init", place)
    assert (done.returncode, done.stderr) == (
        2,
        "FAILED a-file is a file.\n  hint: Name a directory.\n",
    )


def test_a_database_of_clickhouses_own_is_no_projects(tmp_path: Path) -> None:
    done = run(tmp_path, "init", "shop", "--database", "system")
    assert done.returncode == 2
    assert "The database system is ClickHouse's own." in done.stderr
    assert written(tmp_path) == set()


def test_variables_cannot_begin_with_a_digit_as_a_directory_can(tmp_path: Path) -> None:
    told = json.loads(run(tmp_path, "init", "9lives", "--json").stdout)
    assert (told["database"], told["env_prefix"]) == ("9lives", "LIVES_MIGRATIONS_")


def test_a_new_project_upgrades_at_once_wherever_one_stands(shop: Path, tmp_path: Path) -> None:
    done = run(shop, "upgrade", "head", module="alembic")
    assert done.returncode == 0, done.stderr
    assert run(shop, "current", module="alembic").stdout == "001_create_events (head)\n"

    told = json.loads(run(tmp_path, "--config", "shop/alembic.ini", "status", "--json").stdout)
    assert (told["database"], told["at_head"]) == ("shop", True)
    assert not (tmp_path / ".clickhouse").exists()


def test_the_test_and_the_lint_of_a_new_project_pass(shop: Path) -> None:
    done = run(shop, "-q", "-p", "no:cacheprovider", "tests", module="pytest")
    assert "2 passed" in done.stdout, done.stdout
    done = run(shop, "lint", "--format", "github")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_next_revision_stands_on_the_first(shop: Path) -> None:
    done = run(shop, "new", "add-column", "events", "status", "String", "--json")
    assert json.loads(done.stdout)["down_revision"] == "001_create_events"


def test_its_environment_variables_begin_as_it_says_and_others_are_not_its_own(shop: Path) -> None:
    told = run(shop, "status", "--json", SHOP_MIGRATIONS_DATABASE="other")
    assert json.loads(told.stdout)["database"] == "other"
    told = run(shop, "status", "--json", BUDEVAL_MIGRATIONS_DATABASE="other")
    assert json.loads(told.stdout)["database"] == "shop"
    refused = run(shop, "status", SHOP_MIGRATIONS_DATABSE="other")
    assert refused.returncode == 2
    assert refused.stderr == (
        "FAILED Unknown environment variable SHOP_MIGRATIONS_DATABSE.\n"
        "  hint: Did you mean SHOP_MIGRATIONS_DATABASE?\n"
    )


def test_the_database_and_the_prefix_can_be_named(tmp_path: Path) -> None:
    words = ("init", ".", "--database", "orders", "--env-prefix", "ORDERS_DB_", "--json")
    told = json.loads(run(tmp_path, *words).stdout)
    assert (told["database"], told["env_prefix"]) == ("orders", "ORDERS_DB_")
    assert set(told["files"]) == FILES
    text = (tmp_path / "alembic.ini").read_text()
    assert "\ndatabase = orders\n" in text
    assert "\nenv_prefix = ORDERS_DB_\n" in text


def test_again_it_writes_what_is_missing_and_nothing_else(shop: Path, tmp_path: Path) -> None:
    (shop / "env.py").unlink()
    assert run(tmp_path, "init", "shop").stdout == "shop/env.py\n"
    assert run(tmp_path, "init", "shop").stdout == "everything is there already\n"


def test_a_file_that_says_something_else_is_left_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\n")
    done = run(tmp_path, "init", ".")
    assert done.returncode == 2
    assert done.stderr == (
        "FAILED There is alembic.ini already, and it says something else.\n"
        "  hint: Nothing was written. Name another directory, or move that file away.\n"
    )
    assert written(tmp_path) == {"alembic.ini"}


def test_a_gitignore_that_is_there_is_left_and_the_person_told(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/build\n")
    done = run(tmp_path, "init", ".")
    assert done.returncode == 0
    told = "note Add /.clickhouse/ to .gitignore.\nnote Now: alembic upgrade head\n"
    assert done.stderr == told
    assert (tmp_path / ".gitignore").read_text() == "/build\n"
    (tmp_path / ".gitignore").write_text("/build\n/.clickhouse/\n")
    assert run(tmp_path, "init", ".").stderr == "note Now: alembic upgrade head\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a?b"], "A URL and an ini file cannot hold the path"),
        (["x", "--env-prefix", "shop"], "env_prefix cannot be 'shop'."),
        (["x", "--database", "a%b"], "'a%b' cannot be written as the name of a database"),
        (["file/x"], "file is a file."),
    ],
)
def test_what_cannot_be_a_project_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "init", *words)
    assert done.returncode == 2
    assert said in done.stderr, done.stderr
    assert "hint: " in done.stderr
    assert written(tmp_path) == {"file"}


def test_alembic_writes_revisions_in_a_new_project(shop: Path) -> None:
    for words in (
        ["upgrade", "head"],
        ["revision", "-m", "add it"],
        ["merge", "-m", "one", "heads"],
    ):
        done = run(shop, *words, module="alembic")
        assert done.returncode == 0, done.stderr
    text = (shop / "versions" / "002_add_it.py").read_text("utf-8")
    assert "down_revision = '001_create_events'" in text
    assert "def upgrade() -> None:" in text


def test_a_file_without_downgrade_is_told_by_alembic_in_a_sentence(shop: Path) -> None:
    file = shop / "versions" / "001_create_events.py"
    file.write_text(file.read_text("utf-8").partition("def downgrade")[0], "utf-8")
    assert run(shop, "upgrade", "head", module="alembic").returncode == 0
    done = run(shop, "downgrade", "base", module="alembic")
    assert done.returncode != 0
    assert "001_create_events has no downgrade.\n" in done.stderr
    assert "Write def downgrade() in versions/001_create_events.py." in done.stderr
    assert "Traceback" not in done.stderr
