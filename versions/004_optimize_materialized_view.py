"""Recreate model_performance_trends without POPULATE and fill in its history once, exactly.

The view gets a target table of its own, `model_performance_trends_data`, in place of the
implicit inner table: that is also how a second run sees that the work is done. The
downgrade goes back to the view of 001, with its inner table and its history, in the same way.

How it stays exact while a writer goes on inserting into dataset_results: the new view is
built beside the old one and takes only rows with created_at >= T, T being a whole second in
a one-row helper table; the rows with created_at < T are aggregated once. It remains to make
sure that every row from T on has met the view, and that none from before T is still coming.

1. Nobody writing: T is the current second. If, once the view exists, no INSERT is running
   and dataset_results has no row from T on, both are certain and there is nothing to wait for.
2. Otherwise it starts again with T three to four seconds ahead. A second after the view is
   created, and still before T, it is made sure that no INSERT is running that is older than
   the view and so does not know it. Then it waits for T and one second more, and for every
   INSERT that began before T to end.
3. The filter is taken out (MODIFY QUERY) and the rows with created_at < T are aggregated.
4. EXCHANGE TABLES puts the new view in the place of the old one, which answered until
   then. Then the old view and the helpers are dropped.

What a crash leaves behind: the old view, still fed and answering, and helper tables. The
next run starts from its first statement, drops what is half built and builds it again;
after the EXCHANGE it only cleans up. Run it from the first statement, never from the
middle: the aggregation is exact only over an empty target.

It refuses, rather than counts wrongly (Code 395, run it again): when an INSERT into
dataset_results that is older than the view runs on when it is looked for in step 2, one from
before T for half a minute after it, one that knows a dropped view for 15 seconds after
that; and when the view is not there in time for T.

Limits. `created_at` is a default of the server with the granularity of a second; T is a
whole second, so that does no harm. A client that sends created_at itself is counted right
for rows that are there before the revision starts, even when they lie in the future. While
it runs: a row stamped more than three seconds ahead of the server's clock may be missed if
it arrives before the view exists, and a row stamped before T may be counted twice if it
arrives in the instant between MODIFY QUERY and the aggregation's snapshot. Running INSERTs
are found in system.processes by their text: one that reaches dataset_results without
naming it (a Distributed, Buffer or Null table in front) is not waited for. The users that
insert must be allowed to read the helper table model_performance_trends_cutover, or their
INSERTs may be refused while steps 1 and 2 last. History is what dataset_results holds: trends
of rows deleted from it are not kept.
"""

from alembic import op

revision = "004_optimize_materialized_view"
down_revision = "003_add_status"
branch_labels = None
depends_on = None
requires_clickhouse = "22.8"

# Rows: the view writes to model_performance_trends_data, so the upgrade is done.
HAS_DATA_TABLE = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends'
  AND position(create_table_query, 'model_performance_trends_data') > 0
"""

# Rows: the view has its implicit inner table, so the downgrade is done.
HAS_INNER_TABLE = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends'
  AND position(create_table_query, 'model_performance_trends_data') = 0
"""

HAS_NO_DATA_TABLE = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_data'
) = 0
"""

CREATE_INITIAL_VIEW = """
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
"""

CREATE_DATA_TABLE = """
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

CREATE_VIEW_ON_DATA_TABLE = """
CREATE MATERIALIZED VIEW IF NOT EXISTS model_performance_trends_new
TO model_performance_trends_data
AS SELECT
    model_name,
    dataset_name,
    toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy,
    countState() AS eval_count,
    maxState(accuracy) AS max_accuracy,
    minState(accuracy) AS min_accuracy
FROM dataset_results
WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover)
GROUP BY model_name, dataset_name, eval_date
"""

CREATE_VIEW_ON_INNER_TABLE = """
CREATE MATERIALIZED VIEW IF NOT EXISTS model_performance_trends_new
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
WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover)
GROUP BY model_name, dataset_name, eval_date
"""

# Rows that a client stamped in the future, kept aside before T is chosen: the view, which
# is created later, has not seen them, and `created_at < T` would not find them.
REMEMBER_FUTURE_ROWS = """
INSERT INTO model_performance_trends_future
SELECT model_name, dataset_name, evaluated_at, accuracy, created_at
FROM dataset_results
WHERE created_at > now64(3)
"""

# Sleeps three seconds if an INSERT into dataset_results has been running for over a second.
# 'system.processes' leaves out this query itself.
WAIT_FOR_LONG_INSERTS = """
SELECT sleepEachRow(1) FROM numbers(3)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed >= 1
) > 0
"""

CREATE_CUTOVER = """
CREATE TABLE IF NOT EXISTS model_performance_trends_cutover
(
    moment DateTime64(3),
    chosen_at DateTime64(3)
)
ENGINE = MergeTree
ORDER BY tuple()
"""

