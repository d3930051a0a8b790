"""Read the schema that a person wants: a file of SQL, or SQLAlchemy's MetaData."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.schema import CreateTable, MetaData

from budeval_migrations.errors import ConfigError, StatementSyntaxError
from budeval_migrations.files import import_from_here, read_file
from budeval_migrations.model import Statement
from budeval_migrations.sql.splitter import split


def read_target_schema(source: str) -> tuple[Statement, ...]:
    """Return the statements that make a schema from nothing.

    Args:
        source: The path of a file, or ``module:name`` of a MetaData; the working
            directory is searched first.

    Raises:
        ConfigError: There is no such file, module or name.
        StatementSyntaxError: The file's text does not lex (line, column).

    """
    module, colon, name = source.partition(":")
    if colon and not os.path.exists(source):
        return _of_metadata(_found(module, name), source)
    text = read_file(source, "Name a file of CREATE statements, or module:metadata.")
    try:
        pieces = split(text)
    except StatementSyntaxError as error:
        raise StatementSyntaxError(
            error.reason, line=error.line, column=error.column, file=source
        ) from error
    return tuple(Statement(piece.text, source, piece.line) for piece in pieces)


def metadata_statements(metadata: MetaData, source: str) -> tuple[Statement, ...]:
    """Return the CREATE TABLE of every table, as clickhouse-sqlalchemy writes it.

    Args:
        source: What errors shall name as their place.

    Raises:
        ConfigError: A table cannot be rendered.

    """
    # The types are clickhouse-sqlalchemy's, whichever driver the URL names.
    dialect = registry.load("clickhouse")()
    found = []
    for table in metadata.sorted_tables:
        try:
            text = str(CreateTable(table).compile(dialect=dialect)).strip()
        except Exception as error:
            raise ConfigError(
                f"{source}: table {table.name} cannot be written as SQL: {error}",
                hint="Use the types and engines of clickhouse-sqlalchemy.",
            ) from error
        found.append(Statement(text, f"{source}.{table.name}", 1))
    return tuple(found)


def _of_metadata(found: Any, source: str) -> tuple[Statement, ...]:
    metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigError(
            f"{source} is no MetaData.", hint="Such as myapp.models:Base or myapp.models:metadata."
        )
    return metadata_statements(metadata, source)


def _found(module: str, name: str) -> Any:
    hint = "Name it as package.module:metadata, seen from the working directory."
    try:
        return getattr(import_from_here(module, hint), name)
    except AttributeError as error:
        raise ConfigError(f"{module} has no {name}.", hint=hint) from error
