"""Deduplicate evaluation_jobs by job: ReplacingMergeTree(updated_at) ordered by job_id.

How no row is lost while a writer goes on inserting:

1. A table with the new key is built beside the old one and gets every job's latest version,
   except what was written in the last five seconds.
2. EXCHANGE TABLES puts it in the place of evaluation_jobs: from here on new rows go there.
   The old table is renamed to evaluation_jobs_before_005.
3. Two seconds later (at once where nobody writes), and when every INSERT that began before
   the exchange has ended, the old table does not change any longer. What it holds and the
   new one does not is copied.
4. A second look: if the old table holds any job or any later version that the new one lacks,
   the revision stops (Code 395) and both tables stay. Otherwise the old one is dropped.

What readers see: evaluation_jobs answers all the time. From the exchange to the end of
step 3 (some two seconds) it lacks the jobs written or updated in the five seconds before the first
copy and during it.

An INSERT that meets the exchange at that very moment may be refused (Code 741), with nothing
written.

Which version wins: the one with the greatest updated_at. `updated_at` is a default of the
server with the granularity of a second; between two versions of the same second the one
inserted later wins, also when one went to the old table and one to the new. (Where two rows
of one job and one second have different keys in the old table, the greater created_at
decides.) Only a client that sends updated_at itself, and sends two different versions of
one job with the same updated_at more than five seconds apart, or one of them during step 3,
may find the earlier one kept.

The partitioning is unchanged, by month of job_start_time, and the engine deduplicates
within a partition: a job whose versions start in different months stays twice on disk;
`FINAL` shows the latest.

What a crash leaves behind: before the exchange the old evaluation_jobs and a table that is
being filled; after it evaluation_jobs with the new key and evaluation_jobs_before_005. The next
run goes on in the middle, however much was written meanwhile: a row that is copied twice, or
copied late, changes nothing, since the engine keeps the greatest updated_at; that every INSERT
from before the exchange has ended stays true. Every statement may also be repeated from the
first. Running INSERTs are found in system.processes by their text; one that runs for more than
half a minute stops the revision (Code 395, run it again), and one that reaches evaluation_jobs
without naming it (a Distributed table in front) is not waited for.

The downgrade restores engine, keys and indices in the same way, with the tables
evaluation_jobs_by_model and evaluation_jobs_after_005. Versions that the new key has
replaced do not come back.
"""

from alembic import op

revision = "005_fix_evaluation_jobs_deduplication"
down_revision = "004_optimize_materialized_view"
branch_labels = None
depends_on = None
requires_clickhouse = "22.8"
destructive = "the old table goes when a check found every job's latest version in the new one"
# lint: allow BM017: because existing installations have these defaults, and both tables are one

# Rows: evaluation_jobs has the new key, so the upgrade's exchange is done.
ORDERED_BY_JOB = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'evaluation_jobs' AND sorting_key = 'job_id'
"""

# Rows: evaluation_jobs has the old key, so the downgrade's exchange is done.
ORDERED_BY_MODEL = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'evaluation_jobs'
  AND sorting_key = 'model_name, job_start_time, job_id'
"""

# Sleeps while an INSERT into evaluation_jobs has been running for two seconds or more: three
# seconds, and if that was not enough half a minute. A row a block: a server allows three seconds
# of sleep in one. 'system.processes' leaves out this query itself.
LONG_INSERTS_END = [
    f"""
SELECT sleepEachRow(1) FROM numbers({seconds})
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'evaluation_jobs') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed >= 2
) > 0
SETTINGS max_block_size = 1
"""
    for seconds in (3, 30)
]

CHECK_NO_LONG_INSERT = """
SELECT throwIf(
    count() > 0,
    'an INSERT into evaluation_jobs from before the exchange is still running. Nothing is lost, run this again'
)
FROM system.processes
WHERE positionCaseInsensitive(query, 'insert') > 0
  AND positionCaseInsensitive(query, 'evaluation_jobs') > 0
  AND positionCaseInsensitive(query, 'system.processes') = 0
  AND elapsed >= 2
"""


