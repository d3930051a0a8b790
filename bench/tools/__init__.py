"""The tools that are compared, one module each."""

from __future__ import annotations

from bench.tools.bare import Bare, BareStatements
from bench.tools.ch_migrate import ChMigrate
from bench.tools.clickhouse_connect import ClickHouseConnect
from bench.tools.clickhouse_migrations import ClickHouseMigrations
from bench.tools.houseplant import Houseplant
from bench.tools.ours import Ours, OursThroughAlembic
from bench.tools.py_clickhouse_migrator import PyClickHouseMigrator
from bench.tools.stock_alembic import StockAlembic
from bench.tools.tool import Tool

BARE = Bare()
STATEMENTS = BareStatements()
OURS: tuple[Tool, ...] = (Ours(), OursThroughAlembic())
OTHERS: tuple[Tool, ...] = (
    StockAlembic(),
    ClickHouseConnect(),
    ChMigrate(),
    ClickHouseMigrations(),
    PyClickHouseMigrator(),
    Houseplant(),
)
TOOLS = (*OURS, *OTHERS)
