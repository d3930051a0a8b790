"""ch-migrate-cli: Alembic and clickhouse-connect behind a command of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from bench.places import EMBEDDED, NATIVE, Place
from bench.tools.alembic_project import write_chain
from bench.tools.tool import CREATE, Application, Command, Tool

_CONFIG = """project:
  name: bench
defaults:
  port: {port}
  secure: false
  admin_user: default
environments:
  dev:
    host: {host}
    database: {database}
    migration_user: {user}
"""
# What ``ch-migrate init`` writes, as far as it matters.
_INI = """[alembic]
script_location = migrations
prepend_sys_path = .
version_path_separator = os

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic

[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""
_ENV_PY = """from ch_migrate.alembic_env import run

CH_MIGRATE_ENV_VERSION = 2


run()
"""


class ChMigrate(Tool):
    """``ch-migrate``."""

    name = "ch-migrate-cli"
    packages = (
        "ch-migrate-cli==0.6.0",
        "clickhouse-connect==1.12.0",
        "alembic==1.20.1",
        "sqlalchemy==2.0.58",
    )
    refused: ClassVar[Mapping[str, str]] = {
        EMBEDDED: "it speaks HTTP only",
        NATIVE: "it speaks HTTP only",
    }
    imports = ("ch_migrate.cli",)
    application = Application(
        loaded="import sqlalchemy, clickhouse_connect",
        call="from ch_migrate.runner import run_migrations\n"
        "assert run_migrations('dev', ['upgrade', 'head'], verbose=False) == 0",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write revisions; it refuses a CREATE without IF NOT EXISTS."""
        if statement == CREATE:
            statement = statement.replace("TABLE", "TABLE IF NOT EXISTS")
        write_chain(project / "migrations" / "versions", count, statement)

    def configure(self, project: Path, place: Place) -> None:
        """Write the configuration and Alembic's environment."""
        where = {"port": place.port, "host": place.host, "database": place.database}
        (project / "config.yaml").write_text(_CONFIG.format(user=place.user, **where))
        (project / "alembic.ini").write_text(_INI)
        (project / "migrations" / "env.py").write_text(_ENV_PY)

    def environment(self, place: Place) -> dict[str, str]:
        """The password, and what Alembic's own command needs besides."""
        return {"CH_DEV_MIGRATION_PASSWORD": place.password, "CH_ENVIRONMENT": "dev"}

    def upgrade(self, place: Place) -> Command:
        """Run ``ch-migrate up``."""
        del place
        return [self.script("ch-migrate"), "up", "dev"]

    def catch_up(self, place: Place) -> Command:
        """Stamp: Alembic's table holds one row, whatever led to it."""
        del place
        return [self.python, "-m", "alembic", "stamp", "head"]

    def status(self, place: Place) -> Command | None:
        """Run ``ch-migrate status``."""
        del place
        return [self.script("ch-migrate"), "status", "dev"]
