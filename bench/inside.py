"""Programs that measure themselves, as source for a tool's own interpreter."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from bench.places import EMBEDDED, Place
from bench.tools.tool import Application

# chDB works on for a while after it was started.
_ENGINE = """import chdb, chdb_sqlalchemy.dialect
engine = chdb.connect({directory!r})
engine.query("SELECT 1")
time.sleep(3)
"""


def application(what: Application, place: Place) -> str:
    """Call a tool twice in a program that has its driver already; prints two times.

    Where there is no server, the program's own chDB is open and has come to rest.
    """
    call = textwrap.indent(what.call, "    ")
    engine = _ENGINE.format(directory=str(place.directory)) if place.engine == EMBEDDED else ""
    return (
        f"import json, time\n{what.loaded}\n{engine}times = []\nfor _ in range(2):\n"
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
    first, second = last_line(output)
    return float(first), float(second)


def last_line(output: str) -> Any:
    """The JSON that a program printed last."""
    return json.loads(output.splitlines()[-1])
