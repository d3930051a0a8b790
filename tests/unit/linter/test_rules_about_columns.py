"""Rules about columns: types, keys, defaults, names."""

from __future__ import annotations

import pytest

from tests.unit.linter.bench import EVENTS, Case

CASES = {
    "BM008": [
        Case(
            "types without a place for every value",
            [
                "ALTER TABLE events MODIFY COLUMN note String",
                "ALTER TABLE events MODIFY COLUMN IF EXISTS score Float32 AFTER id",
                "ALTER TABLE events ALTER COLUMN amount TYPE Decimal(9, 2)",
                "ALTER TABLE events MODIFY COLUMN state Enum8('new' = 1)",
            ],
            [
                "note of events goes from Nullable(String) to String, which has no place for every "
                "value",
                "score of events goes from Float64 to Float32, which has no place for every value",
                "amount of events goes from Decimal(10, 2) to Decimal(9, 2), which has no place for "
                "every value",
                "state of events goes from Enum8('new' = 1, 'done' = 2) to Enum8('new' = 1), which "
                "has no place for every value",
            ],
        ),
        Case(
            "the type that an earlier ALTER gave it counts",
            ["ALTER TABLE events MODIFY COLUMN score Float64"],
            earlier=[EVENTS, "ALTER TABLE events MODIFY COLUMN score Float32"],
        ),
        Case(
            "a downgrade goes back to what was",
            ["ALTER TABLE events MODIFY COLUMN score Float64"],
            down=["ALTER TABLE events MODIFY COLUMN score Float32"],
        ),
        Case(
            "no type is said, or the table is new, or not known",
            [
                "ALTER TABLE events MODIFY COLUMN score DEFAULT 1",
                "ALTER TABLE events MODIFY COLUMN score REMOVE DEFAULT",
                "ALTER TABLE other MODIFY COLUMN score Float32",
                "CREATE TABLE fresh (a UInt64) ENGINE = MergeTree ORDER BY tuple()",
                "ALTER TABLE fresh MODIFY COLUMN a UInt8",
            ],
        ),
    ],
    "BM009": [
        Case(
            "types whose bytes are others",
            [
                "ALTER TABLE events MODIFY COLUMN kind String",
                "ALTER TABLE events MODIFY COLUMN at DateTime64(6) CODEC(Delta, ZSTD)",
                "ALTER TABLE events MODIFY COLUMN amount Decimal(20, 2)",
            ],
            [
                "kind of events goes from LowCardinality(String) to String, which rewrites the "
                "column in every part",
                "at of events goes from DateTime64(3) to DateTime64(6), which rewrites the column "
                "in every part",
                "amount of events goes from Decimal(10, 2) to Decimal(20, 2), which rewrites the "
                "column in every part",
            ],
        ),
        Case(
            "only the definition changes",
            [
                "ALTER TABLE events MODIFY COLUMN state Enum8('new' = 1, 'done' = 2, 'x' = 3)",
                "ALTER TABLE events MODIFY COLUMN at DateTime64(3, 'UTC')",
                "ALTER TABLE events MODIFY COLUMN score DOUBLE",
                "ALTER TABLE events MODIFY COLUMN amount Decimal(18, 2)",
            ],
        ),
    ],
    "BM010": [
        Case(
            "a key that may be NULL",
            [
                "CREATE TABLE t (a Nullable(Int8), b LowCardinality(Nullable(String)), c Int8)"
                " ENGINE = ReplicatedMergeTree PARTITION BY a ORDER BY (`b`, c)",
                "ALTER TABLE events ADD COLUMN x Nullable(Int8), MODIFY ORDER BY (kind, id, x)",
            ],
            [
                "b is Nullable and stands in ORDER BY of t: the server refuses it (44)",
                "a is Nullable and stands in PARTITION BY of t: the server refuses it (44)",
                "x is Nullable and stands in ORDER BY of events: the server refuses it (44)",
            ],
        ),
        Case(
            "it is allowed, hidden in a function, or sorts nothing",
            [
                "CREATE TABLE t (a Nullable(Int8)) ENGINE = MergeTree ORDER BY a"
                " SETTINGS allow_nullable_key = 1",
                "CREATE TABLE u (a Nullable(Int8)) ENGINE = MergeTree ORDER BY assumeNotNull(a)",
                "CREATE TABLE v (a Nullable(Int8), b Int8) ENGINE = MergeTree ORDER BY b",
                "CREATE TABLE w (a Nullable(Int8)) ENGINE = Memory",
            ],
        ),
    ],
    "BM011": [
        Case(
            "rows are sorted and split by a float",
            [
                "CREATE TABLE t (a FLOAT, b Int8) ENGINE = MergeTree ORDER BY (b, a)",
                "CREATE TABLE u (a Float64) ENGINE = MergeTree PARTITION BY a ORDER BY tuple()",
            ],
            [
                "a is a Float32 and stands in ORDER BY of t",
                "a is a Float64 and stands in PARTITION BY of u: the server refuses it (36)",
            ],
        ),
        Case(
            "a float that is no key",
            ["CREATE TABLE t (a Float64, b Int8) ENGINE = MergeTree ORDER BY (b, round(a))"],
        ),
    ],
    "BM017": [
        Case(
            "whole seconds for a column of fractions",
            [
                "CREATE TABLE t (a DateTime64(6) DEFAULT now(), b Nullable(DateTime64) MATERIALIZED"
                " NOW()) ENGINE = Log",
                "ALTER TABLE events ADD COLUMN c DateTime64(3) DEFAULT now() AFTER id",
                "ALTER TABLE events MODIFY COLUMN at DEFAULT now()",
            ],
            [
                "a is a DateTime64(6), and its default now() has whole seconds",
                "b is a Nullable(DateTime64), and its default now() has whole seconds",
                "c is a DateTime64(3), and its default now() has whole seconds",
                "at is a DateTime64(3), and its default now() has whole seconds",
            ],
        ),
        Case(
            "fractions, whole seconds that are meant, and other types",
            [
                "CREATE TABLE t (a DateTime64(3) DEFAULT now64(3), b DateTime DEFAULT now(),"
                " c DateTime64(0) DEFAULT now(), d DateTime64(3) DEFAULT now() + INTERVAL 1 DAY,"
                " e DateTime64(3) COMMENT 'DEFAULT now()') ENGINE = Log",
            ],
        ),
    ],
    "BM018": [
        Case(
            "names that the parser takes for its own words",
            [
                "CREATE TABLE t (index UInt8, true Bool, All String) ENGINE = Log",
                "ALTER TABLE events ADD COLUMN IF NOT EXISTS top Int8, RENAME COLUMN note TO null",
                "CREATE TABLE IF NOT EXISTS budeval.table (a Int8) ENGINE = Log",
            ],
            [
                "the column index is written without quotes, and in some places the parser takes "
                "it for a word of its own",
                "the column true is written without quotes, and in some places the parser takes it "
                "for a word of its own",
                "the column All is written without quotes, and in some places the parser takes it "
                "for a word of its own",
                "the column top is written without quotes, and in some places the parser takes it "
                "for a word of its own",
                "the column null is written without quotes, and in some places the parser takes it "
                "for a word of its own",
                "the table table is written without quotes, and in some places the parser takes it "
                "for a word of its own",
            ],
        ),
        Case(
            "quoted, harmless, or not a name at all",
            [
                "CREATE TABLE t (`index` UInt8, key String, timestamp DateTime, order Int8,"
                " INDEX i key TYPE minmax, CONSTRAINT c CHECK key != '') ENGINE = Log",
                "ALTER TABLE events ADD COLUMN `top` Int8, ADD INDEX i note TYPE minmax",
                "CREATE TABLE function_calls (a Int8 DEFAULT if(true, 1, 2)) ENGINE = Log",
            ],
        ),
    ],
    "BM020": [
        Case(
            "types that they are not for",
            [
                "CREATE TABLE t (a LowCardinality(UInt8), b Nullable(LowCardinality(String)),"
                " c Array(LowCardinality(Nullable(Date))), d LowCardinality(UUID)) ENGINE = Log",
                "ALTER TABLE events MODIFY COLUMN state LowCardinality(Enum8('new' = 1))",
                "ALTER TABLE events ADD COLUMN tags Nullable(Array(String))",
            ],
            [
                "a is a LowCardinality(UInt8): the server refuses it (455): a number needs no "
                "dictionary",
                "b is a Nullable(LowCardinality(String)): the server refuses it (43); "
                "LowCardinality(Nullable(…)) is possible",
                "c is a Array(LowCardinality(Nullable(Date))): the server refuses it (455): a "
                "number needs no dictionary",
                "d is a LowCardinality(UUID): hardly any value comes twice, and the dictionary "
                "costs",
                "state is a LowCardinality(Enum8('new' = 1)): the server refuses it (43)",
                "tags is a Nullable(Array(String)): the server refuses it (43); no NULL is "
                "possible",
            ],
        ),
        Case(
            "types that they are for",
            [
                "CREATE TABLE t (a LowCardinality(String), b LowCardinality(Nullable(String)),"
                " c LowCardinality(FixedString(2)), d Nullable(UInt8), e Map(LowCardinality(String),"
                " UInt8)) ENGINE = Log",
            ],
        ),
    ],
    "BM022": [
        Case(
            "names that the table does not have",
            [
                "CREATE MATERIALIZED VIEW v TO events AS\n"
                "SELECT id, kind AS sort, count() AS counted, score AS score FROM source GROUP BY 1",
            ],
            ["v yields sort and counted, and events has no such columns"],
        ),
        Case(
            "one name, behind brackets and a WITH",
            ["CREATE MATERIALIZED VIEW v TO budeval.events AS (WITH 1 AS one SELECT one AS two)"],
            ["v yields two, and budeval.events has no such column"],
        ),
        Case(
            "all of them are there, or the text does not tell, or the table is not known",
            [
                "CREATE MATERIALIZED VIEW v TO events AS SELECT id, f(x) AS kind FROM source",
                "CREATE MATERIALIZED VIEW w TO events AS SELECT *, s.other, f(x) FROM source AS s",
                "CREATE MATERIALIZED VIEW x TO elsewhere AS SELECT 1 AS nothing",
                "CREATE MATERIALIZED VIEW y ENGINE = Log AS SELECT 1 AS nothing",
            ],
        ),
        Case(
            "columns that were added and renamed since count",
            ["CREATE MATERIALIZED VIEW v TO events AS SELECT 1 AS fresh, 'a' AS remark"],
            earlier=[
                EVENTS,
                "ALTER TABLE events ADD COLUMN fresh Int8, RENAME COLUMN note TO remark",
            ],
        ),
    ],
}


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param(code, case, id=f"{code}: {case.says}")
        for code, cases in CASES.items()
        for case in cases
    ],
)
def test_it_says_exactly_this(code: str, case: Case) -> None:
    assert case.messages(code) == list(case.expected)
