"""What reads and changes the user's data is waited for, and nothing else is for long."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports import base
from budeval_migrations.errors import ConnectionFailed
from budeval_migrations.settings import Settings
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

pytestmark = pytest.mark.every_engine

on_servers = pytest.mark.parametrize(
    "engine_url",
    engine_parameters("modern-http", "modern-connect", "old-http", "old-native"),
    indirect=True,
)
on_modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("modern-http", "modern-connect"), indirect=True
)
CREATE = "CREATE TABLE {0} (x UInt64) ENGINE = MergeTree ORDER BY x"
# 2.5 seconds.
SLOW = "sleepEachRow(0.5)"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_WRITE", 0.0)


@on_servers
def test_a_statement_may_take_longer_than_a_question(workspace: Workspace) -> None:
    slow = f"INSERT INTO t SELECT number FROM numbers(5) WHERE NOT ignore({SLOW})"
    workspace.project.write_revision("001_t", None, [CREATE.format("t"), slow])
    bm.upgrade(read_timeout=1.5, **workspace.options)
    assert workspace.rows("SELECT toString(count()) FROM t") == [("5",)]


@on_servers
def test_a_probe_may_take_longer_than_a_question(workspace: Workspace) -> None:
    workspace.project.write_revision("001_t", None, CREATE.format("t"))
    file = workspace.project.versions / "002_probe.py"
    file.write_text(
        'revision, down_revision = "002_probe", "001_t"\n'
        "from alembic import op\n"
        "def upgrade():\n"
        f'    op.execute_unless("SELECT 1 FROM numbers(5) WHERE {SLOW} = 1", '
        '"INSERT INTO t SELECT 1")\n'
        "def downgrade():\n    pass\n"
    )
    bm.upgrade(read_timeout=1.5, **workspace.options)
    assert workspace.rows("SELECT toString(count()) FROM t") == [("1",)]


@on_modern
def test_a_chunk_of_a_backfill_may_take_longer_than_a_question(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_t", None, [CREATE.format("s"), CREATE.format("t"), "INSERT INTO s SELECT 1"]
    )
    file = workspace.project.versions / "002_fill.py"
    file.write_text(
        'revision, down_revision = "002_fill", "001_t"\n'
        "from alembic import op\n"
        "def upgrade():\n"
        "    op.backfill(\n"
        '        into="t",\n'
        '        select="SELECT x + sleep(2.5) FROM s WHERE {chunk}",\n'
        '        source="s",\n'
        '        by="x",\n'
        "    )\n"
        "def downgrade():\n    pass\n"
    )
    bm.upgrade(read_timeout=1.5, **workspace.options)
    assert workspace.rows("SELECT toString(count()) FROM t") == [("1",)]


@on_modern
def test_the_server_can_be_asked_while_a_statement_is_at_work(workspace: Workspace) -> None:
    """Also over a driver that puts all that it sends into one session."""
    settings = Settings(
        url=workspace.target.url, database=workspace.target.database, read_timeout=1.5
    )
    with Session(settings) as session:
        session.ensure_database()
        assert session.features  # it is known who answers
        with pytest.raises(ConnectionFailed, match="has not answered for"):
            session.execute("SELECT sleepEachRow(1) FROM numbers(3) FORMAT Null")
        assert session.query("SELECT toString(1)") == [["1"]]
