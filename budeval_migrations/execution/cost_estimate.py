"""Say what a statement will cost: what the server does, and how much of it; read-only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.model import Statement
from budeval_migrations.model.previews import Cost, Touched
from budeval_migrations.sql.alter import Clause
from budeval_migrations.sql.alteration import column_of
from budeval_migrations.sql.changes import Change, Kind, Name
from budeval_migrations.sql.statement import ParsedStatement, parse

_QUERIES = frozenset({Kind.SELECT, Kind.SHOW, Kind.DESCRIBE, Kind.EXISTS, Kind.EXPLAIN, Kind.CHECK})
_MOVES = frozenset(
    {Change.ATTACH_PARTITION, Change.ATTACH_FROM, Change.REPLACE_PARTITION, Change.MOVE_PARTITION}
)
# They move files or write metadata, and are done before the mutation's row is seen.
_CHEAP = frozenset({("RENAME", "COLUMN"), ("DROP", "COLUMN"), ("DROP", "INDEX")})
_CHEAP_TOO = frozenset({("DROP", "PROJECTION"), ("DROP", "STATISTICS")})


class CostEstimate:
    """Looks at the sizes of a database's tables once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, statement: Statement) -> tuple[Cost, tuple[Touched, ...]]:
        """Return what a statement has the server do, and the tables that it goes through."""
        said = parse(statement.text)
        cost = Cost.MOVEMENT if statement.backfill else cost_of(said)
        if cost in (Cost.METADATA, Cost.QUERY):
            return cost, ()
        names = {self._pair(name) for name in said.effect.targets}
        return cost, tuple(self._sizes[pair] for pair in sorted(names) if pair in self._sizes)

    def _pair(self, name: Name) -> tuple[str, str]:
        return name.database or self._session.database, name.name

    @cached_property
    def _sizes(self) -> dict[tuple[str, str], Touched]:
        rows = self._session.ask(
            "SELECT database, table, sum(rows), sum(bytes), count() FROM system.parts "
            "WHERE active GROUP BY database, table"
        )
        return {
            (str(database), str(table)): Touched(str(table), int(rows), int(size), int(parts))
            for database, table, rows, size, parts in rows
        }


def cost_of(said: ParsedStatement) -> Cost:
    """Return what a statement has the server do."""
    found = said.effect
    if found.kind in _QUERIES:
        return Cost.QUERY
    if found.kind is Kind.INSERT or found.change in _MOVES:
        return Cost.MOVEMENT
    if found.kind is Kind.OPTIMIZE:
        return Cost.REWRITE
    if found.kind in (Kind.DELETE, Kind.UPDATE):
        return Cost.MUTATION
    if found.kind is Kind.ALTER:
        return max(_of_clauses(said), key=_ORDER.index, default=Cost.METADATA)
    if found.kind.value.startswith("create") and not found.atomic and found.watches:
        return Cost.MOVEMENT  # it is filled by the same statement
    return Cost.METADATA


_ORDER = [Cost.METADATA, Cost.MUTATION, Cost.REWRITE, Cost.MOVEMENT]


def _of_clauses(said: ParsedStatement) -> Iterator[Cost]:
    for clause in said.alteration.clauses if said.alteration else ():
        yield _of_clause(clause)


def _of_clause(clause: Clause) -> Cost:
    verb, what = clause.head
    if clause.head in _CHEAP or clause.head in _CHEAP_TOO or not clause.rule.mutation:
        return Cost.METADATA
    if verb in ("MODIFY", "ALTER") and what == "COLUMN":
        declared = column_of(clause)
        return Cost.REWRITE if declared and declared.type else Cost.METADATA
    if (verb, what) == ("REWRITE", "PARTS"):
        return Cost.REWRITE
    return Cost.MUTATION
