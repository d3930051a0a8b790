"""The classifier: kinds and inline data, by tokens."""

from __future__ import annotations

import pytest

from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import Classified, classify


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("create table t (a Int8)", Kind.CREATE_TABLE),
        ("CREATE OR REPLACE TEMPORARY TABLE t", Kind.CREATE_TABLE),
        ("REPLACE TABLE t", Kind.CREATE_TABLE),
        ("/* DROP */ -- ALTER\nCREATE # x\n TABLE `view`", Kind.CREATE_TABLE),
        ("CREATE VIEW v AS SELECT 1", Kind.CREATE_VIEW),
        ("CREATE OR REPLACE VIEW v", Kind.CREATE_VIEW),
        ("CREATE WINDOW VIEW v", Kind.CREATE_VIEW),
        ("CREATE MATERIALIZED VIEW v TO t AS SELECT 1", Kind.CREATE_MATERIALIZED_VIEW),
        ("CREATE DATABASE d", Kind.CREATE_DATABASE),
        ("CREATE DICTIONARY d", Kind.CREATE_DICTIONARY),
        ("CREATE FUNCTION f AS x -> x", Kind.CREATE_FUNCTION),
        ("CREATE NAMED COLLECTION c AS a = 'b'", Kind.CREATE_NAMED_COLLECTION),
        ("CREATE UNIQUE INDEX i ON t (a)", Kind.CREATE_INDEX),
        ("CREATE WORKLOAD all", Kind.OTHER),
        ("CREATE USER u", Kind.ACCESS),
        ("ALTER USER u", Kind.ACCESS),
        ("DROP ROLE r", Kind.ACCESS),
        ("CREATE SETTINGS PROFILE p", Kind.ACCESS),
        ("CREATE ROW POLICY p ON t", Kind.ACCESS),
        ("SET ROLE r", Kind.ACCESS),
        ("SET DEFAULT ROLE r TO u", Kind.ACCESS),
        ("REVOKE ALL ON *.* FROM u", Kind.ACCESS),
        ("SET a = 1", Kind.SET),
        ("DROP TABLE t", Kind.DROP),
        ("DROP VIEW user", Kind.DROP),
        ("ALTER TABLE t DROP COLUMN c", Kind.ALTER),
        ("UNDROP TABLE t", Kind.UNDROP),
        ("UPDATE t SET a = 1 WHERE b", Kind.UPDATE),
        ("DELETE FROM t WHERE 1", Kind.DELETE),
        ("SELECT 'DROP TABLE t'", Kind.SELECT),
        ("(((SELECT 1)))", Kind.SELECT),
        ("FROM t SELECT a", Kind.SELECT),
        ("WITH insert AS (SELECT 1) SELECT * FROM insert", Kind.SELECT),
        ("WITH 1 AS insert SELECT insert", Kind.SELECT),
        ("WITH y.as INSERT INTO t SELECT 1", Kind.INSERT),
        ("WITH 1 AS x, y.as INSERT INTO t SELECT 1", Kind.INSERT),
        ("WITH 1 IS NOT DISTINCT FROM 1 AS z INSERT INTO t SELECT z", Kind.INSERT),
        ("WITH CAST(a, 'Tuple(from Int8)').from AS z INSERT INTO t SELECT z", Kind.INSERT),
        ("WITH a.select AS z, (SELECT 1) AS y INSERT INTO t SELECT z", Kind.INSERT),
        ("EXPLAIN SELECT 1", Kind.EXPLAIN),
        ("TRUNCATE TABLE t", Kind.TRUNCATE),
        ("SYSTEM RELOAD DICTIONARIES", Kind.SYSTEM),
        ("`SELECT` 1", Kind.OTHER),
        ("'SELECT' 1", Kind.OTHER),
        ("-- nothing", Kind.EMPTY),
        ("", Kind.EMPTY),
    ],
)
def test_a_statement_is_what_its_first_words_say(text: str, kind: Kind) -> None:
    assert classify(text) == Classified(kind, inline_data=False)


@pytest.mark.parametrize(
    ("text", "inline_data"),
    [
        ("INSERT INTO t VALUES (1)", True),
        ("INSERT INTO t (values) VALUES\n(1)", True),
        ("INSERT INTO t FORMAT CSV\n1,'", True),
        ("INSERT INTO t FORMAT Values (1)", True),
        ("WITH 1 AS x INSERT INTO t VALUES (1)", True),
        ("INSERT INTO t VALUES", False),
        ("INSERT INTO t VALUES -- none", False),
        ("INSERT INTO t FORMAT CSV \n", False),
        ("INSERT INTO t SELECT 'VALUES (1)'", False),
        ("INSERT INTO t SELECT 1 FORMAT CSV", False),
        ("INSERT INTO t (SELECT 1) FORMAT CSV", False),
        ("INSERT INTO t FROM INFILE 'a' FORMAT CSV", False),
        ("INSERT INTO t", False),
        ("INSERT", False),
    ],
)
def test_an_insert_is_asked_whether_it_carries_its_rows(text: str, inline_data: bool) -> None:
    assert classify(text) == Classified(Kind.INSERT, inline_data=inline_data)
