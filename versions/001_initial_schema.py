"""Create the four relations of budeval: three tables and one materialized view.

`model_performance_trends` keeps its states in an implicit inner table and is created
without POPULATE: on an empty database there is nothing to populate, and POPULATE loses
the rows that arrive while it runs. Where an older installation has the relations
already, every statement is a no-op.

Idempotent in both directions. The downgrade drops the data.
"""

from alembic import op

revision = "001_initial_schema"
down_revision = None
branch_labels = None
depends_on = None
requires_clickhouse = "22.8"
# lint: allow BM017: because existing installations have these defaults, and the tables are one


def upgrade() -> None:
    op.execute("""
CREATE TABLE IF NOT EXISTS evaluation_jobs
(
    job_id String,
    model_name LowCardinality(String),
    engine LowCardinality(String),
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
    INDEX idx_job_id_jobs job_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(job_start_time)
PRIMARY KEY (model_name, job_start_time)
ORDER BY (model_name, job_start_time, job_id)
""")
    op.execute("""
CREATE TABLE IF NOT EXISTS dataset_results
(
    job_id String,
    model_name LowCardinality(String),
    dataset_name LowCardinality(String),
    accuracy Float32,
    total_examples UInt32,
    correct_examples UInt32,
    evaluated_at DateTime64(3),
    metadata String CODEC(ZSTD(3)),
    created_at DateTime64(3) DEFAULT now(),
    INDEX idx_job_id_results job_id TYPE bloom_filter GRANULARITY 1,
    INDEX idx_evaluated_at_results evaluated_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(evaluated_at)
PRIMARY KEY (model_name, dataset_name, evaluated_at)
ORDER BY (model_name, dataset_name, evaluated_at, job_id)
""")
    # toDateTime(): a TTL over a bare DateTime64 is refused by older servers.
    op.execute("""
CREATE TABLE IF NOT EXISTS predictions
(
    job_id String,
    model_name LowCardinality(String),
    dataset_name LowCardinality(String),
    example_id String,
    prediction_text String CODEC(ZSTD(3)),
    origin_prompt String CODEC(ZSTD(3)),
    model_answer String CODEC(ZSTD(3)),
    correct_answer String CODEC(ZSTD(3)),
    is_correct Bool,
    evaluated_at DateTime64(3),
    created_at DateTime64(3) DEFAULT now(),
    INDEX idx_job_id_predictions job_id TYPE bloom_filter GRANULARITY 1,
    INDEX idx_evaluated_at_predictions evaluated_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(evaluated_at)
PRIMARY KEY (model_name, dataset_name, evaluated_at)
ORDER BY (model_name, dataset_name, evaluated_at, job_id, example_id)
TTL toDateTime(evaluated_at) + INTERVAL 6 MONTH
""")
    op.execute("""
CREATE MATERIALIZED VIEW IF NOT EXISTS model_performance_trends
ENGINE = AggregatingMergeTree
ORDER BY (model_name, dataset_name, eval_date)
AS SELECT
    model_name,
    dataset_name,
    toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy,
    countState() AS eval_count,
    maxState(accuracy) AS max_accuracy,
    minState(accuracy) AS min_accuracy
FROM dataset_results
GROUP BY model_name, dataset_name, eval_date
""")


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS model_performance_trends")
    op.execute("DROP TABLE IF EXISTS predictions")
    op.execute("DROP TABLE IF EXISTS dataset_results")
    op.execute("DROP TABLE IF EXISTS evaluation_jobs")
