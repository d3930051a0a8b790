"""A revision killed anywhere and run again from its first statement ends the same."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from .data import (
    LATEST_JOBS,
    TRENDS_OF_BASE,
    TRENDS_OF_VIEW,
    insert_jobs,
    insert_results,
    insert_results_of_the_future,
)
from .harness import REVISIONS, Database, compile_

pytestmark = pytest.mark.embedded


def prepared(revision: str, direction: str, *, future: bool = False) -> Database:
    """A database with rows, just before the revision goes in this direction."""
    database = Database()
    for earlier in REVISIONS[: REVISIONS.index(revision) + (direction == "downgrade")]:
        database.run(earlier)
        if earlier == "001_initial_schema":
            insert_results(database)
            if future:
                insert_results_of_the_future(database)
            insert_jobs(database, version=1)
            insert_jobs(database, version=2)
            insert_jobs(database, 5, version=3, age=181)
    return database


def outcome(database: Database) -> tuple[object, ...]:
    """Schema and rows."""
    schema = database.schema()
    if not schema:
        return (schema,)
    rows = [database.query(sql) for sql in (TRENDS_OF_VIEW, LATEST_JOBS)]
    assert database.query(TRENDS_OF_BASE) == rows[0]
    return (schema, *rows)


def stops(database: Database, revision: str, direction: str) -> list[tuple[int, bool]]:
    """Run to the end; where to kill: after every statement that was sent and changes anything.

    And within every copy (True), where that is the statement after the number.
    """
    places = [(0, False)]
    for number, statement in enumerate(compile_(revision, direction), start=1):
        sent = database.send(statement)
        verb = statement.sql.split()[0]
        if sent and verb == "INSERT":
            places.append((number - 1, True))
        if sent and verb != "SELECT":
            places.append((number, False))
    return places


def killed_and_run_again(
    revision: str, direction: str, stop: int, *, within: bool, future: bool
) -> tuple[object, ...]:
    database = prepared(revision, direction, future=future)
    statements = compile_(revision, direction)
    database.run(revision, direction, stop=stop)
    if within:
        # What a kill in the middle of INSERT SELECT leaves: some of its rows.
        database.send(statements[stop]._replace(sql=statements[stop].sql + " LIMIT 2"))
    database.run(revision, direction)
    result = outcome(database)
    database.run(revision, direction)
    assert result == outcome(database), "a third run changes something"
    database.drop()
    return result


def assert_a_kill_anywhere_changes_nothing(
    revision: str, direction: str, *, future: bool, threads: int
) -> None:
    database = prepared(revision, direction, future=future)
    places = stops(database, revision, direction)
    expected = outcome(database)
    database.drop()

    with ThreadPoolExecutor(threads) as pool:
        runs = {
            (stop, within): pool.submit(
                killed_and_run_again, revision, direction, stop, within=within, future=future
            )
            for stop, within in places
        }
    for place, run in runs.items():
        assert expected == run.result(), place


LONG = ("004_optimize_materialized_view", "downgrade")  # over a minute


@pytest.mark.parametrize(
    ("revision", "direction"),
    [
        pytest.param(*pair, marks=[pytest.mark.exhaustive] if pair == LONG else [])
        for pair in product(REVISIONS, ["upgrade", "downgrade"])
    ],
)
def test_killed_after_any_statement_and_run_again_it_ends_the_same(
    revision: str, direction: str
) -> None:
    assert_a_kill_anywhere_changes_nothing(revision, direction, future=False, threads=2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_the_waiting_way_of_004_killed_after_any_statement_ends_the_same(direction: str) -> None:
    # Rows from the future look like a writer.
    assert_a_kill_anywhere_changes_nothing(
        "004_optimize_materialized_view", direction, future=True, threads=8
    )


def test_the_script_without_guards_gives_the_same_rows_as_the_guarded_run() -> None:
    results = []
    for guards in (True, False):
        database = prepared("004_optimize_materialized_view", "upgrade")
        for revision in REVISIONS[3:]:
            database.run(revision, guards=guards)
        results.append(outcome(database))
        for revision in reversed(REVISIONS[3:]):
            database.run(revision, "downgrade", guards=guards)
        results.append(outcome(database))
        database.drop()
    assert results[:2] == results[2:]


def test_005_never_drops_the_old_rows_when_its_script_is_run_twice_after_a_failure() -> None:
    revision = "005_fix_evaluation_jobs_deduplication"
    database = prepared(revision, "upgrade")
    expected = database.query(LATEST_JOBS)
    statements = compile_(revision, "upgrade")
    renamed = next(i for i, s in enumerate(statements, 1) if s.sql.startswith("RENAME"))
    database.run(revision, stop=renamed, guards=False)

    with pytest.raises(RuntimeError, match="Code: 57"):
        database.run(revision, guards=False)

    database.query("DROP TABLE evaluation_jobs_by_job")
    database.run(revision)
    assert expected == database.query(LATEST_JOBS)
    database.drop()
