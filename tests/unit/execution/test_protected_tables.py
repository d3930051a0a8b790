"""Which statements would change the record of what is applied."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.cluster.topology import Topology
from budeval_migrations.errors import RevisionError
from budeval_migrations.execution.placement import check_own_tables
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
        "CREATE OR REPLACE VIEW schema_migrations AS SELECT 1 AS x",
        "CREATE OR REPLACE VIEW d.alembic_version AS SELECT '001' AS version_num",
        "CREATE VIEW IF NOT EXISTS schema_migrations_journal AS SELECT 1 AS x",
        "ALTER TABLE schema_migrations FREEZE, DELETE WHERE 1",
        "ALTER TABLE schema_migrations (DELETE WHERE 1), (FREEZE)",
        "OPTIMIZE TABLE d.schema_migrations FINAL DEDUPLICATE BY version",
        "CREATE TABLE IF NOT EXISTS al ENGINE = Alias('schema_migrations_journal')",
        "CREATE TABLE b AS x ENGINE = Buffer(d, schema_migrations, 1, 1, 1, 1, 1, 1, 1)",
        "CREATE MATERIALIZED VIEW m TO schema_migrations AS SELECT 1 AS version",
        "INSERT INTO FUNCTION remote('h', 'd', 'schema_migrations') SELECT 1",
        "RESTORE TABLE x AS d.schema_migrations FROM Disk('b', 'a.zip')",
        "ATTACH TABLE schema_migrations FROM '/tmp/x' (a UInt8) ENGINE = MergeTree ORDER BY a",
        "SYSTEM DROP REPLICA 'r' FROM TABLE schema_migrations",
        "TRUNCATE TABLE a PARALLEL WITH DROP TABLE schema_migrations_claim_7",
    ],
)
def test_a_table_of_this_package_is_left_alone(text: str) -> None:
    with pytest.raises(RevisionError, match=r"would change (schema_migrations|alembic_version)"):
        check_own_tables(text, "d")


def test_no_row_of_them_is_hidden() -> None:
    for text in (
        "CREATE ROW POLICY p ON schema_migrations USING 0 TO ALL",
        "CREATE ROW POLICY p ON a, d.schema_migrations_journal USING 0 TO ALL",
        "CREATE POLICY OR REPLACE p ON d.* USING 0 TO ALL",
        "ALTER ROW POLICY p ON *.* USING 0",
    ):
        with pytest.raises(RevisionError, match="would change what is read of"):
            check_own_tables(text, "d")
    for text in (
        "CREATE ROW POLICY p ON e.* USING 0 TO ALL",
        "CREATE ROW POLICY p ON a USING schema > 1 TO ALL",
        "DROP ROW POLICY p ON schema_migrations",
        "GRANT SELECT ON schema_migrations TO u",
    ):
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
        "INSERT INTO audit SELECT * FROM schema_migrations",
        "ALTER TABLE t COMMENT COLUMN a 'schema_migrations'",
        "ALTER TABLE e.schema_migrations DELETE WHERE 1",
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
