"""Long work on chDB in the process: a program that does it both ways and prints what it took.

``python -m bench.work backfill|mutations|backfills ROWS FIRST`` works in the current directory.
``FIRST`` is 0 or 1: which of the two ways goes first. The engine's start, the ledger and the files
are in neither time. What is printed is the JSON of two :class:`Took`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.events import BackfillProgress, Event, RevisionFinished
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


class Took(NamedTuple):
    """What one way of doing it took.

    Attributes:
        seconds: Of the work alone.
        misjudged: By which share the time left was misjudged at worst, between the first tenth
            of the work and the last; None where nobody said one.
        memory_mb: By how much the process grew meanwhile, at most.

    """

    seconds: float
    misjudged: float | None = None
    memory_mb: float = 0.0


Way = Callable[[], Took]


def _write(name: str, *calls: str) -> None:
    lines = "".join(f"    {call}\n" for call in calls) or "    pass\n"
    below = None if name == _FIRST else _FIRST
    Path("versions").mkdir(exist_ok=True)
    (Path("versions") / f"{name}.py").write_text(
        f"from alembic import op\nrevision = {name!r}\ndown_revision = {below!r}\n"
        f"def upgrade():\n{lines}\ndef downgrade():\n    pass\n"
    )


def _execute(*statements: str) -> Took:
    """Send statements; return what the last one took."""
    seconds = 0.0
    with Session(Settings(url=_URL, database="bench")) as session:
        session.ensure_database()
        for statement in statements:
            began = time.perf_counter()
            session.execute(statement)
            seconds = time.perf_counter() - began
    return Took(seconds)


def _upgrade(name: str, jobs: int = 1) -> Took:
    """Apply a revision; return what it took, without the run around it."""
    took: list[int] = []
    said: list[BackfillProgress] = []

    def emit(event: Event) -> None:
        if isinstance(event, RevisionFinished):
            took.append(event.elapsed_ms)
        elif isinstance(event, BackfillProgress):
            said.append(event)

    bm.upgrade(name, url=_URL, database="bench", versions=["versions"], jobs=jobs, on_event=emit)
    return Took(took[-1] / 1000, _misjudged(said))


def _misjudged(said: Sequence[BackfillProgress]) -> float | None:
    """By which share the time left was misjudged at worst, between the first tenth and the last."""
    if not said:
        return None
    whole = said[-1].elapsed_ms
    between = [event for event in said if 0.1 <= event.elapsed_ms / whole <= 0.9]
    left = [(event.left_ms or 0, whole - event.elapsed_ms) for event in between]
    return max((abs(told - real) / real for told, real in left), default=None)


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


def _watched(way: Way) -> Took:
    """Do it, and look at the size of the process meanwhile."""
    done = threading.Event()
    before = most = _resident_mb()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, _resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        took = way()
    finally:
        done.set()
        watcher.join()
    return took._replace(memory_mb=most - before)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(act: str, rows: int, first: int) -> None:
    """Do it both ways; print what the one and the other took."""
    _write(_FIRST)
    _upgrade(_FIRST)  # makes the ledger
    ways = ACTS[act](rows)
    figures: dict[int, Took] = {}
    for n in (first, 1 - first):
        _rest()
        figures[n] = _watched(ways[n])
    print("\n" + json.dumps([figures[0], figures[1]]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
