"""What is read out of a CREATE statement, beside what ClickHouse's own catalogue says."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.definition import read_definition
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

pytestmark = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)

# As a person may write it; the catalogue has the same in its own words.
TABLE = """
create table everything (
    id UInt64, `order by` LowCardinality(Nullable(String)) default 'a, b) ENGINE = x' comment 'it''s; COMMENT',
    comment UInt8 default id comment 'c', ttl DateTime default now() codec(DoubleDelta, ZSTD(3)),
    alias UInt8 alias comment + 1, m String materialized concat('x', toString(id)) codec(NONE),
    e UInt8 ephemeral 3, n Nested(a UInt8, b Array(Tuple(x UInt8, y String))), `dot.ted` Array(UInt8) default [1, 2],
    `"quoted\\`` Map(String, Decimal(9, 3)), gone Date default toDate(0) TTL gone + interval 1 day,
    s Date statistics(minmax), w UInt32 settings (max_compress_block_size = 1000),
    index ix1 (lower(m), id) type bloom_filter(0.01) granularity 3, index ix2 comment type set(100),
    projection p1 (select comment, sum(id) group by comment), projection p2 (select id, comment order by comment),
    constraint c1 check id < 1000 and comment != 7, constraint c2 assume length(m) > 0
)
engine = MergeTree() partition by (toYYYYMM(ttl), id % 8) primary key id order by (id, comment)
sample by id ttl ttl + interval 1 month delete where comment = 1, ttl + interval 2 month
settings index_granularity = 1024, min_bytes_for_wide_part = 0, merge_with_ttl_timeout = 3600 comment 'TTL x'
"""


def catalogued(workspace: Workspace, sql: str) -> list[tuple[str, ...]]:
    return [tuple(str(v) for v in row) for row in workspace.rows(sql)]


@pytest.mark.parametrize("printed", [False, True], ids=["as it was written", "as it is printed"])
def test_columns_keys_and_elements_are_those_of_the_catalogue(
    workspace: Workspace, printed: bool
) -> None:
    workspace.prepare(TABLE)
    text = TABLE
    if printed:
        [[text]] = workspace.rows(
            "SELECT create_table_query FROM system.tables WHERE name = 'everything' "
            "AND database = currentDatabase()"
        )
    found = read_definition(str(text))
    assert found is not None
    where = "WHERE database = currentDatabase() AND table = 'everything'"
    columns = catalogued(
        workspace,
        f"SELECT name, default_kind, comment FROM system.columns {where} ORDER BY position",
    )
    # The catalogue has each column of Nested by itself.
    plain = [row for row in columns if not row[0].startswith("n.")]
    assert [(c.name, c.default_kind) for c in found.columns if not c.name.startswith("n")] == [
        row[:2] for row in plain
    ]
    assert {c.name for c in found.columns if c.parts.get("COMMENT")} == {
        name for name, _, comment in columns if comment
    }
    assert list(found.indices) == [
        name
        for (name,) in catalogued(
            workspace, f"SELECT name FROM system.data_skipping_indices {where}"
        )
    ]
    assert list(found.projections) == [
        name for (name,) in catalogued(workspace, f"SELECT name FROM system.projections {where}")
    ]
    assert list(found.constraints) == ["c1", "c2"]
    assert found.engine == "MergeTree"
    assert set(found.clauses) == {
        "ENGINE",
        "PARTITION BY",
        "PRIMARY KEY",
        "ORDER BY",
        "SAMPLE BY",
        "TTL",
        "SETTINGS",
        "COMMENT",
    }
    assert found.settings == {
        "index_granularity": "1024",
        "min_bytes_for_wide_part": "0",
        "merge_with_ttl_timeout": "3600",
    }


def test_each_part_as_it_is_printed_is_what_the_catalogue_has(workspace: Workspace) -> None:
    workspace.prepare(TABLE)
    [[text]] = workspace.rows(
        "SELECT create_table_query FROM system.tables WHERE name = 'everything' "
        "AND database = currentDatabase()"
    )
    found = read_definition(str(text))
    assert found is not None
    where = "WHERE database = currentDatabase() AND table = 'everything'"
    for name, type_, kind, expression, codec in catalogued(
        workspace,
        "SELECT name, type, default_kind, default_expression, compression_codec "
        f"FROM system.columns {where}",
    ):
        column = found.column(name)
        assert column is not None, name
        assert column.type == type_
        assert column.default == f"{kind} {expression}".strip()
        assert f"CODEC{column.parts['CODEC']}" == codec if codec else "CODEC" not in column.parts
    [keys] = catalogued(
        workspace,
        "SELECT partition_key, sorting_key, primary_key, sampling_key FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'everything'",
    )
    assert [
        found.clauses[word].removeprefix("(").removesuffix(")")
        if word == "ORDER BY"
        else found.clauses[word]
        for word in ("ORDER BY", "PRIMARY KEY", "SAMPLE BY")
    ] == list(keys[1:])
    assert (
        found.clauses["PARTITION BY"] == f"({keys[0]})" or found.clauses["PARTITION BY"] == keys[0]
    )


@pytest.mark.parametrize(
    ("text", "kind", "columns", "clauses"),
    [
        (
            "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 HOUR (a UInt8) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
            "create materialized view",
            ["a"],
            {"REFRESH", "ENGINE", "ORDER BY", "AS"},
        ),
        ("CREATE VIEW v AS WITH 1 AS x SELECT x", "create view", [], {"AS"}),
        (
            "CREATE OR REPLACE VIEW v (a UInt8) COMMENT 'x' AS SELECT 1 AS a",
            "create view",
            ["a"],
            {"COMMENT", "AS"},
        ),
        (
            "CREATE DICTIONARY d (id UInt64, v String DEFAULT '') PRIMARY KEY id SOURCE(CLICKHOUSE(TABLE 't')) "
            "LIFETIME(60) LAYOUT(FLAT()) COMMENT 'd'",
            "create dictionary",
            ["id", "v"],
            {"PRIMARY KEY", "SOURCE", "LIFETIME", "LAYOUT", "COMMENT"},
        ),
        ("CREATE TABLE t ENGINE = Memory AS SELECT 1 AS a", "create table", [], {"ENGINE", "AS"}),
    ],
)
def test_other_statements_are_read_as_the_parser_takes_them(
    workspace: Workspace, text: str, kind: str, columns: list[str], clauses: set[str]
) -> None:
    workspace.prepare("CREATE TABLE t (id UInt64, v String) ENGINE = Memory")
    [[parsed]] = workspace.rows(f"SELECT formatQuery({_quoted(text)})")
    for each in (text, str(parsed)):
        found = read_definition(each)
        assert found is not None
        assert (found.kind.value, [c.name for c in found.columns]) == (kind, columns)
        assert set(found.clauses) == clauses


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def test_what_defines_nothing_is_none_and_what_is_cut_off_is_no_crash(workspace: Workspace) -> None:
    assert read_definition("ALTER TABLE t ADD COLUMN a UInt8") is None
    # Every beginning of it: whoever asks may have a broken text in hand.
    for end in range(len(TABLE)):
        try:
            read_definition(TABLE[:end])
        except Exception as error:
            assert type(error).__name__ == "StatementSyntaxError", TABLE[:end]
