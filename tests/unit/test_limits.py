"""No module and no function of the package grows longer than people read in one go.

Complexity is ruff's (C90), layers are import-linter's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "budeval_migrations"
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_modules_and_functions_are_short() -> None:
    long = []
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 200
    for module in modules:
        text, name = module.read_text(), module.relative_to(PACKAGE)
        if (lines := len(text.splitlines())) > MOST_LINES:
            long.append(f"{name}: {lines} lines")
        long += [
            f"{name}: {function} has {lines} lines"
            for function, lines in functions(text)
            if lines > MOST_LINES_OF_A_FUNCTION
        ]

    assert long == []
