"""Print results as Markdown, and put them between two marker lines of a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.catalogue import CASES, Case
from bench.places import TITLES
from bench.results import Results, Series, Spread

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


def about(results: Results) -> str:
    """How the run was done, as a list."""
    return "\n".join(f"- {name}: {value}" for name, value in results.about.items())


def report(results: Results) -> str:
    """Every table."""
    tables = [case_table(results, case) for case in CASES]
    return "\n\n".join(table for table in tables if table) + "\n"


def case_table(results: Results, case: Case) -> str:
    """One case: a line for each engine and tool, a column for each number of revisions."""
    found = [series for series in results.series if series.case == case.name]
    if not found:
        return ""
    counts = _unique(series.revisions for series in found)
    lines = [f"### {case.title}", "", case.about, ""]
    heads = [f"{count:,} revisions" if count else "" for count in counts]
    lines += [_row("", *heads), _row(*["---"] * (len(counts) + 1))]
    for engine in _unique(series.engine for series in found):
        if engine:
            lines.append(_row(f"**{TITLES.get(engine, engine)}**", *[""] * len(counts)))
        here = sorted((s for s in found if s.engine == engine), key=lambda s: not s.values)
        for tool in _unique(series.tool for series in here):
            cells = [_cell(results, case, engine, count, tool) for count in counts]
            if all(cells) and len(set(cells)) == 1 and not cells[0][0].isdigit():
                cells[1:] = [""] * (len(cells) - 1)  # one sentence is enough
            lines.append(_row(tool, *cells))
    return "\n".join(lines)


def _cell(results: Results, case: Case, engine: str, count: int, tool: str) -> str:
    series = results.find(case.name, engine, count, tool)
    if series is None:
        return ""
    if series.said or not series.values:
        return series.said
    middle = amount(Spread.of(series.values).median, case.unit)
    return f"{middle}{_ratio_text(results, case, series)}"


def _ratio_text(results: Results, case: Case, series: Series) -> str:
    ratio = results.ratio(series, case.floor) if case.floor else None
    if ratio is None or series.tool == case.floor:
        return ""
    if case.unit == "MB":
        floor = results.find(case.name, series.engine, series.revisions, case.floor)
        assert floor is not None
        more = Spread.of(series.values).median - Spread.of(floor.values).median
        return f" ({more:+,.0f})"
    return f" · **{number(ratio.median)}** ({number(ratio.low)}–{number(ratio.high)})"


def amount(value: float, unit: str) -> str:
    """A value with its unit, in three digits."""
    if unit == "s":
        return f"{number(value)} s" if value >= 1 else f"{number(value * 1000)} ms"
    if unit == "%":
        return f"{value:.0%}"
    return f"{value:,.0f} MB" if unit == "MB" else f"{value:,.0f}"


def number(value: float) -> str:
    """Three digits or so: 0.95, 1.23, 12.3, 1,234."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def write_between_markers(page: Path, text: str) -> None:
    """Replace what stands between the two marker lines of a page.

    Raises:
        ValueError: The page has no such lines.

    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} needs the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _unique(values: Iterable[str] | Iterable[int]) -> list:  # type: ignore[type-arg]
    return list(dict.fromkeys(values))
