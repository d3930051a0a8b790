"""``alembic upgrade --sql``: the script leaves what an online run leaves."""

from __future__ import annotations

import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine import make_url

import budeval_migrations as bm
from tests.engines.workspace import Workspace
from tests.support.chdb_engine import connect
from tests.support.targets import Target, engine_parameters

# What two runs of the same revisions must have in common.
LEDGER = (
    "SELECT version, checksum, toUInt8(success), operation, direction, parents, "
    "toUInt32(statements_applied), toUInt32(statements_total), toString(sequence), "
    "statements_checksum, upgrade_statements, downgrade_statements, toUInt16(ledger_format) "
    "FROM schema_migrations ORDER BY sequence"
)
TABLES = (
    "SELECT name, engine FROM system.tables WHERE database = currentDatabase() "
    "AND name != 'schema_migrations_lock' ORDER BY name"
)

on_two = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "old-native"), indirect=True
)


def write(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision(
        "004_bytes",
        "003_three",
        "INSERT INTO t1 SELECT 1, 'a;b %s :x {y:z} \\\\ it''s' -- remark",
        "SELECT 1 -- odd",
    )


def pipe(workspace: Workspace, script: str, directory: Path) -> None:
    """Give a script to the engine as an operator would."""
    if workspace.target.name == "embedded":
        connection = connect(str(directory))
        try:
            connection.query(f"USE {workspace.target.database}")
            connection.query(script)
        finally:
            connection.close()
        return
    url = make_url(workspace.target.url)
    arguments = [
        "clickhouse-client",
        f"--host={url.host}",
        f"--port={url.port}",
        f"--user={url.username}",
        f"--password={url.password}",
        f"--database={workspace.target.database}",
        "--multiquery",
    ]
    done = subprocess.run(arguments, input=script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def script_of(workspace: Workspace, run: Any, *arguments: str) -> str:
    version = "26.0" if workspace.target.modern else "18.16"
    workspace.project.configure(
        url=workspace.target.url,
        database=workspace.target.database,
        lock="off",
        server_version=version,
    )
    printed = StringIO()
    run(Config(workspace.project.ini, output_buffer=printed), *arguments, sql=True)
    return printed.getvalue()


def drop_everything(workspace: Workspace) -> None:
    for name, _ in workspace.rows(TABLES):
        workspace.prepare(f"DROP TABLE `{name}`")


@on_two
def test_the_upgrade_script_leaves_the_schema_and_the_ledger_of_an_online_run(
    workspace: Workspace, engine_url: Target, embedded_directory: Path
) -> None:
    write(workspace)
    bm.upgrade(**workspace.options)
    online = workspace.rows(TABLES), workspace.rows(LEDGER), workspace.rows("SELECT * FROM t1")
    heads = workspace.heads()
    drop_everything(workspace)
    pipe(workspace, script_of(workspace, command.upgrade, "head"), embedded_directory)
    assert (
        workspace.rows(TABLES),
        workspace.rows(LEDGER),
        workspace.rows("SELECT * FROM t1"),
    ) == online
    assert workspace.heads() == heads == {"004_bytes"}
    assert bm.upgrade(**workspace.options).applied == ()


@on_two
def test_the_downgrade_script_does_too(
    workspace: Workspace, engine_url: Target, embedded_directory: Path
) -> None:
    write(workspace)
    bm.upgrade(**workspace.options)
    bm.downgrade("002_two", **workspace.options)
    online = workspace.rows(TABLES), workspace.rows(LEDGER)
    drop_everything(workspace)
    bm.upgrade(**workspace.options)
    pipe(workspace, script_of(workspace, command.downgrade, "head:002_two"), embedded_directory)
    assert (workspace.rows(TABLES), workspace.rows(LEDGER)) == online
    assert workspace.heads() == {"002_two"}


@on_two
def test_a_part_of_the_way_and_a_stamp_can_be_scripts(
    workspace: Workspace, engine_url: Target, embedded_directory: Path
) -> None:
    write(workspace)
    bm.upgrade("001_one", **workspace.options)
    pipe(workspace, script_of(workspace, command.upgrade, "001_one:002_two"), embedded_directory)
    assert workspace.heads() == {"002_two"}
    pipe(workspace, script_of(workspace, command.stamp, "002_two:004_bytes"), embedded_directory)
    assert workspace.heads() == {"004_bytes"}
    assert workspace.tables() == {"t1", "t2"}


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_a_dynamic_revision_cannot_be_a_script(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_dynamic", None, body="def upgrade() -> None:\n    op.get_bind()\n"
    )
    with pytest.raises(CommandError, match="reads the database while it runs"):
        script_of(workspace, command.upgrade, "head")


@pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
def test_rows_after_format_cannot_be_in_a_script(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision(
        "004_rows", "003_three", 'INSERT INTO t1 FORMAT JSONEachRow {"a": 1, "s": "x;y"}'
    )
    with pytest.raises(CommandError, match="rows after FORMAT"):
        script_of(workspace, command.upgrade, "head")
    bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT s FROM t1") == [("x;y",)]
