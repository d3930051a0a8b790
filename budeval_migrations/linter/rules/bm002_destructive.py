"""BM002: rows or columns that go for good, and nobody has said that they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from budeval_migrations.linter.known import Table, applied
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alteration import column_of
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.created import step_over_object
from budeval_migrations.sql.definition import Column
from budeval_migrations.sql.reader import Reader
from budeval_migrations.sql.session_settings import settings_named

_CLAUSES = {
    ("DROP", "PARTITION"): "drops a partition of",
    ("DROP", "PART"): "drops a part of",
    ("DROP", "DETACHED"): "drops detached parts of",
    ("REPLACE", "PARTITION"): "replaces the rows of a partition of",
    ("CLEAR", "COLUMN"): "empties a column of",
    ("DELETE", "WHERE"): "deletes rows of",
    ("DELETE", "IN"): "deletes rows of",
    ("MATERIALIZE", "TTL"): "removes the expired rows of",
    ("UNFREEZE", ""): "removes frozen parts of",
}
_SYSTEM = {
    ("UNFREEZE",): "removes frozen parts",
    ("DROP", "REPLICA"): "removes a replica from Keeper",
    ("DROP", "DATABASE", "REPLICA"): "removes a replica from Keeper",
}
_VERBS = {Kind.TRUNCATE: "truncates", Kind.DELETE: "deletes rows of"}
# What makes a statement of each kind lose something.
_LOSING = {
    Kind.DROP: frozenset({"TABLE", "DATABASE", "VIEW"}),
    Kind.DETACH: frozenset({"PERMANENTLY"}),
    Kind.DELETE: frozenset({"DELETE"}),
    Kind.ALTER: frozenset({"DROP", "DELETE", "CLEAR", "REPLACE", "ALIAS", "EPHEMERAL", "EXECUTE"}),
    Kind.CREATE_TABLE: frozenset({"REPLACE"}),
}
_NOT_STORED = ("ALIAS", "EPHEMERAL")
_TABLE_LIKE = (Kind.CREATE_TABLE, Kind.CREATE_VIEW, Kind.CREATE_MATERIALIZED_VIEW)


def _check(subject: Subject) -> Iterator[Spot]:
    if subject.destructive:
        return
    for said in subject.up:
        for what in _losses(said):
            yield Spot(f"the upgrade {what}, and the file does not say that it may", said)


def _losses(said: Said) -> Iterator[str]:
    if _is_unnamed(said):
        yield "may lose rows or columns of what a parameter names"
    elif said.kind is Kind.ALTER and said.alteration is None:
        if said.words[1:2] == ["TABLE"] and _LOSING[Kind.ALTER] & set(said.words):
            yield "has a clause that lint does not know, and may lose rows or columns"
    elif said.alteration is not None:
        yield from _altered(said)
    elif said.kind in _BY_KIND:
        yield from _BY_KIND[said.kind](said)


def _is_unnamed(said: Said) -> bool:
    """Tell whether it may drop, empty or replace something whose name is a parameter."""
    if said.effect.targets or said.kind not in _LOSING or said.is_temporary:
        return False
    by_parameter = any(said.text[lx.start : lx.end] == "{" for lx in said.lexemes)
    return by_parameter and bool(_LOSING[said.kind] & set(said.words))


def _optimized(said: Said) -> Iterator[str]:
    name, words = said.optimized
    removes = {"DEDUPLICATE", "CLEANUP"} & set(words)
    if name and removes and not _is_own(said, said.before.get(name)):
        yield f"removes rows of {shown(name)} for good"


def _emptied(said: Said) -> Iterator[str]:
    for name in said.effect.targets:
        if not _is_own(said, said.before.get(name)):
            yield f"{_VERBS[said.kind]} {shown(name)}"
    if said.kind is Kind.TRUNCATE and not said.effect.targets and not said.is_temporary:
        yield "truncates every table of a database"


def _system(said: Said) -> Iterator[str]:
    for words, what in _SYSTEM.items():
        if tuple(said.words[1 : 1 + len(words)]) == words:
            yield what


def _is_own(said: Said, table: Table | None) -> bool:
    """Tell whether the rows are of this revision too; those of an Alias are another table's."""
    return table is not None and said.makes(table) and table.engine != "Alias"


