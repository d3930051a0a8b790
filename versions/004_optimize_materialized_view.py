"""Recreate model_performance_trends without POPULATE and fill in its history once, exactly.

docs/budeval-revisions.md describes the steps, what clients see, and the limits.
"""

from budeval_migrations import op

revision = "004_optimize_materialized_view"
down_revision = "003_add_status"
destructive = "the old view goes when the new one holds all that it held"

TRENDS = """
SELECT
    model_name,
    dataset_name,
    toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy,
    countState() AS eval_count,
    maxState(accuracy) AS max_accuracy,
    minState(accuracy) AS min_accuracy
FROM dataset_results
GROUP BY model_name, dataset_name, eval_date
"""
DATA = """
CREATE TABLE IF NOT EXISTS model_performance_trends_data
(
    model_name LowCardinality(String),
    dataset_name LowCardinality(String),
    eval_date Date,
    avg_accuracy AggregateFunction(avg, Float32),
    eval_count AggregateFunction(count),
    max_accuracy AggregateFunction(max, Float32),
    min_accuracy AggregateFunction(min, Float32)
)
ENGINE = AggregatingMergeTree
ORDER BY (model_name, dataset_name, eval_date)
"""
VIEW, KEY = "model_performance_trends", "(model_name, dataset_name, eval_date)"
KEYS = "model_name LowCardinality(String), dataset_name LowCardinality(String)"
READS = f"{KEYS}, evaluated_at DateTime64(3), accuracy Float32"
HISTORY = op.History("created_at", columns=READS)
NOBODY = {"model_name": f"'{VIEW}_moments'", "dataset_name": "''", "eval_date": "toDate(0)"}
OWN = op.OwnTable(f"{VIEW}_data")
INNER = op.InnerTable(f"AggregatingMergeTree ORDER BY {KEY}", mark=NOBODY, instead_of=OWN)


def upgrade() -> None:
    # An installation whose start-up died between DROP and CREATE has no view at all.
    op.execute(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {VIEW}\n{INNER.clause}\nAS {TRENDS}")
    op.execute(DATA)
    op.create_view_with_history(VIEW, TRENDS, history=HISTORY, into=OWN, replaces=True, recipe=0)


def downgrade() -> None:
    op.create_view_with_history(VIEW, TRENDS, history=HISTORY, into=INNER, replaces=True, recipe=0)
    op.execute("DROP TABLE IF EXISTS model_performance_trends_data")
