"""What a statement changes for its connection alone: carried on, or refused."""

from __future__ import annotations

import pytest

from budeval_migrations.errors import RevisionCompileError
from budeval_migrations.sql.session_settings import carried


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SET max_threads = 1, x='a''b'", {"max_threads": "1", "x": "a'b"}),
        ("-- why\nset max_threads = DEFAULT", {"max_threads": None}),
        ("SET use_query_cache", {"use_query_cache": "1"}),
        ("SET TIME ZONE 'Europe/Berlin'", {"session_timezone": "Europe/Berlin"}),
        ("SET DEFAULT ROLE r TO u", {}),
        ("CREATE TABLE use (a Int8) ENGINE = Log", {}),
        ("CREATE TABLE temporary (`TEMPORARY` Int8) ENGINE = Log", {}),
        ("DROP TEMPORARY TABLE IF EXISTS t", {}),
        ("SELECT 1 SETTINGS max_threads = 1", {}),
    ],
)
def test_a_set_says_what_the_statements_after_it_are_sent_with(
    text: str, values: dict[str, str | None]
) -> None:
    assert carried(text) == values


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("USE other", "USE holds for one connection alone", "Write the database before the name"),
        ("/* */ use `o`", "USE holds for one connection alone", "as in other.table"),
        ("SET ROLE admin, b", "SET ROLE holds for one", "Connect as a user who has admin, b as"),
        (
            "CREATE TEMPORARY TABLE t (a Int8)",
            "A temporary table holds for one connection alone",
            "Create an ordinary table, and drop it in a later statement",
        ),
        ("create or replace temporary table temporary (a Int8)", "A temporary table", "ordinary"),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", "A temporary table holds", "ordinary"),
        (
            "CREATE TABLE a (a Int8) ENGINE = Log PARALLEL WITH CREATE TEMPORARY TABLE t (a Int8)",
            "A temporary table holds",
            "ordinary",
        ),
        ("BEGIN TRANSACTION", "A transaction holds for one", "Write its statements without it"),
        ("RESTORE TABLE t FROM Disk('a', 'b') ASYNC", "With async the server answers", "Leave it"),
        (
            "BACKUP TABLE t TO Disk('a', 'b') SETTINGS async = 1",
            "With async the server",
            "Leave it",
        ),
        ("SET database = 'other'", "With database the statement is about another", "Leave it"),
        ("SET profile = 'x'", "With profile what the settings of the profile do to it", "Leave it"),
        ("DROP TABLE t SETTINGS profile = 'x'", "With profile what the settings", "Leave it"),
        ("SET dialect = 'prql'", "With dialect the statements are not SQL", "Leave it"),
        ("INSERT INTO t SETTINGS database = 'o' VALUES (1)", "With database the", "Leave it"),
        ("INSERT INTO t SELECT 5 SETTINGS max_threads = 1, database = 'o'", "With database", "L"),
        ("CREATE TABLE t AS (SELECT 1 SETTINGS run_query_in_background = 1)", "With run_", "L"),
        ("DROP TABLE t SETTINGS \"data\\x62ase\" = 'o'", "With database the statement", "Leave"),
        ("SET readonly = 1", "With readonly the server refuses the statements after it", "Leave"),
        ("SET allow_ddl = 0", "With allow_ddl the server refuses the statements", "Leave it"),
        ("SET run_query_in_background = 1", "With run_query_in_background the server", "Leave it"),
        (
            "ALTER TABLE t UPDATE a = 1 WHERE 1 SETTINGS run_query_in_background = 1",
            "With run_query_in_background the server",
            "Leave it",
        ),
        ("SET wait_for_async_insert = 0", "With wait_for_async_insert the server", "Leave it out"),
        (
            "INSERT INTO t SETTINGS async_insert = 1, `wait_for_async_insert` = 0 VALUES (1)",
            "With wait_for_async_insert the server answers before it is done",
            "nobody would know",
        ),
        (
            "BACKUP TABLE t TO File('x') SETTINGS \"asy\\x6ec\" = 1",
            "With async the server",
            "Leave",
        ),
        (
            "SET wait_for_async_insert = 'False'",
            "With wait_for_async_insert the server",
            "Leave it",
        ),
        ("SET wait_for_async_insert = 0.0", "With wait_for_async_insert the server", "Leave it"),
        (
            'INSERT INTO t SETTINGS "wait_for_async\\x5finsert" = 0 VALUES (1)',
            "With wait_for_async_insert the server answers before it is done",
            "nobody would know",
        ),
        (
            "SET ignore_drop_queries_probability = 1",
            "says that it dropped what it did not",
            "Leave",
        ),
        (
            "DROP TABLE t SETTINGS ignore_drop_queries_probability = 1",
            "With ignore_drop_queries_probability the server says",
            "Leave it out",
        ),
        ("EXECUTE AS bob", "EXECUTE AS hides what", "Connect as that user"),
        ("EXECUTE AS bob DROP TABLE t", "EXECUTE AS hides what", "Connect as that user"),
        ("ROLLBACK", "A transaction holds for one", "each of them is recorded by itself"),
        ("SET TRANSACTION SNAPSHOT 3", "What this SET says cannot be read", "SET name = value"),
        ("SET disk = disk(type = 'local')", "What this SET says cannot be read", "with a literal"),
        (
            "SET max_threads = 1 PARALLEL WITH DROP TABLE a",
            "SET and USE cannot be a part of PARALLEL WITH",
            "as a statement before it",
        ),
    ],
)
def test_what_cannot_be_carried_on_is_refused_with_the_way_to_write_it(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(RevisionCompileError) as caught:
        carried(text)
    assert message in caught.value.message
    assert hint in caught.value.hint
