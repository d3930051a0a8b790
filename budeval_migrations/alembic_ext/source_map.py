"""Find out on which line of a revision file a statement was written."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from functools import cached_property
from io import StringIO
from pathlib import Path

from budeval_migrations.revisions.directory import read_text

# (line, column) within a text, both from 1 -> line of the file
Locate = Callable[[int, int], int]

_ESCAPE = re.compile(
    r"\\(?:\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}"
    r"|[\\'\"abfnrtv])"
)
_QUOTES = re.compile(r"(?P<prefix>[a-zA-Z]*)(?P<quote>'''|\"\"\"|'|\")")


class SourceMap:
    """The lines of one revision file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def locate(self, text: str) -> Locate:
        """Return where the places of a text are in the file.

        A text that stands in the file as a literal is located exactly, an f-string
        by its lines; one that was built otherwise is all at the call that passed it.
        """
        call = self.calling_line()
        literals = self._literals.get(text)
        if not literals:
            start = self._template(text, call)
            return lambda line, column: call if start is None else start + line - 1
        # The same text may be written twice: take the one nearest to the call.
        nearest = min(literals, key=lambda node: abs(node.lineno - call))
        written = self._segment(nearest)
        if text in written:  # in one piece, and without escapes
            first = nearest.lineno + written.count("\n", 0, written.index(text))
            return lambda line, column: first + line - 1
        lines = list(_lines_of(written, nearest.lineno))
        starts = [0, *(match.end() for match in re.finditer("\n", text))]

        def find(line: int, column: int) -> int:
            offset = starts[line - 1] + column - 1
            return lines[min(offset, len(lines) - 1)] if lines else nearest.lineno

        return find

    def _template(self, text: str, call: int) -> int | None:
        """Return the first line of the f-string that the call passed, if it has a line a line."""
        for node in ast.walk(self._tree):
            if (
                isinstance(node, ast.JoinedStr)
                and abs(node.lineno - call) <= 1
                and (node.end_lineno or node.lineno) - node.lineno == text.count("\n")
            ):
                return node.lineno
        return None

    def calling_line(self) -> int:
        """Return the line of the revision file that is being executed."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._path:
                return frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return 1

    @cached_property
    def _source(self) -> str:
        return read_text(Path(self._path)).replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self._source)

    @cached_property
    def _literals(self) -> dict[str, list[ast.Constant]]:
        found: dict[str, list[ast.Constant]] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, []).append(node)
        return found

    @cached_property
    def _encoded_lines(self) -> list[bytes]:
        return self._source.encode("utf-8", "surrogatepass").split(b"\n")

    def _segment(self, node: ast.Constant) -> str:
        """Return a literal as it is written; ast.get_source_segment splits the file each time."""
        end = node.end_lineno or node.lineno
        lines = self._encoded_lines[node.lineno - 1 : end]
        # The end first: both offsets count from the same start on a single line.
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode("utf-8", "surrogatepass")


def _lines_of(written: str, first: int) -> Iterator[int]:
    """Yield the line of the file for every character of a literal."""
    # Parentheses let strings side by side stand on lines of their own.
    for token in tokenize.generate_tokens(StringIO(f"({written})").readline):
        if token.type == tokenize.STRING:
            yield from _characters(token.string, first + token.start[0] - 1)


def _characters(token: str, line: int) -> Iterator[int]:
    opening = _QUOTES.match(token)
    assert opening is not None, token
    raw = "r" in opening["prefix"].lower()
    at, end = opening.end(), len(token) - len(opening["quote"])
    while at < end:
        escape = None if raw else _ESCAPE.match(token, at, end)
        written = escape[0] if escape else token[at]
        if written != "\\\n":
            yield line
        line += written.count("\n")
        at += len(written)
