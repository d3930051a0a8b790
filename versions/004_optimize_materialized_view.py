"""Recreate model_performance_trends without POPULATE and fill in its history once, exactly.

The view gets a target table of its own, `model_performance_trends_data`, in place of the
implicit inner table: that is also how a second run sees that the work is done. The
downgrade goes back to the view of 001, with its inner table and its history, in the same way.

How it stays exact while a writer goes on inserting into dataset_results. The new view takes
only rows with created_at >= T; rows with created_at < T are aggregated from dataset_results.

1. The new view is built beside the old one. T is not chosen yet and the view takes nothing.
   What is older than five seconds (T0) is aggregated into it; the old view answers meanwhile.
2. EXCHANGE TABLES puts the new view in the place of the old one, and T is chosen. The order
   matters: a view that is renamed misses INSERTs that run at that moment (seen on 26.9), so
   it must not be one that takes rows.
3. Nobody writing: T is the current second; if no INSERT is running then and dataset_results
   has no row from T on, there is nothing to wait for. Otherwise it starts again and T is
   four to five seconds ahead: before T comes, no INSERT may be running that is older than
   the exchange, and after T it waits for every INSERT that began before.
4. The filter is taken out (MODIFY QUERY), the rows from T0 to T are aggregated, the old view
   and the helper tables are dropped.

What readers see: an answer all the time. Between steps 2 and 4, some seven seconds where
somebody writes, rows from T0 on are not in it yet.

What a crash leaves behind: until step 2 the old view, afterwards a view that lacks those
rows. `model_performance_trends_future` exists as long as the work is not done. The next run
begins with the first statement and builds again; if the unfinished view is in place, a plain
view that computes the same from dataset_results, slower, stands in for it until then. Never
run it from the middle: aggregating is exact only over an empty target.

It refuses, rather than counts wrongly (Code 395; nothing is lost, run it again): when an
INSERT into dataset_results runs for over seven seconds before step 1, or over two seconds
across the exchange, or until ten seconds after T; when the server is too slow to get
there before T; and when rows older than T0 arrived or were deleted meanwhile, which happens
only where a client sends created_at itself.

Limits. `created_at` is a default of the server with the granularity of a second; T is a
whole second. Where a client sends created_at itself: what is stored before the run is
counted right, also when it lies in the future; while it runs, a row stamped more than three
seconds ahead may be missed, and a row stamped before T that arrives in step 4 may be counted
twice or missed. Running INSERTs are found in system.processes by their text: one that reaches
dataset_results without naming it (a Distributed, Buffer or Null table in front) is not waited
for. An INSERT that meets a view at the moment it is dropped may be refused (Code 60), with
nothing written. The users that insert must be allowed to read the helper table
model_performance_trends_cutover while it exists. History is what dataset_results holds:
trends of rows deleted from it are not kept.
"""

from alembic import op

revision = "004_optimize_materialized_view"
down_revision = "003_add_status"
branch_labels = None
depends_on = None

# Probes: SELECTs that yield a row where it is so. Two are joined by UNION ALL.

UPGRADED = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends'
  AND position(create_table_query, 'model_performance_trends_data') > 0
  AND (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_future'
  ) = 0
"""

DOWNGRADED = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends'
  AND engine = 'MaterializedView'
  AND position(create_table_query, 'model_performance_trends_data') = 0
  AND (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_future'
  ) = 0
"""

# The view in place is not an unfinished one of an upgrade.
OLD_VIEW_IN_PLACE_UP = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends'
      AND position(create_table_query, 'model_performance_trends_data') > 0
) = 0
"""

# The view in place is not an unfinished one of a downgrade.
OLD_VIEW_IN_PLACE_DOWN = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends'
      AND engine = 'MaterializedView'
      AND position(create_table_query, 'model_performance_trends_data') = 0
) = 0
"""

NO_DATA_TABLE = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_data'
) = 0
"""

# Somebody writes: T has to lie ahead.
BUSY = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends_busy'
"""

