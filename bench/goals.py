"""The goals of the project, beside what a run measured."""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalogue import BACKFILL, CASES, DRIVER, IMPORTS, LEFT, STATEMENTS, WORK
from bench.places import EMBEDDED, HTTP, NATIVE, TITLES
from bench.results import Results, Series, Spread, ratios
from bench.table import number
from bench.tools import TOOLS

_OURS, _ALEMBIC = "budeval-migrate", "budeval_migrations, alembic"


@dataclass(frozen=True)
class Goal:
    """One goal: a limit for a figure; ``found`` is None where the run did not measure it."""

    text: str
    limit: float
    unit: str
    found: Spread | None


def goals(results: Results) -> str:
    """The goals that this run measured, as a table; empty when there are none."""
    rows = [goal for goal in all_goals(results) if goal.found]
    if not rows:
        return ""
    lines = ["### Goals", "", "| goal | at most | measured | |", "| --- | --- | --- | --- |"]
    for goal in rows:
        assert goal.found is not None
        low, high = number(goal.found.low), number(goal.found.high)
        measured = f"{number(goal.found.median)}{goal.unit} ({low}–{high})"
        verdict = _verdict(goal.found, goal.limit)
        limit = f"{goal.limit:.3g}{goal.unit}"
        lines.append(f"| {goal.text} | {limit} | {measured} | {verdict} |")
    return "\n".join(lines)


def _verdict(found: Spread, limit: float) -> str:
    """Whether every round met the limit, or none did, or the rounds disagree."""
    if found.high <= limit:
        return "met"
    return "**not met**" if found.low > limit else "open: the rounds disagree"


def all_goals(results: Results) -> list[Goal]:
    """Every goal, with what was measured of it."""
    most = max((series.revisions for series in results.series), default=0)
    found = []
    for engine in (EMBEDDED, HTTP, NATIVE):
        on = f", {TITLES[engine]}"
        app = results.find("app", engine, most, _OURS)
        took = _scaled(app.values, 1000) if app else None
        text = f"no-op from an application, {most:,} revisions{on}"
        found.append(Goal(text, 60, " ms", took))
    trips = results.find("trips", HTTP, most, _OURS)
    text = f"round trips of a no-op, {most:,} revisions, {TITLES[HTTP]}"
    found.append(Goal(text, 1, "", _scaled(trips.values, 1) if trips else None))
    package = results.find("import", "", 0, _OURS)
    text = "importing the package beyond SQLAlchemy"
    found.append(Goal(text, 30, " ms", _scaled(package.values, 1000) if package else None))
    for case, text, limit in (
        ("backfill", "`op.backfill` over one INSERT … SELECT", 1 / 0.85),
        ("mutations", "two mutations with `--jobs 2` over one after the other", 1 / 1.6),
    ):
        work = results.find(case, EMBEDDED, 0, WORK[case])
        floor = next(each.floor for each in CASES if each.name == case)
        found.append(Goal(text, limit, " ×", results.ratio(work, floor) if work else None))
    left = results.find(LEFT, EMBEDDED, 0, BACKFILL)
    text = "error of the time left that a backfill tells, after its first tenth"
    found.append(Goal(text, 20, " %", _scaled(left.values, 100) if left else None))
    for engine in (EMBEDDED, HTTP, NATIVE):
        on = f", {TITLES[engine]}"
        imports = "importing Alembic and the dialect" + (", and chDB" if engine == EMBEDDED else "")
        found.append(
            Goal(
                f"`alembic upgrade head` at head over {imports}{on}",
                1.15,
                " ×",
                _largest_below(results, engine),
            )
        )
        found += [
            Goal(
                f"fresh upgrade over the bare loop, {series.revisions:,} revisions{on}",
                1.5,
                " ×",
                results.ratio(series, DRIVER),
            )
            for series in results.series
            if (series.case, series.engine, series.tool) == ("fresh", engine, _OURS)
        ]
        text = f"growth of `alembic current` beyond the imports over that of revisions{on}"
        found.append(Goal(text, 1.25, " ×", _growth(results, engine)))
        found += [
            Goal(
                f"bookkeeping over the bare loop, {series.revisions:,} revisions{on}",
                0.6,
                " ×",
                _bookkeeping(results, series),
            )
            for series in results.series
            if (series.case, series.engine, series.tool) == ("fresh", engine, _OURS)
        ]
        for case, what in (("memory", "no-op"), ("memory-upgrade", "upgrade")):
            text = f"memory of the {what} beyond the engine, {most:,} revisions{on}"
            found.append(Goal(text, 150, " MB", _beyond(results, case, engine, most)))
    return found


