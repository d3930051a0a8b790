"""What older tools left in a database."""

from __future__ import annotations

# The tracking table of existing budeval installations, as they have it.
LEGACY_TABLE = """CREATE TABLE schema_migrations
(
    version String,
    checksum String,
    executed_at DateTime64(3) DEFAULT now(),
    execution_time_ms UInt32,
    success Bool DEFAULT 1,
    error_message Nullable(String),
    INDEX idx_migration_version version TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PRIMARY KEY version
ORDER BY (version, executed_at)"""
