"""Recreate model_performance_trends without POPULATE and fill in its history once, exactly.

The view gets a target table of its own, `model_performance_trends_data`, in place of the
implicit inner table. The downgrade goes back to the view of 001, with its inner table and its
history, in the same way. Where the old file 004 ran, the view has its inner table already, and
the downgrade leaves it as it is.

How it stays exact while a writer goes on inserting into dataset_results. The new view takes
only rows with created_at >= T; rows with created_at < T are aggregated from dataset_results.

1. The new view is built beside the old one. T is not chosen yet, so it takes nothing. What is
   older than a minute (T0) is aggregated into it; the old view answers meanwhile.
2. EXCHANGE TABLES puts the new view in the place of the old one. The order matters: a view
   that is renamed misses INSERTs that run at that moment (seen on 26.9), so it must not be one
   that takes rows.
3. When every INSERT that may not know the new view has ended, T is chosen, five seconds ahead
   (two where nothing was written in the last minute; on the stage of a rehearsal, where nobody
   writes, it is past). The view looks T up for every block of
   rows: by a JOIN, since ClickHouse keeps the value of a scalar sub-query for a whole INSERT.
4. When T is past and every INSERT that began before it has ended, the rows from T0 to T are
   aggregated, the filter is taken out (MODIFY QUERY), and the old view is dropped. The helper
   tables are dropped when every INSERT that may still look T up has ended.

What readers see: an answer all the time. Between steps 2 and 4, some seconds, rows from T0 on
are not in it yet. In the downgrade a row without evaluations, of the model
'model_performance_trends_moments', may be seen for a moment at the end.

What a crash leaves behind: until step 2 the old view, afterwards a view that lacks the rows
from T0 to T. The next run goes on in the middle, whenever that is: what was chosen is in
`model_performance_trends_moments`, and a wait that is over stays over. (Downgrade: rows are
inserted as one part each, so that a probe can tell whether they are there.)

It refuses, rather than counts wrongly (Code 395; nothing is lost, run it again): when an INSERT
into dataset_results has been running for over a minute before step 1, or runs on for more than
ten seconds after the moment whose INSERTs have to end. If the server takes so long to store T
that T is past (seconds for one row), it stops with words of its own; then mark the statement as
applied (`budeval-migrate repair`), let it finish, and go down to 003 and up again.

Limits. `created_at` is a default of the server with the granularity of a second; T is a
whole second. Where a client sends created_at itself: what is stored before the run is counted
right, also when it lies in the future; while it runs, a row stamped ahead of the server's clock
by more than three seconds (one, where nothing was written in the last minute), or behind it by
more than a minute, may be missed, and so may any
that is stamped before T and arrives in step 4. Running INSERTs are found in system.processes
by their text: one that reaches dataset_results without naming it (a Distributed, Buffer or Null
table in front) is not waited for. An INSERT that meets a view at the moment it is dropped may be
refused (Code 60), with nothing written. The users that insert must be allowed to read the helper
table model_performance_trends_moments while it exists. History is what dataset_results holds:
trends of rows deleted from it are not kept.
"""

from alembic import op

revision = "004_optimize_materialized_view"
down_revision = "003_add_status"
branch_labels = None
depends_on = None
destructive = "the old view goes when the new one holds all that it held"


def trends(source: str) -> str:
    """Return the SELECT that aggregates results: the view's query, and its history's."""
    return f"""
SELECT
    model_name,
    dataset_name,
    toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy,
    countState() AS eval_count,
    maxState(accuracy) AS max_accuracy,
    minState(accuracy) AS min_accuracy
FROM {source}
GROUP BY model_name, dataset_name, eval_date
"""


def moment(kind: str) -> str:
    """Return a moment that was chosen, as a scalar."""
    return f"(SELECT moment FROM model_performance_trends_moments WHERE kind = '{kind}')"


# Kinds: 'settled' (T0), 'exchanged' (the new view is in place), 'cut' (T), 'unfiltered'. A
# partition each, so that parts are not merged and tell when they were written.
CREATE_MOMENTS = """
CREATE TABLE IF NOT EXISTS model_performance_trends_moments
(
    kind String,
    moment DateTime64(3)
)
ENGINE = MergeTree
PARTITION BY kind
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

CREATE_DATA = """
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

INNER_TABLE = "ENGINE = AggregatingMergeTree ORDER BY (model_name, dataset_name, eval_date)"
DATA_TABLE = "TO model_performance_trends_data"

# For each block of rows; nothing as long as T is not chosen.
SINCE_CUT = """dataset_results
CROSS JOIN (SELECT moment FROM model_performance_trends_moments WHERE kind = 'cut') AS cut
WHERE created_at >= cut.moment"""