NOT_BUSY = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_busy'
) = 0
"""

NO_INSERT_RUNNING = """
SELECT 1 WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) = 0
"""

NO_RECENT_ROW = """
SELECT 1 WHERE (SELECT count() FROM dataset_results WHERE created_at >= now() - 3) = 0
"""

# Asked after NO_INSERT_RUNNING, not with it: an INSERT that ends between the two is seen here.
NO_ROW_SINCE_MOMENT = """
SELECT 1 WHERE (
    SELECT count() FROM dataset_results
    WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'cut')
) = 0
"""

# Tables and views.

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
WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'cut')
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
WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'cut')
GROUP BY model_name, dataset_name, eval_date
"""

CREATE_STAND_IN = """
CREATE VIEW IF NOT EXISTS model_performance_trends_new
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

# Rows: 'settled' (T0), 'filled' (how many rows are older than T0), 'cut' (T),
# 'known' (when every new INSERT saw T).
CREATE_CUTOVER = """
CREATE TABLE IF NOT EXISTS model_performance_trends_cutover
(
    kind String,
    moment DateTime64(3),
    chosen_at DateTime64(3),
    row_count UInt64
)
ENGINE = MergeTree
ORDER BY kind
"""

# Rows that a client stamped in the future: the view has not seen them, T excludes them.
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

CREATE_BUSY = """
CREATE TABLE IF NOT EXISTS model_performance_trends_busy (busy UInt8)
ENGINE = MergeTree
ORDER BY tuple()
"""

EXCHANGE = """
EXCHANGE TABLES model_performance_trends AND model_performance_trends_new
"""

# Moments and rows.

REMEMBER_FUTURE_ROWS = """
INSERT INTO model_performance_trends_future
SELECT model_name, dataset_name, evaluated_at, accuracy, created_at
FROM dataset_results
WHERE created_at > now64(3)
"""

CHOOSE_SETTLED = """
INSERT INTO model_performance_trends_cutover (kind, moment, chosen_at, row_count)
SELECT 'settled', now() - 5, now64(3), 0
"""

CHOOSE_CURRENT_SECOND = """
INSERT INTO model_performance_trends_cutover (kind, moment, chosen_at, row_count)
SELECT 'cut', now(), now64(3), 0
"""

CHOOSE_SECOND_AHEAD = """
INSERT INTO model_performance_trends_cutover (kind, moment, chosen_at, row_count)
SELECT 'cut', now() + 5, now64(3), 0
"""

NOTE_MOMENT_IS_KNOWN = """
INSERT INTO model_performance_trends_cutover (kind, moment, chosen_at, row_count)
SELECT 'known', now64(3), now64(3), 0
FROM model_performance_trends_cutover
WHERE kind = 'cut' AND moment > chosen_at
"""

FILL_IN_SETTLED = """
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
FROM dataset_results
WHERE created_at < (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'settled')
GROUP BY model_name, dataset_name, eval_date
"""

COUNT_SETTLED = """
INSERT INTO model_performance_trends_cutover (kind, moment, chosen_at, row_count)
SELECT 'filled', now(), now64(3),
    (SELECT countMerge(eval_count) FROM model_performance_trends_new)
"""

# Into the view: it hands the rows on to its own table, whatever that is called.
FILL_IN_REST = """
INSERT INTO model_performance_trends
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
    WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'settled')
      AND created_at < (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'cut')
    UNION ALL
    SELECT model_name, dataset_name, evaluated_at, accuracy
    FROM model_performance_trends_future
    WHERE created_at >= (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'cut')
)
GROUP BY model_name, dataset_name, eval_date
"""

# FORMAT ends the SELECT, so that SETTINGS belongs to the ALTER and not to the view. Servers
# before 23.12 need the setting; newer ones accept it as obsolete.
# https://github.com/ClickHouse/ClickHouse/pull/57311
TAKE_FILTER_OUT = """
ALTER TABLE model_performance_trends MODIFY QUERY
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

# Waits and checks. A wait sleeps up to three seconds, the most that a server allows in one
# block, and not at all when there is nothing to wait for; so some are sent several times.
# 'system.processes' in a query's text leaves these queries themselves out.

