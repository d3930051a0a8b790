"""py-clickhouse-migrator: SQL files over the native protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.bare import numbered
from bench.places import EMBEDDED, HTTP, Place
from bench.tools.tool import Application, Command, Tool, revision_ids


class PyClickHouseMigrator(Tool):
    """``migrator``; on 18.16 it is tried and fails: its tables need DateTime64."""

    name = "py-clickhouse-migrator"
    packages = ("py-clickhouse-migrator==2.2.0", "clickhouse-driver==0.2.11")
    refused: ClassVar[Mapping[str, str]] = {
        EMBEDDED: "it speaks the native protocol only",
        HTTP: "it speaks the native protocol only",
    }
    imports = ("py_clickhouse_migrator",)
    application = Application(
        loaded="import os, clickhouse_driver",
        call="from py_clickhouse_migrator import Migrator\n"
        "Migrator(os.environ['CLICKHOUSE_MIGRATE_URL'], 'migrations').up()",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``migrations/``."""
        directory = project / "migrations"
        directory.mkdir(exist_ok=True)
        for n, revision in enumerate(revision_ids(count), start=1):
            up = numbered(statement, n)
            text = f"-- migrator:up\n-- @stmt\n{up}\n\n-- migrator:down\n-- @stmt\nSELECT 1\n"
            (directory / f"{revision}.sql").write_text(text)

    def environment(self, place: Place) -> dict[str, str]:
        """Where the server and the files are."""
        return {
            "CLICKHOUSE_MIGRATE_URL": place.url("clickhouse"),
            "CLICKHOUSE_MIGRATE_DIR": "migrations",
        }

    def upgrade(self, place: Place) -> Command:
        """Run ``migrator up``."""
        del place
        return [self.script("migrator"), "up"]

    def catch_up(self, place: Place) -> Command:
        """Baseline: rows without checksums."""
        del place
        return [self.script("migrator"), "baseline"]

    def status(self, place: Place) -> Command | None:
        """Run ``migrator show``."""
        del place
        return [self.script("migrator"), "show"]
