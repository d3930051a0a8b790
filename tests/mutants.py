"""Say how many mutants the tests kill, and which survive for which reason: ``make mutants``.

mutmut changes one place of a function at a time and runs the tests. What survives must be in
``tests/survivors.toml``, by the function and its changed line, under the reason why no test can
tell it, or need not. Exit 1 where a survivor is not there, or less than 90 % are killed.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tomllib

_GENERATED = Path("mutants")
_LISTED = Path(__file__).with_name("survivors.toml")
_LEAST = 0.9
# How mutmut 3.8 notes that the tests passed, that none of them reaches the function, and that
# it has not run them.
_SURVIVED, _UNREACHED, _NOT_RUN = 0, 33, None


def main() -> int:
    """Print the report; see the module."""
    reasons = {
        (function, line): reason
        for reason, functions in tomllib.loads(_LISTED.read_text()).items()
        for function, lines in functions.items()
        for line in lines
    }
    all_of: Counter[str] = Counter()
    unexplained = []
    for meta in sorted(_GENERATED.glob("budeval_migrations/**/*.meta")):
        ended: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        source = meta.with_suffix("")
        path = source.relative_to(_GENERATED / "budeval_migrations")
        found = Counter(_word(code) for code in ended.values())
        if found:
            print(f"{path}: {dict(found)}")
        all_of += found
        for function, line in _survivors(source, ended):
            if (function, line) not in reasons:
                unexplained.append(f"{function}: {line}")
    tried = all_of.total() - all_of["not run"]
    killed = all_of["killed"] / tried if tried else 0.0
    print(f"{all_of['killed']} of {tried} killed ({killed:.1%}); {dict(all_of)}")
    for each in unexplained:
        print(f"survives without a reason: {each}")
    return 1 if unexplained or killed < _LEAST or all_of["not run"] else 0


def _word(code: int | None) -> str:
    words = {_SURVIVED: "survived", _UNREACHED: "no test", _NOT_RUN: "not run"}
    return words.get(code, "killed")


def _survivors(source: Path, ended: dict[str, int | None]) -> Iterator[tuple[str, str]]:
    """Yield the function and the changed line of each mutant that no test has killed."""
    alive = [name for name, code in ended.items() if code in (_SURVIVED, _UNREACHED)]
    if not alive:
        return
    text = source.read_text()
    lines = text.splitlines()
    bodies = {
        node.name: [line.strip() for line in lines[node.lineno : node.end_lineno]]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name in alive:
        module, _, mutant = name.rpartition(".")
        original = f"{mutant.rpartition('_')[0]}_orig"
        function = mutant.rpartition("__mutmut_")[0]
        shown = function.removeprefix("xǁ").replace("ǁ", ".").removeprefix("x_")
        delta = difflib.ndiff(bodies[original], bodies[mutant])
        changed = " ".join(line[2:] for line in delta if line.startswith("+ "))
        yield f"{module.removeprefix('budeval_migrations.')}.{shown}", changed


if __name__ == "__main__":
    sys.exit(main())
