"""Alembic's implementation for ClickHouse: every directive becomes a statement.

Nothing is executed here. Whatever ``op`` is asked for is turned into text and
given to a sink: one that collects (compile before run, ``--sql``), or one that
runs it through the executor (dynamic revisions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from alembic.ddl.impl import DefaultImpl
from alembic.util import CommandError
from sqlalchemy import String, Table
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.expression import TableClause

from budeval_migrations.model import Backfill, Reach
from budeval_migrations.sql import quote

SINK = "budeval_sink"


class Sink(Protocol):
    """Takes what a revision asks for, in order."""

    def script(
        self, sql: str, *, unless: str | None = None, reach: Reach = Reach.EVERYWHERE
    ) -> None:
        """Take one or several statements as the author wrote them."""

    def backfill(self, asked: Backfill) -> None:
        """Take a backfill."""

    def parallel(self) -> AbstractContextManager[None]:
        """Take what comes in the block as independent of one another."""

    def file(self, name: str, *, outside: bool = False) -> None:
        """Take the statements of a file beside the revision."""

    def statement(self, sql: str) -> None:
        """Take one statement that SQLAlchemy rendered."""

    def bind(self) -> Connection:
        """Return a live connection, or say that there is none."""


class ClickHouseImpl(DefaultImpl):
    """What the three dialects have in common."""

    __dialect__ = "clickhouse"
    transactional_ddl = False

    def __init__(self, dialect: Dialect, *args: Any, **options: Any) -> None:
        super().__init__(dialect, *args, **options)
        escape_strings(dialect)

    @property
    def sink(self) -> Sink:
        """Where statements go.

        Raises:
            CommandError: The context was made by somebody else's env.py.

        """
        sink: Sink | None = self.context_opts.get(SINK)
        if sink is None:
            raise CommandError(
                "This context runs no statements. env.py must call run_env(context) of "
                "budeval_migrations.alembic_env.environment."
            )
        return sink

    @property
    def bind(self) -> Connection | None:
        """The live connection of a dynamic revision."""
        if SINK in self.context_opts:
            return self.sink.bind()
        return super().bind

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """Take raw SQL to the byte, or a construct of SQLAlchemy."""
        if isinstance(sql, str):
            self.sink.script(sql)
        else:
            self._exec(sql, execution_options)

    def _exec(
        self,
        construct: Any,
        execution_options: Mapping[str, Any] | None = None,
        multiparams: Sequence[Mapping[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(construct, str):
            self.sink.script(construct)
            return
        self.sink.statement(render(construct, self.dialect))

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        """Rename as ClickHouse does: RENAME TABLE."""
        home = f"{quote.identifier(schema)}." if schema else ""
        old, new = (home + quote.identifier(name) for name in (old_table_name, new_table_name))
        self.sink.statement(f"RENAME TABLE {old} TO {new}")

    def alter_column(
        self, table_name: str, column_name: str, *, name: str | None = None, **changes: Any
    ) -> None:
        """Alter a column; the new name comes last."""
        super().alter_column(table_name, column_name, **changes)
        if name is not None:
            schema = changes.get("schema")
            table = quote.identifier(table_name)
            if schema:
                table = f"{quote.identifier(schema)}.{table}"
            old, new = quote.identifier(column_name), quote.identifier(name)
            self.sink.statement(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")

    def bulk_insert(
        self, table: Table | TableClause, rows: list[dict[str, Any]], multiinsert: bool = True
    ) -> None:
        """Turn ``op.bulk_insert`` into one INSERT with its rows in the text."""
        if not isinstance(rows, list) or (rows and not isinstance(rows[0], dict)):
            raise TypeError("bulk_insert takes a list of dictionaries")
        if rows:
            self._exec(table.insert().values(rows))


class ClickHouseConnectImpl(ClickHouseImpl):
    """For ``clickhousedb://`` (clickhouse-connect)."""

    __dialect__ = "clickhousedb"


class EmbeddedImpl(ClickHouseImpl):
    """For ``chdb://`` (chdb-sqlalchemy)."""

    __dialect__ = "chdb"


def render(construct: ClauseElement, dialect: Dialect) -> str:
    """Return the text of a construct with its values in it.

    Dialects with a percent style of parameters double every ``%`` for a
    substitution that our transports do not do; it is undone here.

    Raises:
        CommandError: The dialect has no SQL for it.
    """
    literal = {} if isinstance(construct, ExecutableDDLElement) else {"literal_binds": True}
    text = undoubled(str(construct.compile(dialect=dialect, compile_kwargs=literal)), dialect)
    if not text.strip():
        name = type(construct).__name__
        raise CommandError(f"{dialect.name} has no SQL for {name}; write it with op.execute().")
    return text.strip()


def undoubled(text: str, dialect: Dialect) -> str:
    """Return the text of a construct as it is sent, which has each ``%`` once."""
    return text.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else text


def escape_strings(dialect: Dialect) -> None:
    """Let a dialect render string values as ClickHouse literals, where a backslash escapes.

    clickhouse-sqlalchemy 0.3.2 and chdb-sqlalchemy 0.2.1 render standard SQL's,
    in which it does not; clickhouse-connect does it right.
    """
    base: Any = dialect.statement_compiler
    if dialect.name == "clickhousedb" or getattr(base, "escapes_strings", False):
        return

    class Escaping(base):  # type: ignore[misc]
        escapes_strings = True

        def render_literal_value(self, value: Any, type_: Any) -> str:
            if not isinstance(value, str) or not isinstance(type_, String):
                return str(super().render_literal_value(value, type_))
            text = quote.string(value)
            return text.replace("%", "%%") if self.preparer._double_percents else text

    dialect.statement_compiler = Escaping
