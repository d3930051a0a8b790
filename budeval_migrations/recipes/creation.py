"""CREATE TABLE as a revision has it: under another name, with other clauses, in readable lines."""

from __future__ import annotations

from collections.abc import Mapping

from budeval_migrations.errors import ConfigError, StatementSyntaxError
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.definition import Column, Definition, read_definition, split_list
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import Reader, lexemes

_CLAUSES = ("PARTITION BY", "PRIMARY KEY", "ORDER BY", "SAMPLE BY", "TTL", "SETTINGS", "COMMENT")
# What ClickHouse prints though nobody asked for it.
_DEFAULT_SETTINGS = {"index_granularity": "8192"}
_OF_COLUMN = ("COMMENT", "CODEC", "STATISTICS", "TTL", "COLLATE", "SETTINGS")


def read_table(text: str, where: str = "") -> Definition:
    """Return what a CREATE TABLE says.

    Args:
        where: Where the text comes from, for the error.

    Raises:
        ConfigError: It is no CREATE TABLE with columns.

    """
    try:
        found = read_definition(text)
    except StatementSyntaxError as error:
        raise ConfigError(
            f"{where or 'The statement'}: {error.message}", hint=error.hint
        ) from error
    if found is None or found.kind is not Kind.CREATE_TABLE or not found.columns:
        first = " ".join(text.split())[:60]
        raise ConfigError(
            f"{where or 'The statement'} is no CREATE TABLE with columns: {first!r}.",
            hint="Such as: CREATE TABLE events (id UInt64) ENGINE = MergeTree ORDER BY id",
        )
    return found


def create_table(text: str, name: Name, changed: Mapping[str, str] | None = None) -> str:
    """Return a CREATE TABLE IF NOT EXISTS with a name and some clauses replaced.

    Args:
        text: Another CREATE TABLE.
        changed: Clauses by keyword (``ORDER BY``); an empty one is left out.

    """
    clauses = dict(read_table(text).clauses)
    if read_table(text).settings == _DEFAULT_SETTINGS:
        del clauses["SETTINGS"]
    clauses.update(changed or {})
    elements = ",\n".join(f"    {_plainly(element)}" for element in split_list(_columns(text)))
    lines = [f"CREATE TABLE IF NOT EXISTS {named(name)}", "(", elements, ")"]
    lines += [f"ENGINE = {clauses['ENGINE']}"] if clauses.get("ENGINE") else []
    lines += [f"{word} {clauses[word]}" for word in _CLAUSES if clauses.get(word)]
    return "\n".join(lines)


def declaration(column: Column) -> str:
    """Return a column as it is declared, without its name."""
    null = "NULL" if "NULL" in column.parts else "NOT NULL" if "NOT NULL" in column.parts else ""
    said = [column.type, null, column.default]
    said += [
        f"{word}{_after(word)}{column.parts[word]}" for word in _OF_COLUMN if word in column.parts
    ]
    return " ".join(part for part in said if part)


def why_not_copied(table: Definition) -> str:
    """Return why the rows of a table cannot go over into another by partitions; or nothing."""
    nested = [column.name for column in table.columns if column.type.startswith("Nested")]
    if nested:
        return f"{nested[0]} is Nested; write it as the arrays that SHOW CREATE TABLE shows."
    if not table.engine.endswith("MergeTree"):
        return "only tables of the MergeTree family are copied by partitions."
    return ""


def engine_of(table: Definition) -> tuple[str, list[str]]:
    """Return a table's engine without Replicated or Shared, and its arguments but for those."""
    engine = table.engine.removeprefix("Replicated").removeprefix("Shared")
    arguments = table.clauses.get("ENGINE", "").partition("(")[2].rpartition(")")[0]
    listed = split_list(arguments) if arguments.strip() else []
    return engine, [argument for argument in listed if not argument.startswith("'")]


def why_not_exact(table: Definition) -> str:
    """Return why rows that come late would not merge as if they had come early; or nothing."""
    engine, own = engine_of(table)
    if engine in ("CollapsingMergeTree", "CoalescingMergeTree") or (
        engine == "ReplacingMergeTree" and not own
    ):
        return (
            f"{engine} keeps the row that was inserted last, and a row that is copied "
            "comes after those that are written meanwhile."
        )
    return ""


def _plainly(element: str) -> str:
    """Take the backticks off a column's name that needs none."""
    first, *_ = lexemes(element)
    if first.kind is not TokenKind.QUOTED_IDENTIFIER:
        return element
    name = named(Reader(element, [first]).identifier(first))
    return name + element[first.end :]


def _after(word: str) -> str:
    return "" if word in ("CODEC", "STATISTICS") else " "


def _columns(text: str) -> str:
    """Return what stands between the brackets behind the name, with them."""
    found = lexemes(text)
    start = next(lx for lx in found if lx.kind is TokenKind.OPEN and lx.depth == 0)
    end = next(
        lx
        for lx in found
        if lx.kind is TokenKind.CLOSE and lx.depth == 0 and lx.start > start.start
    )
    return text[start.start : end.end]
