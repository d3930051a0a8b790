"""Give a table another key, partitioning or engine while clients read and write it.

A new table is put in the place of the old one first. When nobody writes to the old one any
longer, its rows are copied, each exactly once. Pure: text in, statements out.
``tests/engines/test_generated.py`` holds it on ClickHouse 26.9 with writers beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from budeval_migrations.errors import RevisionError
from budeval_migrations.model import Backfill, Statement
from budeval_migrations.recipes.creation import (
    create_table,
    read_table,
    why_not_copied,
    why_not_exact,
)
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import Definition
from budeval_migrations.sql.reader import NAMES, Reader

# system.processes.query_kind, RENAME TABLE IF EXISTS.
REQUIRES = "23.8"
INSERTS = "query_kind IN ('Insert', 'AsyncInsertFlush')"
_STORED = frozenset({"", "DEFAULT", "MATERIALIZED"})
_BUILT = "'rebuild %: new'"  # the comment of a new table
_PAUSE = "inserts_pause_while_the_table_is_exchanged"


@dataclass(frozen=True)
class AllRows:
    """Copy every row, into any table of the MergeTree family.

    Attributes:
        was: The CREATE TABLE of the table as it is. If the table has other columns when the
            revision runs, the revision stops before it does anything.
        columns: For each column of the new table the expression over the old one that fills
            it; by default the columns that have the same name. Columns left out get their
            defaults.
        by: The chunks of the copy, as for ``op.backfill``.
        chunk_rows: The same; 0 for its default.
        pause: Refuse INSERTs for the seconds around the exchange, so that no materialized view
            that reads the table misses one.

    """

    was: str
    columns: Mapping[str, str] | None = None
    by: str = "partition"
    chunk_rows: int = 0
    pause: bool = False


def rebuild_all(create: str, rows: AllRows, kept_as: Name | None) -> tuple[Statement, ...]:
    """Return the statements that give a table another definition without losing a row.

    Args:
        create: The CREATE TABLE that the table shall have; the name counts in ``rows.was``.
        kept_as: The name under which the old table stays; without it the table is dropped.

    Raises:
        RevisionError: The copy could not be exact with this engine.

    """
    before, after = read_table(rows.was), read_table(create)
    refusal = why_not_copied(before) or why_not_copied(after) or why_not_exact(after)
    if refusal:
        raise RevisionError(
            f"{before.name.name} cannot be rebuilt exactly as {after.engine or 'it is'}: {refusal}",
            hint="ReplacingMergeTree(version) can be; else let nobody write, and do it by hand.",
        )
    return _Rebuild(before.name, before, after, create, rows, kept_as).statements()


def lost_columns(create: str, rows: AllRows) -> tuple[str, ...]:
    """Return the columns of the old table whose values do not go over."""
    before, after = read_table(rows.was), read_table(create)
    return _Rebuild(before.name, before, after, create, rows, None).lost()


@dataclass(frozen=True)
class _Rebuild:
    table: Name
    before: Definition
    after: Definition
    new: str
    rows: AllRows
    kept_as: Name | None

    @property
    def mark(self) -> str:
        """What the tables' comments say meanwhile: another one for each definition."""
        return f"rebuild {hashlib.sha256(self.new.strip().encode()).hexdigest()[:12]}"

    @property
    def work(self) -> Name:
        """The new table before the exchange, the old one after it."""
        return Name(f"_rebuild_{self.table.name}", self.table.database)

    def statements(self) -> tuple[Statement, ...]:
        """Return what is sent, in order."""
        table, work = named(self.table), named(self.work)
        building = quote.string(f"{self.mark}: new")
        # The comment tells the new table from the old one.
        exchanged = _of("system.tables", "name", self.table, also=f"comment = {building}")

        def unless_exchanged(sql: str) -> Statement:
            return Statement(sql, unless=exchanged)

        refuse = f"ADD CONSTRAINT IF NOT EXISTS {_PAUSE} CHECK 0"
        # EXCHANGE moves the tables first and their views after them, and an INSERT looks for its
        # table first and for its views after it: whichever table it finds has to refuse
        # it, until none is left that began before (26.9, where refusing by the old table alone
        # was seen to miss some; InterpreterRenameQuery.cpp, ClickHouse pull request 108728).
        paused = (
            unless_exchanged(f"ALTER TABLE {work} {refuse}"),
            unless_exchanged(f"ALTER TABLE {table} {refuse}"),
            *self._let_inserts_end(self.table),
        )
        resumed = (Statement(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {_PAUSE}"),)
        relieved = (Statement(f"ALTER TABLE {work} DROP CONSTRAINT IF EXISTS {_PAUSE}"),)
        pause = self.rows.pause
        comment = self.after.clauses.get("COMMENT", "''")
        return (
            # Of whatever definition: an attempt that failed may be written anew.
            Statement(
                self._check(),
                unless=_of("system.tables", "name", self.table, also=f"comment LIKE {_BUILT}"),
            ),
            unless_exchanged(create_table(self.new, self.work, {"COMMENT": building})),
            *(paused if pause else ()),
            unless_exchanged(f"EXCHANGE TABLES {table} AND {work}"),
            # Also notes when the exchange was, as the time of the metadata.
            Statement(
                f"ALTER TABLE {work} MODIFY COMMENT {quote.string(f'{self.mark}: old')}",
            ),
            *self._let_inserts_end(self.work),
            *(resumed if pause else ()),
            self._refusal(),
            *(relieved if pause else ()),
            self._fill(),
            self._dispose(),
            Statement(f"ALTER TABLE {table} MODIFY COMMENT {comment}"),
        )

    def _dispose(self) -> Statement:
        """Return what becomes of the old table, of which every row is copied."""
        work = named(self.work)
        if self.kept_as is None:
            return Statement(f"DROP TABLE IF EXISTS {work}")
        return Statement(f"RENAME TABLE IF EXISTS {work} TO {named(self.kept_as)}")

    def _check(self) -> str:
        """Return the SELECT that refuses what could go wrong, before anything is done."""
        table, work = named(self.table), named(self.work)
        names = ", ".join(quote.string(column.name) for column in self.before.columns)
        inserts = f"SELECT count() FROM system.processes\nWHERE {INSERTS} AND elapsed > 10"
        unfinished = _of("system.mutations", "table", self.table, "count()", "NOT is_done")
        others = _of("system.tables", "name", self.work, "count()", f"comment NOT LIKE {_BUILT}")
        refusals = [
            (
                f"({_of('system.columns', 'table', self.table, 'groupArray(name)')})\n!= [{names}]",
                f"{table} has other columns than this revision knows",
            ),
            (
                f"({others}) > 0",
                f"there is another table {work} already",
            ),
            (f"({inserts}) > 0", "an INSERT has been running for more than ten seconds"),
            (f"({unfinished}) > 0", f"a mutation of {table} is unfinished"),
        ]
        listed = ",\n".join(
            f"throwIf({wrong},\n{quote.string(f'{said}. Nothing was done')})"
            for wrong, said in refusals
        )
        return f"SELECT\n{listed}"

    def lost(self) -> tuple[str, ...]:
        """Return the columns whose values do not go over."""
        used = {name for text in self._mapping().values() for name in _identifiers(text)}
        return tuple(
            column.name
            for column in self.before.columns
            if column.default_kind in _STORED and column.name not in used
        )

    def _mapping(self) -> dict[str, str]:
        """Return what fills each column of the new table."""
        if self.rows.columns is not None:
            return dict(self.rows.columns)
        return {
            column.name: named(column.name)
            for column in self.after.columns
            if column.default_kind in _STORED
            and (was := self.before.column(column.name)) is not None
            and was.default_kind != "EPHEMERAL"
        }

    def _fill(self) -> Statement:
        mapping = self._mapping()
        settings = []
        kinds = {column.name: column.default_kind for column in self.after.columns}
        if any(kinds.get(name) == "MATERIALIZED" for name in mapping):
            settings.append("insert_allow_materialized_columns = 1")
        if self.before.clauses.get("PARTITION BY") != self.after.clauses.get("PARTITION BY"):
            settings.append("max_partitions_per_insert_block = 0")
        select = (
            f"SELECT {', '.join(mapping.values())}\nFROM {named(self.work)}\nWHERE {{chunk}}"
            + (f"\nSETTINGS {', '.join(settings)}" if settings else "")
        )
        columns = tuple(named(name) for name in mapping)
        rows = self.rows.chunk_rows or Backfill.CHUNK_ROWS
        work = named(self.work)
        asked = Backfill(named(self.table), select, work, self.rows.by, rows, columns)
        return Statement(asked.insert, backfill=asked)

    def _let_inserts_end(self, table: Name) -> tuple[Statement, ...]:
        """Return the wait, half a minute at most, for INSERTs from before a change of a table."""
        since = self._changed(table)
        # A row a block: a server allows three seconds of sleep in one.
        return tuple(
            Statement(
                f"SELECT sleepEachRow(1) FROM numbers({seconds})"
                f" WHERE ({self._running(since)}) > 0"
                f" OR toUnixTimestamp(now()) + number <= ({since})"
                " SETTINGS max_block_size = 1"
            )
            for seconds in (2, 4, 8, 16)
        )

    def _changed(self, table: Name) -> str:
        """Return the SELECT of the second after the last change of a table's metadata."""
        what = "toUnixTimestamp(any(metadata_modification_time)) + 1"
        return _of("system.tables", "name", table, what)

    def _running(self, since: str) -> str:
        """Return the SELECT of how many INSERTs run that began before that second."""
        return (
            f"SELECT count() FROM system.processes\nWHERE {INSERTS}\n"
            f"  AND toUnixTimestamp64Milli(now64(3)) / 1000 - elapsed <= (\n{since}\n)"
        )

    def _refusal(self) -> Statement:
        """Return the SELECT that stops where the old table may still change."""
        running = self._running(self._changed(self.work))
        unfinished = _of("system.mutations", "table", self.work, "count()", "NOT is_done")
        said = (
            f"an INSERT from before the exchange of {named(self.table)} is still running, "
            "or a mutation. Nothing is lost, run this again"
        )
        return Statement(f"SELECT throwIf(({running}) + ({unfinished}) > 0, {quote.string(said)})")


def _identifiers(expression: str) -> set[str]:
    reader = Reader(expression)
    return {reader.identifier(lexeme) for lexeme in reader.rest if lexeme.kind in NAMES}


def _of(catalogue: str, key: str, name: Name, what: str = "1", also: str = "") -> str:
    """Return a SELECT of what the catalogue says of a table."""
    database = quote.string(name.database) if name.database else "currentDatabase()"
    condition = f"database = {database} AND {key} = {quote.string(name.name)}"
    return f"SELECT {what} FROM {catalogue}\nWHERE {condition}" + (f" AND {also}" if also else "")
