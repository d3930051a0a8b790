"""A condition that is put into a SELECT holds for each row, whatever the SELECT ends with."""

from __future__ import annotations

import pytest

from budeval_migrations.recipes.selects import with_condition


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t", "SELECT a FROM t\nWHERE c"),
        ("SELECT a FROM t -- all", "SELECT a FROM t -- all\nWHERE c"),
        ("SELECT a FROM t WHERE b OR d", "SELECT a FROM t\nWHERE c AND (b OR d)"),
        ("SELECT a FROM t WHERE b -- why", "SELECT a FROM t\nWHERE c AND (b)"),
        ("SELECT a FROM t WHERE b # why\n", "SELECT a FROM t\nWHERE c AND (b)"),
        ("SELECT a FROM t WHERE b /* ( */", "SELECT a FROM t\nWHERE c AND (b)"),
        (
            "SELECT a FROM t WHERE b -- why\n  OR d -- and why\nGROUP BY a -- last",
            "SELECT a FROM t\nWHERE c AND (b -- why\n  OR d)\nGROUP BY a -- last",
        ),
        ("SELECT a FROM t WHERE b = '--'", "SELECT a FROM t\nWHERE c AND (b = '--')"),
    ],
)
def test_a_condition_is_put_beside_the_one_that_is_there(query: str, expected: str) -> None:
    assert with_condition(query, "c") == expected
