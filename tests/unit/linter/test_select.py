"""The names that a SELECT yields for certain."""

from __future__ import annotations

import pytest

from budeval_migrations.linter.select import certain_names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT a, b AS c, f(x, y) AS d FROM t", ["a", "c", "d"]),
        ('SELECT `a b`, f(x) AS "c d"', ["a b", "c d"]),
        ("SELECT DISTINCT a, t.b, f(x), *, x + 1, (y AS z), NULL FROM t", ["a"]),
        (
            "WITH (SELECT 1 AS q) AS one SELECT one AS two, (SELECT 3 AS r) AS s FROM t",
            ["two", "s"],
        ),
        ("(SELECT a) UNION ALL (SELECT b)", ["a"]),
        ("SELECT a FROM t UNION ALL SELECT b FROM u", ["a"]),
        ("SELECT DISTINCT ON (a) b FROM t", []),
        ("FROM t SELECT a", []),
        ("SELECT a -- , b\n, 'AS x' AS c FROM t", ["a", "c"]),
        ("", []),
    ],
)
def test_what_is_certain_is_named(query: str, names: list[str]) -> None:
    assert certain_names(query) == names
