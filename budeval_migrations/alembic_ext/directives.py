"""The directives that ``op`` has on top of Alembic's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from alembic.operations import MigrateOperation, Operations

from budeval_migrations.alembic_ext.impl import ClickHouseImpl
from budeval_migrations.errors import ConfigError, RevisionCompileError, RevisionError
from budeval_migrations.model import Backfill, Reach, Statement
from budeval_migrations.recipes.all_rows import AllRows
from budeval_migrations.recipes.latest_rows import LatestRows
from budeval_migrations.recipes.rebuild_table import rebuild_table
from budeval_migrations.recipes.registry import expand
from budeval_migrations.recipes.view_history import view_with_history
from budeval_migrations.recipes.view_parts import History, InnerTable, OwnTable
from budeval_migrations.sql.chunked import joins_source, merges_partitions, not_by_chunks, shadowed


@Operations.register_operation("execute_file")
class ExecuteFileOp(MigrateOperation):
    """``op.execute_file("name.sql")``: run the statements of a file."""

    def __init__(self, name: str, *, outside: bool = False) -> None:
        self.name = name
        self.outside = outside

    @classmethod
    def execute_file(cls, operations: Operations, name: str, *, outside: bool = False) -> None:
        """Run the statements of a file that lies beside the revision.

        The file counts in the revision's checksum, so the name must be a
        literal.

        Args:
            name: The file's name, relative to the revision's directory.
            outside: The file may lie outside that directory.

        """
        operations.invoke(cls(name, outside=outside))


@Operations.implementation_for(ExecuteFileOp)
def _execute_file(operations: Operations, operation: ExecuteFileOp) -> None:
    _impl(operations).sink.file(operation.name, outside=operation.outside)


@Operations.register_operation("execute_unless")
class ExecuteUnlessOp(MigrateOperation):
    """``op.execute_unless(probe, sql)``: run a statement that is not yet done."""

    def __init__(self, probe: str, sql: str) -> None:
        self.probe = probe
        self.sql = sql

    @classmethod
    def execute_unless(cls, operations: Operations, probe: str, sql: str) -> None:
        """Run SQL, unless a probe finds that it was done.

        Makes a statement repeatable that ClickHouse has no IF for, such as
        ``EXCHANGE TABLES``. With several statements the probe is asked before
        each of them. In a ``--sql`` script the statements stand without a guard.

        Args:
            probe: A SELECT; when it returns a row, the statement is not sent.
            sql: One or several statements.

        """
        operations.invoke(cls(probe, sql))


@Operations.implementation_for(ExecuteUnlessOp)
def _execute_unless(operations: Operations, operation: ExecuteUnlessOp) -> None:
    _impl(operations).sink.script(operation.sql, unless=operation.probe)


@Operations.register_operation("execute_here")
@Operations.register_operation("execute_unreplicated")
class ExecuteWithReachOp(MigrateOperation):
    """``op.execute_here`` and ``op.execute_unreplicated``: less than all of a cluster."""

    def __init__(self, sql: str, reach: Reach) -> None:
        self.sql = sql
        self.reach = reach

    @classmethod
    def execute_here(cls, operations: Operations, sql: str) -> None:
        """Run SQL as it is written, on the host that the connection leads to.

        For what shall happen once, or in one shard: on a cluster nothing is put into
        it. On a single server it is what ``op.execute`` is.

        Args:
            sql: One or several statements.

        """
        operations.invoke(cls(sql, Reach.HERE))

    @classmethod
    def execute_unreplicated(cls, operations: Operations, sql: str) -> None:
        """Run SQL on every host of a cluster, and leave MergeTree tables as they are.

        For tables in which each host keeps rows of its own. On a single server it is
        what ``op.execute`` is.

        Args:
            sql: One or several statements.

        """
        operations.invoke(cls(sql, Reach.UNREPLICATED))


@Operations.implementation_for(ExecuteWithReachOp)
def _execute_with_reach(operations: Operations, operation: ExecuteWithReachOp) -> None:
    _impl(operations).sink.script(operation.sql, reach=operation.reach)


@Operations.register_operation("backfill")
class BackfillOp(MigrateOperation):
    """``op.backfill(...)``: move rows exactly once, chunk by chunk."""

    def __init__(self, asked: Backfill) -> None:
        self.asked = asked

    @classmethod
    def backfill(
        cls,
        operations: Operations,
        into: str,
        select: str,
        *,
        source: str,
        by: str = "partition",
        columns: Sequence[str] = (),
        chunk_rows: int = Backfill.CHUNK_ROWS,
        pause: float = 0.0,
    ) -> None:
        """Fill a MergeTree table from a SELECT, so that every row arrives exactly once.

        Each chunk is written to a staging table beside the target and its
        partitions are moved over, which ClickHouse does at once and without
        copying. A run that was killed goes on at the chunk where it was.
        Materialized views that read the target do not see rows that arrive so.
        The source must not get or lose rows that the SELECT takes while it runs:
        say in the SELECT up to which moment it reads. Needs ClickHouse 20.1.

        Args:
            into: The target table, as written in SQL.
            select: The SELECT, with ``{chunk}`` once where a condition can stand:
                ``SELECT … FROM source WHERE created_at < '2026-01-01' AND {chunk}``.
            source: The table whose rows are cut into chunks.
            by: ``partition``: a chunk is a partition of the source. Otherwise an
                expression, best the source's first sorting column: a chunk is a
                range of its values.
            columns: The target's columns that get the SELECT's; all without it.
            chunk_rows: About how many rows of the source a range has.
            pause: Seconds to wait between chunks, to leave the server to others.

        Raises:
            RevisionCompileError: ``{chunk}`` is not there, or more than once; or its
                condition would not be about the source.

        """
        _check_chunks(select, source, by)
        if chunk_rows < 1 or pause < 0:
            raise RevisionCompileError(
                "op.backfill: chunk_rows must be at least 1, and pause not below 0."
            )
        asked = Backfill(into, select, source, by, chunk_rows, tuple(columns), pause)
        operations.invoke(cls(asked))


def _check_chunks(select: str, source: str, by: str) -> None:
    """Refuse a SELECT in which the condition of a chunk is not about the source, and there once."""
    if select.count(Backfill.PLACEHOLDER) != 1:
        raise RevisionCompileError(
            "op.backfill: the SELECT must hold {chunk} exactly once, where the condition "
            "of a chunk goes.",
            hint="SELECT … FROM source WHERE {chunk}",
        )
    wrong = not_by_chunks(select)
    if wrong:
        raise RevisionCompileError(
            f"op.backfill: {wrong}.",
            hint="Each chunk is copied by itself, so every row must come out by itself: "
            "SELECT … FROM source WHERE (a OR b) AND {chunk}",
        )
    if by == "partition" and joins_source(select):
        raise RevisionCompileError(
            "op.backfill: the SELECT reads several tables, and the partitions of "
            f"{source} cannot be told from theirs.",
            hint='Say by which column the rows are cut into chunks: by="s.id".',
        )
    if by == "partition" and merges_partitions(select):
        raise RevisionCompileError(
            "op.backfill: the SELECT reads FINAL, and a chunk is a partition: a row that a row of "
            "another partition replaces would be copied too.",
            hint='Say by which column the rows are cut into chunks: by="id". If all rows of a key '
            "are in one partition: SETTINGS do_not_merge_across_partitions_select_final = 1.",
        )
    name = shadowed(select, by)
    if name:
        raise RevisionCompileError(
            f"op.backfill: the chunks are cut by {by}, and the SELECT calls something else {name}.",
            hint="Give it another name in the SELECT, and say columns=(…) where the target "
            "needs them.",
        )


@Operations.implementation_for(BackfillOp)
def _backfill(operations: Operations, operation: BackfillOp) -> None:
    _impl(operations).sink.backfill(operation.asked)


@Operations.register_operation("parallel")
class ParallelOp(MigrateOperation):
    """``with op.parallel():`` what the author knows to be independent."""

    @classmethod
    def parallel(cls, operations: Operations) -> AbstractContextManager[None]:
        """Say that the statements of a block may run at the same time.

        For what the names in the statements do not show, or show wrongly: with
        ``jobs`` of 2 and more they are then sent together. With the usual 1 they are
        sent in turn, as always. No two of them may change the same table: after a
        kill nobody could tell which of them did what. In a revision that reads the
        database while it runs, statements are sent in turn.

        Raises:
            RevisionCompileError: Two of them change one table, or a block stands in
                another.

        """
        return _impl(operations).sink.parallel()


@Operations.register_operation("rebuild_table")
@Operations.register_operation("create_view_with_history")
@Operations.register_operation("recipe")
class RecipeOp(MigrateOperation):
    """``op.rebuild_table`` and its like: several statements in one."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements

    @classmethod
    def rebuild_table(
        cls,
        operations: Operations,
        table: str,
        create: str,
        *,
        copy: AllRows | LatestRows,
        kept_as: str = "",
        recipe: int = 1,
    ) -> None:
        """Give a table another key, partitioning, engine or set of indices, while in use.

        Clients may read and write meanwhile. The rows are copied exactly once, and the revision
        stops, with both tables in place, where that cannot be. ``plan`` and ``--sql`` show each
        statement. A killed run is resumed in the middle.

        Args:
            table: The table.
            create: The CREATE TABLE that it shall have.
            copy: ``op.AllRows(was=…)`` for any MergeTree table; ``op.LatestRows(…)`` where only
                the latest row of each key counts, with ``ReplacingMergeTree(version)``.
            kept_as: With AllRows, the name under which the old table is kept; by default it is
                dropped. With LatestRows, its name until it is dropped; ``<table>_old`` by
                default.
            recipe: The version of the statements. A revision that names it gives the same
                statements under each later package.

        Raises:
            RevisionCompileError: A statement creates another table, the copy could not be
                exact, or the version of the recipe is not known.

        """
        with _refused():
            statements = rebuild_table(table, create, copy, kept_as, recipe=recipe)
        operations.invoke(cls(statements))

    @classmethod
    def create_view_with_history(
        cls,
        operations: Operations,
        view: str,
        select: str,
        *,
        history: History,
        into: OwnTable | InnerTable,
        replaces: bool = False,
        recipe: int = 1,
    ) -> None:
        """Create a materialized view and fill in what its table holds already, each row once.

        Clients may insert meanwhile. ``plan`` and ``--sql`` show each statement. If an INSERT
        runs for too long, the revision stops with nothing lost; run it again. A killed run is
        resumed in the middle.

        Args:
            view: The view.
            select: Its SELECT over one table: ``SELECT … FROM table [WHERE …] [GROUP BY …]``.
            history: How the rows of that table are told apart by their time.
            into: ``op.OwnTable("name")``; or, where it replaces, ``op.InnerTable(…)``.
            replaces: The view exists and answers all the time; the new one takes its place.
            recipe: The version of the statements. A revision that names it gives the same
                statements under each later package.

        Raises:
            RevisionCompileError: The SELECT is of another form, or the version of the recipe
                is not known.

        """
        with _refused():
            statements = view_with_history(
                view, select, history, into, replaces=replaces, recipe=recipe
            )
        operations.invoke(cls(statements))

    @classmethod
    def recipe(
        cls, operations: Operations, /, name: str, *, recipe: int = 1, **options: Any
    ) -> None:
        """Run the statements of a recipe that an installed package has.

        ``plan`` and ``--sql`` show each statement. A killed run is resumed in the middle.

        Args:
            name: The name of its entry point in the group ``budeval_migrations.recipes``.
            recipe: The version of the statements. A revision that names it gives the same
                statements under each later version of that package.
            options: What the recipe takes.

        Raises:
            RevisionCompileError: No installed package has it, or it returns no statements.

        """
        with _refused():
            statements = expand(name, recipe, options)
        operations.invoke(cls(statements))


@contextmanager
def _refused() -> Iterator[None]:
    """Let what a recipe refuses be an error of the revision, which has a file and a line."""
    try:
        yield
    except (ConfigError, RevisionError) as error:
        raise RevisionCompileError(error.message, hint=error.hint) from error


@Operations.implementation_for(RecipeOp)
def _recipe(operations: Operations, operation: RecipeOp) -> None:
    """Take the statements as if the revision had written them."""
    sink = _impl(operations).sink
    for statement in operation.statements:
        if statement.backfill is not None:
            sink.backfill(statement.backfill)
        else:
            sink.script(statement.text, unless=statement.unless)


def _impl(operations: Operations) -> ClickHouseImpl:
    impl = operations.migration_context.impl
    if not isinstance(impl, ClickHouseImpl):
        raise TypeError("this directive is for ClickHouse")
    return impl
