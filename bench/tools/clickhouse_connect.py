"""clickhouse-connect's own Alembic support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.places import EMBEDDED, NATIVE, Place
from bench.tools.alembic_project import UPGRADE, AlembicTool, env_py
from bench.tools.tool import Application


class ClickHouseConnect(AlembicTool):
    """Alembic with ``clickhousedb://``."""

    name = "clickhouse-connect"
    packages = ("clickhouse-connect==1.12.0", "alembic==1.20.1", "sqlalchemy==2.0.58")
    refused: ClassVar[Mapping[str, str]] = {
        EMBEDDED: "it knows no dialect for chDB",
        NATIVE: "it speaks HTTP only",
    }
    imports = ("alembic.command", "clickhouse_connect.cc_sqlalchemy.alembic")
    application = Application(
        loaded="import sqlalchemy, clickhouse_connect",
        call=UPGRADE,
    )
    env_py = env_py("import clickhouse_connect.cc_sqlalchemy.alembic")

    def url(self, place: Place) -> str:
        """Its dialect."""
        return place.url("clickhousedb")
