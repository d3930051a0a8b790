"""A MergeTree becomes its Replicated twin; its arguments stay what they are."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.replicated import engine_of, replicate

PATH = "/clickhouse/tables/{shard}/d/t"


@pytest.mark.parametrize(
    ("engine", "twin"),
    [
        ("ENGINE = MergeTree ORDER BY a", f"ENGINE = ReplicatedMergeTree('{PATH}', '{{replica}}') ORDER BY a"),
        ("ENGINE=MergeTree() ORDER BY a", f"ENGINE=ReplicatedMergeTree('{PATH}', '{{replica}}') ORDER BY a"),
        ("engine ReplacingMergeTree(v, d)", f"engine ReplicatedReplacingMergeTree('{PATH}', '{{replica}}', v, d)"),
        ("ENGINE = ReplacingMergeTree( /* v */ v)", f"ENGINE = ReplicatedReplacingMergeTree('{PATH}', '{{replica}}',  /* v */ v)"),
        ("ENGINE = SummingMergeTree((a, b))", f"ENGINE = ReplicatedSummingMergeTree('{PATH}', '{{replica}}', (a, b))"),
        ("ENGINE = MergeTree(d, (a, d), 8192)", f"ENGINE = ReplicatedMergeTree('{PATH}', '{{replica}}', d, (a, d), 8192)"),
        ("ENGINE = VersionedCollapsingMergeTree(s, v)", f"ENGINE = ReplicatedVersionedCollapsingMergeTree('{PATH}', '{{replica}}', s, v)"),
        ("ENGINE = AggregatingMergeTree", f"ENGINE = ReplicatedAggregatingMergeTree('{PATH}', '{{replica}}')"),
    ],
)  # fmt: skip
def test_the_engine_gets_its_path_first(engine: str, twin: str) -> None:
    table = "CREATE TABLE d.t (a Int8 DEFAULT 1, engine String) "
    assert replicate(table + engine, PATH, "{replica}") == table + twin


def test_without_a_path_the_server_chooses() -> None:
    assert (
        replicate("CREATE TABLE t (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a", "", "")
        == "CREATE TABLE t (a Int8) ENGINE = ReplicatedReplacingMergeTree(a) ORDER BY a"
    )
    assert (
        replicate("CREATE TABLE t (a Int8) ENGINE = MergeTree", "", "")
        == "CREATE TABLE t (a Int8) ENGINE = ReplicatedMergeTree"
    )


def test_the_hidden_table_of_a_view_is_replicated_too() -> None:
    view = (
        "CREATE MATERIALIZED VIEW v ENGINE = {} ORDER BY a AS SELECT engine = MergeTree AS a FROM t"
    )
    assert replicate(view.format("MergeTree"), "/p", "r") == view.format(
        "ReplicatedMergeTree('/p', 'r')"
    )


@pytest.mark.parametrize(
    ("head", "engine"),
    [
        ("CREATE TABLE engine (a Int8) ENGINE = ", "MergeTree"),
        ("CREATE TABLE IF NOT EXISTS engine (a Int8) ENGINE ", "MergeTree"),
        ("CREATE TABLE d.engine (a Int8) ENGINE = ", "MergeTree"),
        ("CREATE TABLE t AS engine ENGINE = ", "MergeTree"),
        ("CREATE TABLE t CLONE AS engine ENGINE = ", "MergeTree"),
        (
            "CREATE MATERIALIZED VIEW v REFRESH AFTER 1 DAY DEPENDS ON t, engine ENGINE = ",
            "MergeTree",
        ),
        ("CREATE TABLE t (a Int8) ENGINE = ", "`MergeTree`"),
        ("CREATE TABLE t (a Int8) ENGINE = ", '"Merge\\x54ree"'),
        ("CREATE TABLE t (a Int8) ENGINE = ", "“MergeTree”"),
    ],
)
def test_an_engine_is_found_whatever_the_table_is_called(head: str, engine: str) -> None:
    made = replicate(f"{head}{engine} ORDER BY a", "/p", "r")
    assert made == f"{head}ReplicatedMergeTree('/p', 'r') ORDER BY a"
    assert engine_of(f"{head}{engine} ORDER BY a") == "MergeTree"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (a Int8) ENGINE = ReplicatedMergeTree('/x', 'r') ORDER BY a",
        "CREATE TABLE t (a Int8) ENGINE = SharedMergeTree ORDER BY a",
        "CREATE TABLE t (a Int8) ENGINE = Log",
        "CREATE TABLE t (a Int8) ENGINE = Distributed(c, d, MergeTree)",
        "CREATE TABLE t AS MergeTree",
        "CREATE TABLE `engine` (a Int8 DEFAULT 'ENGINE = MergeTree')",
        "CREATE VIEW v AS SELECT 1 AS engine, MergeTree FROM t",
        "CREATE MATERIALIZED VIEW v TO t AS SELECT engine = MergeTree FROM u",
        "CREATE MATERIALIZED VIEW v TO engine AS SELECT a FROM u",
        "CREATE TABLE t ENGINE = Log AS SELECT ENGINE MergeTree FROM u",
        "CREATE DATABASE d ENGINE = Atomic",
        "ALTER TABLE t ADD COLUMN engine MergeTree",
    ],
)
def test_everything_else_is_left(statement: str) -> None:
    assert replicate(statement, "/p", "r") == statement
