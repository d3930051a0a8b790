"""BM005: an UPDATE of a column that rows are sorted, split or replaced by."""

from __future__ import annotations

from collections.abc import Iterator

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Subject, shown
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.alter import Clause
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        altered = said.alteration
        table = said.before.get(altered.table) if altered else None
        if altered is None or table is None:
            continue
        for clause in altered.clauses:
            if clause.head != ("UPDATE", ""):
                continue
            for column in sorted(set(_assigned(clause)) & table.key_columns()):
                yield Spot(
                    f"{column} belongs to a key of {shown(altered.table)}, and the server "
                    "refuses to UPDATE it (420)",
                    said,
                )


def _assigned(clause: Clause) -> Iterator[str]:
    """Yield the columns that an UPDATE gives a value."""
    found = clause.reader.left()
    begins = True
    for at, lexeme in enumerate(found):
        if lexeme.depth == found[0].depth and lexeme.word == "WHERE" and not begins:
            return
        if begins and lexeme.kind in NAMES:
            names = [clause.reader.identifier(lexeme)]
            for ahead in range(at + 1, len(found) - 1, 2):
                if found[ahead].kind is not TokenKind.DOT:
                    break
                names.append(clause.reader.identifier(found[ahead + 1]))
            yield ".".join(names)
        begins = lexeme.kind is TokenKind.COMMA and lexeme.depth == found[0].depth


RULE = Rule(
    "BM005",
    "mutation-of-key",
    Severity.ERROR,
    "Rows lie where their key puts them: the server refuses to change it (420).",
    "Fill a table with the new values, then EXCHANGE TABLES.",
    _check,
)
