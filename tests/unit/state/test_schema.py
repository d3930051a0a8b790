"""The DDL of the bookkeeping, letter for letter, for the oldest and the newest server."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.sql.splitter import split
from budeval_migrations.state import schema

OLD = Features(parse_version("18.16.1"))
NEW = Features(parse_version("26.9.2.1"))

LEDGER_OLD = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version String,
    checksum String,
    executed_at DateTime DEFAULT now(),
    execution_time_ms UInt32,
    success UInt8 DEFAULT 1,
    error_message Nullable(String),
    operation String DEFAULT 'upgrade',
    direction String DEFAULT 'up',
    parents Array(String),
    statements_applied UInt32,
    statements_total UInt32,
    error_code Int32,
    sequence UInt64,
    run_id String,
    lock_generation UInt64,
    host String,
    server_user String,
    tool_version String,
    server_version String,
    statements_checksum String,
    upgrade_statements String,
    downgrade_statements String,
    ledger_format UInt16
)
ENGINE = MergeTree
PRIMARY KEY version
ORDER BY (version, executed_at)"""

LEDGER_NEW = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version String,
    checksum String,
    executed_at DateTime64(3) DEFAULT now(),
    execution_time_ms UInt32,
    success Bool DEFAULT 1,
    error_message Nullable(String),
    operation String DEFAULT 'upgrade',
    direction String DEFAULT 'up',
    parents Array(String),
    statements_applied UInt32,
    statements_total UInt32,
    error_code Int32,
    sequence UInt64,
    run_id String,
    lock_generation UInt64,
    host String,
    server_user String,
    tool_version String,
    server_version String,
    statements_checksum String,
    upgrade_statements String CODEC(ZSTD(3)),
    downgrade_statements String CODEC(ZSTD(3)),
    ledger_format UInt16,
    INDEX idx_migration_version version TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PRIMARY KEY version
ORDER BY (version, executed_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""

WIDEN_NEW = """\
ALTER TABLE schema_migrations
    ADD COLUMN IF NOT EXISTS operation String DEFAULT 'upgrade',
    ADD COLUMN IF NOT EXISTS direction String DEFAULT 'up',
    ADD COLUMN IF NOT EXISTS parents Array(String),
    ADD COLUMN IF NOT EXISTS statements_applied UInt32,
    ADD COLUMN IF NOT EXISTS statements_total UInt32,
    ADD COLUMN IF NOT EXISTS error_code Int32,
    ADD COLUMN IF NOT EXISTS sequence UInt64,
    ADD COLUMN IF NOT EXISTS run_id String,
    ADD COLUMN IF NOT EXISTS lock_generation UInt64,
    ADD COLUMN IF NOT EXISTS host String,
    ADD COLUMN IF NOT EXISTS server_user String,
    ADD COLUMN IF NOT EXISTS tool_version String,
    ADD COLUMN IF NOT EXISTS server_version String,
    ADD COLUMN IF NOT EXISTS statements_checksum String,
    ADD COLUMN IF NOT EXISTS upgrade_statements String CODEC(ZSTD(3)),
    ADD COLUMN IF NOT EXISTS downgrade_statements String CODEC(ZSTD(3)),
    ADD COLUMN IF NOT EXISTS ledger_format UInt16"""

LOCK_NEW = """\
CREATE TABLE IF NOT EXISTS schema_migrations_lock
(
    generation UInt64,
    event String,
    owner String,
    holder String,
    lease_ms UInt64,
    doing String,
    at DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (generation, at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"""

VIEW = """\
CREATE VIEW IF NOT EXISTS alembic_version AS
SELECT version AS version_num
FROM
(
        SELECT version, argMax(direction, sequence) AS moved, argMax(parents, sequence) AS above
        FROM schema_migrations WHERE success = 1 AND sequence > 0 GROUP BY version
)
WHERE moved = 'up' AND version NOT IN
(
    SELECT arrayJoin(above) FROM
    (
        SELECT version, argMax(direction, sequence) AS moved, argMax(parents, sequence) AS above
        FROM schema_migrations WHERE success = 1 AND sequence > 0 GROUP BY version
    )
    WHERE moved = 'up'
)"""

# What existing installations have, from their own CREATE TABLE.
LEGACY = (
    ("version", "String"),
    ("checksum", "String"),
    ("executed_at", "DateTime64(3)"),
    ("execution_time_ms", "UInt32"),
    ("success", "Bool"),
    ("error_message", "Nullable(String)"),
)


@pytest.mark.parametrize(
    ("features", "text"),
    [pytest.param(OLD, LEDGER_OLD, id="18.16"), pytest.param(NEW, LEDGER_NEW, id="26.9")],
)
def test_the_ledger_is_created_with_what_the_server_knows(features: Features, text: str) -> None:
    assert schema.create_ledger(features) == text


def test_an_old_table_is_widened_in_one_statement() -> None:
    assert schema.widen_ledger(NEW) == WIDEN_NEW


def test_the_lock_is_a_table_whose_inserts_are_compared() -> None:
    assert schema.create_lock(NEW) == LOCK_NEW


def test_the_version_view_reads_the_heads_from_the_ledger() -> None:
    assert schema.create_version_view() == VIEW


def test_the_first_columns_are_those_of_existing_installations() -> None:
    assert tuple((c.name, c.type) for c in schema.LEGACY_COLUMNS) == LEGACY


def test_the_first_columns_are_created_first_and_not_added_again() -> None:
    names = [c.name for c in (*schema.LEGACY_COLUMNS, *schema.ADDED_COLUMNS)]

    assert len(set(names)) == len(names)
    assert [line.split()[0] for line in LEDGER_NEW.split("\n")[2:25]] == names


@pytest.mark.parametrize("word", ["DateTime64", "Bool", "CODEC", "INDEX", "now64"])
def test_the_oldest_server_gets_no_word_that_it_does_not_know(word: str) -> None:
    assert word not in schema.create_ledger(OLD)
    assert word not in schema.create_journal(OLD)


def test_the_server_says_when_a_journal_row_was_written() -> None:
    assert "at DateTime64(3) DEFAULT now64(3)" in schema.create_journal(NEW)
    assert "at DateTime DEFAULT now()" in schema.create_journal(OLD)


@pytest.mark.parametrize(
    "text",
    [
        schema.create_ledger(OLD),
        schema.create_ledger(NEW),
        schema.create_journal(OLD),
        schema.create_journal(NEW),
        schema.widen_ledger(NEW),
        schema.create_version_view(),
        schema.create_lock(NEW),
        schema.create_lock(OLD),
        schema.create_lock(NEW, replicated=True),
    ],
)
def test_every_statement_is_one_statement(text: str) -> None:
    assert [piece.text for piece in split(text)] == [text]
