"""Read the types of columns, and say what changing one into another does.

What it says was observed on ClickHouse 26.9 and is held there by
``tests/engines/test_lint_agreement.py``. Reads by tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from budeval_migrations.sql.definition import split_list
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader

# Names that mean another type, in capitals, as system.data_type_families has them.
ALIASES = {
    **dict.fromkeys(("TINYINT", "INT1", "BYTE"), "Int8"),
    **dict.fromkeys(("SMALLINT",), "Int16"),
    **dict.fromkeys(("INT", "INTEGER", "MEDIUMINT"), "Int32"),
    **dict.fromkeys(("BIGINT", "SIGNED"), "Int64"),
    **dict.fromkeys(("BIGINT UNSIGNED", "UNSIGNED", "BIT", "SET"), "UInt64"),
    **dict.fromkeys(("INT UNSIGNED", "INTEGER UNSIGNED", "MEDIUMINT UNSIGNED"), "UInt32"),
    **dict.fromkeys(("SMALLINT UNSIGNED", "YEAR"), "UInt16"),
    **dict.fromkeys(("TINYINT UNSIGNED", "INT1 UNSIGNED"), "UInt8"),
    **dict.fromkeys(("FLOAT", "REAL", "SINGLE"), "Float32"),
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION"), "Float64"),
    **dict.fromkeys(("CHAR", "VARCHAR", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT"), "String"),
    **dict.fromkeys(("CHARACTER", "NVARCHAR", "CLOB", "BLOB", "BYTEA", "VARBINARY"), "String"),
    **dict.fromkeys(("TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "VARCHAR2", "NCHAR"), "String"),
    **dict.fromkeys(("CHAR VARYING", "CHARACTER VARYING", "BINARY VARYING"), "String"),
    **dict.fromkeys(("DEC", "NUMERIC", "FIXED"), "Decimal"),
    "TIMESTAMP": "DateTime",
    "BOOLEAN": "Bool",
    "BINARY": "FixedString",
    "INET4": "IPv4",
    "INET6": "IPv6",
}
_ANY_CASE = {
    name.upper(): name for name in ("Date", "Date32", "DateTime", "DateTime64", "Decimal", "Bool")
} | {"DATETIME32": "DateTime"}
_DECIMALS = {"Decimal32": 9, "Decimal64": 18, "Decimal128": 38, "Decimal256": 76}
_INTEGER = re.compile(r"(U?)Int(8|16|32|64|128|256)")
_SCALARS = frozenset(
    {"String", "FixedString", "UUID", "IPv4", "IPv6", "Float32", "Float64", "Bool"}
)
_DATES = ("Date", "Date32", "DateTime", "DateTime64")
# The bytes of both are the same; only the definition changes.
_SAME_BYTES = frozenset(
    {("DateTime", "UInt32"), ("UInt32", "DateTime"), ("Date", "UInt16"), ("UInt16", "Date")}
    | {("Bool", "UInt8"), ("UInt8", "Bool"), ("Enum8", "Int8"), ("Enum16", "Int16")}
)
_EXACT = {"Float32": 24, "Float64": 53}  # bits of an integer that are kept


class TypeEffect(Enum):
    """What a change of type does to the rows that are there."""

    METADATA = "changes the definition only"
    REWRITE = "rewrites the column in every part"
    NARROW = "loses values"


@dataclass(frozen=True)
class DataType:
    """A type: its name, aliases resolved, and its arguments as written."""

    name: str
    arguments: tuple[str, ...] = ()

    @property
    def inner(self) -> DataType:
        """The type inside Nullable, LowCardinality or Array."""
        return read_type(self.arguments[0])


def read_type(text: str) -> DataType:
    """Return a type as it is declared; one that is not read has an empty name."""
    reader = Reader(text)
    words = []
    while reader.peek().kind in NAMES:
        words.append(reader.identifier(reader.peek()))
        reader.at += 1
    name = " ".join(words)
    name = ALIASES.get(name.upper(), _ANY_CASE.get(name.upper(), name))
    bracket = reader.peek()
    arguments: tuple[str, ...] = ()
    if bracket.kind is TokenKind.OPEN:
        arguments = tuple(split_list(text[bracket.start :]))
    if name in _DECIMALS:
        arguments = (str(_DECIMALS[name]), *(arguments or ("0",)))
        name = "Decimal"
    if name == "String":
        arguments = ()  # VARCHAR(255) is a String as well
    if name.upper() == "ENUM":
        name = "Enum8" if all(-129 < n < 128 for n in _enum(arguments).values()) else "Enum16"
    return DataType(name, arguments)


def change(old: DataType, new: DataType) -> TypeEffect | None:
    """Return what a change of type does; None where it is not known."""
    if old == new:
        return TypeEffect.METADATA
    if "Nullable" in (old.name, new.name) and "LowCardinality" not in (old.name, new.name):
        return _nullable(old, new)
    if "LowCardinality" in (old.name, new.name):
        inner = [each.inner if each.name == "LowCardinality" else each for each in (old, new)]
        found = change(*inner)
        both = old.name == new.name
        return TypeEffect.REWRITE if found is TypeEffect.METADATA and not both else found
    if old.name == new.name == "Array":
        return change(old.inner, new.inner)
    if (old.name, new.name) in _SAME_BYTES:
        return TypeEffect.METADATA
    for judge in (_enums, _numbers, _dates, _decimals, _strings):
        found = judge(old, new)
        if found is not None:
            return found
    return None


def _nullable(old: DataType, new: DataType) -> TypeEffect | None:
    if old.name == new.name:
        return change(old.inner, new.inner)
    if old.name == "Nullable":
        return TypeEffect.NARROW  # a NULL has no place in the new type
    found = change(old, new.inner)
    return TypeEffect.REWRITE if found is TypeEffect.METADATA else found


def _enum(arguments: tuple[str, ...]) -> dict[str, int]:
    """Return the numbers of an Enum; a value without one follows the one before it."""
    found: dict[str, int] = {}
    number = 0
    for argument in arguments:
        name, _, given = argument.rpartition("=")
        said = name and re.fullmatch(r"\s*-?\d+", given)
        number = int(given) if said else number + 1
        found[(name if name else argument).strip()] = number
    return found


def _enums(old: DataType, new: DataType) -> TypeEffect | None:
    enums = ("Enum8", "Enum16")
    if old.name not in enums or new.name not in enums:
        return None
    before, after = _enum(old.arguments), _enum(new.arguments)
    if any(after.get(name) != number for name, number in before.items()):
        return TypeEffect.NARROW
    return TypeEffect.METADATA if old.name == new.name else TypeEffect.REWRITE


def _numbers(old: DataType, new: DataType) -> TypeEffect | None:
    before, after = _INTEGER.fullmatch(old.name), _INTEGER.fullmatch(new.name)
    if before and after:
        bits, wanted = int(before[2]), int(after[2])
        fits = wanted >= bits if before[1] == after[1] else bool(before[1]) and wanted > bits
        return TypeEffect.REWRITE if fits else TypeEffect.NARROW
    if before and new.name in _EXACT:
        return TypeEffect.REWRITE if int(before[2]) <= _EXACT[new.name] else TypeEffect.NARROW
    if old.name in _EXACT and (after or new.name in _EXACT):
        return TypeEffect.REWRITE if new.name == "Float64" else TypeEffect.NARROW
    return None


def _dates(old: DataType, new: DataType) -> TypeEffect | None:
    if old.name not in _DATES or new.name not in _DATES:
        return None
    if old.name == new.name == "DateTime64":
        before, after = (int(each.arguments[0]) if each.arguments else 3 for each in (old, new))
        if before == after:
            return TypeEffect.METADATA
        return TypeEffect.REWRITE if after > before else TypeEffect.NARROW
    if old.name == new.name:
        return TypeEffect.METADATA  # another time zone
    forward = (old.name, new.name) != ("Date32", "DateTime")
    wider = _DATES.index(new.name) > _DATES.index(old.name) and forward
    return TypeEffect.REWRITE if wider else TypeEffect.NARROW


def _decimals(old: DataType, new: DataType) -> TypeEffect | None:
    if old.name != "Decimal" or new.name not in ("Decimal", "Float32", "Float64"):
        return None
    if new.name != "Decimal":
        return TypeEffect.NARROW
    (p, s), (precision, scale) = (_precision(each) for each in (old, new))
    if scale < s or precision - scale < p - s:
        return TypeEffect.NARROW
    same = scale == s and _width(precision) == _width(p)
    return TypeEffect.METADATA if same else TypeEffect.REWRITE


def _precision(decimal: DataType) -> tuple[int, int]:
    said = [int(argument) for argument in decimal.arguments if argument.isdigit()]
    return (said[0] if said else 10, said[1] if len(said) > 1 else 0)


def _width(precision: int) -> int:
    return next(width for width in (9, 18, 38, 76) if precision <= width)


def _strings(old: DataType, new: DataType) -> TypeEffect | None:
    if not (_is_scalar(old) and _is_scalar(new)):
        return None
    if new.name == "String":
        return TypeEffect.REWRITE
    if old.name == new.name == "FixedString":
        before, after = (int(each.arguments[0]) for each in (old, new))
        return TypeEffect.REWRITE if after > before else TypeEffect.NARROW
    return TypeEffect.NARROW if "String" in old.name + new.name else None


def _is_scalar(one: DataType) -> bool:
    named = one.name in _SCALARS or one.name in _DATES or one.name in ("Decimal", "Enum8", "Enum16")
    return named or _INTEGER.fullmatch(one.name) is not None
