"""Give a table another key, partitioning or engine while clients read and write it.

The calls that this returns put a new table in the place of the old one first, wait until
nobody writes to the old one any longer, and then copy what it holds, exactly once. Pure:
text in, calls of ``op`` out. ``tests/engines/test_generated.py`` holds it on ClickHouse 26.9
with writers beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from budeval_migrations.errors import RevisionError
from budeval_migrations.recipes.creation import (
    create_table,
    read_table,
    why_not_copied,
    why_not_exact,
)
from budeval_migrations.recipes.draft import Call, Execute, Fill, Line, Unless, literal
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import Definition
from budeval_migrations.sql.reader import NAMES, Reader

# system.processes.query_kind, RENAME TABLE IF EXISTS.
REQUIRES = "23.8"
INSERTS = "query_kind IN ('Insert', 'AsyncInsertFlush')"
_STORED = frozenset({"", "DEFAULT", "MATERIALIZED"})
_PAUSE = "inserts_pause_while_the_table_is_exchanged"


@dataclass(frozen=True)
class Rebuild:
    """What a rebuild takes.

    Attributes:
        downgrade: None where it could not be exact; ``irreversible`` says why.
        notes: Paragraphs for the docstring: what readers and writers see meanwhile.
        lost: Columns of the old table that the new one does not get.

    """

    upgrade: tuple[Call, ...]
    downgrade: tuple[Call, ...] | None
    notes: tuple[str, ...]
    lost: tuple[str, ...] = ()
    irreversible: str = ""
    requires: str = REQUIRES


def rebuild(
    old: str,
    new: str,
    *,
    mark: str,
    trash: Name,
    copy: Mapping[str, str] | None = None,
    copy_back: Mapping[str, str] | None = None,
    by: str = "partition",
    chunk_rows: int = 0,
    pause: bool = False,
) -> Rebuild:
    """Return the calls that turn one table into another one without losing a row.

    Args:
        old: The table's CREATE TABLE as it is.
        new: The CREATE TABLE that it shall have; the name counts in ``old`` only.
        mark: What the tables' comments say while it runs, such as the revision's id.
        trash: The name under which the old table stays when the upgrade is done.
        copy: For each column of the new table the expression over the old one that fills
            it; those of the same name without it. Columns left out get their defaults.
        copy_back: The same for the downgrade.
        by: The chunks of the copy: ``partition``, or an expression over the old table.
        chunk_rows: As for ``op.backfill``; its default for 0.
        pause: Refuse INSERTs for the seconds around the exchange: a materialized view that
            reads the table can miss one that meets it.

    Raises:
        RevisionError: The copy could not be exact with this engine.

    """
    before, after = read_table(old), read_table(new)
    refusal = why_not_copied(before) or why_not_copied(after) or why_not_exact(after)
    if refusal:
        raise RevisionError(
            f"{before.name.name} cannot be rebuilt exactly as {after.engine or 'it is'}: {refusal}",
            hint="ReplacingMergeTree(version) can be; else let nobody write, and do it by hand.",
        )
    there = _Direction(before.name, before, after, new, mark, copy, by, chunk_rows, pause)
    way_back = f"{mark} downgrade"
    back = _Direction(before.name, after, before, old, way_back, copy_back, by, chunk_rows, pause)
    refusal = why_not_exact(before)
    renamed = Execute(f"RENAME TABLE IF EXISTS {named(there.work)} TO {named(trash)}")
    return Rebuild(
        upgrade=(*there.calls(), *there.end(renamed)),
        downgrade=None
        if refusal
        else (
            *back.calls(),
            *back.end(
                Execute(
                    f"DROP TABLE IF EXISTS {named(back.work)}", "Every row of these two is copied."
                ),
                Execute(f"DROP TABLE IF EXISTS {named(trash)}"),
            ),
        ),
        notes=_notes(named(before.name), named(trash), pause=pause),
        lost=there.lost(),
        irreversible=f"the copy back could not be exact: {refusal}" if refusal else "",
    )


def _notes(table: str, trash: str, *, pause: bool) -> tuple[str, ...]:
    """Return the paragraphs of the docstring: what readers and writers see meanwhile."""
    return (
        f"How no row is lost: an empty table of the new shape is put in the place of {table} "
        "(EXCHANGE TABLES). When every INSERT that began before that has ended, the old table "
        "does not change any longer, and its rows are copied by op.backfill, each exactly once; "
        "materialized views do not see them again.",
        f"Readers: {table} answers all the time, and from the exchange to the end of the copy it "
        "lacks the rows that are not copied yet. Writers: an INSERT that meets the exchange may "
        "be refused (Code 741), with nothing written. "
        + (
            "INSERTs are refused for some seconds around the exchange (Code 469, nothing is "
            "written, send them again), so that no materialized view misses one; a run that "
            "is killed meanwhile leaves them refused until the next run."
            if pause
            else "A materialized view that reads it may miss an INSERT that meets the exchange "
            "(seen on 26.9); `budeval-migrate new change-order-by --pause` prevents it."
        ),
        "It stops and says so, with nothing lost, when the table has other columns than "
        "this file knows, when an INSERT of any table from before the exchange runs for more than "
        "half a minute, or a mutation of the old table is unfinished: run it again. Not seen: "
        "INSERTs that the server makes itself (Kafka, Buffer). ALTER … UPDATE and DELETE that "
        "are sent meanwhile do not reach rows that are not copied yet.",
        f"Afterwards the old table is {trash}; `budeval-migrate new drop-table --purge "
        f"{trash}` writes the revision that drops it. The downgrade drops it, and copies "
        "every row back in the same way.",
    )


@dataclass(frozen=True)
class _Direction:
    """One way: what the table is, what it shall be."""

    table: Name
    before: Definition
    after: Definition
    new: str
    mark: str
    copy: Mapping[str, str] | None
    by: str
    chunk_rows: int
    pause: bool

    @property
    def work(self) -> Name:
        """The new table before the exchange, the old one after it."""
        return Name(f"_rebuild_{self.table.name}", self.table.database)

    def calls(self) -> tuple[Call, ...]:
        """Return the calls up to the end of the copy."""
        table, work = named(self.table), named(self.work)
        building = quote.string(f"{self.mark}: new")
        probe = _of("system.tables", "name", self.table, also=f"comment = {building}")

        def unless_exchanged(sql: str, comment: str = "") -> Unless:
            return Unless(probe, sql, comment, "exchanged")

        refuse = f"ADD CONSTRAINT IF NOT EXISTS {_PAUSE} CHECK 0"
        # EXCHANGE moves the tables first and their views after them, and an INSERT looks for its
        # table first and for its views after it: whichever table it finds has to refuse
        # it, until none is left that began before (26.9, where refusing by the old table alone
        # was seen to miss some; InterpreterRenameQuery.cpp, ClickHouse pull request 108728).
        paused = (
            unless_exchanged(
                f"ALTER TABLE {work} {refuse}",
                "Both tables refuse INSERTs until no INSERT is left that may not know its views.",
            ),
            unless_exchanged(f"ALTER TABLE {table} {refuse}"),
            *self._let_inserts_end(self.table, "pause", "when it began to refuse"),
        )
        resumed = (
            Execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {_PAUSE}", "End of the pause."),
        )
        relieved = (Execute(f"ALTER TABLE {work} DROP CONSTRAINT IF EXISTS {_PAUSE}"),)
        return (
            Line(
                f"exchanged = {literal(probe, room=0)}",
                "The comment tells the new table from the old one.",
                probe,
            ),
            unless_exchanged(self._check(building)),
            unless_exchanged(create_table(self.new, self.work, {"COMMENT": building})),
            *(paused if self.pause else ()),
            unless_exchanged(f"EXCHANGE TABLES {table} AND {work}"),
            Execute(
                f"ALTER TABLE {work} MODIFY COMMENT {quote.string(f'{self.mark}: old')}",
                "Also notes when the exchange was, as the time of the metadata.",
            ),
            *self._let_inserts_end(self.work, "exchange", "the exchange"),
            *(resumed if self.pause else ()),
            *self._refusal(),
            *(relieved if self.pause else ()),
            self._fill(),
        )

    def _check(self, building: str) -> str:
        """Return the SELECT that refuses what could go wrong, before anything is done."""
        table, work = named(self.table), named(self.work)
        names = ", ".join(quote.string(column.name) for column in self.before.columns)
        inserts = f"SELECT count() FROM system.processes\nWHERE {INSERTS} AND elapsed > 10"
        unfinished = _of("system.mutations", "table", self.table, "count()", "NOT is_done")
        others = _of("system.tables", "name", self.work, "count()", f"comment != {building}")
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

    def end(self, *disposal: Call) -> tuple[Call, ...]:
        """Return what is left to do when every row is copied."""
        comment = self.after.clauses.get("COMMENT", "''")
        return (*disposal, Execute(f"ALTER TABLE {named(self.table)} MODIFY COMMENT {comment}"))

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
        if self.copy is not None:
            return dict(self.copy)
        return {
            column.name: named(column.name)
            for column in self.after.columns
            if column.default_kind in _STORED
            and (was := self.before.column(column.name)) is not None
            and was.default_kind != "EPHEMERAL"
        }

    def _fill(self) -> Fill:
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
        return Fill(named(self.table), select, named(self.work), self.by, columns, self.chunk_rows)

    def _let_inserts_end(self, table: Name, moment: str, said: str) -> tuple[Call, ...]:
        """Return the calls that wait, half a minute at most, for what began before a moment.

        Args:
            table: Whose metadata changed last at that moment.
            moment: The variable that holds it.

        """
        since = _of(
            "system.tables",
            "name",
            table,
            "toUnixTimestamp(any(metadata_modification_time)) + 1",
        )
        running = (
            f"SELECT count() FROM system.processes\nWHERE {INSERTS}\n"
            f"  AND toUnixTimestamp64Milli(now64(3)) / 1000 - elapsed <= (\n{since}\n)"
        )
        return (
            Line(
                f"{moment} = {literal(since, room=0)}",
                f"The second after {said}, and the INSERTs that began before it.",
                since,
            ),
            Line(f"running = {literal(running, room=0)}", sql=running),
            Line(
                "for seconds in (2, 4, 8, 16):\n"
                "    op.execute(\n"
                '        f"SELECT sleepEachRow(1) FROM numbers({seconds})"\n'
                '        f" WHERE ({running}) > 0"\n'
                f'        f" OR toUnixTimestamp(now()) + number <= ({{{moment}}})"\n'
                '        " SETTINGS max_block_size = 1"\n'
                "    )",
                "A row a block: a server allows three seconds of sleep in one.",
            ),
        )

    def _refusal(self) -> tuple[Call, ...]:
        """Return the calls that stop where the old table may still change."""
        unfinished = _of("system.mutations", "table", self.work, "count()", "NOT is_done")
        said = (
            f"an INSERT from before the exchange of {named(self.table)} is still running, "
            "or a mutation. Nothing is lost, run this again"
        )
        return (
            Line(f"unfinished = {literal(unfinished, room=0)}", sql=unfinished),
            Line(f"said = {literal(quote.string(said), room=200)}"),
            Line('op.execute(f"SELECT throwIf(({running}) + ({unfinished}) > 0, {said})")'),
        )


def _identifiers(expression: str) -> set[str]:
    reader = Reader(expression)
    return {reader.identifier(lexeme) for lexeme in reader.rest if lexeme.kind in NAMES}


def _of(catalogue: str, key: str, name: Name, what: str = "1", also: str = "") -> str:
    """Return a SELECT of what the catalogue says of a table."""
    database = quote.string(name.database) if name.database else "currentDatabase()"
    condition = f"database = {database} AND {key} = {quote.string(name.name)}"
    return f"SELECT {what} FROM {catalogue}\nWHERE {condition}" + (f" AND {also}" if also else "")
