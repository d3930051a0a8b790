"""Turn ``upgrade()`` and ``downgrade()`` into statements, before anything runs."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlalchemy.engine import Connection, Dialect

from budeval_migrations.alembic_ext import directives as _registered  # noqa: F401  adds to op
from budeval_migrations.alembic_ext.impl import SINK
from budeval_migrations.alembic_ext.live import led_to
from budeval_migrations.alembic_ext.source_map import Locate, SourceMap
from budeval_migrations.errors import MigrationError, RevisionCompileError, StatementSyntaxError
from budeval_migrations.model import Backfill, CompiledRevision, Direction, Reach, Statement
from budeval_migrations.revisions.directory import read_text, shown_path, sql_files
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.chunked import varying
from budeval_migrations.sql.redact import Redactor, redact, secrets_in
from budeval_migrations.sql.session_settings import Carrier
from budeval_migrations.sql.splitter import split
from budeval_migrations.sql.statement import parse

# ``alembic.op`` is one for the whole process: two threads that ran revisions at once
# would get each other's statements.
ONE_AT_A_TIME = threading.RLock()


class NeedsDatabase(BaseException):
    """A revision asked for a connection while it was compiled: it is dynamic.

    Not an Exception, so that a revision's own ``except Exception`` cannot
    swallow it.
    """


class RevisionSink:
    """Cuts what a revision asks for into statements with their places.

    Args:
        places: The lines of the revision's file.
        emit: Takes each statement.
        bind: Returns the live connection, or raises.

    """

    def __init__(
        self,
        path: str,
        source_map: SourceMap,
        emit: Callable[[Statement], None],
        bind: Callable[[], Connection],
    ) -> None:
        self._path = Path(path)
        self._source_map = source_map
        self._emit = emit
        self._bind = bind
        self._files: tuple[str, ...] | None = None
        self._blocks = 0
        self._block: dict[str, Statement] | None = None
        self._carrier = Carrier()

    @contextmanager
    def parallel(self) -> Iterator[None]:
        """Take statements that are independent of one another.

        Raises:
            RevisionCompileError: Two of them change one table; a block in a block.

        """
        if self._block is not None:
            raise RevisionCompileError("op.parallel() stands in another op.parallel().")
        self._blocks += 1
        self._block = {}
        try:
            yield
        finally:
            self._block = None

    def _take(self, statement: Statement) -> None:
        if statement.backfill is not None:
            _check_chunks_stay(statement.backfill.by)
        statement = self._carrier.take(statement)
        if self._block is None:
            self._emit(statement)
            return
        for name in {target.name for target in parse(statement.text).effect.targets}:
            other = self._block.setdefault(name, statement)
            if other is not statement:
                raise RevisionCompileError(
                    f"op.parallel(): {name} is changed here and in line {other.line}. After a "
                    "kill nobody could tell which of the two did what.",
                    hint="Leave one of them out of the block.",
                )
        self._emit(replace(statement, block=self._blocks))

    def script(
        self, sql: str, *, unless: str | None = None, reach: Reach = Reach.EVERYWHERE
    ) -> None:
        """Take statements as written in the revision file.

        Raises:
            RevisionCompileError: ``unless`` is no question.

        """
        if unless is not None:
            _check_probe(unless)
        self._cut(sql, str(self._path), self._source_map.locate(sql), unless, reach)

    def file(self, name: str, *, outside: bool = False) -> None:
        """Take the statements of a file beside the revision.

        Raises:
            RevisionCompileError: The name is not a literal, so the file does not
                count in the checksum; or it leads out of the revision's directory.

        """
        if self._files is None:
            self._files = sql_files(read_text(self._path))
        if name not in self._files:
            raise RevisionCompileError(
                f"op.execute_file({name!r}): the name must be a literal in the revision, so "
                "that the file counts in the checksum.",
                hint=f'Write op.execute_file("{name}").',
            )
        path = self._path.parent / name
        home = os.path.realpath(self._path.parent)
        if not outside and os.path.commonpath([home, os.path.realpath(path)]) != home:
            raise RevisionCompileError(
                f"op.execute_file({name!r}): the file lies outside the directory of the revision.",
                hint=f'Put it there; or, where that is meant: op.execute_file("{name}", '
                "outside=True).",
            )
        self._cut(read_text(path), str(path), lambda line, column: line)

    def backfill(self, asked: Backfill) -> None:
        """Take a backfill."""
        path = shown_path(str(self._path))
        self._take(Statement(asked.insert, path, self._source_map.calling_line(), backfill=asked))

    def statement(self, sql: str) -> None:
        """Take one statement that SQLAlchemy rendered."""
        self._take(Statement(sql, shown_path(str(self._path)), self._source_map.calling_line()))

    def bind(self) -> Connection:
        """Return the live connection, or raise NeedsDatabase."""
        return self._bind()

    def _cut(
        self,
        text: str,
        path: str,
        locate: Locate,
        unless: str | None = None,
        reach: Reach = Reach.EVERYWHERE,
    ) -> None:
        shown = shown_path(path)
        try:
            pieces = split(text)
        except StatementSyntaxError as error:
            raise StatementSyntaxError(
                error.reason,
                line=locate(error.line, error.column),
                column=error.column,
                file=shown,
                revision=self._path.stem,
            ) from error
        for piece in pieces:
            line = locate(piece.line, piece.column)
            self._take(Statement(piece.text, shown, line, unless, reach=reach))


def _check_chunks_stay(by: str) -> None:
    """Raise where a row may get into another chunk of a backfill each time."""
    name = varying(by)
    if name:
        raise RevisionCompileError(
            f"The rows are cut into chunks by {by}, and {name} does not give a row one value that "
            "stays: it would be copied twice, or never.",
            hint='Name a column of the source, or an expression of its columns: by="id".',
        )


def _check_probe(probe: str) -> None:
    """Raise where a probe would do more than ask, or would have no answer to be read."""
    asked = [parse(piece.text).kind for piece in split(probe)]
    if len(asked) != 1 or asked[0] not in (Kind.SELECT, Kind.SHOW):
        raise RevisionCompileError(
            f"op.execute_unless(): the probe is not one SELECT: {redact(' '.join(probe.split()))}",
            hint="Write one SELECT that returns a row where the statement has been done.",
        )


class Compiler:
    """Runs the Python of revisions, one Alembic context for all of them.

    Args:
        dialect: Renders what a revision asks for with SQLAlchemy's constructs.
        redact: Takes secrets out of what a revision's Python raises.

    """

    def __init__(self, dialect: Dialect, redact: Callable[[str], str] = redact) -> None:
        self._dialect = dialect
        self._redact = redact
        # Both directions of a file are compiled one after the other.
        self._source_map = lru_cache(maxsize=1)(SourceMap)

    def compile(self, script: Script, direction: Direction) -> CompiledRevision:
        """Return the statements of one direction; sends nothing.

        Raises:
            StatementSyntaxError: The text does not lex (file, line, column).
            RevisionCompileError: The revision's Python failed.

        """
        collected: list[Statement] = []

        def refuse() -> Connection:
            raise NeedsDatabase

        sink = RevisionSink(script.path, self._source_map(script.path), collected.append, refuse)
        compiled = CompiledRevision(script.revision, direction, shown_path(script.path))
        try:
            with ONE_AT_A_TIME, _python_errors(script, direction, self._redact):
                _call(script, direction, self._context, sink)
        except NeedsDatabase:
            return replace(compiled, dynamic=True)
        return replace(compiled, statements=tuple(collected))

    @cached_property
    def _context(self) -> MigrationContext:
        return _make_context(self._dialect, _NoConnection())


def run_live(
    script: Script,
    direction: Direction,
    connection: Connection,
    emit: Callable[[Statement], None],
    redact: Callable[[str], str] = redact,
) -> None:
    """Run a dynamic revision; every statement goes through ``emit`` as it comes.

    Raises:
        RevisionCompileError: The revision's Python failed.

    """
    sink = RevisionSink(script.path, SourceMap(script.path), emit, lambda: connection)
    context = _make_context(connection.dialect, connection)
    with ONE_AT_A_TIME, _python_errors(script, direction, redact), led_to(sink, connection.engine):
        _call(script, direction, context, sink)


def has_downgrade(script: Script) -> bool:
    """Return whether the revision has a ``downgrade`` function."""
    return callable(getattr(script.module, "downgrade", None))


def _call(
    script: Script, direction: Direction, context: MigrationContext, sink: RevisionSink
) -> None:
    context.opts[SINK] = sink
    _mend_engines()
    function = script.module.upgrade if direction is Direction.UP else script.module.downgrade
    with Operations.context(context):
        function()


def _mend_engines() -> None:
    """Give clickhouse-sqlalchemy's engines what Alembic asks of every constraint.

    Without it ``op.create_table(…, engines.MergeTree(…))`` fails (Alembic
    1.20.1, clickhouse-sqlalchemy 0.3.2).
    """
    engines = sys.modules.get("clickhouse_sqlalchemy.engines.base")
    if engines is not None and not hasattr(engines.Engine, "_type_bound"):
        engines.Engine._type_bound = False


def _make_context(dialect: Dialect, connection: Any) -> MigrationContext:
    # Alembic logs two lines for every context; the one of its own command is enough.
    log = logging.getLogger("alembic.runtime.migration")
    log.addFilter(_nothing)
    try:
        return MigrationContext(dialect, connection, {})
    finally:
        log.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


class _NoConnection:
    """Stands where the connection would be; whoever touches it is dynamic."""

    def in_transaction(self) -> bool:
        """Answer the one question that MigrationContext asks at its making."""
        return False

    def __getattr__(self, name: str) -> Any:
        raise NeedsDatabase


@contextmanager
def _python_errors(
    script: Script, direction: Direction, redact: Callable[[str], str]
) -> Iterator[None]:
    try:
        yield
    except StatementSyntaxError:
        raise
    except RevisionCompileError as error:
        raise _placed(script, direction, error, error.message, error.hint) from error
    except MigrationError:
        raise
    except (Exception, SystemExit) as error:
        # SQLAlchemy's errors have the statement, whose secrets a server quotes.
        known = Redactor(secrets_in(str(getattr(error, "statement", None) or "")))
        text = redact(known(f"{type(error).__name__}: {error}"))
        raise _placed(script, direction, error, text, "Correct the revision.") from error


def _placed(
    script: Script, direction: Direction, error: BaseException, text: str, hint: str
) -> RevisionCompileError:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f.lineno for f in reversed(frames) if f.filename == script.path), None)
    name = "upgrade" if direction is Direction.UP else "downgrade"
    at = f"{shown_path(script.path)}:{line}" if line else shown_path(script.path)
    return RevisionCompileError(
        f"{at}: {name}() of {script.revision} failed: {text}",
        hint=hint,
        revision=script.revision,
        file=shown_path(script.path),
        line=line,
    )
