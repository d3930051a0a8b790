"""The fragments of docs/recipes.md, each applied and reverted on a table that has rows."""

from __future__ import annotations

from pathlib import Path

import pytest

import budeval_migrations as bm
from tests.docs.pages import blocks
from tests.support.project import Project
from tests.support.servers import ChdbFront

FRAGMENTS = {
    name: block.text
    for block in blocks("docs/recipes.md")
    for name in ("AllRows", "LatestRows", "History")
    if block.language == "python" and f"op.{name}(" in block.text
}
EVENTS = (
    "CREATE TABLE events (id UInt64, page String, at DateTime DEFAULT now()) "
    "ENGINE = MergeTree ORDER BY id"
)
PREPARED = {
    "AllRows": [
        EVENTS,
        "INSERT INTO events (id, page) SELECT number, toString(number % 7) FROM numbers(1000)",
    ],
    "LatestRows": [
        "CREATE TABLE accounts (id UInt64, name String, updated_at DateTime DEFAULT now()) "
        "ENGINE = ReplacingMergeTree(updated_at) ORDER BY (id, name)",
        "INSERT INTO accounts SELECT number % 100, toString(number), "
        "toDateTime('2026-01-01 00:00:00') + number FROM numbers(1000)",
    ],
    "History": [
        EVENTS,
        "INSERT INTO events (id, at) SELECT number, toDateTime('2026-01-01 00:00:00') + number * "
        "3600 FROM numbers(100)",
    ],
}
SEEN = {
    "AllRows": "SELECT count(), uniqExact(id), any((SELECT sorting_key FROM system.tables "
    "WHERE database = currentDatabase() AND name = 'events')) FROM events",
    "LatestRows": "SELECT count(), uniqExact(id), any((SELECT sorting_key FROM system.tables "
    "WHERE database = currentDatabase() AND name = 'accounts')) FROM accounts FINAL "
    "WHERE toUInt64(name) = 900 + id",
    "History": "SELECT count() - 5, sum(visits), 'day' FROM visits_by_day FINAL",
}
LEFT = {
    "AllRows": {"events", "events_before"},
    "LatestRows": {"accounts"},
    "History": {"events", "days", "visits_by_day"},
}
EXPECTED = {
    "AllRows": ["1000\t1000\tpage, id"],
    "LatestRows": ["100\t100\tid"],
    "History": ["0\t100\tday"],
}


@pytest.fixture
def shop(project: Project, modern: ChdbFront, database: str) -> Project:
    project.configure(url=modern.url("clickhouse+http"), database=database)
    return project


def test_every_fragment_is_tried() -> None:
    assert set(FRAGMENTS) == set(PREPARED)


@pytest.mark.parametrize("name", PREPARED)
def test_a_fragment_is_applied_and_reverted(
    shop: Project, modern: ChdbFront, database: str, name: str
) -> None:
    shop.write_revision("001_before", None, PREPARED[name])
    text = shop.write_revision("002_recipe", "001_before", body=FRAGMENTS[name])
    text.write_text(
        text.read_text().replace("from alembic import op", "from budeval_migrations import op")
    )

    assert bm.upgrade(config=Path(shop.ini)).ok
    assert modern.query(SEEN[name], database=database).splitlines() == EXPECTED[name]
    tables = (
        f"SELECT name FROM system.tables WHERE database = '{database}' "
        "AND NOT match(name, 'schema_migrations|alembic_version')"
    )
    assert set(modern.query(tables).split()) == LEFT[name]

    if name == "LatestRows":
        return
    assert bm.downgrade("001_before", config=Path(shop.ini)).ok
    assert set(modern.query(tables).split()) == {"events"}
    rows = "SELECT count(), uniqExact(id) FROM events"
    assert modern.query(rows, database=database) == (
        "1000\t1000\n" if name == "AllRows" else "100\t100\n"
    )
