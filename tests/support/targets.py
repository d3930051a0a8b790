"""The engines that a test can be run against, as parameters for pytest."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.servers import OldServer, Server
from tests.support.zookeeper import ZooKeeper

REQUIRE_ENGINES = "BUDEVAL_TESTS_REQUIRE_ENGINES"

MARKS = {
    "embedded": "runs on chDB inside the test process",
    "modern": "runs on chDB behind an HTTP front, ClickHouse 26",
    "connect": "goes through clickhouse-connect",
    "old": "runs on Debian's ClickHouse server 18.16",
}

#: Name of an engine -> its marks; the order in which tests run.
ENGINES = {
    "embedded": ("embedded",),
    "modern-http": ("modern",),
    "modern-connect": ("modern", "connect"),
    "old-http": ("old",),
    "old-native": ("old",),
}

_DIALECTS = {
    "modern-http": "clickhouse+http",
    "modern-connect": "clickhousedb",
    "old-http": "clickhouse+http",
    "old-native": "clickhouse+native",
}


@dataclass(frozen=True)
class Target:
    """A database to be: the engine is there, the database is not yet.

    ``url`` holds the database for servers and none for chDB. ``reader_url`` is the same for a
    user with ``readonly = 1``.
    """

    name: str
    url: str
    database: str
    modern: bool
    reader_url: str


def engine_parameters(*names: str) -> list[object]:
    """``pytest.param`` for each engine (all when none is named), with its marks."""
    return [
        pytest.param(name, marks=[getattr(pytest.mark, mark) for mark in marks], id=name)
        for name, marks in ENGINES.items()
        if not names or name in names
    ]


def embedded_target(directory: Path, database: str) -> Target:
    """A database in chDB's data directory ``directory``."""
    url = f"chdb:///{directory}"
    return Target("embedded", url, database, modern=True, reader_url=f"{url}?readonly=1")


def server_target(name: str, server: Server, database: str) -> Target:
    """A database on a server, spoken to in the dialect that ``name`` stands for."""
    dialect = _DIALECTS[name]
    return Target(
        name,
        server.url(dialect, database),
        database,
        modern=name.startswith("modern"),
        reader_url=server.url(dialect, database, user="reader"),
    )


def require_packages(*names: str) -> None:
    """Skip the test when a package is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            _missing(f"the package {name} is not installed")


def require_old_server() -> None:
    """Skip the test when Debian's clickhouse-server is missing."""
    if not OldServer.is_installed():
        _missing("clickhouse-server is not installed (make engines)")


def require_zookeeper() -> None:
    """Skip the test when Debian's zookeeper is missing."""
    if not ZooKeeper.is_installed():
        _missing("zookeeper is not installed (make engines)")


def require_browser() -> None:
    """Skip the test when Debian's Chromium is missing."""
    if shutil.which("chromium") is None:
        _missing("chromium is not installed (make engines)")


def _missing(what: str) -> NoReturn:
    """Skip; fail where every engine has to be there."""
    if os.environ.get(REQUIRE_ENGINES) == "1":
        pytest.fail(f"{what}, and {REQUIRE_ENGINES}=1")
    pytest.skip(what)
