"""Take some rows of a live table along to a shadow engine, to the byte."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import Unsupported
from budeval_migrations.shadow.schema import is_ours
from budeval_migrations.sql import quote

_ROWS_OF_ITS_OWN = "engine LIKE '%MergeTree' OR engine LIKE '%Log' OR engine IN ('Memory', 'Join')"


@dataclass(frozen=True)
class Sample:
    """Rows of one table.

    Attributes:
        columns: Names and types of what is stored.
        rows: In RowBinary.

    """

    table: str
    columns: tuple[tuple[str, str], ...]
    rows: bytes


def read_samples(session: Session, number: int) -> Iterator[Sample]:
    """Yield some rows of every table that has rows of its own; read-only.

    Args:
        number: The most of each table.

    Raises:
        Unsupported: The server is older than 20.5 and cannot write rows into a text.

    """
    if not session.features.format_row:
        raise Unsupported(
            f"ClickHouse {session.version()} cannot return rows to the byte; 20.5 and newer can.",
            hint="Rehearse without --sample.",
        )
    database = quote.string(session.database)
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, name, type_ in session.ask(
        "SELECT table, name, type FROM system.columns "
        f"WHERE database = {database} AND default_kind IN ('', 'DEFAULT') "
        f"AND table IN (SELECT name FROM system.tables WHERE database = {database} "
        f"AND ({_ROWS_OF_ITS_OWN})) ORDER BY table, position"
    ):
        if not is_ours(str(table)):
            columns.setdefault(str(table), []).append((str(name), str(type_)))
    for table, stored in columns.items():
        names = ", ".join(quote.identifier(name) for name, _ in stored)
        rows = session.query(
            f"SELECT base64Encode(formatRow('RowBinary', {names})) "
            f"FROM (SELECT {names} FROM {quote.identifier(table)} LIMIT {number})",
            patient=True,
        )
        packed = b"".join(base64.b64decode(str(row)) for (row,) in rows)
        if packed:
            yield Sample(table, tuple(stored), packed)


def put_sample(session: Session, directory: str, sample: Sample) -> None:
    """Insert the rows of a sample into the table of a shadow engine."""
    path = os.path.join(directory, "sample")
    with open(path, "wb") as file:
        file.write(sample.rows)
    names = ", ".join(quote.identifier(name) for name, _ in sample.columns)
    structure = ", ".join(f"{quote.identifier(name)} {type_}" for name, type_ in sample.columns)
    session.execute(
        f"INSERT INTO {quote.identifier(sample.table)} ({names}) "
        f"SELECT * FROM file({quote.string(path)}, 'RowBinary', {quote.string(structure)})"
    )
