"""The clauses of an ALTER TABLE, and the columns they declare."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.alteration import column_of, read_alteration
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import Column


def declared(clause: str) -> Column | None:
    found = read_alteration(f"ALTER TABLE t {clause}")
    assert found is not None
    [one] = found.clauses
    return column_of(one)


def test_table_clauses_and_settings_are_read() -> None:
    found = read_alteration(
        "ALTER TABLE d.`t t` ON CLUSTER c ADD COLUMN a Int8, MODIFY SETTING x = 1, y = 2,"
        " DROP INDEX i SETTINGS alter_sync = 2, z = 'a, b'"
    )

    assert found is not None
    assert found.table == Name("t t", "d")
    assert [clause.head for clause in found.clauses] == [
        ("ADD", "COLUMN"),
        ("MODIFY", "SETTING"),
        ("DROP", "INDEX"),
    ]
    assert found.settings == {"alter_sync": "2", "z": "'a, b'"}


@pytest.mark.parametrize(
    "text",
    ["SELECT 'ALTER TABLE t ADD COLUMN a Int8'", "ALTER USER u", "ALTER TABLE t FROBNICATE a", ""],
)
def test_what_is_no_alter_table_that_is_understood_is_none(text: str) -> None:
    assert read_alteration(text) is None


@pytest.mark.parametrize(
    ("clause", "column"),
    [
        ("ADD COLUMN a Int8", Column("a", "Int8")),
        ("ADD COLUMN IF NOT EXISTS a Int8 FIRST", Column("a", "Int8")),
        ("ADD COLUMN a Int8 AFTER b", Column("a", "Int8")),
        ("ADD COLUMN n.x Array(Int8) DEFAULT [1, 2] AFTER `n`.y", Column("n.x", "Array(Int8)", "DEFAULT [1, 2]")),
        ("ADD COLUMN first Int8 AFTER after", Column("first", "Int8")),
        ("ADD COLUMN after Int8", Column("after", "Int8")),
        ("MODIFY COLUMN IF EXISTS a Enum8('x' = 1, 'AFTER b' = 2)", Column("a", "Enum8('x' = 1, 'AFTER b' = 2)")),
        ("MODIFY COLUMN a DEFAULT now()", Column("a", "", "DEFAULT now()")),
        ("MODIFY COLUMN a CODEC(ZSTD(3))", Column("a", "", "", {"CODEC": "(ZSTD(3))"})),
        ("MODIFY COLUMN a String TTL d + INTERVAL 1 DAY", Column("a", "String", "", {"TTL": "d + INTERVAL 1 DAY"})),
        ("MODIFY COLUMN a REMOVE DEFAULT", Column("a")),
        ("MODIFY COLUMN a MODIFY SETTING x = 1", Column("a")),
        ("ALTER COLUMN a TYPE String", Column("a", "String")),
        ("DROP COLUMN a", None),
        ("RENAME COLUMN a TO b", None),
    ],
)  # fmt: skip
def test_the_column_of_a_clause_is_read(clause: str, column: Column | None) -> None:
    assert declared(clause) == column


def test_a_clause_says_what_would_make_it_repeatable() -> None:
    found = read_alteration("ALTER TABLE t ADD COLUMN a Int8, DROP INDEX i, UPDATE a = 1 WHERE 1")

    assert found is not None
    assert [clause.guard for clause in found.clauses] == ["IF NOT EXISTS", "IF EXISTS", ""]
