"""Write what leads from one schema to another, and back.

Whether a table can be altered in place is asked of a shadow engine, not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from budeval_migrations.errors import RevisionError
from budeval_migrations.recipes.all_rows import REQUIRES, AllRows
from budeval_migrations.recipes.creation import create_table
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.scaffold.draft import Call, Execute, Fill, Recipe, Unless
from budeval_migrations.scaffold.in_place import alter
from budeval_migrations.scaffold.rebuilds import rebuild
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.definition import read_definition
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader, lexemes

TRASH = "_trash_"

# Runs statements where ``before`` is; tells whether ``after`` is what came out.
Judge = Callable[[str, Sequence[str], str], bool]
Format = Callable[[str], str]


@dataclass
class Way:
    """One direction.

    Attributes:
        returns: How tables that were not altered in place come back, by name.
        loses: What of the data is gone afterwards, in words.
        notes: Paragraphs about what readers and writers see meanwhile.
        requires: The oldest server that knows it; empty for any.

    """

    calls: list[Call] = field(default_factory=list)
    returns: dict[str, tuple[Call, ...]] = field(default_factory=dict)
    loses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    requires: str = ""


def evolve(
    before: Schema,
    after: Schema,
    *,
    mark: str,
    judge: Judge,
    pretty: Format,
    forward: Way | None = None,
) -> Way:
    """Return what leads from one schema to another.

    Args:
        before: As a shadow engine printed it.
        after: As the same shadow engine printed it.
        mark: A word that no other revision uses, for names of what is put aside.
        judge: Tries ALTERs on a shadow engine.
        pretty: Writes a long statement in lines.
        forward: The other direction, if this is the way back.

    """
    return _Evolution(before, after, mark, judge, pretty, forward).way()


def without_trash(schema: Schema) -> Schema:
    """Leave out what earlier revisions put aside for people to drop."""
    tables = {name: text for name, text in schema.tables.items() if not name.startswith(TRASH)}
    return replace(schema, tables=tables)


def statements_of(calls: Iterable[Call]) -> list[str]:
    """Return what calls change of a schema; checks and waits are left out."""
    found = []
    for call in calls:
        if isinstance(call, (Execute, Unless)):
            found.append(call.sql)
        elif isinstance(call, Fill):
            columns = f"({', '.join(call.columns)}) " if call.columns else ""
            select = call.select.replace("{chunk}", "1")
            found.append(f"INSERT INTO {call.into} {columns}{select}")
        elif isinstance(call, Recipe):
            found += [statement.text for statement in call.statements]
    return [sql for sql in found if not sql.lstrip().startswith("SELECT")]


class _Evolution:
    def __init__(
        self,
        before: Schema,
        after: Schema,
        mark: str,
        judge: Judge,
        pretty: Format,
        forward: Way | None,
    ) -> None:
        self._was, self._now = without_trash(before).tables, without_trash(after).tables
        self._functions = before.functions, after.functions
        self._database = after.database
        self._mark, self._judge, self._pretty = mark, judge, pretty
        self._forward = forward
        texts = {*self._was.values(), *self._now.values()}
        self._read = {text: read_definition(text) for text in texts}
        self._way = Way()

    def way(self) -> Way:
        """Functions, then what goes because others change, tables, views, and what goes last.

        A view may read a column that its table gets, and may have read one that goes.
        """
        was, now = self._was, self._now
        same_kind = {n for n in was if n in now and self._kind(was[n]) is self._kind(now[n])}
        changed = [n for n in now if n in same_kind and was[n] != now[n]]
        gone = [n for n in was if n not in same_kind]
        new = [n for n in now if n not in same_kind]
        views = self._in_order([n for n in changed if not self._is_table(now[n])], now)
        leaving = [n for n in gone if not self._is_table(was[n])]
        replaced = [n for n in gone if n in now and self._is_table(was[n])]
        blocking = {n for n in same_kind if self._reads(n, [*leaving, *replaced])}
        in_place = [n for n in views if self._changes(n) and n not in blocking]
        anew = {*views, *blocking}.difference(in_place)
        self._make_functions()
        for name in reversed(self._in_order([*leaving, *anew], was)):
            self._drop(name)
        for name in replaced:
            self._drop(name)
        # A view may read a new table, and a changed view a new view.
        tables = [n for n in new if self._is_table(now[n])]
        for name in tables:
            self._create(name)
        closing = [
            statement
            for name in changed
            if self._is_table(now[name])
            for statement in self._change_table(name)
        ]
        for name in in_place:
            self._change_view(name)
        for name in self._in_order([*(n for n in new if n not in tables), *anew], now):
            self._create(name)
        for statement in closing:
            self._say(statement)
        for name in [n for n in gone if self._is_table(was[n]) and n not in replaced]:
            self._drop(name)
        for name in self._functions[0]:
            if name not in self._functions[1]:
                self._say(f"DROP FUNCTION IF EXISTS {named(name)}")
        return self._way

    def _kind(self, text: str) -> Kind | None:
        found = self._read[text]
        return found.kind if found else None

    def _is_table(self, text: str) -> bool:
        return self._kind(text) is Kind.CREATE_TABLE

    def _reads(self, name: str, names: Sequence[str]) -> bool:
        """Tell whether it is a dictionary of these, which keeps them from being dropped."""
        is_dictionary = self._kind(self._was[name]) is Kind.CREATE_DICTIONARY
        return is_dictionary and bool(_mentioned(self._was[name], set(names)))

    def _make_functions(self) -> None:
        before, after = self._functions
        for name, text in after.items():
            if before.get(name) != text:
                self._say(text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))

    def _create(self, name: str) -> None:
        text = self._now[name]
        kind = self._kind(text)
        if kind is Kind.CREATE_TABLE:
            self._say(self._local(create_table(text, Name(name))))
            return
        head = {
            Kind.CREATE_VIEW: "CREATE VIEW",
            Kind.CREATE_MATERIALIZED_VIEW: "CREATE MATERIALIZED VIEW",
            Kind.CREATE_DICTIONARY: "CREATE DICTIONARY",
        }[kind or Kind.CREATE_VIEW]
        guarded = self._local(text).replace(head, f"{head} IF NOT EXISTS", 1)
        self._say(self._pretty(guarded))

    def _drop(self, name: str) -> None:
        text = self._was[name]
        found = self._read[text]
        assert found is not None  # a server printed it
        table = self._is_table(text)
        inner = found.kind is Kind.CREATE_MATERIALIZED_VIEW and "TO" not in found.clauses
        if table or inner:
            self._way.loses.append(f"the rows of {name}")
        word = {Kind.CREATE_TABLE: "TABLE", Kind.CREATE_DICTIONARY: "DICTIONARY"}
        self._say(f"DROP {word.get(found.kind, 'VIEW')} IF EXISTS {named(name)} SYNC")

    def _changes(self, name: str) -> bool:
        """Return whether a view can be changed where it stands."""
        if self._kind(self._now[name]) is not Kind.CREATE_MATERIALIZED_VIEW:
            return True
        was, now = self._read[self._was[name]], self._read[self._now[name]]
        assert was is not None
        assert now is not None
        rest = [
            ({k: v for k, v in side.clauses.items() if k != "AS"}, side.columns)
            for side in (was, now)
        ]
        # MODIFY QUERY leaves the columns and the target as they are.
        return "TO" in now.clauses and rest[0] == rest[1]

    def _change_view(self, name: str) -> None:
        text = self._local(self._now[name])
        kind = self._kind(self._now[name])
        if kind is Kind.CREATE_MATERIALIZED_VIEW:
            found = read_definition(text)
            assert found is not None
            query = found.clauses["AS"]
            self._say(self._pretty(f"ALTER TABLE {named(name)} MODIFY QUERY {query}"))
            return
        word = "VIEW" if kind is Kind.CREATE_VIEW else "DICTIONARY"
        self._say(self._pretty(text.replace(f"CREATE {word}", f"CREATE OR REPLACE {word}", 1)))

    def _change_table(self, name: str) -> tuple[str, ...]:
        """Change a table; return what is to be run when the views have been changed."""
        if self._forward and name in self._forward.returns:
            self._way.calls += self._forward.returns[name]
            return ()
        before, after = self._was[name], self._now[name]
        was, now = self._read[before], self._read[after]
        assert was is not None
        assert now is not None
        found = alter(was, now)
        opening = [self._local(statement) for statement in found.opening]
        closing = [self._local(statement) for statement in found.closing]
        if self._judge(before, [*opening, *closing], after):
            for statement in opening:
                self._say(statement)
            self._way.loses += [f"column {column} of {name}" for column in found.loses]
            return tuple(closing)
        if not self._rebuild(name, before, after):
            self._replace(name, after)
        return ()

    def _rebuild(self, name: str, before: str, after: str) -> bool:
        """Build the table anew while it is used; return whether that can be exact."""
        # The way back of an ALTER may be that of a rebuild that was not needed.
        back = self._forward is not None
        old, new = (after, before) if back else (before, after)
        try:
            made = rebuild(self._local(new), AllRows(self._local(old)), self._trash(name))
        except RevisionError:
            return False
        if made.downgrade is None:
            return False
        calls = made.downgrade if back else made.upgrade
        if not self._judge(before, statements_of(calls), after):
            return False
        if not back and not self._judge(after, statements_of(made.downgrade), before):
            return False
        self._way.calls += calls
        self._way.returns[name] = made.downgrade
        self._way.notes += [note for note in made.notes if note not in self._way.notes]
        self._way.loses += [f"column {column} of {name}" for column in made.lost]
        self._way.requires = max(self._way.requires, made.requires)
        return True

    def _replace(self, name: str, after: str) -> None:
        """Put an empty table in the place of another, which is kept aside.

        By EXCHANGE: ClickHouse renames and drops no table that a dictionary reads (630).
        """
        table, trash = named(name), named(self._trash(name))
        self._way.loses.append(f"the rows of {name}, which cannot be copied exactly")
        if self._forward is not None:
            self._say(f"DROP TABLE IF EXISTS {trash} SYNC")
        exchange = f"EXCHANGE TABLES {table} AND {trash}"
        self._say(self._local(create_table(after, self._trash(name))))
        self._say(exchange)
        self._way.returns[name] = (
            Execute(exchange),
            Execute(f"DROP TABLE IF EXISTS {trash} SYNC"),
        )
        self._way.requires = max(self._way.requires, REQUIRES)

    def _trash(self, name: str) -> Name:
        back = "_back" if self._forward is not None else ""
        return Name(f"{TRASH}{name}_{self._mark}{back}")

    def _in_order(self, names: Iterable[str], texts: Mapping[str, str]) -> list[str]:
        """Sort so that what is referred to comes first."""
        waiting = sorted(names, key=lambda name: (not self._is_table(texts[name]), name))
        mentions = {name: _mentioned(texts[name], set(waiting) - {name}) for name in waiting}
        done: list[str] = []
        while waiting:
            ready = [n for n in waiting if mentions[n] <= set(done)] or waiting[:1]
            done.append(ready[0])
            waiting.remove(ready[0])
        return done

    def _local(self, text: str) -> str:
        """Take the name of the target database off every name that has it."""
        found = lexemes(text)
        reader = Reader(text, found)
        cut = [
            (here.start, dot.end)
            for here, dot, after in zip(found, found[1:], found[2:], strict=False)
            if here.kind in NAMES
            and dot.kind is TokenKind.DOT
            and after.kind in NAMES
            and reader.identifier(here) == self._database
        ]
        for start, end in reversed(cut):
            text = text[:start] + text[end:]
        return text

    def _say(self, sql: str) -> None:
        self._way.calls.append(Execute(sql))


def _mentioned(text: str, names: set[str]) -> set[str]:
    """Return those of the names that stand in a text, also as a string, as Distributed has it."""
    found = lexemes(text)
    reader = Reader(text, found)
    words = {reader.identifier(lx) for lx in found if lx.kind in NAMES}
    strings = {text[lx.start + 1 : lx.end - 1] for lx in found if lx.kind is TokenKind.STRING}
    return names & (words | strings)
