"""004 and 005 are exact while clients go on inserting, and readers are answered."""

import threading
import time
from functools import partial

import pytest

from budeval_migrations.errors import StatementFailed
from tests.support.waiting import again_while

from .data import (
    LATEST_JOBS,
    TRENDS_OF_BASE,
    TRENDS_OF_VIEW,
    JobsWriter,
    Reader,
    ResultsWriter,
    insert_jobs,
    insert_results,
    insert_results_of_the_future,
)
from .harness import Database, Guarded, compile_
from .tool import mortal, move, move_and_die_again_and_again  # noqa: F401

pytestmark = pytest.mark.embedded
MORE = partial(pytest.param, marks=pytest.mark.exhaustive)

TRENDS = "004_optimize_materialized_view"
DEDUPLICATION = "005_fix_evaluation_jobs_deduplication"


def database_at(revision: str) -> Database:
    database = Database()
    database.upgrade(revision)
    insert_results(database)
    insert_jobs(database, version=1)
    insert_jobs(database, version=2)
    return database


def is_refusal(error: str) -> bool:
    """Whether an INSERT met a view just dropped or an exchange, and nothing was written."""
    return ("Code: 60" in error and "Target table" in error) or "Code: 741" in error


@pytest.mark.parametrize("attempt", [1, MORE(2)])
@pytest.mark.parametrize("pause", [0.0, MORE(0.05), MORE(1.0)])
def test_004_counts_every_row_once_up_and_down_while_two_writers_insert(
    pause: float, attempt: int
) -> None:
    database = database_at("003")
    if attempt == 1:
        insert_results_of_the_future(database, 3)
    with (
        ResultsWriter(database, seed=attempt, pause=pause) as first,
        ResultsWriter(database, seed=10 + attempt, pause=pause) as second,
        Reader(database, "SELECT countMerge(eval_count) FROM model_performance_trends") as reader,
    ):
        for direction in ("upgrade", "downgrade"):
            run_again_where_it_refuses(database, TRENDS, direction)
            time.sleep(0.3)

    assert reader.errors == []
    assert min(reader.answers) >= 300  # the settled history is always there
    assert [e for e in first.errors + second.errors if not is_refusal(e)] == []
    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


def test_004_is_exact_when_the_first_rows_arrive_while_it_runs() -> None:
    database = Database()
    database.upgrade("003")
    with ResultsWriter(database, seed=1, pause=0.01):
        run_again_where_it_refuses(database, TRENDS, "upgrade")

    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


def run_again_where_it_refuses(database: Database, revision: str, direction: str) -> None:
    """Run a revision as a tool would that goes on at the statement which refused (Code 395)."""
    for statement in compile_(revision, direction):
        send_again_where_it_refuses(database, statement)


def send_again_where_it_refuses(database: Database, statement: Guarded) -> None:
    """Send a statement as a tool would that is run again when it is refused (Code 395)."""
    again_while(lambda error: "Code: 395" in str(error), partial(database.send, statement))


def known_at(revision: str) -> Database:
    """A database with rows that the tool knows."""
    database = Database()
    move(database, revision)
    insert_results(database)
    insert_jobs(database, version=1)
    insert_jobs(database, version=2)
    return database


def test_004_waits_for_or_refuses_beside_an_insert_that_is_older_than_the_view() -> None:
    database = known_at("003_add_status")
    client = database.client()
    slow = threading.Thread(
        target=lambda: client.query(
            "INSERT INTO dataset_results (job_id, model_name, dataset_name, accuracy,"
            " total_examples, correct_examples, evaluated_at, metadata)"
            " SELECT 'slow', 'm1', 'd', sleepEachRow(0.5), 8, 1,"
            " toDateTime64('2024-01-01 00:00:00', 3), '' FROM numbers(12)"
            " SETTINGS max_block_size = 1, max_threads = 1"
        )
    )
    slow.start()
    time.sleep(0.5)
    while True:
        try:
            move(database, TRENDS)
        except StatementFailed as refusal:
            assert "a long INSERT into dataset_results is running" in str(refusal)
        else:
            break
    slow.join()

    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


def test_004_counts_every_row_of_an_insert_that_spans_the_cut_over_moment() -> None:
    # A client that streams: every block of rows has its own created_at.
    database = known_at("003_add_status")
    client = database.client()
    began = threading.Event()

    def insert() -> None:
        began.wait()
        client.query(
            "INSERT INTO dataset_results (job_id, model_name, dataset_name, accuracy,"
            " total_examples, correct_examples, evaluated_at, metadata, created_at)"
            " SELECT 'slow', 'm1', 'd', 0.5, 8, 1, toDateTime64('2024-01-01 00:00:00', 3), '',"
            " toDateTime(intDiv(toInt64(generateSnowflakeID(number)), 4194304000) + sleepEachRow(0.5))"
            " FROM numbers(14) SETTINGS max_block_size = 1, max_threads = 1,"
            " min_insert_block_size_rows = 1, max_insert_threads = 1"
        )

    slow = threading.Thread(target=insert)
    slow.start()
    for statement in compile_(TRENDS, "upgrade"):
        send_again_where_it_refuses(database, statement)
        if "'exchanged', now64" in statement.sql:
            time.sleep(0.3)  # or it might be taken for one that began before
            began.set()
            time.sleep(0.3)
    slow.join()

    seconds = "SELECT uniqExact(created_at) > 4 FROM dataset_results WHERE job_id = 'slow'"
    assert database.value(seconds) == "1"
    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


