"""The fragments of docs/revisions.md, each in a revision where it has something to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

import budeval_migrations as bm
from tests.docs.pages import blocks
from tests.support.project import Project
from tests.support.servers import ChdbFront

PREPARED = {
    "op.execute_unless(": [
        "CREATE TABLE jobs (job_id String) ENGINE = MergeTree ORDER BY tuple()",
        "CREATE TABLE jobs_new (job_id String) ENGINE = MergeTree ORDER BY job_id",
    ],
    "with op.parallel():": [
        f"CREATE TABLE events_{year} (id UInt64) ENGINE = MergeTree ORDER BY id"
        for year in (2025, 2026)
    ],
}
FRAGMENTS = {
    block.text.partition("\n")[0]: block.text
    for block in blocks("docs/revisions.md")
    if block.language == "python"
}


@pytest.fixture
def shop(project: Project, modern: ChdbFront, database: str) -> Project:
    project.configure(url=modern.url("clickhouse+http"), database=database)
    return project


def apply(shop: Project, fragment: str, **options: int) -> bm.Report:
    shop.write_revision("001_before", None, PREPARED[fragment])
    body = f"def upgrade():\n{indent(FRAGMENTS[fragment], '    ')}\n\ndef downgrade():\n    pass"
    shop.write_revision("002_fragment", "001_before", body=body)
    return bm.upgrade(config=Path(shop.ini), **options)


def test_every_fragment_is_tried() -> None:
    assert set(FRAGMENTS) == set(PREPARED)


def test_a_statement_whose_probe_finds_it_done_is_not_sent(
    shop: Project, modern: ChdbFront, database: str
) -> None:
    assert apply(shop, "op.execute_unless(").ok
    keys = f"SELECT sorting_key FROM system.tables WHERE database = '{database}' AND name = 'jobs'"
    assert modern.query(keys) == "job_id\n"

    bm.downgrade("001_before", config=Path(shop.ini))
    assert bm.upgrade(config=Path(shop.ini)).ok
    assert modern.query(keys) == "job_id\n"  # sent again, it would have gone back
    modern.query(f"DROP DATABASE {database} SYNC")


def test_statements_of_a_block_may_go_at_the_same_time(
    shop: Project, modern: ChdbFront, database: str
) -> None:
    assert apply(shop, "with op.parallel():", jobs=2).applied == ("001_before", "002_fragment")
    modern.query(f"DROP DATABASE {database} SYNC")
