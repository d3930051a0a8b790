"""Add status to evaluation_jobs.

Rows written before have the empty string. One ALTER, idempotent; the downgrade loses
what the column holds.
"""

from alembic import op

revision = "003_add_status"
down_revision = "002_add_experiment_id"
branch_labels = None
depends_on = None
requires_clickhouse = "22.8"


def upgrade() -> None:
    op.execute("""
ALTER TABLE evaluation_jobs
    ADD COLUMN IF NOT EXISTS status LowCardinality(String) AFTER engine,
    ADD INDEX IF NOT EXISTS idx_status_jobs status TYPE bloom_filter GRANULARITY 1
""")


def downgrade() -> None:
    op.execute("""
ALTER TABLE evaluation_jobs
    DROP INDEX IF EXISTS idx_status_jobs,
    DROP COLUMN IF EXISTS status
""")
