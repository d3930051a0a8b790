"""Types as they are written, and what a change does; tests/engines asks the server."""

from __future__ import annotations

import pytest

from budeval_migrations.linter.types import DataType, TypeEffect, change, read_type


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("UInt8", DataType("UInt8")),
        ("VARCHAR(10)", DataType("String")),
        ("double precision", DataType("Float64")),
        ("datetime64 ( 3 , 'UTC' )", DataType("DateTime64", ("3", "'UTC'"))),
        ("Decimal64(2)", DataType("Decimal", ("18", "2"))),
        ("Enum('a, b' = 1, 'c')", DataType("Enum8", ("'a, b' = 1", "'c'"))),
        ("Enum('a' = 1000)", DataType("Enum16", ("'a' = 1000",))),
        ("Map(String, Array(UInt8))", DataType("Map", ("String", "Array(UInt8)"))),
        ("", DataType("")),
    ],
)
def test_a_type_is_read(text: str, read: DataType) -> None:
    assert read_type(text) == read


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        ("UInt8", "UInt8", TypeEffect.METADATA),
        ("UInt8", "Int16", TypeEffect.REWRITE),
        ("Int8", "UInt16", TypeEffect.NARROW),
        ("Int64", "Float64", TypeEffect.NARROW),
        ("Float64", "Int64", TypeEffect.NARROW),
        ("String", "UUID", TypeEffect.NARROW),
        ("UUID", "String", TypeEffect.REWRITE),
        ("FixedString(4)", "FixedString(3)", TypeEffect.NARROW),
        ("DateTime64(6)", "DateTime64(3)", TypeEffect.NARROW),
        ("DateTime64(3)", "DateTime64", TypeEffect.METADATA),
        ("Date32", "DateTime", TypeEffect.NARROW),
        ("Date", "DateTime64(3)", TypeEffect.REWRITE),
        ("Decimal(10, 2)", "Decimal(10, 4)", TypeEffect.NARROW),
        ("Decimal(10, 2)", "Float64", TypeEffect.NARROW),
        ("LowCardinality(Nullable(String))", "LowCardinality(String)", TypeEffect.NARROW),
        ("LowCardinality(String)", "LowCardinality(String)", TypeEffect.METADATA),
        ("LowCardinality(String)", "Nullable(String)", TypeEffect.REWRITE),
        ("Enum8('a' = 1)", "Enum8('b' = 1)", TypeEffect.NARROW),
        ("Enum8('a', 'b')", "Enum8('a' = 1, 'b' = 2, 'c' = 3)", TypeEffect.METADATA),
        ("Array(Float64)", "Array(Float32)", TypeEffect.NARROW),
        ("Map(String, UInt8)", "Map(String, UInt16)", None),
        ("Tuple(Int8)", "String", None),
    ],
)
def test_a_change_of_type_is_judged(old: str, new: str, effect: TypeEffect | None) -> None:
    assert change(read_type(old), read_type(new)) is effect
