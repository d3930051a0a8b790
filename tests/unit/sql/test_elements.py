"""The elements of a table, from the definition that the server writes."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.elements import elements


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        (
            "CREATE TABLE d.t (`a b` Int8 DEFAULT (1 + 2) COMMENT 'x, (y', `n.x` Array(Int8), "
            "`e` Enum8('a,' = 1, 'b' = 2) CODEC(Delta(1), ZSTD(3)), INDEX i e TYPE set(100) "
            "GRANULARITY 1, PROJECTION p (SELECT `a b`, e ORDER BY e), CONSTRAINT c CHECK e > 0) "
            "ENGINE = MergeTree ORDER BY (`a b`, e) SETTINGS index_granularity = 100",
            {"column a b", "column n.x", "column e", "index i", "projection p", "constraint c"},
        ),
        (
            "CREATE TABLE d.t ( a Int8,  index Int8,  projection String,  constraint Date) "
            "ENGINE = Log",
            {"column a", "column index", "column projection", "column constraint"},
        ),
        (
            "CREATE TABLE d.t (`a` Int8, PROJECTION p INDEX a TYPE basic) ENGINE = MergeTree "
            "ORDER BY a",
            {"column a", "projection p"},
        ),
        ("CREATE MATERIALIZED VIEW d.v TO d.t (`b` UInt8) AS SELECT (1, 2) AS b", {"column b"}),
        ("CREATE TABLE d.t (`a` Int8) ENGINE = Memory", {"column a"}),
        ("ATTACH DATABASE d ENGINE = Atomic", set()),
        ("", set()),
    ],
)
def test_they_are_named(definition: str, found: set[str]) -> None:
    assert elements(definition) == found
