"""What the statements before tell of a table."""

from __future__ import annotations

import pytest

from budeval_migrations.linter.known import Table, Tables
from budeval_migrations.model import Direction
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.statement import ParsedStatement

MAKER = ("001", Direction.UP)
T = "CREATE TABLE t (a Int8, b String DEFAULT 'x', n Nested(x Int8, y String)) ENGINE = MergeTree ORDER BY (a, `b`)"


def after(*statements: str) -> Tables:
    tables = Tables("home")
    for statement in statements:
        tables = tables.after(ParsedStatement(statement), MAKER)
    return tables


def columns(*statements: str, of: str = "t") -> dict[str, str] | None:
    table = after(*statements).get(Name(of))
    if table is None or table.columns is None:
        return None
    return {name: column.type for name, column in table.columns.items()}


PLAIN = {"a": "Int8", "b": "String", "n.x": "Array(Int8)", "n.y": "Array(String)"}


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        pytest.param([T], PLAIN, id="as it was created"),
        pytest.param([T, "CREATE TABLE IF NOT EXISTS t (z Int8) ENGINE = Log"], PLAIN, id="kept"),
        pytest.param(
            [T, "CREATE OR REPLACE TABLE t (z Int8) ENGINE = Log"], {"z": "Int8"}, id="replaced"
        ),
        pytest.param(
            [T, "ALTER TABLE t ADD COLUMN IF NOT EXISTS a String, ADD COLUMN c.d UInt8 FIRST"],
            {**PLAIN, "c.d": "UInt8"},
            id="columns added, those that are there kept",
        ),
        pytest.param(
            [T, "ALTER TABLE t DROP COLUMN n, DROP COLUMN IF EXISTS zzz"],
            {"a": "Int8", "b": "String"},
            id="columns dropped",
        ),
        pytest.param(
            [T, "ALTER TABLE t RENAME COLUMN b TO c, MODIFY COLUMN a Int64 AFTER c"],
            {"a": "Int64", "c": "String", "n.x": "Array(Int8)", "n.y": "Array(String)"},
            id="columns renamed and changed",
        ),
        pytest.param(
            [T, "ALTER TABLE home.t DROP COLUMN n"], {"a": "Int8", "b": "String"}, id="x.t"
        ),
        pytest.param([T, "ALTER TABLE other.t DROP COLUMN a"], PLAIN, id="another database's"),
        pytest.param([T, "DROP TABLE IF EXISTS t"], None, id="dropped"),
        pytest.param([T, "DROP DATABASE home"], None, id="dropped with everything"),
        pytest.param([T, "RENAME TABLE t TO u"], None, id="renamed"),
        pytest.param([T, "ALTER TABLE t FROBNICATE COLUMN a"], None, id="changed beyond reading"),
        pytest.param(["CREATE TABLE t ENGINE = Log AS SELECT 1 AS a"], None, id="from a query"),
        pytest.param(["CREATE TEMPORARY TABLE t (a Int8)"], None, id="temporary"),
        pytest.param([T, "INSERT INTO t FORMAT CSV\n1,'"], PLAIN, id="rows do not matter"),
    ],
)
def test_the_columns_of_t(statements: list[str], found: dict[str, str] | None) -> None:
    assert columns(*statements) == found


def test_a_copy_has_the_columns_and_keys_of_its_source() -> None:
    tables = after(T, "CREATE TABLE u AS home.t ENGINE = ReplacingMergeTree")
    copy = tables.get(Name("u"))

    assert copy is not None
    assert columns(T, "CREATE TABLE u AS t", of="u") == PLAIN
    assert (copy.engine, copy.key_columns()) == ("ReplacingMergeTree", {"a", "b"})


def test_exchange_swaps_what_is_known() -> None:
    tables = after(T, "CREATE TABLE u (z Int8) ENGINE = Log", "EXCHANGE TABLES t AND u")

    assert [set(_known(tables, name).columns or ()) for name in "tu"] == [{"z"}, set(PLAIN)]


def test_exchange_with_a_table_that_is_not_known_leaves_its_name_unknown() -> None:
    tables = after(T, "EXCHANGE TABLES t AND stranger")

    assert tables.get(Name("t")) is None
    assert set(_known(tables, "stranger").columns or ()) == set(PLAIN)


@pytest.mark.parametrize(
    ("statement", "keys"),
    [
        (
            "CREATE TABLE t (a Int8) ENGINE = ReplicatedReplacingMergeTree('/p', '{r}', v, d)"
            " PARTITION BY toYYYYMM(p) ORDER BY (a, lower(b)) PRIMARY KEY a SAMPLE BY s",
            {"v", "p", "a", "b", "s"},
        ),
        ("CREATE TABLE t (a Int8) ENGINE = SummingMergeTree(x) ORDER BY a", {"a"}),
        (
            "CREATE TABLE t (a Int8) ENGINE = VersionedCollapsingMergeTree(s, v) ORDER BY a",
            {"a", "s", "v"},
        ),
        ("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY (n.x, `a b`)", {"n.x", "a b"}),
        ("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY tuple()", set()),
    ],
)
def test_the_columns_that_no_mutation_may_change(statement: str, keys: set[str]) -> None:
    assert _known(after(statement), "t").key_columns() == keys


def test_a_new_sorting_key_counts() -> None:
    tables = after(T, "ALTER TABLE t ADD COLUMN c Int8, MODIFY ORDER BY (a, b, c)")

    assert _known(tables, "t").key_columns() == {"a", "b", "c"}


def test_indices_and_projections_come_and_go() -> None:
    tables = after(
        T,
        "ALTER TABLE t ADD INDEX i a TYPE minmax, ADD PROJECTION p (SELECT a ORDER BY a)",
        "CREATE INDEX j ON t (b) TYPE minmax",
        "ALTER TABLE t DROP INDEX i",
    )

    definition = _known(tables, "t").definition
    assert (set(definition.indices), set(definition.projections)) == ({"j"}, {"p"})


def test_branches_agree_on_what_only_one_of_them_changed_not() -> None:
    base = after(T, "CREATE TABLE u (z Int8) ENGINE = Log")
    left = base.after(ParsedStatement("ALTER TABLE t ADD COLUMN left Int8"), MAKER)
    right = base.after(ParsedStatement("CREATE TABLE w (z Int8) ENGINE = Log"), MAKER)

    both = left.common(right)

    assert [both.get(Name(name)) is not None for name in "tuw"] == [False, True, True]


def _known(tables: Tables, name: str) -> Table:
    table = tables.get(Name(name))
    assert table is not None
    return table
