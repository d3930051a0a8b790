"""A SELECT over one table, and the same with a condition on that table's rows."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.identifiers import named
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import split_list
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, lexemes
from budeval_migrations.sql.redact import excerpt

_ENDS = frozenset({"GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "SETTINGS"})
_NOT_HERE = frozenset(
    {"JOIN", "UNION", "EXCEPT", "INTERSECT", "PREWHERE", "FINAL", "SAMPLE", "FORMAT"}
)
_SHAPE = "SELECT a, count() AS n FROM events [AS e] [WHERE …] [GROUP BY a]"


def with_condition(query: str, condition: str, join: str = "") -> str:
    """Return a SELECT that takes only the rows of its table that meet a condition.

    Args:
        query: ``SELECT … FROM table [AS a] [WHERE …] [GROUP BY …]``.
        join: What to put behind the table.

    Raises:
        ConfigError: It is of another form.

    """
    at, reader = _from(query)
    outer = [lexeme for lexeme in reader.rest[at:] if lexeme.depth == 0]
    where = next((lx for lx in outer if lx.word == "WHERE"), None)
    end = next((lx.start for lx in outer if lx.word in _ENDS), len(query))
    source = reader.rest[at - 1].end
    head = query[:source] + join
    if where is None:
        rest = query[source:end].rstrip() + f"\nWHERE {condition}"
    else:
        asked = query[where.end : end].strip()
        rest = query[source : where.start].rstrip() + f"\nWHERE {condition} AND ({asked})"
    tail = query[end:].strip()
    return head + rest + (f"\n{tail}" if tail else "")


def read_source(query: str) -> tuple[Name, str]:
    """Return the table that a SELECT reads, and the name of its rows, as it stands in SQL.

    Raises:
        ConfigError: The SELECT is not of the form that can be given a condition.

    """
    _, reader = _from(query)
    at = next(i for i, lx in enumerate(reader.rest) if lx.word == "FROM" and lx.depth == 0)
    reader.at = at + 1
    name = reader.name()
    assert name is not None, query
    reader.accept("AS")
    following = reader.peek()
    if following.kind in NAMES and following.word not in {*_ENDS, "WHERE"}:
        return name, named(reader.identifier(following))
    return name, named(name.name)


def with_source(query: str, source: str) -> str:
    """Return a SELECT with other text in the place of the table behind FROM.

    Raises:
        ConfigError: The SELECT is of another form, or has a WHERE.

    """
    at, reader = _from(query)
    if any(lexeme.word == "WHERE" and lexeme.depth == 0 for lexeme in reader.rest):
        raise ConfigError(
            f"This SELECT has a WHERE already: {excerpt(query)!r}.",
            hint="A view that replaces another one takes every row of its table.",
        )
    first = next(i for i, lx in enumerate(reader.rest) if lx.word == "FROM" and lx.depth == 0) + 1
    return query[: reader.rest[first].start] + source + query[reader.rest[at - 1].end :]


def read_columns(query: str) -> dict[str, str]:
    """Return the expressions of a SELECT by the names that they have.

    Raises:
        ConfigError: The SELECT is of another form, or an expression has no name.

    """
    _, reader = _from(query)
    begin = next(i for i, lx in enumerate(reader.rest) if lx.word == "SELECT" and lx.depth == 0)
    end = next(i for i, lx in enumerate(reader.rest) if lx.word == "FROM" and lx.depth == 0)
    found = {}
    for text in split_list(query[reader.rest[begin].end : reader.rest[end].start]):
        names = lexemes(text)
        if names[-1].kind not in NAMES or names[-1].depth:
            raise ConfigError(
                f"A column of this SELECT has no name: {excerpt(text)!r}.",
                hint="Write AS and a name behind each expression.",
            )
        found[Reader(text).identifier(names[-1])] = text
    return found


def _from(query: str) -> tuple[int, Reader]:
    """Return where the table and its alias end, among the lexemes."""
    reader = Reader(query)
    outer = [lexeme for lexeme in reader.rest if lexeme.depth == 0]
    first = outer[0].word if outer else ""
    at = next((i for i, lx in enumerate(reader.rest) if lx.word == "FROM" and not lx.depth), None)
    if first not in ("SELECT", "WITH") or at is None:
        raise _other_form(query)
    if {lexeme.word for lexeme in outer} & _NOT_HERE or _star(query, reader.rest[:at]):
        raise _other_form(query)
    reader.at = at + 1
    if reader.name() is None or reader.peek().kind is TokenKind.OPEN:
        raise _other_form(query)
    if reader.peek().kind is TokenKind.COMMA:
        raise _other_form(query)
    reader.accept("AS")
    following = reader.peek()
    if following.kind in NAMES and following.word not in {*_ENDS, "WHERE"}:
        reader.at += 1
    after = reader.peek()
    if after.depth >= 0 and after.word not in {*_ENDS, "WHERE"}:
        raise _other_form(query)
    return reader.at, reader


def _star(query: str, found: Sequence[Lexeme]) -> bool:
    """Find ``*`` where it stands for columns."""
    for at, lexeme in enumerate(found):
        if query[lexeme.start : lexeme.end] == "*" and lexeme.depth == 0:
            before = found[at - 1]
            if before.word in ("SELECT", "DISTINCT") or before.kind in (
                TokenKind.COMMA,
                TokenKind.DOT,
            ):
                return True
    return False


def _other_form(query: str) -> ConfigError:
    return ConfigError(
        f"This SELECT cannot be given a condition: {excerpt(query)!r}.",
        hint=f"It has to be {_SHAPE}: one table, no JOIN, no *.",
    )
