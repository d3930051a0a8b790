"""BM012: an index or a projection that the rows before it do not have."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.known import Table, names_in, text_of
from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.reader import Reader, lexemes

_Key = tuple[Name, str, str]  # the table, INDEX or PROJECTION, its name


def _check(subject: Subject) -> Iterator[Spot]:
    for statements in (subject.up, subject.down or ()):
        added: dict[_Key, Said] = {}
        for said in statements:
            if said.kind is Kind.CREATE_INDEX:
                for element in said.effect.elements:
                    table = said.before.get(said.effect.targets[0])
                    if not said.makes(table):
                        added[said.effect.targets[0], "INDEX", element.name] = said
            for key, appears in _altered(said):
                if appears:
                    added[key] = said
                else:
                    added.pop(key, None)
        for (name, what, label), said in added.items():
            yield Spot(
                f"{what.lower()} {label} of {shown(name)} is added, and the parts that are there "
                "do not get it",
                said,
                f"Add a statement: ALTER TABLE {shown(name)} MATERIALIZE {what} {label}.",
            )


def _altered(said: Said) -> Iterator[tuple[_Key, bool]]:
    """Yield what is added (True), and what is materialized or gone (False)."""
    altered = said.alteration
    if altered is None:
        return
    table = said.after.get(altered.table)
    for clause in altered.clauses:
        verb, what = clause.head
        if what not in ("INDEX", "PROJECTION"):
            continue
        words = text_of(clause)
        reader = Reader(words)
        key = (altered.table, what, reader.identifier(reader.peek()))
        if verb != "ADD":
            yield key, False
        elif not said.makes(table) and not (what == "INDEX" and _only_new(said, table, words)):
            yield key, True


def _only_new(said: Said, table: Table | None, words: str) -> bool:
    """Tell whether an index is over columns that no part has yet, of which all rows are alike."""
    expression = words.partition(" ")[2]
    found = lexemes(expression)
    end = next((lexeme.start for lexeme in found if lexeme.word == "TYPE"), len(expression))
    names = set(names_in(expression[:end]))
    if table is None:
        altered = said.alteration
        assert altered is not None
        fresh = {
            e.name for c in altered.clauses if c.head == ("ADD", "COLUMN") for e in c.elements()
        }
        return bool(names) and names <= fresh
    return bool(names) and all(
        table.added.get(name) == said.maker
        and not (table.columns and name in table.columns and table.columns[name].default)
        for name in names
    )


RULE = Rule(
    "BM012",
    "not-materialized",
    Severity.WARNING,
    "An index or a projection is built for new parts only; queries read old ones as before.",
    "Add MATERIALIZE INDEX or MATERIALIZE PROJECTION as a statement of its own.",
    _check,
)