def upgrade() -> None:
    op.execute_unless(ORDERED_BY_JOB, "DROP TABLE IF EXISTS evaluation_jobs_by_job")
    op.execute_unless(
        ORDERED_BY_JOB,
        """
CREATE TABLE IF NOT EXISTS evaluation_jobs_by_job
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
    INDEX idx_status_jobs status TYPE bloom_filter GRANULARITY 1,
    INDEX idx_model_name_jobs model_name TYPE bloom_filter GRANULARITY 1,
    INDEX idx_job_start_time_jobs job_start_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(job_start_time)
ORDER BY job_id
""",
    )
    op.execute_unless(
        ORDERED_BY_JOB,
        """
INSERT INTO evaluation_jobs_by_job
    (job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
     job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
     extracted_at, created_at, updated_at)
SELECT
    job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
    job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
    extracted_at, created_at, updated_at
FROM
(
    SELECT * FROM evaluation_jobs FINAL
    ORDER BY updated_at DESC, created_at DESC
    LIMIT 1 BY job_id, toYYYYMM(job_start_time)
)
WHERE updated_at < now() - 5
""",
    )
    op.execute_unless(ORDERED_BY_JOB, "EXCHANGE TABLES evaluation_jobs AND evaluation_jobs_by_job")
    # Not under the first name, which a run from the first statement would drop.
    op.execute_unless(
        "SELECT 1 WHERE (SELECT count() FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'evaluation_jobs_by_job') = 0",
        "RENAME TABLE evaluation_jobs_by_job TO evaluation_jobs_before_005",
    )
    copied = (
        "SELECT 1 WHERE (SELECT count() FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'evaluation_jobs_before_005') = 0"
    )
    # Not needed where nobody writes.
    op.execute_unless(
        copied,
        """
SELECT sleepEachRow(1) FROM numbers(2)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'evaluation_jobs') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) > 0 OR (SELECT max(updated_at) FROM evaluation_jobs_before_005) >= now() - 2
""",
    )
    for wait in LONG_INSERTS_END:
        op.execute_unless(copied, wait)
    op.execute_unless(copied, CHECK_NO_LONG_INSERT)
    # A row whose second is taken is there already, or was replaced by one inserted later.
    op.execute_unless(
        copied,
        """
INSERT INTO evaluation_jobs
    (job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
     job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
     extracted_at, created_at, updated_at)
SELECT
    job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
    job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
    extracted_at, created_at, updated_at
FROM
(
    SELECT * FROM evaluation_jobs_before_005 FINAL
    ORDER BY updated_at DESC, created_at DESC
    LIMIT 1 BY job_id, toYYYYMM(job_start_time)
)
WHERE (job_id, toYYYYMM(job_start_time), updated_at) NOT IN
    (SELECT job_id, toYYYYMM(job_start_time), updated_at FROM evaluation_jobs)
""",
    )
    op.execute_unless(
        copied,
        """
SELECT throwIf(
    count() > 0 OR (
        SELECT count() FROM system.tables
        WHERE database = currentDatabase() AND name = 'evaluation_jobs' AND sorting_key = 'job_id'
    ) = 0,
    'evaluation_jobs lacks rows that evaluation_jobs_before_005 holds. Nothing is lost, run this again'
)
FROM
(
    SELECT job, month, countIf(side = 1) AS copies,
        maxIf(version, side = 0) AS before, maxIf(version, side = 1) AS after
    FROM
    (
        SELECT job_id AS job, toYYYYMM(job_start_time) AS month, updated_at AS version, 0 AS side
        FROM evaluation_jobs_before_005
        UNION ALL
        SELECT job_id AS job, toYYYYMM(job_start_time) AS month, updated_at AS version, 1 AS side
        FROM evaluation_jobs
    )
    GROUP BY job, month
)
WHERE copies = 0 OR before > after
""",
    )
    op.execute("DROP TABLE IF EXISTS evaluation_jobs_before_005")