SETTLED = f"dataset_results WHERE created_at < {moment('settled')}"

SETTLED_TO_CUT = f"""(
    SELECT model_name, dataset_name, evaluated_at, accuracy
    FROM dataset_results
    WHERE created_at >= {moment("settled")} AND created_at < {moment("cut")}
    UNION ALL
    SELECT model_name, dataset_name, evaluated_at, accuracy
    FROM model_performance_trends_future
    WHERE created_at >= {moment("cut")}
)"""

# Makes op.backfill read in one chunk, where that is little.
ALL_ROWS = 10**18

EXCHANGE = "EXCHANGE TABLES model_performance_trends AND model_performance_trends_new"

# FORMAT ends the SELECT, so that SETTINGS belongs to the ALTER and not to the view. Servers
# before 23.12 need the setting; newer ones accept it as obsolete.
# https://github.com/ClickHouse/ClickHouse/pull/57311
TAKE_FILTER_OUT = f"""
ALTER TABLE model_performance_trends MODIFY QUERY {trends("dataset_results")}
FORMAT Null
SETTINGS allow_experimental_alter_materialized_view_structure = 1
"""

# `plan --rehearse` and `verify` run where nobody else is; there is nobody to wait for.
ON_STAGE = "(SELECT count() FROM system.macros WHERE macro = 'migrations_stage')"

# A row a block: a server allows three seconds of sleep in one.
WAIT_FOR_CUT = f"""
SELECT sleepEachRow(0.25) FROM numbers(40)
WHERE number * 250 < toUnixTimestamp64Milli({moment("cut")}) - toUnixTimestamp64Milli(now64(3))
SETTINGS max_block_size = 1
"""

CHECK_CUT_WAS_AHEAD = f"""
SELECT throwIf(
    count() != 1 AND {ON_STAGE} = 0,
    'the cut-over moment was past when it was stored: see the docstring of 004_optimize_materialized_view'
)
FROM system.parts
WHERE database = currentDatabase() AND table = 'model_performance_trends_moments'
  AND partition = 'cut' AND active AND modification_time < {moment("cut")}
"""

# The downgrade only. The inner table's name is not known, so op.backfill cannot fill it.
# One block is one part, which is there as a whole or not at all.
AS_ONE_PART = """
SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 1000000000,
    min_insert_block_size_bytes = 1000000000000
"""

# With a row that shows that they are there.
SETTLED_TO_CUT_AND_MARK = f"""
SELECT * FROM
(
    {trends(SETTLED_TO_CUT)}
    UNION ALL
    SELECT
        'model_performance_trends_moments' AS model_name,
        '' AS dataset_name,
        toDate(0) AS eval_date,
        avgState(accuracy) AS avg_accuracy,
        countState() AS eval_count,
        maxState(accuracy) AS max_accuracy,
        minState(accuracy) AS min_accuracy
    FROM dataset_results
    WHERE 0
)
"""

REMOVE_MARK = """
ALTER TABLE model_performance_trends DELETE WHERE model_name = 'model_performance_trends_moments'
SETTINGS mutations_sync = 1
"""

# Probes: SELECTs that yield a row where it is so.

MARKED = """
SELECT 1 FROM model_performance_trends
WHERE model_name = 'model_performance_trends_moments' LIMIT 1
"""

NOT_MARKED = """
SELECT 1 WHERE (
    SELECT count() FROM model_performance_trends
    WHERE model_name = 'model_performance_trends_moments'
) = 0
"""

HAS_INNER_TABLE = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends'
  AND position(create_table_query, 'model_performance_trends_data') = 0
"""

NO_MOMENTS = """
SELECT 1 WHERE (
    SELECT count() FROM system.tables
    WHERE database = currentDatabase() AND name = 'model_performance_trends_moments'
) = 0
"""

# Where the old file 004 ran.
NOT_EXCHANGED = """
SELECT 1 FROM system.tables
WHERE database = currentDatabase() AND name = 'model_performance_trends_new'
  AND position(create_table_query, 'model_performance_trends_data') = 0
