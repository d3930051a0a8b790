"""What we read in a statement against what ClickHouse's own parser reads in it (26.9)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.connection import read_settings
from budeval_migrations.sql.parallel import parts
from tests.engines.test_parser_agreement import STATEMENTS, statements
from tests.support.parser_judge import Judge

pytestmark = pytest.mark.embedded
law = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# Queries in which ``parallel`` is a name or an alias, and perhaps no part of PARALLEL WITH.
NAMED = (
    "SELECT count() FROM t GROUP BY parallel WITH TOTALS",
    "SELECT count() FROM t GROUP BY parallel WITH ROLLUP",
    "SELECT count() FROM t GROUP BY parallel WITH CUBE",
    "SELECT a FROM t ORDER BY parallel WITH FILL",
    "SELECT a FROM t ORDER BY a LIMIT parallel WITH TIES",
    "SELECT 1 AS parallel",
    "SELECT a AS parallel FROM parallel",
    "OPTIMIZE TABLE parallel",
    "DROP TABLE parallel",
    "CREATE VIEW parallel AS WITH 1 AS parallel SELECT parallel",
)
single = st.sampled_from(NAMED) | statements()
JOINS = (" PARALLEL WITH ", "\nparallel with\n", " Parallel /* x */ -- y\n With ")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


def joined(judge: Judge, texts: list[str]) -> list[int | None]:
    """How many statements ClickHouse joins in each; None where its parser refuses the text."""
    counts: list[int | None] = []
    for formatted, tree in zip(judge.formats(texts), judge.jsons(texts), strict=True):
        # The tree of a joined statement has no JSON, and the error says how many there are.
        found = re.search(r"ParallelWithQuery_(\d+)_", tree.error or "")
        count = int(found[1]) if found else 1
        counts.append(count if formatted.accepted else None)
    return counts


def read(text: str) -> int | None:
    """How many statements we read in it; None where it has rows inline, and joins nothing."""
    said = classify(text)
    if said.inline_data:
        return None
    return len(parts(text)) if said.kind is Kind.PARALLEL else 1


def test_any_two_forms_are_joined_where_clickhouse_joins_them(judge: Judge) -> None:
    forms = [*NAMED, *(form.format("'a'", "'b'", "`c`") for form in STATEMENTS)]
    texts = [f"{a} PARALLEL WITH {b}" for a in forms for b in forms]
    known = [
        (text, count) for text, count in zip(texts, joined(judge, texts), strict=True) if count
    ]
    assert [(text, count) for text, count in known if read(text) not in (None, count)] == []
    assert sum(count > 1 for _, count in known) > 600


@law
@given(st.lists(single, min_size=1, max_size=3), st.sampled_from(JOINS))
def test_it_is_found_in_any_spelling(judge: Judge, put_in: list[str], join: str) -> None:
    text = join.join(put_in)
    [count] = joined(judge, [text])
    assert count is None or read(text) in (None, count), text


WORDS = ("a", "max_threads", "`a`", '"b c"', "a.b", "profile", "param_x", "TIME ZONE")
VALUES = (
    *("1", "-1", "+1", "0x10", "-0x1F", "1_000", "1.5e3", "-2.5", ".5", "true", "FALSE", "DEFAULT"),
    *("'x'", "'x''y'", "'a\\\\n\\tb'", "''", "$$x'y$$", "$t$a$t$", "x'4142'", "b'01000001'"),
    *("\u2018x\u2019", "{'a': 'b', 'c': 'd'}", "{}", "inf", "-inf", "nan", "NULL", "b", "f(1)"),
    *("disk(type = 'local')", "[1]", "(1, 2)", "'a' 'b'", "1 2", ""),
)


def said_by_clickhouse(tree: dict[str, Any]) -> dict[str, object]:
    """The values in the tree of a SET, as text; None for DEFAULT."""
    found: dict[str, object] = dict.fromkeys(tree.get("default_settings", ()))
    for change in tree.get("changes", ()):
        value = change["value"]
        found[change["name"]] = value["value"] if value["field_type"] != "Map" else value
    for parameter in tree.get("query_parameters", ()):
        found["param_" + parameter["name"]] = parameter["value"]
    return found


def same(ours: str | None, theirs: object) -> bool:
    """Whether two values are one."""
    if theirs is None or ours is None:
        return ours is theirs
    if isinstance(theirs, dict):
        return ours.startswith("{")
    if isinstance(theirs, bool):
        return ours == str(int(theirs))
    with suppress(ValueError):
        return float(ours) == float(str(theirs)) or ours == "nan"
    return ours.replace(" ", "") == str(theirs).replace(" ", "")


def test_what_a_set_says_is_read_as_clickhouse_reads_it(judge: Judge) -> None:
    one = [f"SET {word}{eq}{v}" for word in WORDS for eq in (" = ", "==", " ") for v in VALUES]
    two = [f"set {a} = {v}, {b} = 2" for a, b in pairwise(WORDS[:7]) for v in VALUES]
    read = 0
    for text, verdict in zip([*one, *two], judge.jsons([*one, *two]), strict=True):
        if not verdict.accepted:
            continue
        theirs = said_by_clickhouse(verdict.result)
        ours = read_settings(text)
        if ours is None:
            assert any(odd in text for odd in ("disk(", "NULL")), text
            continue
        assert ours.keys() == theirs.keys(), text
        assert all(same(ours[name], theirs[name]) for name in ours), (text, ours, theirs)
        read += 1
    assert read > 250
