"""Alembic's implementation for ClickHouse: every directive becomes a statement.

Nothing is executed here. Whatever ``op`` is asked for is turned into text and
given to a sink: one that collects (compile before run, ``--sql``), or one that
runs it through the executor (dynamic revisions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from alembic.ddl.impl import DefaultImpl
from alembic.util import CommandError
from sqlalchemy import Table
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.expression import TableClause

SINK = "budeval_sink"


class Sink(Protocol):
    """Takes what a revision asks for, in order."""

    def script(self, sql: str, *, unless: str | None = None) -> None:
        """Take one or several statements as the author wrote them."""

    def file(self, name: str) -> None:
        """Take the statements of a file beside the revision."""

    def statement(self, sql: str) -> None:
        """Take one statement that SQLAlchemy rendered."""

    def bind(self) -> Connection:
        """Return a live connection, or say that there is none."""


class ClickHouseImpl(DefaultImpl):
    """What the three dialects have in common."""

    __dialect__ = "clickhouse"
    transactional_ddl = False

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
                "budeval_migrations.bridge.environment."
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
    substitution that our wires do not do; it is undone here.
    """
    compiled = construct.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    text = str(compiled)
    if dialect.paramstyle in ("format", "pyformat"):
        text = text.replace("%%", "%")
    return text.strip()