CHOOSE_CURRENT_SECOND = """
INSERT INTO model_performance_trends_cutover
SELECT now() AS moment, now64(3) AS chosen_at
"""

CHOOSE_SECOND_AHEAD = """
INSERT INTO model_performance_trends_cutover
SELECT now() + 4 AS moment, now64(3) AS chosen_at
"""

# Rows: no INSERT is running that might not know the new view.
NO_INSERT_RUNNING = """
SELECT 1 WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) = 0
"""

# Rows: nothing was stored from T on. Asked after NO_INSERT_RUNNING, not with it: an INSERT
# that ends between the two is seen here.
NO_ROW_SINCE_MOMENT = """
SELECT 1 WHERE (
    SELECT count() FROM dataset_results
    WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover)
) = 0
"""

# Rows: step 1 was good, its view stands.
HAS_NEW_VIEW = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends_new'
"""

# Sleeps a second if any INSERT into dataset_results is running: before a table is dropped
# that a view of theirs, itself just dropped, reads or fills.
WAIT_FOR_INSERTS = """
SELECT sleepEachRow(1) FROM numbers(1)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) > 0
"""

# Sent after WAIT_FOR_INSERTS and five times WAIT_FOR_LONG_INSERTS: only an INSERT from before
# them can be that old.
CHECK_NO_OLD_INSERT = """
SELECT throwIf(count() > 0, 'model_performance_trends: an INSERT into dataset_results has been running for over 15 seconds. Nothing is lost: run this revision again')
FROM system.processes
WHERE positionCaseInsensitive(query, 'insert') > 0
  AND positionCaseInsensitive(query, 'dataset_results') > 0
  AND positionCaseInsensitive(query, 'system.processes') = 0
  AND elapsed >= 15
"""

WAIT_A_SECOND = """
SELECT sleepEachRow(1) FROM model_performance_trends_cutover WHERE moment > chosen_at
"""

# Sent a second after the view exists: an INSERT that does not know it is a second old.
CHECK_BEFORE_MOMENT = """
SELECT throwIf(
    (
        SELECT count() FROM model_performance_trends_cutover
        WHERE moment <= chosen_at OR moment > now64(3)
    ) != 1
    OR (
        SELECT count() FROM system.processes
        WHERE positionCaseInsensitive(query, 'insert') > 0
          AND positionCaseInsensitive(query, 'dataset_results') > 0
          AND positionCaseInsensitive(query, 'system.processes') = 0
          AND elapsed >= (
              SELECT if(moment > chosen_at, 1, 1000000000) FROM model_performance_trends_cutover
          )
    ) > 0,
    'model_performance_trends: a long INSERT into dataset_results is running, or the view was not there in time for the cut-over moment. Nothing is lost: run this revision again'
)
"""

WAIT_FOR_MOMENT = """
SELECT sleepEachRow(1) FROM model_performance_trends_cutover
WHERE moment > chosen_at AND moment + INTERVAL 1 SECOND > now64(3)
"""

# Sleeps three seconds if an INSERT into dataset_results that began before T still runs.
WAIT_FOR_INSERTS_BEFORE_MOMENT = """
SELECT sleepEachRow(1) FROM numbers(3)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT if(moment > chosen_at, dateDiff('second', moment, now64(3)), 1000000000)
          FROM model_performance_trends_cutover
      )
) > 0
"""

CHECK_AFTER_MOMENT = """
SELECT throwIf(
    (
        SELECT count() FROM model_performance_trends_cutover
        WHERE moment <= chosen_at OR moment + INTERVAL 1 SECOND <= now64(3)
    ) != 1
    OR (
        SELECT count() FROM system.processes
        WHERE positionCaseInsensitive(query, 'insert') > 0
          AND positionCaseInsensitive(query, 'dataset_results') > 0
          AND positionCaseInsensitive(query, 'system.processes') = 0
          AND elapsed + 0.1 >= (
              SELECT if(moment > chosen_at, dateDiff('second', moment, now64(3)), 1000000000)
              FROM model_performance_trends_cutover
          )
    ) > 0,
    'model_performance_trends: an INSERT into dataset_results from before the cut-over moment is still running. Nothing is lost: run this revision again'
)
"""

# FORMAT ends the SELECT, so that SETTINGS belongs to the ALTER and not to the view. Servers
# before 23.12 need the setting; newer ones accept it as obsolete.
# https://github.com/ClickHouse/ClickHouse/pull/57311
TAKE_FILTER_OUT = """
ALTER TABLE model_performance_trends_new MODIFY QUERY
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
FORMAT Null
SETTINGS allow_experimental_alter_materialized_view_structure = 1
"""

# Into the view: it hands the rows on to its own table, whatever that is called.
FILL_IN_HISTORY = """
INSERT INTO model_performance_trends_new
    (model_name, dataset_name, eval_date, avg_accuracy, eval_count, max_accuracy, min_accuracy)