WAIT_FOR_INSERTS = """
SELECT sleepEachRow(1) FROM numbers(1)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
) > 0
"""

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

# After WAIT_FOR_INSERTS and two WAIT_FOR_LONG_INSERTS only an older INSERT is as old as that.
CHECK_NO_OLD_INSERT = """
SELECT throwIf(
    (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed >= 7
    ) > 0,
    'a long INSERT into dataset_results is running. Nothing is lost, run this again'
)
"""

WAIT_FOR_SETTLED = """
SELECT sleepEachRow(1) FROM numbers(3)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'settled'
      )
) > 0
"""

CHECK_SETTLED = """
SELECT throwIf(
    (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'settled'
      )
    ) > 0,
    'a long INSERT into dataset_results is running. Nothing is lost, run this again'
)
"""

# An INSERT from before T was known may not know the view either. There are three seconds.
WAIT_FOR_OLDER_INSERTS = """
SELECT sleepEachRow(0.7) FROM numbers(1)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'known'
      )
) > 0
"""

CHECK_BEFORE_MOMENT = """
SELECT throwIf(
    (
        SELECT count() FROM model_performance_trends_cutover
        WHERE kind = 'cut' AND (moment <= chosen_at OR moment > now64(3))
    ) != 1
    OR (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'known'
      )
    ) > 0,
    'a long INSERT into dataset_results is running, or the server is too slow. Nothing is lost, run this again'
)
"""

# A row a second, a row a block.
WAIT_FOR_MOMENT = """
SELECT sleepEachRow(1) FROM numbers(10)
WHERE number < (
    SELECT dateDiff('second', now(), moment) + 1 FROM model_performance_trends_cutover
    WHERE kind = 'cut' AND moment > chosen_at
)
SETTINGS max_block_size = 1
"""

WAIT_FOR_INSERTS_BEFORE_MOMENT = """
SELECT sleepEachRow(1) FROM numbers(3)
WHERE (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'cut' AND moment > chosen_at
      )
) > 0
"""

CHECK_AFTER_MOMENT = """
SELECT throwIf(
    (
        SELECT count() FROM model_performance_trends_cutover
        WHERE kind = 'cut' AND (moment <= chosen_at OR moment + INTERVAL 1 SECOND <= now64(3))
    ) != 1
    OR (
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >= (
          SELECT (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(moment)) / 1000
          FROM model_performance_trends_cutover WHERE kind = 'cut' AND moment > chosen_at
      )
    ) > 0,
    'an INSERT into dataset_results from before the cut-over moment is still running. Nothing is lost, run this again'
)
"""

CHECK_SETTLED_ROWS = """
SELECT throwIf(
    (
        SELECT count() FROM dataset_results
        WHERE created_at < (SELECT moment FROM model_performance_trends_cutover WHERE kind = 'settled')
    ) != (SELECT row_count FROM model_performance_trends_cutover WHERE kind = 'filled'),
    'rows with an old created_at were inserted or deleted meanwhile. Nothing is lost, run this again'
)
"""


def upgrade() -> None:
    # An installation whose start-up died between DROP and CREATE has no view at all.
    op.execute(CREATE_INITIAL_VIEW)
    recreate_view(
        [CREATE_DATA_TABLE, CREATE_VIEW_ON_DATA_TABLE],
        drop_target=["DROP TABLE IF EXISTS model_performance_trends_data"],
        done=UPGRADED,
        old_in_place=OLD_VIEW_IN_PLACE_UP,
    )


def downgrade() -> None:
    recreate_view(
        [CREATE_VIEW_ON_INNER_TABLE],
        drop_target=[],
        done=DOWNGRADED,
        old_in_place=OLD_VIEW_IN_PLACE_DOWN,
    )
    op.execute("DROP TABLE IF EXISTS model_performance_trends_data")


