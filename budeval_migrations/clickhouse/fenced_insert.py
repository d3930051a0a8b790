"""Append rows to one of our own tables, only as long as a condition holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import VALUE_IS_NON_ZERO, is_without_node
from budeval_migrations.clickhouse.transports.base import NOTHING, json_value
from budeval_migrations.errors import EngineError
from budeval_migrations.sql import quote

# What the server says when it refuses rows because their fence does not hold.
_FENCED_OFF = "budeval_migrations: the lock is held by another runner"


def insert_fenced(
    session: Session,
    table: str,
    rows: Sequence[Mapping[str, Any]],
    types: Mapping[str, str],
    fence: str,
    *,
    settings: Mapping[str, str] = NOTHING,
) -> bool:
    """Append rows as long as a condition holds, or without one; return whether it held.

    Condition and rows are one statement, which fails where the condition does not
    hold. Old servers cannot select rows from a text, so there the condition is
    asked first; over the native protocol, too, whose reading of rows is another.

    Args:
        types: The ClickHouse types of the columns.
        fence: An SQL expression; empty for no condition.
        settings: ClickHouse settings that go beside the text.

    """
    if not fence:
        session.insert(table, rows, settings=settings)
        return True
    if not session.features.format_function or not session.transport.reads_rows:
        holds = _holds(session, fence, settings)
        if holds:
            session.insert(table, rows, settings=settings)
        return holds
    text = _fenced_insert_text(table, rows, types, fence)
    # The rows are part of the query here, whose length is limited (256 KiB by default).
    wide = {**settings, "max_query_size": "1000000000"}
    try:
        session.execute(text, settings=wide)
    except EngineError as error:
        if error.code == VALUE_IS_NON_ZERO and _FENCED_OFF in error.message:
            return False
        raise
    return True


def _holds(session: Session, fence: str, settings: Mapping[str, str]) -> bool:
    try:
        [[holds]] = session.query(f"SELECT {fence}", settings=settings)
    except EngineError as error:
        if is_without_node(error):
            return False  # 18.16 of a claim that is not in Keeper any more
        raise
    return bool(int(holds))


def _fenced_insert_text(
    table: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, str], fence: str
) -> str:
    """Return an INSERT that appends all rows, or fails where a condition does not hold.

    It fails loudly, since no count in an answer can be believed: proxies remove
    ``X-ClickHouse-Summary``, and servers up to 22.x count no rows of an INSERT there.

    Args:
        types: The ClickHouse types of the columns; needs 22.4.
        fence: An SQL expression.

    """
    columns = ", ".join(quote.identifier(name) for name in rows[0])
    structure = ", ".join(f"{quote.identifier(name)} {types[name]}" for name in rows[0])
    data = "\n".join(json.dumps(row, default=json_value, ensure_ascii=False) for row in rows)
    return (
        f"INSERT INTO {quote.identifier(table)} ({columns}) SELECT {columns} "
        f"FROM format(JSONEachRow, {quote.string(structure)}, {quote.string(data)}) "
        f"WHERE throwIf(NOT ({fence}), {quote.string(_FENCED_OFF)}) = 0"
    )
