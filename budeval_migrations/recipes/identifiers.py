"""Names and pieces of SQL as a person types them, and as they stand in a revision."""

from __future__ import annotations

import re

from budeval_migrations.errors import ConfigError, StatementSyntaxError
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.lexer import TokenKind, scan
from budeval_migrations.sql.reader import END, Reader, lexemes

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Words that ClickHouse may read as its own where a name stands; backticks never hurt.
_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        add after alias all alter and any as asc array asof attach between by case cast check
        clear cluster collate column columns comment constraint create cross default delete desc
        describe detach dictionary distinct div drop else end ephemeral except exchange exists
        explain expression extract false fetch final first format freeze from full function global
        grant group having if ilike in index inf inner insert intersect interval into is join key
        kill last left like limit live materialize materialized mod modify move nan no not null
        nulls offset on optimize or order outer over paste partition populate prewhere primary
        projection qualify range refresh rename replace right sample select semi set settings show
        substring system table temporary then to totals trim true truncate ttl union update use
        using values view when where window with
        """,
    )
)


def named(name: Name | str) -> str:
    """Return a name as it stands in SQL: with backticks where it needs them."""
    if isinstance(name, Name):
        return f"{named(name.database)}.{named(name.name)}" if name.database else named(name.name)
    plain = _PLAIN.match(name) and name.lower() not in _WORDS
    return name if plain else quote.identifier(name)


def read_name(text: str, what: str = "table") -> Name:
    """Return the table that a person means by ``events``, ``db.events`` or ```a-b```.

    Raises:
        ConfigError: Nothing is named.

    """
    if not text.strip():
        raise ConfigError(f"The name of the {what} is empty.", hint="Such as: events")
    reader = _reader(text)
    name = reader.name() if reader else None
    whole = name is not None and reader is not None and reader.peek() is END
    found = name if name is not None and whole else Name(text)
    if not found.name or found.database == "":
        raise ConfigError(f"The name of the {what} is empty.", hint="Such as: events")
    return found


def read_column_name(text: str) -> str:
    """Return the column that a person means; backticks around it are taken off."""
    if not text.strip():
        raise ConfigError("The name of the column is empty.", hint="Such as: status")
    reader = _reader(text) if text.startswith(("`", '"')) else None
    if reader and len(reader.rest) == 1 and reader.peek().kind is TokenKind.QUOTED_IDENTIFIER:
        return reader.identifier(reader.peek())
    return text


def piece(text: str, what: str) -> str:
    """Return a piece of SQL that is whole: its quotes and brackets closed, no ``;`` in it.

    Raises:
        ConfigError: It is not; or it is empty.

    """
    text = text.strip()
    try:
        tokens = list(scan(text))
    except StatementSyntaxError as error:
        raise ConfigError(f"{what}: {text!r} is not whole.", hint=error.message) from error
    depth = 0
    for kind, _, _ in tokens:
        depth += (kind is TokenKind.OPEN) - (kind is TokenKind.CLOSE)
        if kind is TokenKind.SEMICOLON:
            raise ConfigError(f"{what}: {text!r} has a semicolon in it.", hint="Take it out.")
        if depth < 0:
            break
    if depth:
        raise ConfigError(f"{what}: a bracket of {text!r} is not closed.", hint="Close it.")
    if not lexemes(text):
        raise ConfigError(f"{what} is empty.", hint=f"Say what {what} is to be.")
    return text


def _reader(text: str) -> Reader | None:
    try:
        return Reader(text)
    except StatementSyntaxError:
        return None  # no SQL, so it is the name itself
