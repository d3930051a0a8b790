"""An application that migrates when it starts: FastAPI, in the process and under uvicorn."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import litestar
import pytest
import quart
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from litestar.testing import TestClient as LitestarClient

import budeval_migrations as bm
from budeval_migrations.errors import (
    AccessDenied,
    ConfigError,
    ConnectionFailed,
    EngineError,
    MigrationError,
    MissingRevision,
    PendingRevisions,
    StatementFailed,
)
from tests.engines.workspace import Workspace
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.round_robin import RoundRobin
from tests.support.server import HOST, free_port
from tests.support.targets import engine_parameters
from tests.support.waiting import PATIENCE, wait_until

on_two = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


def port_of(workspace: Workspace) -> int:
    """The HTTP port of the workspace's server."""
    there = re.search(r":(\d+)/", workspace.options["url"])
    assert there is not None
    return int(there[1])


def options_at(workspace: Workspace, port: int) -> dict[str, Any]:
    """The workspace's options for another port of the same host."""
    url = workspace.options["url"].replace(f":{port_of(workspace)}/", f":{port}/")
    return {**workspace.options, "url": url}


def start(**options: Any) -> bm.Report:
    app = FastAPI(lifespan=bm.lifespan(**options))
    with TestClient(app):
        report: bm.Report = app.state.migrations
        return report


@on_two
def test_the_application_starts_migrated_and_has_the_report(workspace: Workspace) -> None:
    workspace.write_three()
    assert start(**workspace.options).applied == ("001_one", "002_two", "003_three")
    assert start(**workspace.options).applied == ()
    assert workspace.heads() == {"003_three"}


@on_two
def test_check_refuses_to_start_behind_and_starts_at_head(workspace: Workspace) -> None:
    workspace.write_three()
    with pytest.raises(PendingRevisions) as caught:
        start(mode="check", **workspace.options)
    assert caught.value.details["pending"] == ["001_one", "002_two", "003_three"]
    bm.upgrade(**workspace.options)
    report = start(mode="check", **workspace.options)
    assert (report.operation, report.current) == ("check", ("003_three",))


