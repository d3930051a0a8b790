"""Long work on chDB in the process: a program that does it both ways and prints two times.

``python -m bench.work backfill|mutations|backfills ROWS FIRST`` works in the current directory.
``FIRST`` is 0 or 1: which of the two ways goes first. The engine's start, the ledger and the files
are in neither time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import budeval_migrations as bm
from budeval_migrations.engine.session import Session
from budeval_migrations.events import Event, RevisionFinished
from budeval_migrations.settings import Settings

_URL = f"chdb:///{Path.cwd()}/data"
_FIRST = "000_first"
_TABLE = (
    "CREATE TABLE {} (id UInt64, at DateTime, name LowCardinality(String), value Float64) "
    "ENGINE = MergeTree ORDER BY id"
)
_ROWS = (
    "INSERT INTO {} SELECT number, toDateTime('2026-01-01 00:00:00') + number % 8640000, "
    "concat('name ', toString(number % 1000)), sipHash64(number) / 1e19 FROM numbers({}) "
    "SETTINGS max_insert_threads = 1"
)
_SELECT = "SELECT id, at, upper(name), value * 2 FROM source WHERE {}"
_CHANGE = "ALTER TABLE {} UPDATE value = sin(value) + cos(value) + log(value + 1) WHERE 1"


_PATIENCE = 120  # seconds
Way = Callable[[], float]


def _write(name: str, *calls: str) -> None:
    lines = "".join(f"    {call}\n" for call in calls) or "    pass\n"
    below = None if name == _FIRST else _FIRST
    Path("versions").mkdir(exist_ok=True)
    (Path("versions") / f"{name}.py").write_text(
        f"from alembic import op\nrevision = {name!r}\ndown_revision = {below!r}\n"
        f"def upgrade():\n{lines}\ndef downgrade():\n    pass\n"
    )


def _execute(*statements: str) -> float:
    """Send statements; return the seconds of the last one."""
    seconds = 0.0
    with Session(Settings(url=_URL, database="bench")) as session:
        session.ensure_database()
        for statement in statements:
            began = time.perf_counter()
            session.execute(statement)
            seconds = time.perf_counter() - began
    return seconds


def _upgrade(name: str, jobs: int = 1) -> float:
    """Apply a revision; return its seconds, without those of the run around it."""
    took: list[int] = []

    def tell(event: Event) -> None:
        if isinstance(event, RevisionFinished):
            took.append(event.elapsed_ms)

    bm.upgrade(name, url=_URL, database="bench", versions=["versions"], jobs=jobs, on_event=tell)
    return took[-1] / 1000


def _make(*tables: str, rows: int = 0) -> None:
    """Make tables, the first of them with rows in one part."""
    _execute(*(_TABLE.format(name) for name in tables))
    _execute(_ROWS.format(tables[0], rows), f"OPTIMIZE TABLE {tables[0]} FINAL")


def _backfill_call(into: str) -> str:
    select = _SELECT.format("{chunk}")
    return f"op.backfill({into!r}, {select!r}, source='source', by='id')"


def backfill(rows: int) -> tuple[Way, Way]:
    """One INSERT … SELECT, and the same rows through ``op.backfill``."""
    _make("source", "direct", "chunked", rows=rows)
    _write("001_chunked", _backfill_call("chunked"))
    insert = f"INSERT INTO direct {_SELECT.format(1)}"
    return lambda: _execute(insert), lambda: _upgrade("001_chunked")


def mutations(rows: int) -> tuple[Way, Way]:
    """Mutations of two tables with one part each: in turn, and at the same time."""
    for table in "abcd":
        _make(table, rows=rows)
    return _two(lambda table: f"op.execute({_CHANGE.format(table)!r})")


def backfills(rows: int) -> tuple[Way, Way]:
    """Backfills of two tables: in turn, and at the same time."""
    _make("source", *"abcd", rows=rows)
    return _two(_backfill_call)


def _two(call: Callable[[str], str]) -> tuple[Way, Way]:
    _write("001_in_turn", call("a"), call("b"))
    _write("001_together", call("c"), call("d"))
    return lambda: _upgrade("001_in_turn"), lambda: _upgrade("001_together", jobs=2)


ACTS = {act.__name__: act for act in (backfill, mutations, backfills)}


def _rest() -> None:
    """Wait until the engine merges no more."""
    with Session(Settings(url=_URL, database="bench")) as session:
        for _ in range(_PATIENCE):
            if not session.query("SELECT 1 FROM system.merges LIMIT 1"):
                return
            time.sleep(1)


def main(act: str, rows: int, first: int) -> None:
    """Do it both ways; print the seconds of the one and of the other."""
    _write(_FIRST)
    _upgrade(_FIRST)  # makes the ledger
    ways = ACTS[act](rows)
    figures = {}
    for n in (first, 1 - first):
        _rest()
        figures[n] = ways[n]()
    print("\n" + json.dumps([figures[0], figures[1]]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
