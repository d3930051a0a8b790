"""What a SELECT reads beside the rows that the condition of a chunk is about."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.chunked import joins, joins_source, merges_partitions


@pytest.mark.parametrize(
    ("select", "anywhere", "beside"),
    [
        ("SELECT a, b FROM s WHERE {chunk}", False, False),
        ("SELECT a FROM s WHERE {chunk} GROUP BY a, b ORDER BY a, b", False, False),
        ("SELECT a FROM s ARRAY JOIN b AS x WHERE {chunk}", False, False),
        ("SELECT a FROM s LEFT ARRAY JOIN b AS x, c AS y WHERE {chunk}", False, False),
        ("SELECT a FROM s JOIN t USING a WHERE {chunk}", True, True),
        ("SELECT a FROM s ARRAY JOIN b JOIN t USING a WHERE {chunk}", True, True),
        ("SELECT a FROM s, t WHERE {chunk}", True, True),
        ("SELECT a FROM s AS x , t WHERE {chunk}", True, True),
        ("SELECT a FROM s WHERE {chunk} AND a IN (SELECT a FROM t JOIN u USING a)", True, False),
        ("SELECT a FROM s WHERE a IN (SELECT a FROM t, u) AND {chunk}", True, False),
        ("SELECT a FROM (SELECT a FROM s WHERE {chunk}) AS x JOIN t USING a", True, False),
        ("SELECT a FROM (SELECT a FROM s JOIN t USING a WHERE {chunk})", True, True),
        ("SELECT a FROM (SELECT a FROM s, t WHERE {chunk}) WHERE b", True, True),
        ("WITH (SELECT max(a) FROM t, u) AS m SELECT a, m FROM s WHERE {chunk}", True, False),
        ("SELECT a, (SELECT 1 FROM t) AS b, c FROM s WHERE {chunk}", False, False),
        ("SELECT f(a, b) FROM numbers(1, 2) WHERE {chunk}", False, False),
    ],
)
def test_several_tables_are_found_anywhere_and_beside_the_condition(
    select: str, anywhere: bool, beside: bool
) -> None:
    assert (joins(select), joins_source(select)) == (anywhere, beside)


@pytest.mark.parametrize(
    ("select", "merges"),
    [
        ("SELECT a FROM s WHERE {chunk}", False),
        ("SELECT a FROM s FINAL WHERE {chunk}", True),
        ("SELECT a FROM s AS x FINAL WHERE {chunk}", True),
        (
            "SELECT a FROM s FINAL WHERE {chunk} "
            "SETTINGS do_not_merge_across_partitions_select_final = 1",
            False,
        ),
    ],
)
def test_final_takes_a_row_of_one_partition_for_an_older_one_of_another(
    select: str, merges: bool
) -> None:
    assert merges_partitions(select) is merges
