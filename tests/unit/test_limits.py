"""No module and no function of the package grows longer than people read in one go.

Parameters that are given by name, such as the options of a command, say what they are.

Complexity is ruff's (C90), layers are import-linter's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "budeval_migrations"
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 7  # that can be given by position, besides self


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            given = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
            parameters = len(given) - (given[:1] in (["self"], ["cls"]))
            yield node.name, node.end_lineno - node.lineno + 1, parameters


def test_modules_functions_and_lists_of_parameters_are_short() -> None:
    long = []
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 200
    for module in modules:
        text, name = module.read_text(), module.relative_to(PACKAGE)
        if (lines := len(text.splitlines())) > MOST_LINES:
            long.append(f"{name}: {lines} lines")
        long += [
            f"{name}: {function} has {lines} lines and {parameters} parameters"
            for function, lines, parameters in functions(text)
            if lines > MOST_LINES_OF_A_FUNCTION or parameters > MOST_PARAMETERS
        ]

    assert long == []