"""


def upgrade() -> None:
    # An installation whose start-up died between DROP and CREATE has no view at all.
    op.execute(create_view("model_performance_trends", INNER_TABLE, "dataset_results"))
    op.execute(CREATE_DATA)
    begin(DATA_TABLE)
    op.backfill(
        "model_performance_trends_data", trends(SETTLED + " AND {chunk}"), source="dataset_results"
    )
    op.execute(EXCHANGE)
    choose_cut()
    op.backfill(
        "model_performance_trends_data",
        f"SELECT * FROM ({trends(SETTLED_TO_CUT)}) WHERE {{chunk}}",
        source="dataset_results",
        by="1",
        chunk_rows=ALL_ROWS,
    )
    op.execute(TAKE_FILTER_OUT)
    end()


def downgrade() -> None:
    begin(INNER_TABLE)
    op.execute_unless(
        "SELECT 1 FROM model_performance_trends_new LIMIT 1",
        f"INSERT INTO model_performance_trends_new {trends(SETTLED)} {AS_ONE_PART}",
    )
    op.execute_unless(HAS_INNER_TABLE, EXCHANGE)
    choose_cut()
    op.execute_unless(
        f"{MARKED} UNION ALL {NOT_EXCHANGED}",
        f"INSERT INTO model_performance_trends {SETTLED_TO_CUT_AND_MARK} {AS_ONE_PART}",
    )
    op.execute_unless(NOT_MARKED, REMOVE_MARK)
    op.execute_unless(NOT_EXCHANGED, TAKE_FILTER_OUT)
    end()
    op.execute("DROP TABLE IF EXISTS model_performance_trends_data")


def begin(target: str) -> None:
    """Step 1, but for the history: the new view, and T0."""
    op.execute(CREATE_MOMENTS)
    op.execute(CREATE_FUTURE)
    op.execute(create_view("model_performance_trends_new", target, SINCE_CUT))
    choose("settled", "now() - 60")
    check_inserts_ended("settled")
    op.backfill(
        "model_performance_trends_future",
        "SELECT model_name, dataset_name, evaluated_at, accuracy, created_at"
        " FROM dataset_results WHERE created_at > now64(3) AND {chunk}",
        source="dataset_results",
        by="1",
        chunk_rows=ALL_ROWS,
    )


def choose_cut() -> None:
    """Step 3: the new view is in place; afterwards nothing changes any more before T."""
    choose("exchanged", "now64(3)")
    let_inserts_end("exchanged")
    recent = "SELECT count() FROM dataset_results WHERE created_at BETWEEN now() - 60 AND now()"
    choose("cut", f"now() + multiIf({ON_STAGE} > 0, -1, ({recent}) > 0, 5, 2)")
    op.execute(CHECK_CUT_WAS_AHEAD)
    op.execute(WAIT_FOR_CUT)
    let_inserts_end("cut")


def end() -> None:
    """Drop the old view and the helper tables."""
    op.execute("DROP TABLE IF EXISTS model_performance_trends_new")
    op.execute("DROP TABLE IF EXISTS model_performance_trends_future")
    choose("unfiltered", "now64(3)")
    let_inserts_end("unfiltered")
    # Has a probe so that the check above, which could not be repeated, is on record before.
    op.execute_unless(NO_MOMENTS, "DROP TABLE IF EXISTS model_performance_trends_moments")


def create_view(name: str, target: str, source: str) -> str:
    """Return the statement that creates a materialized view of the trends."""
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name}\n{target}\nAS {trends(source)}"


def choose(kind: str, value: str) -> None:
    """Store a moment; VALUES, so that it can be told whether that happened."""
    op.execute(
        f"INSERT INTO model_performance_trends_moments (kind, moment) VALUES ('{kind}', {value})"
    )


def let_inserts_end(kind: str) -> None:
    """Wait until every INSERT that began before a moment has ended; refuse after a while."""
    for seconds in (1, 10):
        op.execute(
            f"SELECT sleepEachRow(1) FROM numbers({seconds})"
            f" WHERE {inserts_before(kind)} > 0 SETTINGS max_block_size = 1"
        )
    check_inserts_ended(kind)


def check_inserts_ended(kind: str) -> None:
    """Refuse while a moment is not past, or an INSERT that began before it runs."""
    op.execute(f"""
SELECT throwIf(
    now64(3) < {moment(kind)} OR {inserts_before(kind)} > 0,
    'a long INSERT into dataset_results is running. Nothing is lost, run this again'
)
""")


def inserts_before(kind: str) -> str:
    """Return how many INSERTs run that began before a moment, as a scalar.

    'system.processes' in a query's text leaves these queries themselves out.
    """
    return f"""(
    SELECT count() FROM system.processes
    WHERE positionCaseInsensitive(query, 'insert') > 0
      AND positionCaseInsensitive(query, 'dataset_results') > 0
      AND positionCaseInsensitive(query, 'system.processes') = 0
      AND elapsed + 0.1 >=
          (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli({moment(kind)})) / 1000
)"""
