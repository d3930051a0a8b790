"""Lead what a dynamic revision sends over its connection to where ``op.execute`` leads.

A statement that only reads is the driver's. What changes something is journalled, fenced and
sent once, whichever way its author has written it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from budeval_migrations.alembic_ext.impl import Sink, undoubled
from budeval_migrations.errors import RevisionCompileError, StatementSyntaxError
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.splitter import split
from budeval_migrations.sql.statement import parse

_READS = {Kind.SELECT, Kind.SHOW, Kind.DESCRIBE, Kind.EXISTS, Kind.EXPLAIN, Kind.CHECK}
# See :class:`sqlalchemy.events.DialectEvents`.
_EVENTS = ("do_execute", "do_execute_no_params", "do_executemany")


@contextmanager
def led_to(sink: Sink, engine: Engine) -> Iterator[None]:
    """Give a sink what is sent over an engine's connections and does more than read.

    Raises:
        RevisionCompileError: Such a statement has parameters beside its text.

    """

    def execute(cursor: Any, statement: str, *given: Any) -> bool:
        parameters, context = (None, *given)[-2:]
        if context.compiled is not None:
            statement = undoubled(statement, engine.dialect)
        if _only_reads(statement):
            return False
        if parameters:
            raise RevisionCompileError(
                "The values of this statement stand beside its text, which is recorded without "
                f"them: {' '.join(statement.split())[:80]}",
                hint="Write op.execute(sa.text(…).bindparams(…)), or the values in the text.",
            )
        sink.script(statement)
        return True

    for name in _EVENTS:
        event.listen(engine, name, execute)
    try:
        yield
    finally:
        for name in _EVENTS:
            event.remove(engine, name, execute)


def _only_reads(text: str) -> bool:
    try:
        return all(parse(piece.text).kind in _READS for piece in split(text))
    except StatementSyntaxError:
        return False  # whoever takes it says where
