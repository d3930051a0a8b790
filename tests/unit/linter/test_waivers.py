"""Comments that allow a finding: what they say, and what they cover."""

from __future__ import annotations

from textwrap import dedent

import pytest

from budeval_migrations.linter.known import Tables
from budeval_migrations.linter.subject import read_statements
from budeval_migrations.linter.waivers import (
    read_comment,
    read_python_waivers,
    read_sql_waivers,
    upgrade_line,
)
from budeval_migrations.model import CompiledRevision, Direction, Statement
from budeval_migrations.sql.splitter import split


@pytest.mark.parametrize(
    ("comment", "codes", "reason"),
    [
        ("# lint: allow BM003: because it is small", ("BM003",), "because it is small"),
        ("-- lint: allow BM003: it is: small", ("BM003",), "it is: small"),
        ("/* lint: allow bm003, BM004: small */", ("BM003", "BM004"), "small"),
        ("#lint:allow BM003:x", ("BM003",), "x"),
        ("# lint: allow BM003", ("BM003",), ""),
        ("# lint: allow BM003:", ("BM003",), ""),
        ("# lint: allow BM003: because …", ("BM003",), ""),
        ("# lint: allow: because it is small", (), "because it is small"),
        ("# lint: allow BM03: because it is small", ("BM03",), "because it is small"),
    ],
)
def test_a_comment_says_what_it_allows_and_why(
    comment: str, codes: tuple[str, ...], reason: str
) -> None:
    waiver = read_comment("f.py", 3, comment)

    assert waiver is not None
    assert (waiver.place, waiver.codes, waiver.reason) == (("f.py", 3), codes, reason)


@pytest.mark.parametrize(
    "comment", ["# lint", "-- we lint: allow nothing", "# lint: allowed BM003: x", "# noqa: BM003"]
)
def test_other_comments_say_nothing(comment: str) -> None:
    assert read_comment("f.py", 1, comment) is None


SOURCE = dedent(
    '''\
    """Docstring: # lint: allow BM001: a text is no comment"""
    # lint: allow BM001: the whole file
    EXCHANGE = "EXCHANGE TABLES a AND b"  # lint: allow BM002: the line


    # lint: allow BM003: the whole file, above upgrade
    def upgrade() -> None:
        # lint: allow BM004: the call below
        # and a word more
        op.execute("""
            DROP TABLE a
        """)
        op.execute("DROP TABLE b")  # lint: allow BM005: this line
        op.execute(
            # lint: allow BM006: the call around it
            "DROP TABLE c"
        )
        # lint: allow BM007: the loop below
        for name in "ab":
            op.execute(f"DROP TABLE {name}")

        # lint: allow BM008: nothing, for there is a blank line

        op.execute("DROP TABLE d")


    # lint: allow BM009: the function below
    def downgrade() -> None:
        pass
    '''
)


def test_comments_in_python_cover_a_statement_or_the_file() -> None:
    found = {w.codes[0]: w.lines for w in read_python_waivers("f.py", SOURCE)}

    assert found == {
        "BM001": None,
        "BM002": (3, 3),
        "BM003": None,
        "BM004": (10, 12),
        "BM005": (13, 13),
        "BM006": (14, 17),
        "BM007": (19, 20),
        "BM008": (22, 22),
        "BM009": (28, 29),
    }


def test_a_form_feed_and_windows_line_endings_move_no_line() -> None:
    source = SOURCE.replace("the whole file\n", "the whole \x0c file\n", 1).replace("\n", "\r\n")
    found = {w.codes[0]: w.lines for w in read_python_waivers("f.py", source)}

    assert (found["BM004"], found["BM007"]) == ((10, 12), (19, 20))


def test_the_line_of_upgrade_is_found() -> None:
    assert upgrade_line(SOURCE) == 7
    assert upgrade_line("x = 1") is None


SCRIPT = """\
-- lint: allow BM001: above the first
SELECT 1; -- lint: allow BM002: behind the first
/* lint: allow BM003: above the second */
SELECT '-- lint: allow BM004: a text',
    2 -- lint: allow BM005: in the second
;
# lint: allow BM006: above the third
INSERT INTO t FORMAT CSV
-- lint: allow BM007: rows
"""


def test_comments_in_sql_cover_the_statement_that_they_are_at() -> None:
    statements = tuple(Statement(piece.text, "f.sql", piece.line) for piece in split(SCRIPT))
    compiled = CompiledRevision("001", Direction.UP, "f.py", statements)
    said, _ = read_statements(compiled, Tables())

    found = {w.codes[0]: (s.number, w.line) for s, w in read_sql_waivers(said)}

    assert found == {
        "BM001": (1, 1),
        "BM002": (1, 2),
        "BM003": (2, 3),
        "BM005": (2, 5),
        "BM006": (3, 7),
    }