def _replaced(said: Said) -> Iterator[str]:
    """Yield a table that a table or a view takes the place of, or whose rows a view replaces."""
    if said.definition is None:
        return
    clauses = said.definition.clauses
    refills = "REFRESH" in clauses and "APPEND" not in clauses
    filled = Reader(clauses.get("TO", "")).name() if refills else None
    if filled is not None and not _is_own(said, said.before.get(filled)):
        yield f"replaces the rows of {shown(filled)} at every refresh"
    table = said.before.get(said.definition.name)
    replaces = said.words[0] == "REPLACE" or said.words[1:3] == ["OR", "REPLACE"]
    # Of a table that no revision made, as of one that DROP names.
    holds = said.kind is Kind.CREATE_TABLE if table is None else table.holds_rows
    if replaces and holds and not said.is_temporary and not said.makes(table):
        yield f"replaces the table {shown(said.definition.name)}, rows and all"


def _overwritten(said: Said) -> Iterator[str]:
    settings = {*settings_named(said.text), *(name for name, _ in said.statement.settings)}
    for name in sorted(settings):
        if name.endswith("_truncate_on_insert"):
            yield f"may overwrite files, by {name}"


def _dropped(said: Said) -> Iterator[str]:
    words = said.words
    if said.is_temporary or not (said.kind is Kind.DROP or _is_permanent(said)):
        return
    verb = "drops" if said.kind is Kind.DROP else "detaches for good"
    if words[1:2] == ["DATABASE"]:
        yield from (f"{verb} the database {name.name}" for name in said.effect.targets)
        return
    for name in said.effect.targets if words[1:2] in (["TABLE"], ["VIEW"]) else ():
        table = said.before.get(name)
        holds = words[1] == "TABLE" if table is None else table.holds_rows
        if holds and not said.makes(table):
            yield f"{verb} {shown(name)}"


def _is_permanent(said: Said) -> bool:
    """Tell whether DETACH says PERMANENTLY, behind the names."""
    reader = Reader(said.text)
    reader.accept("DETACH")
    step_over_object(reader)
    reader.accept("IF", "EXISTS")
    while reader.name() and reader.accept_comma():
        pass
    return "PERMANENTLY" in reader.outer()


def _altered(said: Said) -> Iterator[str]:
    assert said.alteration is not None
    table = said.before.get(said.alteration.table)
    if _is_own(said, table):
        return
    name = shown(said.alteration.table)
    for clause in said.alteration.clauses:
        if clause.head == ("DROP", "COLUMN"):
            column = next((element.name for element in clause.elements()), "a column")
            if table is None or table.added.get(column) != said.maker:
                yield f"drops the column {column} of {name}"
        elif clause.head in _CLAUSES:
            yield f"{_CLAUSES[clause.head]} {name}"
        elif (declared := column_of(clause)) and clause.head[0] != "ADD":
            yield from _computed(said, table, declared)
        table = table and applied(table, clause, said.maker)


def _computed(said: Said, table: Table | None, declared: Column) -> Iterator[str]:
    """Yield a column that keeps no values any more."""
    assert said.alteration is not None
    known = table.columns.get(declared.name) if table and table.columns else None
    if (
        declared.default.startswith(_NOT_STORED)
        and not (known and known.default.startswith(_NOT_STORED))
        and not (table and table.added.get(declared.name) == said.maker)
    ):
        yield f"drops the values of the column {declared.name} of {shown(said.alteration.table)}"


_BY_KIND: dict[Kind, Callable[[Said], Iterator[str]]] = {
    Kind.OPTIMIZE: _optimized,
    Kind.DROP: _dropped,
    Kind.DETACH: _dropped,
    Kind.SYSTEM: _system,
    Kind.INSERT: _overwritten,
    **dict.fromkeys(_VERBS, _emptied),
    **dict.fromkeys(_TABLE_LIKE, _replaced),
}

RULE = Rule(
    "BM002",
    "destructive",
    Severity.ERROR,
    "What an upgrade drops does not come back: ClickHouse has no transaction to roll back.",
    'Say that it may go and why: destructive = "reason" beside revision = …; or keep it.',
    _check,
)
