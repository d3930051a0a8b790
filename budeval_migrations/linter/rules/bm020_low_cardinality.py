"""BM020: LowCardinality and Nullable around types that they are not for."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.known import nested
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.linter.types import DataType, read_type
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alteration import column_of

_SUSPICIOUS = frozenset(
    {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)}
    | {"Float32", "Float64", "Bool", "Date", "Date32", "DateTime", "IPv4", "IPv6"}
)
_NEVER_LOW = frozenset(
    {"Array", "Map", "Tuple", "Nested", "Decimal", "DateTime64", "Enum8"}
    | {"Enum16", "LowCardinality"}
)
_SETTING = "allow_suspicious_low_cardinality_types"
_NEVER_NULL = frozenset({"LowCardinality", "Array", "Map", "Nested", "Nullable"})


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        for name, declared in _declared(said):
            problem = _problem(read_type(declared), allowed=_is_allowed(said))
            if problem:
                severity, text = problem
                yield Spot(f"{name} is a {declared}: {text}", said, severity=severity)


def _declared(said: Said) -> Iterator[tuple[str, str]]:
    if said.definition is not None:
        for each in said.definition.columns:
            yield from ((column.name, column.type) for column in nested(each))
    for clause in said.alteration.clauses if said.alteration else ():
        column = column_of(clause)
        if column is not None and column.type:
            yield column.name, column.type


def _is_allowed(said: Said) -> bool:
    """Tell whether the statement's own settings allow what is suspicious."""
    part = said.definition or said.alteration
    return part is not None and part.settings.get(_SETTING, "0") not in ("0", "false")


def _problem(type: DataType, *, allowed: bool) -> tuple[Severity, str] | None:
    if not type.arguments:
        return None
    if type.name == "Array":
        return _problem(type.inner, allowed=allowed)
    if type.name == "Nullable" and type.inner.name in _NEVER_NULL:
        better = "LowCardinality(Nullable(…))" if type.inner.name == "LowCardinality" else "no NULL"
        return Severity.ERROR, f"the server refuses it (43); {better} is possible"
    if type.name != "LowCardinality":
        return None
    inner = type.inner.inner if type.inner.name == "Nullable" else type.inner
    if inner.name in _NEVER_LOW:
        return Severity.ERROR, "the server refuses it (43)"
    if inner.name in _SUSPICIOUS and not allowed:
        return Severity.ERROR, "the server refuses it (455): a number needs no dictionary"
    if inner.name == "UUID":
        return Severity.WARNING, "hardly any value comes twice, and the dictionary costs"
    return None


RULE = Rule(
    "BM020",
    "low-cardinality",
    Severity.ERROR,
    "The server refuses most of them; the others cost more than they save.",
    "LowCardinality is for strings of which there are few; LowCardinality(Nullable(String)), "
    "not the reverse.",
    _check,
)
