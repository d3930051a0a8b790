"""BM015: a table on a cluster whose rows stay on one host."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model import Reach
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind

_LOCAL = frozenset(
    {"Log", "TinyLog", "StripeLog", "Memory", "Set", "Join", "File", "FileLog"}
    | {"EmbeddedRocksDB", "SQLite"}
)


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements if subject.cluster else ():
        definition = said.definition
        if definition is None or said.statement.reach is not Reach.EVERYWHERE:
            continue
        table_like = definition.kind in (Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW)
        if table_like and definition.engine in _LOCAL and not said.is_temporary:
            yield Spot(
                f"{shown(definition.name)} is a {definition.engine} table: each host of "
                f"{subject.cluster} has rows of its own",
                said,
            )


RULE = Rule(
    "BM015",
    "unreplicated-engine",
    Severity.WARNING,
    "Only MergeTree tables are replicated: what one host gets, the others do not have.",
    "Use a MergeTree engine; where each host shall have its own, op.execute_unreplicated says so.",
    _check,
)