def recreate_view(
    create: list[str], *, drop_target: list[str], done: str, old_in_place: str
) -> None:
    """Issue the statements that put a new view with all history in the place of the old one.

    Args:
        create: Statements that make model_performance_trends_new.
        drop_target: Statements that drop what `create` makes besides the view.
        done: A probe; with a row of it only the helper tables are dropped.
        old_in_place: A probe; without a row of it the view in place is an unfinished one.
    """
    op.execute(CREATE_CUTOVER)
    # From here to the drop of this table at the end, `done` yields no row.
    op.execute_unless(done, CREATE_FUTURE)
    op.execute_unless(done, "DROP TABLE IF EXISTS model_performance_trends_busy")
    op.execute_unless(either(done, NO_INSERT_RUNNING), CREATE_BUSY)
    op.execute_unless(either(done, NO_RECENT_ROW), CREATE_BUSY)

    put_in_place(
        create, CHOOSE_CURRENT_SECOND, drop_target, either(done, BUSY), old_in_place=old_in_place
    )
    op.execute_unless(either(done, NO_INSERT_RUNNING), CREATE_BUSY)
    op.execute_unless(either(done, NO_ROW_SINCE_MOMENT), CREATE_BUSY)
    put_in_place(
        create, CHOOSE_SECOND_AHEAD, drop_target, either(done, NOT_BUSY), old_in_place=old_in_place
    )

    for _ in range(3):
        op.execute_unless(done, WAIT_FOR_OLDER_INSERTS)
    op.execute_unless(done, CHECK_BEFORE_MOMENT)
    op.execute_unless(done, WAIT_FOR_MOMENT)
    for _ in range(3):
        op.execute_unless(done, WAIT_FOR_INSERTS_BEFORE_MOMENT)
    op.execute_unless(done, CHECK_AFTER_MOMENT)
    op.execute_unless(done, CHECK_SETTLED_ROWS)
    op.execute_unless(done, TAKE_FILTER_OUT)
    op.execute_unless(done, FILL_IN_REST)
    op.execute_unless(done, "DROP TABLE IF EXISTS model_performance_trends_new")
    let_inserts_end(done)
    op.execute("DROP TABLE IF EXISTS model_performance_trends_future")
    op.execute("DROP TABLE IF EXISTS model_performance_trends_cutover")
    op.execute("DROP TABLE IF EXISTS model_performance_trends_busy")


def put_in_place(
    create: list[str], choose: str, drop_target: list[str], unless: str, *, old_in_place: str
) -> None:
    """Steps 1 and 2, from scratch: whatever an earlier run left is dropped first."""
    op.execute_unless(unless, "DROP TABLE IF EXISTS model_performance_trends_new")
    op.execute_unless(either(unless, old_in_place), CREATE_STAND_IN)
    op.execute_unless(either(unless, old_in_place), EXCHANGE)
    op.execute_unless(unless, "DROP TABLE IF EXISTS model_performance_trends_new")
    for statement in drop_target:
        let_inserts_end(either(unless, NO_DATA_TABLE))
        op.execute_unless(unless, statement)
    op.execute_unless(unless, "TRUNCATE TABLE model_performance_trends_cutover")
    op.execute_unless(unless, "TRUNCATE TABLE model_performance_trends_future")
    for statement in create:
        op.execute_unless(unless, statement)
    op.execute_unless(unless, REMEMBER_FUTURE_ROWS)
    op.execute_unless(unless, CHOOSE_SETTLED)
    for _ in range(2):
        op.execute_unless(unless, WAIT_FOR_SETTLED)
    op.execute_unless(unless, CHECK_SETTLED)
    op.execute_unless(unless, FILL_IN_SETTLED)
    op.execute_unless(unless, COUNT_SETTLED)
    op.execute_unless(unless, EXCHANGE)
    op.execute_unless(unless, choose)
    op.execute_unless(unless, NOTE_MOMENT_IS_KNOWN)


def let_inserts_end(unless: str) -> None:
    """Wait for the INSERTs that know a view just dropped, before a table of its is dropped."""
    op.execute_unless(unless, WAIT_FOR_INSERTS)
    for _ in range(2):
        op.execute_unless(unless, WAIT_FOR_LONG_INSERTS)
    op.execute_unless(unless, CHECK_NO_OLD_INSERT)


def either(*probes: str) -> str:
    """Join probes into one that yields a row where any of them does."""
    return "UNION ALL".join(probes)