SELECT
    model_name,
    dataset_name,
    toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy,
    countState() AS eval_count,
    maxState(accuracy) AS max_accuracy,
    minState(accuracy) AS min_accuracy
FROM
(
    SELECT model_name, dataset_name, evaluated_at, accuracy
    FROM dataset_results
    WHERE created_at < (SELECT moment FROM model_performance_trends_cutover)
    UNION ALL
    SELECT model_name, dataset_name, evaluated_at, accuracy
    FROM model_performance_trends_future
    WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover)
)
GROUP BY model_name, dataset_name, eval_date
"""


CREATE_FUTURE = """
CREATE TABLE IF NOT EXISTS model_performance_trends_future
(
    model_name LowCardinality(String),
    dataset_name LowCardinality(String),
    evaluated_at DateTime64(3),
    accuracy Float32,
    created_at DateTime64(3)
)
ENGINE = MergeTree
ORDER BY tuple()
"""


def upgrade() -> None:
    # An installation whose start-up died between DROP and CREATE has no view at all.
    op.execute(CREATE_INITIAL_VIEW)
    build_beside([CREATE_DATA_TABLE, CREATE_VIEW_ON_DATA_TABLE], done=HAS_DATA_TABLE)


def downgrade() -> None:
    build_beside([CREATE_VIEW_ON_INNER_TABLE], done=HAS_INNER_TABLE)
    op.execute("DROP TABLE IF EXISTS model_performance_trends_data")


def build_beside(create: list[str], *, done: str) -> None:
    """Build model_performance_trends_new with all history and exchange it with the old view.

    Args:
        create: The statements that create it.
        done: A probe; once it yields a row, the building is skipped and only the rests of
            it are removed.
    """
    drop_data_table = "DROP TABLE IF EXISTS model_performance_trends_data"
    upgrading = done is HAS_DATA_TABLE

    op.execute("DROP TABLE IF EXISTS model_performance_trends_new")
    op.execute(CREATE_CUTOVER)
    op.execute_unless(done, "TRUNCATE TABLE model_performance_trends_cutover")
    op.execute(CREATE_FUTURE)
    op.execute_unless(done, "TRUNCATE TABLE model_performance_trends_future")
    op.execute_unless(done, REMEMBER_FUTURE_ROWS)

    # Step 1. A view that may have missed a row is dropped, and its absence leads to step 2.
    if upgrading:
        let_inserts_end(unless=done + "UNION ALL" + HAS_NO_DATA_TABLE)
        op.execute_unless(done, drop_data_table)
    op.execute_unless(done, CHOOSE_CURRENT_SECOND)
    for statement in create:
        op.execute_unless(done, statement)
    op.execute_unless(
        done + "UNION ALL" + NO_INSERT_RUNNING,
        "DROP TABLE IF EXISTS model_performance_trends_new",
    )
    op.execute_unless(
        done + "UNION ALL" + NO_ROW_SINCE_MOMENT,
        "DROP TABLE IF EXISTS model_performance_trends_new",
    )

    # Step 2. Every statement but the last is skipped where the view of step 1 stands.
    unneeded = done + "UNION ALL" + HAS_NEW_VIEW
    let_inserts_end(unless=unneeded)
    if upgrading:
        op.execute_unless(unneeded, drop_data_table)
    op.execute_unless(unneeded, "TRUNCATE TABLE model_performance_trends_cutover")
    op.execute_unless(unneeded, CHOOSE_SECOND_AHEAD)
    for statement in create:
        op.execute_unless(done, statement)
    op.execute_unless(done, WAIT_A_SECOND)
    op.execute_unless(done, CHECK_BEFORE_MOMENT)
    for _ in range(5):
        op.execute_unless(done, WAIT_FOR_MOMENT)
    for _ in range(10):
        op.execute_unless(done, WAIT_FOR_INSERTS_BEFORE_MOMENT)
    op.execute_unless(done, CHECK_AFTER_MOMENT)

    # Steps 3 and 4.
    op.execute_unless(done, TAKE_FILTER_OUT)
    op.execute_unless(done, FILL_IN_HISTORY)
    op.execute_unless(
        done, "EXCHANGE TABLES model_performance_trends AND model_performance_trends_new"
    )
    op.execute("DROP TABLE IF EXISTS model_performance_trends_new")
    let_inserts_end(unless=None)
    op.execute("DROP TABLE IF EXISTS model_performance_trends_cutover")
    op.execute("DROP TABLE IF EXISTS model_performance_trends_future")


def let_inserts_end(*, unless: str | None) -> None:
    """Wait for the INSERTs that know a view just dropped, before a table of its is dropped.

    At once where nobody writes.
    """
    statements = [WAIT_FOR_INSERTS, *[WAIT_FOR_LONG_INSERTS] * 5, CHECK_NO_OLD_INSERT]
    for statement in statements:
        if unless is None:
            op.execute(statement)
        else:
            op.execute_unless(unless, statement)
