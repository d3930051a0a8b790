"""What the ledger keeps of a downgrade, and what comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.errors import LedgerError, MissingRevision
from budeval_migrations.model import Backfill, CompiledRevision, Direction, Reach, Statement
from budeval_migrations.sql import quote
from budeval_migrations.state.stored_statements import parse_downgrade, stored_statements

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
BACKFILLS = st.builds(
    Backfill,
    into=TEXT,
    select=TEXT,
    source=TEXT,
    by=TEXT,
    chunk_rows=st.integers(1, 10**9),
    columns=st.lists(TEXT, max_size=3).map(tuple),
    pause=st.floats(0, 10),
)
STATEMENTS = st.builds(
    Statement,
    text=TEXT.map(lambda text: f"SELECT {quote.string(text)}"),
    file=st.just("v/001_a.py"),
    line=st.just(7),
    unless=st.none() | TEXT,
    backfill=st.none() | BACKFILLS,
    reach=st.sampled_from(Reach),
)


def compiled(*statements: Statement, dynamic: bool = False) -> CompiledRevision:
    return CompiledRevision("001_a", Direction.DOWN, "v/001_a.py", statements, dynamic)


@given(st.lists(STATEMENTS, max_size=4))
def test_the_same_statements_come_back(statements: list[Statement]) -> None:
    found = parse_downgrade("001_a", stored_statements(compiled(*statements), lambda text: text))
    assert [s.parts() for s in found.statements] == [s.parts() for s in statements]
    assert [s.backfill for s in found.statements] == [s.backfill for s in statements]
    assert (found.revision, found.direction, found.file) == ("001_a", Direction.DOWN, "")


BACKFILL = Backfill("into", "SELECT 'hunter2' WHERE {chunk}", "source", "k", 10)


@pytest.mark.parametrize(
    "statement",
    [
        Statement("SELECT 'hunter2'"),
        Statement("SELECT 1", unless="SELECT 'hunter2'"),
        Statement("INSERT INTO into SELECT 1", backfill=BACKFILL),
    ],
)
def test_what_held_a_secret_is_kept_without_it_and_not_run(statement: Statement) -> None:
    text = stored_statements(
        compiled(Statement("SELECT 1"), statement), lambda text: text.replace("hunter2", "***")
    )
    assert "***" in text and "hunter2" not in text
    with pytest.raises(MissingRevision, match="statement 2 of its downgrade held a secret"):
        parse_downgrade("001_a", text)


@pytest.mark.parametrize("downgrade", [None, compiled(dynamic=True)])
def test_what_is_not_known_beforehand_is_not_kept(downgrade: CompiledRevision | None) -> None:
    assert stored_statements(downgrade, str) == ""
    with pytest.raises(MissingRevision, match="the ledger keeps no downgrade of it"):
        parse_downgrade("001_a", "")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "7",
        "[1]",
        '{"sql": "x"}',
        '[{"sq": "x"}]',
        '[{"sql": "x", "reach": "?"}]',
        '[{"sql": "x", "backfill": {"into": "t"}}]',
    ],
)
def test_a_text_that_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(LedgerError, match="keeps of 001_a cannot be read"):
        parse_downgrade("001_a", text)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [("'x", "the single-quoted string is not closed"), ("USE other", "USE holds for one")],
)
def test_a_statement_that_this_version_refuses_is_told_with_its_revision(
    sql: str, reason: str
) -> None:
    text = stored_statements(compiled(Statement(sql)), str)
    with pytest.raises(MissingRevision, match=f"keeps of it cannot be run.*{reason}") as refused:
        parse_downgrade("001_a", text)
    assert refused.value.details["revision"] == "001_a"
