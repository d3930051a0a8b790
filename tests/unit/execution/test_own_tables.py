"""Which statements would change the record of what is applied."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.cluster.topology import Topology
from budeval_migrations.errors import RevisionError
from budeval_migrations.execution.own_tables import check_own_tables
from tests.unit.execution.test_placement import place


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE schema_migrations",
        "DROP TABLE IF EXISTS d.schema_migrations_journal SYNC",
        "DROP TABLE a, `schema_migrations`",
        "DROP VIEW alembic_version",
        "DETACH TABLE schema_migrations PERMANENTLY",
        "TRUNCATE schema_migrations_lock",
        "ALTER TABLE schema_migrations DELETE WHERE 1",
        "DELETE FROM schema_migrations_journal WHERE 1",
        "INSERT INTO schema_migrations SELECT * FROM old",
        "EXCHANGE TABLES a AND schema_migrations",
        "RENAME TABLE a TO b, schema_migrations TO c",
        "CREATE OR REPLACE TABLE schema_migrations (a Int8) ENGINE = Log",
        "TRUNCATE TABLE a PARALLEL WITH DROP TABLE schema_migrations_claim_7",
    ],
)
def test_a_table_of_this_package_is_left_alone(text: str) -> None:
    with pytest.raises(RevisionError, match=r"would change (schema_migrations|alembic_version)"):
        check_own_tables(text, "d")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("DROP DATABASE d", "the database d"),
        ("DETACH DATABASE IF EXISTS `d` SYNC", "the database d"),
        ("RENAME DATABASE d TO e", "the database d"),
        ("TRUNCATE DATABASE d", "every table of d"),
        ("TRUNCATE ALL TABLES FROM IF EXISTS d", "every table of d"),
        ("TRUNCATE TABLES FROM d LIKE 's%'", "every table of d"),
    ],
)
def test_the_database_that_holds_them_is_left_alone(text: str, what: str) -> None:
    with pytest.raises(RevisionError, match=f"would change {what}, and with it the record"):
        check_own_tables(text, "d")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM schema_migrations",
        "CREATE VIEW v AS SELECT version_num FROM alembic_version",
        "CREATE TABLE a AS schema_migrations",
        "CREATE DATABASE IF NOT EXISTS d",
        "DROP TABLE e.schema_migrations",
        "DROP DATABASE schema_migrations",
        "TRUNCATE ALL TABLES FROM e",
        "TRUNCATE TABLE d",
        "INSERT INTO t VALUES ('DROP TABLE schema_migrations')",
    ],
)
def test_other_statements_pass(text: str) -> None:
    check_own_tables(text, "d")


def test_the_refusal_names_the_statement_and_its_place() -> None:
    with pytest.raises(RevisionError) as caught:
        place(Topology(), "SELECT 1", "TRUNCATE ALL TABLES FROM d")
    assert caught.value.message == (
        "001_a  statement 2 (v/001_a.py:2): The statement would change every table of d, and "
        "with it the record of what is applied."
    )