@pytest.mark.usefixtures("mortal")
@pytest.mark.parametrize("direction", ["upgrade", MORE("downgrade")])
def test_004_killed_again_and_again_counts_every_row_once_while_a_writer_goes_on(
    direction: str,
) -> None:
    database = known_at("003_add_status" if direction == "upgrade" else TRENDS)
    with (
        ResultsWriter(database, seed=1, pause=0.05) as writer,
        Reader(database, "SELECT countMerge(eval_count) FROM model_performance_trends") as reader,
    ):
        move_and_die_again_and_again(database, TRENDS, direction)

    assert reader.errors == []
    assert min(reader.answers) >= 300
    assert [error for error in writer.errors if not is_refusal(error)] == []
    assert database.query(TRENDS_OF_BASE) == database.query(TRENDS_OF_VIEW)
    database.drop()


@pytest.mark.usefixtures("mortal")
@pytest.mark.parametrize("direction", ["upgrade", MORE("downgrade")])
def test_005_killed_again_and_again_keeps_every_jobs_last_version_while_a_writer_goes_on(
    direction: str,
) -> None:
    database = known_at(TRENDS if direction == "upgrade" else DEDUPLICATION)
    expected = {f"j{number}": 2 for number in range(60)}
    with JobsWriter(database, seed=1, pause=0.05) as writer:
        move_and_die_again_and_again(database, DEDUPLICATION, direction)

    assert [error for error in writer.errors if not is_refusal(error)] == []
    latest = database.query("SELECT job_id, total_examples FROM evaluation_jobs FINAL")
    assert expected | writer.last == {job: int(version) for job, version in latest}
    assert len(expected | writer.last) == len(latest)
    database.drop()


@pytest.mark.parametrize("attempt", [1, MORE(2)])
@pytest.mark.parametrize("pause", [0.0, MORE(0.2)])
def test_005_keeps_every_jobs_last_version_up_and_down_while_two_writers_insert(
    pause: float, attempt: int
) -> None:
    database = database_at("004")
    expected = {f"j{number}": 2 for number in range(60)}
    with (
        JobsWriter(database, seed=2 * attempt, pause=pause) as first,
        JobsWriter(database, seed=2 * attempt + 1, pause=pause) as second,
    ):
        for direction in ("upgrade", "downgrade", "upgrade"):
            database.run(DEDUPLICATION, direction)
            time.sleep(0.2)

    assert [e for e in first.errors + second.errors if not is_refusal(e)] == []
    expected |= first.last | second.last
    latest = database.query("SELECT job_id, total_examples FROM evaluation_jobs FINAL")
    assert expected == {job: int(version) for job, version in latest}
    assert len(expected) == len(latest)
    database.drop()


def test_005_answers_for_every_settled_job_all_the_time() -> None:
    database = database_at("004")
    count = "SELECT uniqExact(job_id) FROM evaluation_jobs WHERE job_id LIKE 'j%'"
    with Reader(database, count) as reader:
        for direction in ("upgrade", "downgrade"):
            database.run(DEDUPLICATION, direction)

    assert reader.errors == []
    assert {60} == set(reader.answers)
    database.drop()


def test_005_keeps_a_job_twice_on_disk_when_its_versions_start_in_different_months() -> None:
    database = database_at("004")
    database.query(
        "INSERT INTO evaluation_jobs (job_id, model_name, engine, job_start_time, total_examples)"
        " VALUES ('j0', 'm', 'vllm', '2025-05-05 00:00:00', 7)"
    )
    database.run(DEDUPLICATION)
    database.query("OPTIMIZE TABLE evaluation_jobs FINAL")

    disk = "SELECT total_examples FROM evaluation_jobs WHERE job_id = 'j0' ORDER BY 1"
    assert database.query(disk) == [["2"], ["7"]]
    assert database.query(disk.replace("evaluation_jobs", "evaluation_jobs FINAL")) == [["7"]]
    database.drop()


def test_005_keeps_the_latest_version_of_a_job_whose_old_key_changed() -> None:
    database = database_at("004")
    database.query(
        "INSERT INTO evaluation_jobs (job_id, model_name, engine, job_start_time, total_examples)"
        " VALUES ('j0', 'other', 'vllm', '2024-01-02 00:00:00', 7)"
    )
    assert database.query("SELECT count() FROM evaluation_jobs FINAL WHERE job_id = 'j0'")[0] == [
        "2"
    ]

    database.run(DEDUPLICATION)

    rows = [row for row in database.query(LATEST_JOBS) if row[0] == "j0"]
    assert [(row[0], row[2]) for row in rows] == [("j0", "other")]
    database.drop()
