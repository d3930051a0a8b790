"""Programs that measure themselves, as source for a tool's own interpreter."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from bench.tools.tool import Application


def application(what: Application) -> str:
    """Call a tool twice in a program that has its driver already; prints two times."""
    call = textwrap.indent(what.call, "    ")
    return (
        f"import json, time\n{what.loaded}\ntimes = []\nfor _ in range(2):\n"
        f"    began = time.perf_counter()\n{call}\n"
        "    times.append(time.perf_counter() - began)\n"
        "print('\\n' + json.dumps(times))\n"
    )


def imports(modules: Sequence[str]) -> str:
    """Import SQLAlchemy if it is there, then the modules; prints two times."""
    return (
        "import importlib, json, time\nbegan = time.perf_counter()\n"
        "try:\n    import sqlalchemy\nexcept ImportError:\n    pass\n"
        "between = time.perf_counter()\n"
        f"for name in {list(modules)!r}:\n    importlib.import_module(name)\n"
        "print('\\n' + json.dumps([between - began, time.perf_counter() - between]))\n"
    )


def two_times(output: str) -> tuple[float, float]:
    """What such a program printed last."""
    first, second = json.loads(output.splitlines()[-1])
    return float(first), float(second)
