"""clickhouse-migrations: numbered SQL files, over either driver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.bare import numbered
from bench.places import EMBEDDED, NATIVE, Place
from bench.tools.tool import Application, Command, Tool, revision_ids


class ClickHouseMigrations(Tool):
    """``clickhouse-migrations``."""

    name = "clickhouse-migrations"
    packages = (
        "clickhouse-migrations[connect]==0.16.0",
        "clickhouse-driver==0.2.11",
        "clickhouse-connect==1.12.0",
    )
    refused: ClassVar[Mapping[str, str]] = {EMBEDDED: "it knows servers only"}
    imports = ("clickhouse_migrations.clickhouse_cluster",)
    application = Application(
        loaded="import os, clickhouse_driver, clickhouse_connect",
        call="from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster\n"
        "cluster = ClickhouseCluster(db_url=os.environ['DB_URL'], driver=os.environ['DRIVER'])\n"
        "cluster.migrate(os.environ['DB_NAME'], 'migrations')",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``migrations/``."""
        directory = project / "migrations"
        directory.mkdir(exist_ok=True)
        for n, revision in enumerate(revision_ids(count), start=1):
            (directory / f"{revision}.sql").write_text(numbered(statement, n) + ";\n")

    def environment(self, place: Place) -> dict[str, str]:
        """Everything that its options say."""
        native = place.engine == NATIVE
        return {
            "DB_URL": place.url("clickhouse" if native else "http"),
            "DB_NAME": place.database,
            "DRIVER": "clickhouse-driver" if native else "clickhouse-connect",
            "MIGRATIONS_DIR": "migrations",
        }

    def upgrade(self, place: Place) -> Command:
        """Run ``clickhouse-migrations migrate``."""
        del place
        return [self.script("clickhouse-migrations"), "migrate"]

    def catch_up(self, place: Place) -> Command:
        """The same rows, without the statements."""
        return [*self.upgrade(place), "--fake"]

    def status(self, place: Place) -> Command | None:
        """Run ``clickhouse-migrations status``."""
        del place
        return [self.script("clickhouse-migrations"), "status"]
