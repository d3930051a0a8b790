"""What a SELECT reads beside the rows that the condition of a chunk is about."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.chunked import (
    joins,
    joins_source,
    merges_partitions,
    not_by_chunks,
    varying,
)


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


@pytest.mark.parametrize(
    ("select", "why"),
    [
        ("SELECT a FROM s WHERE {chunk}", ""),
        ("SELECT a FROM s WHERE b AND {chunk}", ""),
        ("SELECT a FROM s WHERE {chunk} AND (b OR c)", ""),
        ("SELECT a FROM s WHERE (b OR c) AND {chunk} AND d", ""),
        ("SELECT a, sum(b) FROM s WHERE {chunk} GROUP BY a HAVING sum(b) > 1 ORDER BY a", ""),
        ("SELECT a FROM (SELECT a FROM s WHERE {chunk}) WHERE b OR c", ""),
        ("SELECT a FROM s WHERE a IN (SELECT DISTINCT a FROM u LIMIT 5) AND {chunk}", ""),
        ("SELECT a FROM s PREWHERE {chunk}", ""),
        ("SELECT a FROM s WHERE b OR c AND {chunk}", "OR beside {chunk} lets"),
        ("SELECT a FROM s WHERE {chunk} OR b", "OR beside {chunk} lets"),
        ("SELECT a FROM s WHERE {chunk} XOR b", "XOR beside {chunk} lets"),
        ("SELECT a FROM s WHERE NOT {chunk}", "must stand behind WHERE or AND"),
        ("SELECT {chunk} FROM s", "must stand behind WHERE or AND"),
        ("SELECT a FROM s GROUP BY a HAVING {chunk}", "must stand behind WHERE or AND"),
        ("SELECT a FROM s WHERE {chunk} LIMIT 5", "LIMIT would hold for each chunk"),
        ("SELECT a FROM s WHERE {chunk} LIMIT 1 BY b", "LIMIT would hold for each chunk"),
        ("SELECT DISTINCT a FROM s WHERE {chunk}", "DISTINCT would hold for each chunk"),
        ("SELECT a FROM s WHERE {chunk} UNION ALL SELECT 1", "UNION would hold for each chunk"),
        ("SELECT row_number() OVER (ORDER BY a) FROM s WHERE {chunk}", "OVER would hold for"),
        ("SELECT a FROM s WHERE {chunk} QUALIFY row_number() OVER w = 1", "QUALIFY would hold"),
        ("SELECT a FROM s WHERE {chunk} ORDER BY a WITH FILL FROM 0 TO 9", "FILL would hold for"),
        ("SELECT a FROM s FINAL PREWHERE {chunk}", "in PREWHERE is asked before FINAL"),
    ],
)
def test_what_says_something_else_of_a_chunk_than_of_all_rows_is_named(
    select: str, why: str
) -> None:
    assert why in not_by_chunks(select) and bool(why) is bool(not_by_chunks(select))


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ("id", ""),
        ("now", ""),
        ("rand + 1", ""),
        ("intDiv(id, 1000)", ""),
        ("toYYYYMM(created_at)", ""),
        ("rand()", "rand"),
        ("id % Rand32 (id)", "Rand32"),
        ("cityHash64(generateUUIDv4())", "generateUUIDv4"),
        ("arrayJoin(tags)", "arrayJoin"),
        ("dateDiff('day', created_at, `today`())", "today"),
        ("runningDifference(id)", "runningDifference"),
    ],
)
def test_a_function_that_may_put_a_row_into_another_chunk_is_named(by: str, name: str) -> None:
    assert varying(by) == name
