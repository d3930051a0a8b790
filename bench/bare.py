"""What a tool is measured against: the same work, straight through the driver.

``python -m bench.bare loop|statements|select|tables`` reads its place from ``BENCH_PLACE``. It
imports no more than the driver that the engine needs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

_LEDGER = "CREATE TABLE ledger (version String, at DateTime) ENGINE = MergeTree ORDER BY version"
_TABLES = "SELECT count() FROM system.tables WHERE database = '{database}' AND name LIKE 't%'"


def numbered(statement: str, n: int) -> str:
    """Return the statement of a revision: ``{n}`` is its number, ``{m}`` one of fifty."""
    return statement.replace("{n}", str(n)).replace("{m}", str(n % 50))


def connect(place: dict[str, Any]) -> Callable[[str], list[Any]]:
    """Return a function that runs one statement and returns the first column of what it answers."""
    if place["engine"] == "native":
        from clickhouse_driver import Client

        names = ("host", "port", "user", "password", "database")
        client = Client(**{name: place[name] for name in names})
        return lambda sql: [row[0] for row in client.execute(sql)]
    from sqlalchemy import create_engine

    if place["engine"] == "embedded":
        connection: Any = create_engine(f"chdb:///{place['directory']}").raw_connection()
        query = connection.dbapi_connection.query
        query(f"CREATE DATABASE IF NOT EXISTS {place['database']}")
        query(f"USE {place['database']}")
        return lambda sql: str(query(sql)).split()
    access = f"{place['user']}:{quote(place['password'])}@{place['host']}:{place['port']}"
    cursor = create_engine(f"clickhouse+http://{access}/{place['database']}").raw_connection()
    wire: Any = cursor.cursor()

    def run(sql: str) -> list[Any]:
        wire.execute(sql)
        return [row[0] for row in wire.fetchall()] if sql.startswith("SELECT") else []

    return run


def loop(place: str, count: int, statement: str, *, rows: bool) -> None:
    """Run the statements, and write one row for each."""
    run = connect(json.loads(place))
    run(_LEDGER)
    for n in range(1, count + 1):
        run(numbered(statement, n))
        if rows:
            run(f"INSERT INTO ledger SELECT '{n}', now()")


def select(place: str) -> None:
    """Connect and ask one thing."""
    connect(json.loads(place))("SELECT 1")


def main(act: str) -> None:
    """Run one of the four."""
    place = os.environ["BENCH_PLACE"]
    if act in ("loop", "statements"):
        count, statement = json.loads(Path("loop.json").read_text())
        loop(place, count, statement, rows=act == "loop")
    elif act == "select":
        select(place)
    else:
        there = json.loads(place)
        print(*connect(there)(_TABLES.format(database=there["database"])))


if __name__ == "__main__":
    main(sys.argv[1])
