"""``budeval-migrate new``: what it asks, prints, writes and refuses. No server is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from budeval_migrations.cli.main import cli
from budeval_migrations.cli.new import new
from budeval_migrations.scaffold.kinds import KINDS
from tests.support.project import Project

Run = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose chDB directory is not there yet, as the working directory."""
    project = Project(tmp_path / "project", url=f"chdb:///{tmp_path}/nothing", database="shop")
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("NO_COLOR", "1")
    return project


@pytest.fixture
def run(here: Project) -> Run:
    def call(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(cli, ["new", *words], input=typed)

    return call


def refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.stderr, result.output
    assert "Traceback" not in result.output


ADD = ("add-column", "events", "status", "String")


def test_it_prints_the_file_that_it_wrote(run: Run, here: Project) -> None:
    result = run(*ADD, "--message", "add status", "--default", "''", "--after", "engine")
    assert (result.exit_code, result.stdout) == (0, "versions/001_add_status.py\n")
    assert (
        (here.versions / "001_add_status.py").read_text()
        == '''\
"""Add status.

Rows written before have the default; nothing is rewritten. The downgrade loses what the column
holds.
"""

from alembic import op

revision = "001_add_status"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS status String DEFAULT '' AFTER engine")


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP COLUMN IF EXISTS status")
'''
    )


def test_the_next_one_stands_on_the_last_one(run: Run, here: Project) -> None:
    here.write_chain(2)
    run(*ADD, "--name", "mine")
    assert 'down_revision = "002_step"' in (here.versions / "003_mine.py").read_text()


def test_a_dry_run_prints_the_text_and_writes_nothing(run: Run, here: Project) -> None:
    result = run(*ADD, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith('"""Add status to events.\n')
    assert list(here.versions.iterdir()) == []


def test_json_is_one_object(run: Run, here: Project) -> None:
    found = json.loads(run("--json", *ADD).stdout)
    assert found["revision"] == "001_add_status_to_events"
    assert found["down_revision"] is None
    assert found["written"] is True
    assert Path(found["file"]).read_text() == found["text"]
    assert found["notices"] == []
    wrong = json.loads(run("--json", "add-column", "events").stdout)
    assert wrong["error"] == "ConfigError" and wrong["exit_code"] == 2


def test_interactive_asks_for_what_is_missing_only(run: Run, here: Project) -> None:
    result = run("add-column", "events", "--interactive", typed="status\nUInt8\nadd it\n")
    assert result.exit_code == 0, result.output
    assert "Column: " in result.stderr and "Type: " in result.stderr
    assert "Table: " not in result.stderr
    assert result.stdout == "versions/001_add_it.py\n"
    assert "COLUMN IF NOT EXISTS status UInt8" in here.revision_file("001_add_it").read_text()


def test_interactive_without_a_kind_asks_for_that_too(run: Run, here: Project) -> None:
    result = run("--interactive", typed="rename-column\nevents\na\nb\n\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == "versions/001_rename_a_of_events.py\n"


def test_interactive_asks_for_columns_and_key_of_a_table(run: Run, here: Project) -> None:
    result = run("create-table", "--interactive", typed="t\na UInt8, b String\na\n\n")
    assert result.exit_code == 0, result.output
    assert "    a UInt8,\n    b String\n" in here.revision_file("001_create_t").read_text()


def test_every_kind_has_a_command_with_help_and_an_example(run: Run) -> None:
    assert set(new.commands) == set(KINDS)
    for kind in KINDS:
        shown = run(kind, "--help")
        assert shown.exit_code == 0
        assert f"budeval-migrate new {kind}" in shown.stdout


def test_a_misspelt_kind_or_flag_names_the_nearest_one(run: Run) -> None:
    refused(run("add-colum", "events"), 2, "Did you mean 'add-column'?")
    refused(run(*ADD, "--defualt", "1"), 2, "--default")


def test_what_is_missing_is_named(run: Run) -> None:
    refused(
        run("add-column", "events"), 2, "new add-column needs COLUMN and TYPE.", "--interactive"
    )
    refused(run("swap", "events"), 2, "new swap needs OTHER.")
    refused(run("materialized-view", "v"), 2, "new materialized-view needs SELECT.")


def test_no_versions_directory_is_a_sentence(run: Run, here: Project) -> None:
    here.versions.rmdir()
    refused(run(*ADD), 2, "There is no directory", "version_locations")


def test_several_heads_are_named_and_one_can_be_chosen(run: Run, here: Project) -> None:
    here.write_revision("001_a", None)
    here.write_revision("002_b", "001_a")
    here.write_revision("003_c", "001_a")
    refused(run(*ADD), 3, "There are several heads: 002_b, 003_c.", "--head 002_b")
    refused(run(*ADD, "--head", "009"), 3, "009 names no head.", "Heads: 002_b, 003_c.")
    assert run(*ADD, "--head", "003").exit_code == 0
    text = here.revision_file("004_add_status_to_events").read_text()
    assert 'down_revision = "003_c"' in text


def test_a_file_that_is_there_already_stays(run: Run, here: Project) -> None:
    here.write_chain(1)
    before = here.revision_file("001_step").read_text()
    refused(run(*ADD, "--name", "001_step"), 3, "There is a file versions/001_step.py already")
    assert here.revision_file("001_step").read_text() == before


def test_without_a_server_the_flag_that_helps_is_named(run: Run, here: Project) -> None:
    refused(run("drop-column", "events", "a"), 2, "no server has the table", "--type String")
    refused(run("modify-column", "events", "a", "UInt8"), 2, "--was String")
    refused(run("change-order-by", "events", "--order-by", "a"), 2, "--from-ddl FILE")
    view = ("materialized-view", "v", "--select", "SELECT a FROM t", "--order-by", "a")
    refused(run(*view), 2, "--time-column", "--no-backfill")
    refused(run(*view, "--time-column", "at"), 2, "--columns")


def test_a_server_that_is_away_is_told(run: Run) -> None:
    url = ("--url", "clickhouse+http://127.0.0.1:1/shop")
    refused(run("drop-column", "events", "a", *url), 2, "No server was asked", "--type String")
    result = run(*ADD, *url)
    assert result.exit_code == 0 and "note No server was asked" in result.stderr


def test_a_ddl_file_stands_in_for_the_server(run: Run, here: Project) -> None:
    path = here.path / "events.sql"
    path.write_text("CREATE TABLE x.events (a UInt8, b String) ENGINE = MergeTree ORDER BY a;")
    given = ("--from-ddl", str(path))
    assert run("drop-column", "events", "b", *given).exit_code == 0
    assert "b String AFTER a" in here.revision_file("001_drop_b_from_events").read_text()
    assert run("change-order-by", "events", "--order-by", "b", *given).exit_code == 0
    assert run("create-table", "copy", *given).exit_code == 0
    assert "EXISTS copy\n(\n    a UInt8," in here.revision_file("003_create_copy").read_text()
    refused(run("drop-column", "events", "c", *given), 2, "has no column c", "It has: a, b.")
    refused(
        run("drop-column", "events", "c", "--from-ddl", "no.sql"),
        2,
        "no.sql cannot be read: No such",
    )
    path.write_text("SELECT 1")
    refused(run("drop-column", "events", "b", *given), 2, "is no CREATE TABLE with columns")
