"""A revision killed anywhere and run again goes on where it was, and ends the same."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import pytest

from tests.support.waiting import again_while

from .data import (
    LATEST_JOBS,
    TRENDS_OF_BASE,
    TRENDS_OF_VIEW,
    insert_jobs,
    insert_results,
    insert_results_of_the_future,
)
from .harness import REVISIONS, Database, compile_
from .tool import (
    done,
    is_refusal,
    killed_after,
    mortal,  # noqa: F401
    move,
    move_and_die_again_and_again,
    relations,
)

pytestmark = [pytest.mark.embedded, pytest.mark.usefixtures("mortal")]


def insert_everything(database: Database) -> None:
    insert_results(database)
    insert_results_of_the_future(database)
    insert_jobs(database, version=1)
    insert_jobs(database, version=2)
    insert_jobs(database, 5, version=3, age=181)


def move_on(database: Database, revision: str, direction: str = "upgrade") -> int:
    """Move, and again while the INSERTs of other threads, into tables of the same names, forbid it."""
    return again_while(is_refusal, partial(move, database, revision, direction))


def prepared(revision: str, direction: str) -> Database:
    """A database with rows, just before the revision goes in this direction."""
    database = Database()
    at = REVISIONS.index(revision) + (direction == "downgrade")
    if at:
        move(database, REVISIONS[0])
        insert_everything(database)
        move_on(database, REVISIONS[at - 1])
    return database


def outcome(database: Database) -> tuple[object, ...]:
    """Schema and rows."""
    schema = relations(database)
    if not schema:
        return (schema,)
    rows = [database.query(sql) for sql in (TRENDS_OF_VIEW, LATEST_JOBS)]
    assert database.query(TRENDS_OF_BASE) == rows[0]
    return (schema, *rows)


WAYS = list(product(REVISIONS, ["upgrade", "downgrade"]))
# With a writer beside them, two others are in test_writers.
SOME = [(REVISIONS[3], "downgrade"), (REVISIONS[4], "upgrade")]


@pytest.mark.parametrize(
    ("revision", "direction"),
    [pytest.param(*way, marks=[] if way in SOME else pytest.mark.exhaustive) for way in WAYS],
)
def test_killed_again_and_again_and_run_again_it_ends_the_same(
    revision: str, direction: str
) -> None:
    whole, killed = prepared(revision, direction), prepared(revision, direction)
    move(whole, revision, direction)

    runs = move_and_die_again_and_again(killed, revision, direction)

    assert outcome(whole) == outcome(killed)
    assert runs > 1
    whole.drop()
    killed.drop()


def killed_once(revision: str, direction: str, statements: int) -> tuple[object, ...]:
    database = prepared(revision, direction)
    with killed_after(statements):
        move_on(database, revision, direction)
    if not done(database, revision, direction):
        move_on(database, revision, direction)
    result = outcome(database)
    database.drop()
    return result


@pytest.mark.exhaustive
@pytest.mark.parametrize(("revision", "direction"), WAYS)
def test_killed_anywhere_and_run_again_it_ends_the_same(revision: str, direction: str) -> None:
    database = prepared(revision, direction)
    statements = move(database, revision, direction)
    expected = outcome(database)
    database.drop()

    with ThreadPoolExecutor(8) as pool:
        runs = {n: pool.submit(killed_once, revision, direction, n) for n in range(1, statements)}
    for place, run in runs.items():
        assert expected == run.result(), place


def test_the_script_without_guards_gives_the_same_rows_as_the_guarded_run() -> None:
    results = []
    for guards in (True, False):
        database = Database()
        database.upgrade("003")
        insert_everything(database)
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
    database = Database()
    database.upgrade("004")
    insert_everything(database)
    expected = database.query(LATEST_JOBS)
    for statement in compile_(revision, "upgrade"):
        database.send(statement, guards=False)
        if statement.sql.startswith("RENAME"):
            break

    with pytest.raises(RuntimeError, match="Code: 57"):
        database.run(revision, guards=False)

    database.query("DROP TABLE evaluation_jobs_by_job")
    database.run(revision)
    assert expected == database.query(LATEST_JOBS)
    database.drop()
