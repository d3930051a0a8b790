"""Deduplicate evaluation_jobs by job, while clients use it: see docs/budeval-revisions.md."""

from budeval_migrations import op

revision = "005_fix_evaluation_jobs_deduplication"
down_revision = "004_optimize_materialized_view"
requires_clickhouse = "22.8"
destructive = "the old table goes when a check found every job's latest version in the new one"
# lint: allow BM017: because existing installations have these defaults, and both tables are one

JOBS = """
CREATE TABLE IF NOT EXISTS evaluation_jobs
(
    job_id String,
    experiment_id Nullable(String),
    model_name LowCardinality(String),
    engine LowCardinality(String),
    status LowCardinality(String),
    job_start_time DateTime64(3),
    job_end_time DateTime64(3),
    job_duration_seconds Float32,
    overall_accuracy Float32,
    total_datasets UInt16,
    total_examples UInt32,
    total_correct UInt32,
    extracted_at DateTime64(3),
    created_at DateTime64(3) DEFAULT now(),
    updated_at DateTime64(3) DEFAULT now(),
    INDEX idx_job_id_jobs job_id TYPE bloom_filter GRANULARITY 1,
    INDEX idx_experiment_id_jobs experiment_id TYPE bloom_filter GRANULARITY 1,
    INDEX idx_status_jobs status TYPE bloom_filter GRANULARITY 1{indices}
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(job_start_time)
{keys}
"""
INDICES = """,
    INDEX idx_model_name_jobs model_name TYPE bloom_filter GRANULARITY 1,
    INDEX idx_job_start_time_jobs job_start_time TYPE minmax GRANULARITY 1"""
BY_JOB = "ORDER BY job_id"
BY_MODEL = "PRIMARY KEY (model_name, job_start_time)\nORDER BY (model_name, job_start_time, job_id)"


def rebuild(indices: str, keys: str, built_as: str, kept_as: str, by_partition: bool) -> None:
    """Keep the latest version of each job in each month; of one second, the later created_at."""
    key = {"job": "job_id", "month": "toYYYYMM(job_start_time)"}
    latest = op.LatestRows(key, "updated_at", "created_at", by_partition, built_as)
    create = JOBS.format(indices=indices, keys=keys)
    op.rebuild_table("evaluation_jobs", create, copy=latest, kept_as=kept_as, recipe=0)


def upgrade() -> None:
    rebuild(INDICES, BY_JOB, "evaluation_jobs_by_job", "evaluation_jobs_before_005", False)


def downgrade() -> None:
    rebuild("", BY_MODEL, "evaluation_jobs_by_model", "evaluation_jobs_after_005", True)
