"""BM018: a name that means something else when it stands without quotes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from budeval_migrations.linter.registry import Rule, Spot
from budeval_migrations.linter.subject import Said, Subject
from budeval_migrations.model.findings import Severity
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import Lexeme

# As columns: found by asking ClickHouse's parser about each of its keywords
# (tests/engines/test_lint_agreement.py).
COLUMNS = frozenset(
    {"ALL", "CONSTRAINT", "CUBE", "DISTINCT", "FALSE", "INDEX", "NOT", "NULL", "PROJECTION"}
    | {"ROLLUP", "TOP", "TRUE"}
)
# As tables: INSERT INTO takes them for its own words.
TABLES = frozenset({"FUNCTION", "TABLE"})


def _check(subject: Subject) -> Iterator[Spot]:
    for said in subject.statements:
        for what, lexeme in _names(said):
            if lexeme.word in (COLUMNS if what == "column" else TABLES):
                name = said.text[lexeme.start : lexeme.end]
                yield Spot(
                    f"the {what} {name} is written without quotes, and in some places the parser "
                    "takes it for a word of its own",
                    said,
                    f"Write `{name}`, here and wherever it is used; better, choose another name.",
                )


def _names(said: Said) -> Iterator[tuple[str, Lexeme]]:
    """Yield the bare words by which things are created."""
    if said.definition is not None:
        columns = {column.name for column in said.definition.columns}
        for before, here, after in _threes(said.lexemes):
            opens = before.kind is TokenKind.COMMA or before.kind is TokenKind.OPEN
            raw = said.text[here.start : here.end]
            if here.depth == 1 and opens and here.word and raw in columns and after.word:
                yield "column", here
        if said.kind is Kind.CREATE_TABLE:
            yield from _table(said)
    elif said.alteration is not None:
        for clause in said.alteration.clauses:
            found = clause.reader.left()
            if clause.head == ("ADD", "COLUMN") and found:
                yield "column", found[0]
            elif clause.head == ("RENAME", "COLUMN") and found:
                yield "column", found[-1]


def _table(said: Said) -> Iterator[tuple[str, Lexeme]]:
    """Yield the name behind CREATE TABLE [IF NOT EXISTS] [db.]."""
    words = [lexeme.word for lexeme in said.lexemes]
    at = words.index("TABLE") + 1
    at += 3 * (words[at : at + 3] == ["IF", "NOT", "EXISTS"])
    if said.lexemes[at + 1 : at + 2] and said.lexemes[at + 1].kind is TokenKind.DOT:
        at += 2
    yield "table", said.lexemes[at]


def _threes(found: Sequence[Lexeme]) -> Iterator[tuple[Lexeme, Lexeme, Lexeme]]:
    return zip(found, found[1:], found[2:], strict=False)


RULE = Rule(
    "BM018",
    "reserved-word",
    Severity.WARNING,
    "The statement is refused, or, with TRUE, FALSE and NULL, yields the literal in place of the "
    "column.",
    "Put the name in backticks, or choose another one.",
    _check,
)