def _scaled(values: list[float], factor: float) -> Spread | None:
    return Spread.of([value * factor for value in values]) if values else None


def _largest_below(results: Results, engine: str) -> Spread | None:
    """The no-op through Alembic over the imports, at 1,000 revisions or the most below."""
    counts = {s.revisions for s in results.series if s.case == "noop" and s.revisions <= 1000}
    if not counts:
        return None
    ours = results.find("noop", engine, max(counts), _ALEMBIC)
    floor = results.find("noop", engine, max(counts), IMPORTS)
    if ours is None or floor is None or not ours.values:
        return None
    return Spread.of(ratios(ours.values, floor.values))


def _bookkeeping(results: Results, ours: Series) -> Spread | None:
    """What a fresh upgrade takes beyond the statements alone, over the bare loop."""
    where = (ours.case, ours.engine, ours.revisions)
    loop, alone = results.find(*where, DRIVER), results.find(*where, STATEMENTS)
    if loop is None or alone is None or not (ours.values and loop.values and alone.values):
        return None
    beyond = [mine - bare for mine, bare in zip(ours.values, alone.values, strict=False)]
    return Spread.of(ratios(beyond, loop.values))


def _growth(results: Results, engine: str) -> Spread | None:
    """From the second largest number of revisions to the largest; 1 is linear."""
    counts = sorted({s.revisions for s in results.series if s.case == "current"})[-2:]
    beyond: list[list[float]] = []
    for count in counts:
        ours = results.find("current", engine, count, _ALEMBIC)
        floor = results.find("noop", engine, count, IMPORTS)
        if ours is None or floor is None or not ours.values:
            return None
        beyond.append([t - least for t, least in zip(ours.values, floor.values, strict=False)])
    if len(beyond) < 2 or not all(map(all, beyond)):
        return None
    grown = counts[1] / counts[0]
    return Spread.of([ratio / grown for ratio in ratios(beyond[1], beyond[0])])


def slower(results: Results) -> str:
    """Where a competitor's median is below ours, as a list; empty when there is nothing of ours."""
    found: dict[tuple[str, str, int], list[Series]] = {}
    for series in results.series:
        if series.values and series.tool in {tool.name for tool in TOOLS}:
            found.setdefault((series.case, series.engine, series.revisions), []).append(series)
    lines = []
    for (case, engine, count), each in found.items():
        mine = [_median(series) for series in each if series.tool in (_OURS, _ALEMBIC)]
        where = ", ".join(x for x in (case, TITLES.get(engine), f"{count:,}" if count else "") if x)
        lines += [
            f"- {where}: {series.tool} takes {number(_median(series) / min(mine))} of ours"
            for series in each
            if mine and _median(series) < min(mine)
        ]
    if not found:
        return ""
    return "### Where another tool is faster\n\n" + ("\n".join(lines) or "Nowhere in this run.")


def _median(series: Series) -> float:
    return Spread.of(series.values).median


def _beyond(results: Results, case: str, engine: str, count: int) -> Spread | None:
    ours = results.find(case, engine, count, _OURS)
    floor = results.find(case, engine, count, DRIVER)
    if ours is None or floor is None or not ours.values or not floor.values:
        return None
    pairs = zip(ours.values, floor.values, strict=False)
    return Spread.of([value - least for value, least in pairs])