def downgrade() -> None:
    op.execute_unless(ORDERED_BY_MODEL, "DROP TABLE IF EXISTS evaluation_jobs_by_model")
    op.execute_unless(
        ORDERED_BY_MODEL,
        """
CREATE TABLE IF NOT EXISTS evaluation_jobs_by_model
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
    INDEX idx_status_jobs status TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(job_start_time)
PRIMARY KEY (model_name, job_start_time)
ORDER BY (model_name, job_start_time, job_id)
""",
    )
    op.execute_unless(
        ORDERED_BY_MODEL,
        """
INSERT INTO evaluation_jobs_by_model
    (job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
     job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
     extracted_at, created_at, updated_at)
SELECT
    job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
    job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
    extracted_at, created_at, updated_at
FROM
(
    SELECT * FROM evaluation_jobs FINAL
    ORDER BY updated_at DESC, created_at DESC
    LIMIT 1 BY job_id, toYYYYMM(job_start_time)
    SETTINGS do_not_merge_across_partitions_select_final = 1
)
WHERE updated_at < now() - 5
""",
    )
    op.execute_unless(
        ORDERED_BY_MODEL, "EXCHANGE TABLES evaluation_jobs AND evaluation_jobs_by_model"
    )
    op.execute_unless(
        "SELECT 1 WHERE (SELECT count() FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'evaluation_jobs_by_model') = 0",
        "RENAME TABLE evaluation_jobs_by_model TO evaluation_jobs_after_005",
    )
    copied = (
        "SELECT 1 WHERE (SELECT count() FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'evaluation_jobs_after_005') = 0"
    )
    op.execute_unless(
        copied,
        """
SELECT sleepEachRow(1) FROM numbers(2)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'evaluation_jobs') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) > 0 OR (SELECT max(updated_at) FROM evaluation_jobs_after_005) >= now() - 2
""",
    )
    for wait in LONG_INSERTS_END:
        op.execute_unless(copied, wait)
    op.execute_unless(copied, CHECK_NO_LONG_INSERT)
    op.execute_unless(
        copied,
        """
INSERT INTO evaluation_jobs
    (job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
     job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
     extracted_at, created_at, updated_at)
SELECT
    job_id, experiment_id, model_name, engine, status, job_start_time, job_end_time,
    job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,
    extracted_at, created_at, updated_at
FROM
(
    SELECT * FROM evaluation_jobs_after_005 FINAL
    ORDER BY updated_at DESC, created_at DESC
    LIMIT 1 BY job_id, toYYYYMM(job_start_time)
    SETTINGS do_not_merge_across_partitions_select_final = 1
)
WHERE (job_id, toYYYYMM(job_start_time), updated_at) NOT IN
    (SELECT job_id, toYYYYMM(job_start_time), updated_at FROM evaluation_jobs)
""",
    )
    op.execute_unless(
        copied,
        """
SELECT throwIf(
    count() > 0 OR (
        SELECT count() FROM system.tables
        WHERE database = currentDatabase() AND name = 'evaluation_jobs'
          AND sorting_key = 'model_name, job_start_time, job_id'
    ) = 0,
    'evaluation_jobs lacks rows that evaluation_jobs_after_005 holds. Nothing is lost, run this again'
)
FROM
(
    SELECT job, month, countIf(side = 1) AS copies,
        maxIf(version, side = 0) AS before, maxIf(version, side = 1) AS after
    FROM
    (
        SELECT job_id AS job, toYYYYMM(job_start_time) AS month, updated_at AS version, 0 AS side
        FROM evaluation_jobs_after_005
        UNION ALL
        SELECT job_id AS job, toYYYYMM(job_start_time) AS month, updated_at AS version, 1 AS side
        FROM evaluation_jobs
    )
    GROUP BY job, month
)
WHERE copies = 0 OR before > after
""",
    )
    op.execute("DROP TABLE IF EXISTS evaluation_jobs_after_005")
