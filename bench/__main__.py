"""``python -m bench``: run the cases, print the tables, write JSON, SVG and the page."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench import plot, table
from bench.cases import Bench, Plan
from bench.catalogue import NAMES, WORK
from bench.environments import set_up
from bench.goals import goals, slower
from bench.places import installed
from bench.results import Results
from bench.tools import OURS, TOOLS

_PACKAGES = ("budeval-migrations", "chdb", "alembic", "sqlalchemy", "clickhouse-sqlalchemy")
_MEMORY = "/dev/shm"  # noqa: S108  where make puts temporary files when there is room


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = [tool.name for tool in TOOLS]
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("cases", nargs="*", default=[], help=f"of: {', '.join(NAMES)}; default: all")
    made.add_argument("--revisions", type=int, nargs="+", metavar="N", help="of the no-ops")
    made.add_argument("--fresh", type=int, nargs="+", metavar="N", help="of the fresh upgrades")
    made.add_argument("--rows", type=int, metavar="N", help="of the backfill")
    made.add_argument("--rounds", type=int, metavar="N")
    made.add_argument("--engines", nargs="+", choices=installed(), default=installed())
    made.add_argument("--tools", nargs="+", choices=names, default=names, metavar="NAME")
    made.add_argument("--quick", action="store_true", help="200 and 100 revisions, two rounds")
    made.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, read this JSON")
    made.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    made.add_argument("--svg", type=Path, metavar="FILE", help="write the bars")
    made.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page")
    return made


def main() -> int:
    """Run what was asked for."""
    options = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # engines are ended on the way out
    unknown = [case for case in options.cases if case not in NAMES]
    if unknown:
        parser().error(f"there is no case {unknown[0]}; there are {', '.join(NAMES)}")
    if options.read:
        results = Results.from_json(json.loads(options.read.read_text()))
    else:
        results = measure(options)
    parts = (table.about(results), goals(results), slower(results), table.report(results))
    text = "\n\n".join(part for part in parts if part)
    print(text)
    save(results, options.json)
    if options.svg:
        options.svg.write_text(plot.draw(results))
    if options.write:
        table.write_between_markers(options.write, text)
    return 0


def measure(options: argparse.Namespace) -> Results:
    """Set up the environments and run the plan."""
    tools = [tool for tool in TOOLS if tool.name in options.tools]
    for tool in tools:
        if tool.packages and set(options.cases or NAMES) - set(WORK):
            set_up(tool.name, tool.packages)
    quick = options.quick
    plan = Plan(
        cases=options.cases or NAMES,
        engines=options.engines,
        tools=tools,
        revisions=options.revisions or ((200,) if quick else (10, 1000, 10000)),
        fresh=options.fresh or ((100,) if quick else (1000,)),
        rounds=options.rounds or (2 if quick else 3),
        rows=options.rows or (2_000_000 if quick else 50_000_000),
    )
    return Bench(plan, Results(about(plan)), lambda results: save(results, options.json)).run()


def save(results: Results, path: Path | None) -> None:
    """Write every figure."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results.as_json(), indent=1) + "\n")


def about(plan: Plan) -> dict[str, str]:
    """How the run was done, without a name of the machine."""
    ours = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    others = ", ".join(
        package for tool in plan.tools if tool not in OURS for package in tool.packages[:2]
    )
    memory = "in memory" if tempfile.gettempdir() == _MEMORY else "on disk"
    return {
        "Command": f"`python -m bench {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "Date": dt.datetime.now(dt.timezone.utc).strftime("%d %B %Y").lstrip("0"),
        "Rounds": str(plan.rounds),
        "Machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, data {memory}",
        "Versions": f"{ours}; beside {others}" if others else ours,
    }


if __name__ == "__main__":
    sys.exit(main())
