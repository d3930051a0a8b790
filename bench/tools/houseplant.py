"""houseplant: YAML files over the native protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.bare import numbered
from bench.places import EMBEDDED, HTTP, Place
from bench.tools.tool import Application, Command, Tool, revision_ids

_FILE = """version: "{n:05}"
name: step
table: t{n}

development: &development
  up: |
    {up}
  down: |
    DROP TABLE {{table}}
"""


class Houseplant(Tool):
    """``houseplant``; on 18.16 it is tried and fails: the server does not parse its table."""

    name = "houseplant"
    packages = ("houseplant==0.2.5", "clickhouse-driver==0.2.11")
    refused: ClassVar[Mapping[str, str]] = {
        EMBEDDED: "it speaks the native protocol only",
        HTTP: "it speaks the native protocol only",
    }
    imports = ("houseplant.cli",)
    application = Application(
        loaded="import clickhouse_driver",
        call="from houseplant import Houseplant\nHouseplant().migrate_up()",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``ch/migrations/``."""
        directory = project / "ch" / "migrations"
        directory.mkdir(parents=True, exist_ok=True)
        for n, revision in enumerate(revision_ids(count), start=1):
            text = _FILE.format(n=n, up=numbered(statement, n))
            (directory / f"{revision}.yml").write_text(text)

    def environment(self, place: Place) -> dict[str, str]:
        """Where the server is."""
        return {
            "CLICKHOUSE_HOST": place.host,
            "CLICKHOUSE_PORT": str(place.port),
            "CLICKHOUSE_DB": place.database,
            "CLICKHOUSE_USER": place.user,
            "CLICKHOUSE_PASSWORD": place.password,
        }

    def prepare(self, place: Place) -> list[Command]:
        """Its table, which ``houseplant init`` makes."""
        del place
        return [[self.script("houseplant"), "init"]]

    def upgrade(self, place: Place) -> Command:
        """Run ``houseplant migrate:up``."""
        del place
        return [self.script("houseplant"), "migrate:up"]

    def catch_up(self, place: Place) -> Command:
        """The same rows, without the statements."""
        del place
        return [self.script("houseplant"), "db:schema:load"]

    def status(self, place: Place) -> Command | None:
        """Run ``houseplant migrate:status``."""
        del place
        return [self.script("houseplant"), "migrate:status"]
