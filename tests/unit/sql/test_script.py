"""Statements in a script: where they end, and that they mean the same."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.script import printable_sql, terminated


@pytest.mark.parametrize(
    ("statement", "end"),
    [
        ("SELECT 1", "SELECT 1;"),
        ("SELECT 1 -- one row", "SELECT 1 -- one row\n;"),
        ("SELECT 1 # one", "SELECT 1 # one\n;"),
        ("SELECT 'a' -- b\n, 2", "SELECT 'a' -- b\n, 2;"),
        ("INSERT INTO t FORMAT CSV\n1\n2", "INSERT INTO t FORMAT CSV\n1\n2\n"),
    ],
)
def test_a_statement_ends_where_its_last_line_lets_it(statement: str, end: str) -> None:
    assert terminated(statement) == end


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("SELECT 'é \U0001f468'", "SELECT 'é \U0001f468'"),
        ("SELECT 'a\u200db'", r"SELECT 'a\xe2\x80\x8db'"),
        ("SELECT 'a\u00adb'", r"SELECT 'a\xc2\xadb'"),
        ("SELECT '\x1b[2J'", r"SELECT '\x1b[2J'"),
        ("SELECT '\\\x1b'", r"SELECT '\x1b'"),
        ("SELECT '\\\u200d'", r"SELECT '\\\xe2\x80\x8d'"),
        ("SELECT '\\\\\x1b'", r"SELECT '\\\x1b'"),
        ("SELECT 1 AS `a\x07`", r"SELECT 1 AS `a\x07`"),
        ("SELECT 1 /* \u202e */", r"SELECT 1 /* \u202e */"),
        ("SELECT 'not closed \x1b", "SELECT 'not closed \x1b"),
        ("SELECT $$a\u200d$$", "SELECT $$a\u200d$$"),
        ("SELECT \u2018a\u200d\u2019", "SELECT \u2018a\u200d\u2019"),
        ("INSERT INTO t FORMAT CSV\n1\r\n2\u200d", "INSERT INTO t FORMAT CSV\n1\r\n2\u200d"),
    ],
)
def test_a_control_character_is_an_escape_of_its_bytes(written: str, shown: str) -> None:
    assert printable_sql(written) == shown
