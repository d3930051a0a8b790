"""Compare the command of a mutation, as the server writes it, with a statement."""

from __future__ import annotations

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader
from budeval_migrations.sql.statement import parse


def may_have_made(statement: str, command: str) -> bool:
    """Return whether a statement may have made a mutation with this command.

    The server writes a command in its own way: with other brackets and spaces, and
    ``_row_exists = 0`` for DELETE FROM. So the words between them are compared, to the
    end of the clause.
    """
    try:
        asked, made = _words(statement), _words(command)
    except StatementSyntaxError:
        return False
    if "_row_exists" in made and "where" in made:
        if asked[:1] != ["delete"]:
            return False
        made = made[len(made) - 1 - made[::-1].index("where") :]
    ends = {"", ",", "settings", "format"}
    return any(
        asked[at : at + len(made)] == made and "".join(asked[at + len(made) :][:1]) in ends
        for at in range(len(asked) - len(made) + 1)
    )


def _words(text: str) -> list[str]:
    """Return the tokens of a text in one spelling, without brackets."""
    reader = Reader(text)
    found: list[str] = []
    for lexeme in reader.rest:
        if lexeme.kind in (TokenKind.OPEN, TokenKind.CLOSE):
            continue
        literal = lexeme.kind in NAMES or lexeme.kind is TokenKind.STRING
        word = reader.identifier(lexeme) if literal else text[lexeme.start : lexeme.end]
        both = f"{found[-1]}{word}" if found and not literal else ""
        if both in _SPELLINGS:
            found[-1] = _SPELLINGS[both]
        else:
            found.append(word.lower())
    return found


_SPELLINGS = {"<>": "!=", "!=": "!=", "==": "="}


def is_one_change(text: str) -> bool:
    """Tell whether a statement makes one change, so that an error of its analysis means none."""
    said = parse(text)
    kind = said.kind
    if kind is Kind.PARALLEL:
        return False
    if kind is not Kind.ALTER:
        return True
    alteration = said.alteration
    return alteration is not None and len(alteration.clauses) == 1
