"""Databases that the old .sql files made go on with the revisions that are pending."""

import pytest

from .data import (
    LATEST_JOBS,
    TRENDS_OF_BASE,
    TRENDS_OF_VIEW,
    insert_jobs,
    insert_results,
)
from .harness import REVISIONS, Database

pytestmark = pytest.mark.embedded

POPULATED_VIEW = """
CREATE MATERIALIZED VIEW model_performance_trends
ENGINE = AggregatingMergeTree ORDER BY (model_name, dataset_name, eval_date)
POPULATE
AS SELECT model_name, dataset_name, toDate(evaluated_at) AS eval_date,
    avgState(accuracy) AS avg_accuracy, countState() AS eval_count,
    maxState(accuracy) AS max_accuracy, minState(accuracy) AS min_accuracy
FROM dataset_results
GROUP BY model_name, dataset_name, eval_date
"""


def old_installation(recorded: int) -> Database:
    """The state after the old files 001 … `recorded` (at most 004)."""
    database = Database()
    for revision in REVISIONS[: min(recorded, 3)]:
        database.run(revision)
    insert_results(database)
    insert_jobs(database, version=1)
    insert_jobs(database, version=2)
    database.query("DROP TABLE model_performance_trends")
    database.query(POPULATED_VIEW)
    return database


def head() -> dict[str, str]:
    database = Database()
    database.upgrade("006")
    schema = database.schema()
    database.drop()
    return schema


@pytest.mark.parametrize("recorded", [1, 3])
def test_an_installation_with_a_populated_view_upgrades_to_the_head_of_a_fresh_one(
    recorded: int,
) -> None:
    database = old_installation(recorded)
    jobs = database.query(
        "SELECT job_id, total_examples FROM evaluation_jobs FINAL ORDER BY job_id"
    )

    for revision in REVISIONS[recorded:]:
        database.run(revision)

    assert head() == database.schema()
    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    assert jobs == database.query(
        "SELECT job_id, total_examples FROM evaluation_jobs FINAL ORDER BY job_id"
    )
    database.drop()


def test_what_a_view_had_counted_twice_is_counted_once_after_004() -> None:
    database = old_installation(3)
    database.query("INSERT INTO model_performance_trends SELECT * FROM model_performance_trends")
    assert database.query(TRENDS_OF_BASE) != database.query(TRENDS_OF_VIEW)

    database.run(REVISIONS[3])

    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


def test_004_makes_the_view_that_a_killed_start_up_left_out() -> None:
    database = old_installation(3)
    database.query("DROP TABLE model_performance_trends")

    database.run(REVISIONS[3])

    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


def test_an_installation_whose_old_004_ran_goes_on_with_005_and_can_go_back_to_001() -> None:
    database = old_installation(4)
    view = database.schema()["model_performance_trends"]
    jobs = database.query(LATEST_JOBS)

    for revision in REVISIONS[4:]:
        database.run(revision)
    assert view == database.schema()["model_performance_trends"]
    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)

    for revision in reversed(REVISIONS[1:]):
        database.run(revision, "downgrade")
    fresh = Database()
    fresh.upgrade("001")
    assert fresh.schema() == database.schema()
    assert len(jobs) == len(database.query(LATEST_JOBS))
    fresh.drop()
    database.drop()
