"""Comments that allow a finding: ``lint: allow BM003: because …``. Text in, waivers out.

A comment in Python covers the statement of Python that it stands on or directly above;
one above ``def upgrade``, outside every function, covers the file. A comment in SQL
covers the statement of SQL that it stands in, above, or behind on the same line.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from budeval_migrations.linter.subject import Said
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import INSIGNIFICANT, TokenKind, scan

_WAIVER = re.compile(
    r"^(?:#|--|//|/\*|\s)*lint:\s*allow\b(?P<codes>[^:]*)(?::(?P<reason>.*))?$", re.IGNORECASE
)
_NO_REASON = re.compile(r"(?:because)?[\s.…]*", re.IGNORECASE)


@dataclass(frozen=True)
class Waiver:
    """What a comment allows.

    Attributes:
        line: Where the comment stands in its file.
        codes: The rules, as written.
        reason: Why; empty where none is said.
        lines: The first and the last line of the Python that it covers; None for the
            whole file, and where it belongs to a statement of SQL.

    """

    file: str
    line: int
    codes: tuple[str, ...]
    reason: str
    lines: tuple[int, int] | None = None

    @property
    def place(self) -> tuple[str, int]:
        """File and line, by which it is the same when it is read twice."""
        return self.file, self.line


def read_comment(file: str, line: int, comment: str) -> Waiver | None:
    """Return what a comment allows; None for any other comment."""
    found = _WAIVER.match(comment.strip().removesuffix("*/").rstrip())
    if found is None:
        return None
    codes = tuple(found["codes"].replace(",", " ").upper().split())
    reason = (found["reason"] or "").strip()
    return Waiver(file, line, codes, "" if _NO_REASON.fullmatch(reason) else reason)


def read_sql_waivers(statements: Sequence[Said]) -> Iterator[tuple[Said, Waiver]]:
    """Yield the waivers in the SQL of one direction, each with its statement."""
    before: Said | None = None
    for said in statements:
        file, first = said.statement.file or "", said.statement.line or 1
        # Rows inline are not looked at: a comment in them is data.
        rows = said.kind is Kind.INSERT and classify(said.text).inline_data
        begin, comments = _comments(said.text, only_above=rows)
        for start, comment in comments:
            line = first + _lines(said.text, begin, start)
            waiver = read_comment(file, line, comment)
            if waiver is None:
                continue
            behind = start < begin and before is not None and _last_line(before) == (file, line)
            yield (before if behind and before is not None else said), waiver
        before = said


def read_python_waivers(file: str, source: str) -> list[Waiver]:
    """Return the waivers in the comments of a revision file, with the lines that they cover."""
    found: list[Waiver] = []
    covers: _Covers | None = None
    if "lint:" not in source:
        return found
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        waiver = read_comment(file, token.start[0], token.string)
        if waiver is not None:
            covers = covers or _Covers(source)
            alone = not token.line[: token.start[1]].strip()
            lines = covers.lines(token.start[0], alone=alone)
            found.append(Waiver(file, waiver.line, waiver.codes, waiver.reason, lines))
    return found


def upgrade_line(source: str) -> int | None:
    """Return the line of ``def upgrade``."""
    return next((f.lineno for f in _functions(ast.parse(source)) if f.name == "upgrade"), None)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in tree.body if isinstance(node, ast.FunctionDef))


class _Covers:
    """Says which lines of Python a comment is about."""

    def __init__(self, source: str) -> None:
        tree = ast.parse(source)
        self._rows = source.split("\n")  # as Python counts lines
        self._upgrade = min((f.lineno for f in _functions(tree)), default=len(self._rows))
        for function in _functions(tree):
            if function.name == "upgrade":
                self._upgrade = function.lineno
        self._inside = [(f.lineno, f.end_lineno or f.lineno) for f in _functions(tree)]
        nodes = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
        self._statements = [
            (node.lineno, node.end_lineno or node.lineno, hasattr(node, "body")) for node in nodes
        ]

    def lines(self, line: int, *, alone: bool) -> tuple[int, int] | None:
        """Return the lines that a comment covers; None for all of the file."""
        whole = [
            (first, last)
            for first, last, compound in self._statements
            if first <= line <= last and not compound
        ]
        if whole:
            return min(whole, key=lambda lines: lines[1] - lines[0])
        if line < self._upgrade and not any(first <= line <= last for first, last in self._inside):
            return None
        below = line + 1
        while alone and below <= len(self._rows) and self._rows[below - 1].lstrip()[:1] == "#":
            below += 1
        found = [(first, last) for first, last, _ in self._statements if first == below]
        return max(found, key=lambda lines: lines[1], default=(line, line))


def _comments(text: str, *, only_above: bool) -> tuple[int, list[tuple[int, str]]]:
    """Return where a statement's first token is, and its comments."""
    begin, comments = -1, list[tuple[int, str]]()
    for kind, start, end in scan(text) if "lint:" in text else ():
        if kind is TokenKind.COMMENT:
            comments.append((start, text[start:end]))
        elif begin < 0 and kind not in INSIGNIFICANT:
            begin = start
            if only_above:
                break
    return begin, comments


def _lines(text: str, begin: int, at: int) -> int:
    """Return how many lines a place is below the first token; negative above it."""
    return text.count("\n", begin, at) if at >= begin else -text.count("\n", at, begin)


def _last_line(said: Said) -> tuple[str, int]:
    begin = next((s for kind, s, _ in scan(said.text) if kind not in INSIGNIFICANT), 0)
    return said.statement.file or "", (said.statement.line or 1) + said.text.count("\n", begin)


def covering(waivers: Iterable[Waiver], line: int | None) -> Iterator[Waiver]:
    """Yield those of a file's waivers that cover a line of it; None is its revision itself."""
    for waiver in waivers:
        whole = waiver.lines is None
        if whole or (line is not None and waiver.lines and _within(line, waiver.lines)):
            yield waiver


def _within(line: int, lines: tuple[int, int]) -> bool:
    return lines[0] <= line <= lines[1]
