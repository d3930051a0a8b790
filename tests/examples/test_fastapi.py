"""examples/fastapi: started with uvicorn, and asked over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.project import clean_environment
from tests.support.servers import ChdbFront, free_port
from tests.support.waiting import PATIENCE, wait_until

SERVER = "clickhouse+http://user:password@clickhouse:8123"
CURLS = [
    "curl -s -X POST http://127.0.0.1:8000/events/order; echo",
    "curl -s http://127.0.0.1:8000/health; echo",
]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fastapi"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example, without what an earlier start left in it."""
    return Path(
        shutil.copytree(
            EXAMPLE, tmp_path / "service", ignore=shutil.ignore_patterns(".clickhouse", "__py*")
        )
    )


@contextmanager
def served(directory: Path, *options: str, **env: str) -> Iterator[str]:
    """Start the service; end it, with its workers, when the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "main:app", f"--port={port}", *options]
    server = subprocess.Popen(
        [*command, "--log-level=warning"],
        cwd=directory,
        env=clean_environment(env),
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, "the service has ended"
        try:
            ask(f"{url}/health")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    try:
        wait_until(answers)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=PATIENCE)


def ask(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def test_it_starts_with_nothing_and_starts_again_with_what_it_has(example: Path) -> None:
    with served(example) as url:
        assert ask(f"{url}/health") == {"current": ["002_add_amount"]}
        assert ask(f"{url}/events") == {}
        assert ask(f"{url}/events/order", "POST") == {"added": "order"}
        assert ask(f"{url}/events") == {"order": 1}
    with served(example) as url:
        assert ask(f"{url}/events") == {"order": 1}


def test_its_page_says_what_happens(example: Path, modern: ChdbFront) -> None:
    port = str(free_port())
    modern.query("DROP DATABASE IF EXISTS shop SYNC")
    try:
        with Terminal(example) as terminal:
            read(
                "examples/fastapi/README.md",
                terminal,
                stand_ins={SERVER: modern.url("clickhouse+http"), "8000": port},
                before=dict.fromkeys(CURLS, terminal.until_served(port)),
            )
    finally:
        modern.query("DROP DATABASE IF EXISTS shop SYNC")


def test_four_workers_on_a_server_migrate_once(example: Path, modern: ChdbFront) -> None:
    server = modern
    server_url = server.url("clickhouse+http", "default")
    server.query("DROP DATABASE IF EXISTS shop")
    try:
        with served(example, "--workers=4", SHOP_MIGRATIONS_URL=server_url) as url:
            ask(f"{url}/events/order", "POST")
            assert ask(f"{url}/events") == {"order": 1}
        rows = server.query("SELECT version FROM shop.schema_migrations ORDER BY sequence")
        assert rows.split() == ["001_create_events", "002_add_amount"]
    finally:
        server.query("DROP DATABASE IF EXISTS shop")
