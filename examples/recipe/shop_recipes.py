"""hide_deleted: rows are marked as deleted, and a view shows the others."""

from __future__ import annotations


def hide_deleted(*, recipe: int, table: str) -> list[str]:
    """Return the statements for a table."""
    if recipe != 1:
        raise ValueError(f"hide_deleted has version 1, not {recipe}")
    return [
        f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS deleted_at Nullable(DateTime)",
        f"CREATE VIEW IF NOT EXISTS {table}_now AS SELECT * FROM {table} WHERE deleted_at IS NULL",
    ]
