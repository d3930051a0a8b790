"""Rebuild a table of which the engine keeps the latest row of each key, while others write.

The table is copied first and exchanged then, so readers lack next to nothing. Rows may be
copied twice or late: `ReplacingMergeTree(version)` keeps the greatest version. Pure: text in,
statements out. ``tests/versions/test_writers.py`` holds it on ClickHouse 26.9 with writers
beside it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from budeval_migrations.errors import ConfigError
from budeval_migrations.model import Statement
from budeval_migrations.recipes.creation import engine_of, read_table
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import Definition, split_list
from budeval_migrations.sql.reader import Reader

_WIDTH = 96
_LINE = 100
_STORED = frozenset({"", "DEFAULT"})


@dataclass(frozen=True)
class LatestRows:
    """Copy the latest row of each key; for `ReplacingMergeTree(version)`.

    Attributes:
        key: By a name of your choice, the expressions that tell one row from another, such as
            ``{"job": "job_id", "month": "toYYYYMM(started)"}``. Expressions of PARTITION BY
            belong to them, since the engine deduplicates within a partition.
        version: The engine's version column. The server sets it (``DEFAULT now()``).
        then: A column that decides between two rows with the same version.
        by_partition: Take the latest row of each partition, also where the old table has the
            same key in several partitions.
        built_as: The new table's name before the exchange; ``<table>_new`` by default.

    """

    key: Mapping[str, str]
    version: str
    then: str = ""
    by_partition: bool = False
    built_as: str = ""


def rebuild_latest(
    table: Name, create: str, rows: LatestRows, kept_as: str, recipe: int
) -> tuple[Statement, ...]:
    """Return the statements that give a table another definition.

    Each of them may be repeated from the first, whenever a run was killed.

    Args:
        table: A table of the current database.
        create: The CREATE TABLE that it shall have.
        kept_as: The old table's name until its last rows are copied.
        recipe: 1; or 0, without the check that comes first.

    Raises:
        ConfigError: The table does not keep the greatest version; or it is named with a
            database.

    """
    if table.database:
        raise ConfigError(
            f"op.rebuild_table({named(table)!r}): LatestRows is for the current database.",
            hint="Name the table without a database.",
        )
    built_as = rows.built_as or f"{table.name}_new"
    rebuild = _Rebuild(table.name, create, rows, built_as, kept_as, recipe)
    rebuild.check()
    first = (Statement(rebuild.check_key()),) if recipe else ()
    return (*first, *rebuild.statements())


@dataclass(frozen=True)
class _Rebuild:
    table: str
    create: str
    rows: LatestRows
    built_as: str
    kept_as: str
    recipe: int

    @cached_property
    def _new(self) -> Definition:
        return read_table(self.create)

    def check(self) -> None:
        """Raise where the copy would not be exact."""
        said = f"op.rebuild_table({self.table!r}): "
        engine, arguments = engine_of(self._new)
        if engine != "ReplacingMergeTree" or self.rows.version not in arguments:
            raise ConfigError(
                f"{said}the engine does not keep the row with the greatest {self.rows.version}.",
                hint=f"LatestRows is for ENGINE = ReplacingMergeTree({self.rows.version}).",
            )
        if not self.rows.key:
            raise ConfigError(
                f"{said}LatestRows has no key.", hint='Such as: LatestRows({"id": "id"}, …)'
            )

    def check_key(self) -> str:
        """Return the refusal of a table that has the sorting key already.

        The key tells the new table from the old one: without a difference nothing would be done.
        """
        said = (
            f"{self.table} has this sorting key already, and op.rebuild_table tells the tables "
            "apart by it. Nothing was done"
        )
        begun = ", ".join(quote.string(name) for name in (self.built_as, self.kept_as))
        return (
            f"SELECT throwIf(\n    count() > 0 AND (\n        SELECT count() FROM system.tables\n"
            f"        WHERE database = currentDatabase() AND name IN ({begun})\n    ) = 0,\n"
            f"    {quote.string(said)}\n)\nFROM system.tables\n{self._is_new()}"
        )

    def _check_told_apart(self) -> str:
        """Return the refusal of a key that the server writes in another way than we do."""
        said = (
            f"the server writes the sorting key of {self.built_as} in another way. Nothing was "
            f"exchanged. Write ORDER BY as it stands in system.tables, and drop {self.built_as}"
        )
        return (
            f"SELECT throwIf(\n    count() = 0,\n    {quote.string(said)}\n)\n"
            f"FROM system.tables\n{self._is_new(name=self.built_as)}"
        )

    def statements(self) -> tuple[Statement, ...]:
        """Return what is sent."""
        built, kept, table = named(self.built_as), named(self.kept_as), named(self.table)
        exchanged = f"\nSELECT 1 FROM system.tables\n{self._is_new()}\n"
        copied = _is_gone(self.kept_as)
        return (
            Statement(f"DROP TABLE IF EXISTS {built}", unless=exchanged),
            Statement(self._create(), unless=exchanged),
            *((Statement(self._check_told_apart(), unless=exchanged),) if self.recipe else ()),
            Statement(self._first_copy(), unless=exchanged),
            Statement(f"EXCHANGE TABLES {table} AND {built}", unless=exchanged),
            # Not under the first name, which a run from the first statement would drop.
            Statement(f"RENAME TABLE {built} TO {kept}", unless=_is_gone(self.built_as)),
            Statement(self._pause(), unless=copied),
            *(Statement(self._long_inserts_end(n), unless=copied) for n in (3, 30)),
            Statement(self._check_no_long_insert(), unless=copied),
            Statement(self._last_copy(), unless=copied),
            Statement(self._check_copied(), unless=copied),
            Statement(f"DROP TABLE IF EXISTS {kept}"),
        )

    def _create(self) -> str:
        """Return the CREATE with the name under which the table is built; nothing else changes."""
        reader = Reader(self.create)
        reader.accept("CREATE", "TABLE")
        guarded = reader.accept("IF", "NOT", "EXISTS")
        name, guard = reader.peek(), "" if guarded else "IF NOT EXISTS "
        head, tail = self.create[: name.start], self.create[name.end :]
        return f"{head}{guard}{named(self.built_as)}{tail}".strip()

    def _is_new(self, indent: str = "", name: str = "") -> str:
        """Return the condition on system.tables that holds for the new table alone."""
        held, key = "sorting_key", ", ".join(split_list(self._new.clauses.get("ORDER BY", "")))
        if self.recipe:  # 26.9 writes n+1 as n + 1, and a name in quotes only where it must be
            held, key = "replaceRegexpAll(sorting_key, '[ `\"]', '')", re.sub(r'[\s`"]', "", key)
        lines = [
            f"WHERE database = currentDatabase() AND name = {quote.string(name or self.table)}",
            f"  AND {held} = {quote.string(key)}",
        ]
        whole = f"{lines[0]} {lines[1].strip()}"
        # One line where it has room.
        return whole if len(indent) + len(whole) <= _LINE else f"\n{indent}".join(lines)

    def _latest(self, source: str) -> str:
        """Return the SELECT of the latest row of each key."""
        order = [f"{self.rows.version} DESC"] + ([f"{self.rows.then} DESC"] * bool(self.rows.then))
        lines = [
            f"SELECT * FROM {source} FINAL",
            f"ORDER BY {', '.join(order)}",
            f"LIMIT 1 BY {', '.join(self.rows.key.values())}",
        ]
        if self.rows.by_partition:
            lines.append("SETTINGS do_not_merge_across_partitions_select_final = 1")
        return "\n".join(f"    {line}" for line in lines)

    def _copy(self, into: str, source: str) -> str:
        columns = [
            named(column.name) for column in self._new.columns if column.default_kind in _STORED
        ]
        return (
            f"INSERT INTO {into}\n{_wrapped(columns, '    (', '     ')})\nSELECT\n"
            f"{_wrapped(columns, '    ', '    ')}\nFROM\n(\n{self._latest(source)}\n)"
        )

    def _first_copy(self) -> str:
        copy = self._copy(named(self.built_as), named(self.table))
        return f"{copy}\nWHERE {self.rows.version} < now() - 5"

    def _last_copy(self) -> str:
        """Return the INSERT of what the new table lacks.

        A row whose second is taken is there already, or was replaced by one inserted later.
        """
        key = ", ".join([*self.rows.key.values(), self.rows.version])
        copy = self._copy(named(self.table), named(self.kept_as))
        return f"{copy}\nWHERE ({key}) NOT IN\n    (SELECT {key} FROM {named(self.table)})"

    def _inserts(self, indent: str, *more: str) -> str:
        """Return the condition on system.processes; its own name leaves out this query itself."""
        return f"\n{indent}  AND ".join(
            [
                f"{indent}WHERE positionCaseInsensitive(query, 'insert') > 0",
                f"positionCaseInsensitive(query, {quote.string(self.table)}) > 0",
                "positionCaseInsensitive(query, 'system.processes') = 0",
                *more,
            ]
        )

    def _pause(self) -> str:
        """Return the wait for what was begun; there is none where nobody writes."""
        return (
            "SELECT sleepEachRow(1) FROM numbers(2)\nWHERE (\n"
            f"    SELECT count() FROM system.processes\n{self._inserts('    ')}\n"
            f") > 0 OR (SELECT max({self.rows.version}) FROM {named(self.kept_as)}) >= now() - 2"
        )

    def _long_inserts_end(self, seconds: int) -> str:
        """Return a wait for old INSERTs; a row a block, since a server allows three seconds."""
        return (
            f"SELECT sleepEachRow(1) FROM numbers({seconds})\nWHERE (\n"
            f"    SELECT count() FROM system.processes\n{self._inserts('    ', 'elapsed >= 2')}\n"
            ") > 0\nSETTINGS max_block_size = 1"
        )

    def _check_no_long_insert(self) -> str:
        said = (
            f"an INSERT into {self.table} from before the exchange is still running. "
            "Nothing is lost, run this again"
        )
        return (
            f"SELECT throwIf(\n    count() > 0,\n    {quote.string(said)}\n)\n"
            f"FROM system.processes\n{self._inserts('', 'elapsed >= 2')}"
        )

    def _check_copied(self) -> str:
        said = f"{self.table} lacks rows that {self.kept_as} holds. Nothing is lost, run this again"
        names = ", ".join(self.rows.key)
        key = ", ".join(f"{expression} AS {name}" for name, expression in self.rows.key.items())
        new = self._is_new("        ")
        sides = "\n        UNION ALL\n".join(
            f"        SELECT {key}, {self.rows.version} AS version, {side} AS side\n"
            f"        FROM {named(table)}"
            for side, table in enumerate((self.kept_as, self.table))
        )
        return (
            "SELECT throwIf(\n    count() > 0 OR (\n        SELECT count() FROM system.tables\n"
            f"        {new}\n    ) = 0,\n    {quote.string(said)}\n)\nFROM\n(\n"
            f"    SELECT {names}, countIf(side = 1) AS copies,\n"
            "        maxIf(version, side = 0) AS before, maxIf(version, side = 1) AS after\n"
            f"    FROM\n    (\n{sides}\n    )\n    GROUP BY {names}\n)\n"
            "WHERE copies = 0 OR before > after"
        )


def _is_gone(name: str) -> str:
    return (
        "SELECT 1 WHERE (SELECT count() FROM system.tables"
        f" WHERE database = currentDatabase() AND name = {quote.string(name)}) = 0"
    )


def _wrapped(words: Sequence[str], first: str, following: str) -> str:
    return textwrap.fill(
        ", ".join(words),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
