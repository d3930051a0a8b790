"""Alembic 1.14.1 with the support that clickhouse-sqlalchemy 0.3.2 brings along.

1.14.1 is the last Alembic that ``clickhouse_sqlalchemy.alembic.dialect`` can be imported with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.places import EMBEDDED, NATIVE, Place
from bench.tools.alembic_project import UPGRADE, AlembicTool, env_py
from bench.tools.tool import DIALECTS, Application


class StockAlembic(AlembicTool):
    """Alembic as clickhouse-sqlalchemy's README says to use it."""

    name = "alembic-clickhouse-sqlalchemy"
    packages = ("alembic==1.14.1", "clickhouse-sqlalchemy==0.3.2", "sqlalchemy==2.0.58")
    refused: ClassVar[Mapping[str, str]] = {
        EMBEDDED: "it knows no dialect for chDB",
        NATIVE: "its `INSERT INTO alembic_version … VALUES` waits for ever",
    }
    imports = ("alembic.command", "clickhouse_sqlalchemy.alembic.dialect")
    application = Application(
        loaded=DIALECTS,
        call=UPGRADE,
    )
    env_py = env_py(
        "from clickhouse_sqlalchemy.alembic.dialect import patch_alembic_version",
        "patch_alembic_version(context)",
    )

    def url(self, place: Place) -> str:
        """Its dialect over HTTP."""
        return place.url("clickhouse+http")
