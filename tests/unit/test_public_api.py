"""The public names: there, documented, and free until one of them is used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import budeval_migrations
from budeval_migrations.errors import ConfigError
from budeval_migrations.services import api

# Costly to import, or there only with an extra.
HEAVY = (
    "alembic",
    "asyncio",
    "chdb",
    "chdb_sqlalchemy",
    "click",
    "clickhouse_connect",
    "clickhouse_driver",
    "clickhouse_sqlalchemy",
    "fastapi",
    "numpy",
    "pandas",
    "pyarrow",
    "requests",
    "rich",
    "sqlalchemy",
    "urllib3",
)


def imported_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after running ``code``."""
    probe = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", budeval_migrations.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(budeval_migrations, name) is not None


@pytest.mark.parametrize("name", [n for n in budeval_migrations.__all__ if n != "__version__"])
def test_every_public_name_is_documented(name: str) -> None:
    assert (getattr(budeval_migrations, name).__doc__ or "").strip()


def test_the_list_of_names_is_sorted_and_says_nothing_twice() -> None:
    assert sorted(set(budeval_migrations.__all__)) == budeval_migrations.__all__


def test_a_public_name_is_the_same_thing_each_time() -> None:
    from budeval_migrations.errors import MigrationError

    assert budeval_migrations.MigrationError is MigrationError
    assert budeval_migrations.MigrationError is budeval_migrations.MigrationError


def test_a_star_import_brings_the_public_names() -> None:
    names: dict[str, object] = {}

    exec("from budeval_migrations import *", names)

    assert set(budeval_migrations.__all__) == names.keys() - {"__builtins__"}


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'upgrad'"):
        budeval_migrations.upgrad  # noqa: B018


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", budeval_migrations.__version__)


@pytest.mark.parametrize(
    "code",
    [
        "import budeval_migrations",
        "from budeval_migrations import MigrationError, Report, Status, Validation",
        "import budeval_migrations.errors, budeval_migrations.model, budeval_migrations.events",
        "import budeval_migrations.settings",
        "import budeval_migrations.sql.splitter, budeval_migrations.sql.redact",
    ],
)
def test_importing_it_imports_nothing_heavy(code: str) -> None:
    assert imported_by(code) & set(HEAVY) == set()


def test_finding_and_hashing_revision_files_does_not_import_alembic() -> None:
    assert "alembic" not in imported_by("import budeval_migrations.revisions.directory")


def test_taking_the_functions_imports_neither_alembic_nor_a_driver() -> None:
    code = "from budeval_migrations import adopt, downgrade, repair, reset, status, upgrade"

    heavy = {"alembic", "chdb", "clickhouse_connect", "clickhouse_driver", "click", "rich"}

    assert imported_by(code) & heavy == set()


def test_taking_the_lifespan_imports_no_web_framework() -> None:
    assert not imported_by("from budeval_migrations import lifespan") & {"fastapi", "starlette"}


def test_the_public_names_are_in_its_directory() -> None:
    assert set(budeval_migrations.__all__) <= set(dir(budeval_migrations))


def test_the_lifespan_is_a_function_whatever_was_imported_before() -> None:
    code = (
        "import pkgutil, importlib, budeval_migrations as bm\n"
        "for module in pkgutil.iter_modules(bm.__path__):\n"
        "    if not module.name.startswith('_') and module.name != 'pytest_plugin':\n"
        "        importlib.import_module(f'budeval_migrations.{module.name}')\n"
        "for name in bm.__all__:\n"
        "    assert type(getattr(bm, name)).__name__ != 'module', name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_misspelt_setting_does_not_pass_a_type_checker(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "app.py"
    file.write_text(
        "import budeval_migrations as bm\n"
        "bm.upgrade(lock_timeout=3, versions=['versions'])\n"
        "bm.upgrade(lock_tiemout=3)\n"
        "bm.lifespan(jobs=2)\n"
        "bm.status(databse='x')\n"
    )
    said, _, code = api.run(
        ["--strict", "--no-error-summary", f"--cache-dir={tmp_path}", str(file)]
    )
    assert code == 1
    assert [line.split(":")[1] for line in said.splitlines() if ": error:" in line] == ["3", "5"]
    assert "lock_tiemout" in said and "databse" in said


@pytest.mark.parametrize("call", [api.upgrade, api.check, budeval_migrations.lifespan])
def test_what_to_do_with_a_newer_database_is_one_of_two_words(call: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="on_ahead cannot be 'ignore'"):
        call(on_ahead="ignore")


def test_the_env_py_of_an_earlier_project_still_finds_its_function() -> None:
    from budeval_migrations.alembic_env import environment
    from budeval_migrations.bridge.environment import run_env

    assert run_env is environment.run_env
