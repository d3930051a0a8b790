"""Add evaluation_id to the three tables.

The column is Nullable and the index is not materialized: rows written before have NULL
and need neither. One ALTER a table, idempotent; the downgrade loses what the column holds.
"""

from alembic import op

revision = "006_add_evaluation_id"
down_revision = "005_fix_evaluation_jobs_deduplication"
branch_labels = None
depends_on = None
requires_clickhouse = "22.8"


def upgrade() -> None:
    op.execute("""
ALTER TABLE evaluation_jobs
    ADD COLUMN IF NOT EXISTS evaluation_id Nullable(String) AFTER job_id,
    ADD INDEX IF NOT EXISTS idx_evaluation_id_jobs evaluation_id TYPE bloom_filter GRANULARITY 1
""")
    op.execute("""
ALTER TABLE dataset_results
    ADD COLUMN IF NOT EXISTS evaluation_id Nullable(String) AFTER job_id,
    ADD INDEX IF NOT EXISTS idx_evaluation_id_results evaluation_id TYPE bloom_filter GRANULARITY 1
""")
    op.execute("""
ALTER TABLE predictions
    ADD COLUMN IF NOT EXISTS evaluation_id Nullable(String) AFTER job_id,
    ADD INDEX IF NOT EXISTS idx_evaluation_id_predictions evaluation_id TYPE bloom_filter GRANULARITY 1
""")


def downgrade() -> None:
    op.execute("""
ALTER TABLE predictions
    DROP INDEX IF EXISTS idx_evaluation_id_predictions,
    DROP COLUMN IF EXISTS evaluation_id
""")
    op.execute("""
ALTER TABLE dataset_results
    DROP INDEX IF EXISTS idx_evaluation_id_results,
    DROP COLUMN IF EXISTS evaluation_id
""")
    op.execute("""
ALTER TABLE evaluation_jobs
    DROP INDEX IF EXISTS idx_evaluation_id_jobs,
    DROP COLUMN IF EXISTS evaluation_id
""")
