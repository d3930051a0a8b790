"""Find out on which line of a revision file a statement was written."""

from __future__ import annotations

import ast
import sys
from functools import cached_property


class Places:
    """The lines of one revision file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def line_of(self, text: str) -> int:
        """Return the 1-based line on which a literal of this text starts.

        A text that was built at run time is placed at the call that passed it.
        """
        call = self.calling_line()
        lines = self._literals.get(text)
        if not lines:
            return call
        # The same text may be written twice: take the one nearest to the call.
        return min(lines, key=lambda line: abs(line - call))

    def calling_line(self) -> int:
        """Return the line of the revision file that is being executed."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._path:
                return frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return 1

    @cached_property
    def _literals(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        with open(self._path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, []).append(node.lineno)
        return found
