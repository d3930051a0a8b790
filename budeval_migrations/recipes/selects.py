"""A SELECT over one table, and the same with a condition on that table's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    form = _read(query)
    head = query[: form.end] + join
    if form.where is None:
        rest = query[form.end : form.tail].rstrip() + f"\nWHERE {condition}"
    else:
        # Without a comment behind it, which would take the bracket with it.
        end = max(lexeme.end for lexeme in lexemes(query) if lexeme.end <= form.tail)
        asked = query[form.where.end : end].strip()
        rest = query[form.end : form.where.start].rstrip() + f"\nWHERE {condition} AND ({asked})"
    tail = query[form.tail :].strip()
    return head + rest + (f"\n{tail}" if tail else "")


def read_source(query: str) -> tuple[Name, str]:
    """Return the table that a SELECT reads, and the name of its rows, as it stands in SQL.

    Raises:
        ConfigError: The SELECT is not of the form that can be given a condition.

    """
    form = _read(query)
    return form.table, form.alias


def with_source(query: str, source: str) -> str:
    """Return a SELECT with other text in the place of the table behind FROM.

    Raises:
        ConfigError: The SELECT is of another form, or has a WHERE.

    """
    form = _read(query)
    if form.where is not None:
        raise ConfigError(
            f"This SELECT has a WHERE already: {excerpt(query)!r}.",
            hint="A view that replaces another one takes every row of its table.",
        )
    return query[: form.begin] + source + query[form.end :]


def read_columns(query: str) -> dict[str, str]:
    """Return the expressions of a SELECT by the names that they have.

    Raises:
        ConfigError: The SELECT is of another form, or an expression has no name.

    """
    found = {}
    for text in split_list(_read(query).columns):
        names = lexemes(text)
        if names[-1].kind not in NAMES or names[-1].depth:
            raise ConfigError(
                f"A column of this SELECT has no name: {excerpt(text)!r}.",
                hint="Write AS and a name behind each expression.",
            )
        found[Reader(text).identifier(names[-1])] = text
    return found


class _Form(NamedTuple):
    """A SELECT over one table.

    Attributes:
        columns: What stands between SELECT and FROM.
        begin: Where the table begins, and behind its alias it ends.
        where: The word WHERE; None without one.
        tail: Where GROUP BY or what else follows begins.

    """

    columns: str
    table: Name
    alias: str
    begin: int
    end: int
    where: Lexeme | None
    tail: int


def _read(query: str) -> _Form:
    """Read a SELECT that can be given a condition."""
    reader = Reader(query)
    outer = {lexeme.word: at for at, lexeme in reversed([*enumerate(reader.rest)])
             if not lexeme.depth}  # fmt: skip
    select, source = outer.get("SELECT"), outer.get("FROM")
    first = next((lexeme.word for lexeme in reader.rest if not lexeme.depth), "")
    if first not in ("SELECT", "WITH") or select is None or source is None:
        raise _other_form(query)
    if outer.keys() & _NOT_HERE or _star(query, reader.rest[:source]):
        raise _other_form(query)
    reader.at = source + 1
    begin = reader.peek().start
    table = reader.name()
    if table is None or reader.peek().kind in (TokenKind.OPEN, TokenKind.COMMA):
        raise _other_form(query)
    alias = named(table.name)
    reader.accept("AS")
    following = reader.peek()
    if following.kind in NAMES and following.word not in {*_ENDS, "WHERE"}:
        alias = named(reader.identifier(following))
        reader.at += 1
    after = reader.peek()
    if after.depth >= 0 and after.word not in {*_ENDS, "WHERE"}:
        raise _other_form(query)
    behind = [lexeme for lexeme in reader.left() if not lexeme.depth]
    return _Form(
        columns=query[reader.rest[select].end : reader.rest[source].start],
        table=table,
        alias=alias,
        begin=begin,
        end=reader.rest[reader.at - 1].end,
        where=next((lexeme for lexeme in behind if lexeme.word == "WHERE"), None),
        tail=next((lexeme.start for lexeme in behind if lexeme.word in _ENDS), len(query)),
    )


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