@on_http
def test_wait_waits_for_a_server_that_is_not_up_yet_and_no_longer_than_it_was_told(
    workspace: Workspace,
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    port, server = free_port(), port_of(workspace)
    options = options_at(workspace, port)
    with pytest.raises(ConnectionFailed, match="No ClickHouse server answers"):
        start(mode="check", **options)
    began = time.monotonic()
    with pytest.raises(ConnectionFailed, match="No ClickHouse server answers"):
        start(mode="wait", wait_timeout=2, **options)
    assert time.monotonic() - began >= 2
    balancer = RoundRobin([server], port)
    late = threading.Timer(1, balancer.__enter__)
    late.start()
    try:
        assert start(mode="wait", wait_timeout=60, **options).current == ("003_three",)
    finally:
        late.join()
        balancer.__exit__()


@on_http
@pytest.mark.parametrize("status", [404, 429, 503])
def test_wait_waits_while_something_in_between_answers_for_the_server(
    workspace: Workspace, status: int
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    with RecordingProxy(port_of(workspace)) as proxy:
        options = options_at(workspace, proxy.port)
        proxy.add(Fault(How.BALANCER_ALONE, "", 1000, status=status))
        with pytest.raises(EngineError, match=f"answered HTTP {status}"):
            start(mode="wait", wait_timeout=0.5, **options)
        proxy.forget_faults()
        gateway = proxy.add(Fault(How.BALANCER_ALONE, "", 2, status=status))
        assert start(mode="wait", wait_timeout=60, **options).current == ("003_three",)
        assert gateway.arrived.is_set()


@on_http
def test_wait_does_not_wait_for_what_the_server_refuses(workspace: Workspace) -> None:
    workspace.write_three()
    url = re.sub("//(?:[^/]*@)?", "//nobody:x@", workspace.options["url"], count=1)
    options = workspace.options | {"url": url}
    with pytest.raises(AccessDenied):
        start(mode="wait", wait_timeout=600, **options)


@pytest.mark.parametrize("dialect", ["clickhouse+http", "clickhouse+native", "clickhousedb"])
def test_wait_gives_up_a_server_that_never_answers(project: Project, dialect: str) -> None:
    project.write_chain(1)
    with socket.create_server((HOST, 0), backlog=64) as mute:
        url = f"{dialect}://{HOST}:{mute.getsockname()[1]}/mine"
        began = time.monotonic()
        with pytest.raises(ConnectionFailed):
            start(mode="wait", wait_timeout=3, url=url, versions=[str(project.versions)])
    assert 3 <= time.monotonic() - began < PATIENCE


@on_two
def test_wait_starts_once_somebody_else_has_upgraded(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.prepare()
    with pytest.raises(PendingRevisions):
        start(mode="wait", wait_timeout=0.3, **workspace.options)
    other = threading.Timer(0.5, lambda: bm.upgrade(**workspace.options))
    other.start()
    try:
        assert start(mode="wait", wait_timeout=60, **workspace.options).current == ("003_three",)
    finally:
        other.join()


@on_two
def test_a_failed_migration_keeps_the_application_from_starting(workspace: Workspace) -> None:
    workspace.project.write_revision("001_bad", None, "INSERT INTO nowhere SELECT 1")
    with pytest.raises(StatementFailed):
        start(**workspace.options)


@on_two
def test_what_keeps_it_from_starting_is_a_sentence_and_a_hint_not_our_insides(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.project.write_revision("001_bad", None, "INSERT INTO nowhere SELECT 1")
    for mode in ("upgrade", "check"):
        caplog.clear()
        with pytest.raises(MigrationError) as caught:
            start(mode=mode, **workspace.options)
        error = caught.value
        told = [r for r in caplog.records if r.name == "budeval_migrations"][-1]
        known = (told.event, told.error, told.exit_code)  # type: ignore[attr-defined]
        assert known == ("start_failed", type(error).__name__, error.exit_code)
        assert (told.levelname, told.message) == ("ERROR", f"{error.message}\n  hint: {error.hint}")
        printed = "".join(traceback.format_exception(error))  # as a framework does
        assert error.message in printed
        assert "lifespan.py" in printed
        assert "budeval_migrations/execution" not in printed
        assert "sqlalchemy" not in printed


@on_two
def test_a_newer_database_is_told_once_or_refused(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.write_three()
    bm.upgrade(**workspace.options)
    workspace.project.revision_file("003_three").unlink()
    for mode in ("upgrade", "check", "wait"):
        report = start(mode=mode, **workspace.options)
        assert report.notices == (
            "003_three is applied and has no file: the file was deleted, or the database is newer "
            "than these files.",
        )
        assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [*report.notices]
        caplog.clear()
        with pytest.raises(MissingRevision):
            start(mode=mode, on_ahead="error", **workspace.options)


@on_two
def test_the_applications_own_lifespan_is_entered_after_and_left_before(
    workspace: Workspace,
) -> None:
    workspace.write_three()
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append(f"enter {app.state.migrations.current[0]}")
        yield {"greeting": "hello"}
        seen.append("leave")

    app = FastAPI(lifespan=bm.lifespan(then=own, **workspace.options))

    @app.get("/")
    def greet(request: Request) -> str:
        return str(request.state.greeting)

    with TestClient(app) as client:
        assert client.get("/").json() == "hello"
    assert seen == ["enter 003_three", "leave"]


@on_two
def test_the_event_loop_goes_on_and_logging_is_left_alone(workspace: Workspace) -> None:
    workspace.write_three()
    workspace.project.write_revision("004_slow", "003_three", "SELECT sleep(1)")
    mine = logging.getLogger("somebody.elses")
    root = (logging.root.level, list(logging.root.handlers), mine.disabled)

    async def run() -> int:
        ticks = 0
        task = asyncio.create_task(bm.upgrade_async(**workspace.options))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert (await task).applied[-1] == "004_slow"
        assert (await bm.status_async(**workspace.options)).at_head
        assert (await bm.validate_async(**workspace.options)).ok
        assert (await bm.downgrade_async("003_three", **workspace.options)).applied == ("004_slow",)
        return ticks

    assert asyncio.run(run()) > 20
    assert (logging.root.level, list(logging.root.handlers), mine.disabled) == root


def test_an_unknown_mode_is_refused_when_the_application_is_made() -> None:
    with pytest.raises(ConfigError) as caught:
        bm.lifespan(mode="upgarde")
    assert "upgrade, check, wait" in caught.value.hint


APPLICATION = """
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

from budeval_migrations import lifespan
from fastapi import FastAPI


@asynccontextmanager
async def started(app):
    report = json.dumps(app.state.migrations.as_dict())
    Path(f"report-{os.getpid()}.tmp").write_text(report)
    Path(f"report-{os.getpid()}.tmp").rename(f"report-{os.getpid()}.json")
    yield


app = FastAPI(lifespan=lifespan(then=started))


@app.get("/")
def health() -> str:
    return "up"
"""


@on_http
def test_four_uvicorn_workers_start_together_and_migrate_once(workspace: Workspace) -> None:
    workspace.write_three()
    (workspace.project.path / "application.py").write_text(APPLICATION)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "application:app", f"--port={port}"]
    server = subprocess.Popen(
        [*command, "--workers=4", "--log-level=warning"],
        cwd=workspace.project.path,
        env=workspace.project.environment(),
        start_new_session=True,
    )
    try:
        reports = workspace.project.path
        wait_until(
            lambda: server.poll() is not None or len(list(reports.glob("report-*.json"))) == 4
        )
        assert server.poll() is None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as response:
            assert json.load(response) == "up"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=PATIENCE)
    told = [json.loads(report.read_text()) for report in reports.glob("report-*.json")]
    assert [report["current"] for report in told] == [["003_three"]] * 4
    assert sorted(len(report["applied"]) for report in told) == [0, 0, 0, 3]
    rows = workspace.rows("SELECT version FROM schema_migrations ORDER BY sequence")
    assert rows == [("001_one",), ("002_two",), ("003_three",)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bogus": 1}, "Unknown setting bogus"),
        ({"lock_tiemout": 1}, "Unknown setting lock_tiemout"),
        ({"jobs": "many"}, "jobs must be a number"),
        ({"on_ahead": "ignore"}, "on_ahead cannot be 'ignore'"),
        ({"database": ""}, "database is given, and is empty"),
        (
            {"url": "clickhouse+http://h/one", "database": "two"},
            "names the database one, and the setting database two",
        ),
        ({"url": "postgresql://h/d"}, "is not a ClickHouse URL"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_lifespan_is_made(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        bm.lifespan(**options)  # type: ignore[arg-type]


def test_it_works_in_litestar(workspace: Workspace) -> None:
    workspace.write_three()
    app = litestar.Litestar(lifespan=[bm.lifespan(**workspace.options)])
    with LitestarClient(app):
        assert app.state.migrations.current == ("003_three",)
        assert workspace.heads() == {"003_three"}


def test_it_works_in_quart_whose_applications_have_no_state(workspace: Workspace) -> None:
    workspace.write_three()
    app = quart.Quart(__name__)

    @app.while_serving
    async def migrated() -> AsyncIterator[None]:
        async with bm.lifespan(**workspace.options)(app):
            yield

    async def serve() -> None:
        async with app.test_app():
            assert workspace.heads() == {"003_three"}

    asyncio.run(serve())
