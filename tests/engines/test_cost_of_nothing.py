"""A database at head costs one query: no lock, no write, no import of Alembic."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import make_url

import budeval_migrations as bm
from tests.engines.workspace import Workspace
from tests.support.proxy import RecordingProxy
from tests.support.servers import ChdbFront
from tests.support.targets import engine_parameters

on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@pytest.fixture
def proxy(modern: ChdbFront) -> Iterator[RecordingProxy]:
    with RecordingProxy(modern.port("clickhouse+http")) as proxy:
        yield proxy


def through(proxy: RecordingProxy, url: str) -> str:
    return make_url(url).set(port=proxy.port).render_as_string(hide_password=False)


@on_http
def test_at_head_an_upgrade_from_code_is_one_query(
    workspace: Workspace, proxy: RecordingProxy
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    options = {**workspace.options, "url": through(proxy, workspace.target.url)}
    report = bm.upgrade(**options)
    assert report.current == ("003_three",)
    assert len(proxy.queries) == 1
    assert proxy.queries[0].startswith("SELECT toString(countIf(is_applied)), ")


@on_http
@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("current",)])
def test_at_head_alembic_sends_one_query_too(
    workspace: Workspace, proxy: RecordingProxy, arguments: tuple[str, ...]
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.project.configure(
        url=through(proxy, workspace.target.url), database=workspace.target.database
    )
    done = workspace.project.run(*arguments)
    assert done.returncode == 0, done.output
    assert len(proxy.queries) == 1, proxy.queries


@pytest.mark.parametrize("engine_url", engine_parameters("modern-connect"), indirect=True)
def test_with_clickhouse_connect_its_own_handshake_comes_on_top(
    workspace: Workspace, proxy: RecordingProxy
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    bm.upgrade(**{**workspace.options, "url": through(proxy, workspace.target.url)})
    ours = [query for query in proxy.queries if "schema_migrations" in query]
    assert len(ours) == 1
    assert len(proxy.queries) == 4, proxy.queries


@pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
def test_at_head_alembic_imports_nothing_of_what_would_run(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    program = (
        "import sys\nfrom alembic.config import main\n"
        "main(argv=['upgrade', 'head'])\n"
        "loaded = {name for name in sys.modules if name.startswith('budeval_migrations.')}\n"
        "assert 'budeval_migrations.state.fast_check' in loaded\n"
        "rooms = {name.split('.')[1] for name in loaded}\n"
        "assert not {'run', 'shadow', 'linter', 'cli'} & rooms, rooms\n"
    )
    _run(workspace, program)


@pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
def test_at_head_neither_alembic_nor_a_revision_file_is_imported(workspace: Workspace) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    program = (
        "import sys, budeval_migrations as bm\n"
        "assert not {'sqlalchemy', 'alembic', 'click', 'rich'} & set(sys.modules)\n"
        "report = bm.upgrade()\n"
        "assert report.current == ('003_three',), report\n"
        "unwanted = {'alembic', 'click', 'rich', 'chdb', 'budeval_migrations.sql.redact'}\n"
        "loaded = unwanted & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    _run(workspace, program)


def _run(workspace: Workspace, program: str) -> None:
    """A fresh interpreter in the project."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=workspace.project.path,
        env=workspace.project.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
