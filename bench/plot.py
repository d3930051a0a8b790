"""Draw results as horizontal bars, in SVG written by hand."""

from __future__ import annotations

from html import escape

from bench.catalogue import CASES, Case
from bench.places import TITLES
from bench.results import Results, Series, Spread
from bench.table import amount, number

_PLOTTED = ("fresh", "noop", "app", "status", "current")
_WIDTH, _LEFT, _BAR, _ROW, _HEAD = 860, 250, 16, 24, 44
_OURS = ("budeval",)
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .note { fill: #59636e; font-size: 12px }
.ours { fill: #0969da } .floor { fill: #8c959f } .other { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 }
  .ours { fill: #4493f8 } .floor { fill: #656c76 } .other { fill: #3d444d }
}
"""


def draw(results: Results) -> str:
    """A panel for each case and engine, at the largest number of revisions that there is."""
    parts: list[str] = []
    top = 8
    for case in CASES:
        if case.name not in _PLOTTED:
            continue
        engines = dict.fromkeys(s.engine for s in results.series if s.case == case.name)
        for engine in engines:
            panel, height = _panel(results, case, engine, top)
            parts += panel
            top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" '
        f'width="{_WIDTH}" height="{top}" role="img">\n<style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(results: Results, case: Case, engine: str, top: int) -> tuple[list[str], int]:
    found = [s for s in results.series if (s.case, s.engine) == (case.name, engine) and s.values]
    if len(found) < 2:
        return [], 0
    most = max(series.revisions for series in found)
    bars = sorted((s for s in found if s.revisions == most), key=_median)
    longest = max(_median(series) for series in bars)
    title = f"{case.title.replace('`', '')}: {most:,} revisions, {TITLES[engine]}"
    parts = [f'<text class="title" x="8" y="{top + 20}">{escape(title)}</text>']
    for row, series in enumerate(bars):
        y = top + _HEAD - 8 + row * _ROW
        width = max(1.0, _median(series) / longest * (_WIDTH - _LEFT - 210))
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(series.tool)}</text>',
            f'<rect class="{_kind(series, case)}" x="{_LEFT}" y="{y}" '
            f'width="{width:.1f}" height="{_BAR}" rx="2"/>',
            f'<text class="note" x="{_LEFT + width + 6:.1f}" y="{y + 12}">'
            f"{escape(_label(results, case, series))}</text>",
        ]
    return parts, _HEAD + len(bars) * _ROW + 8


def _label(results: Results, case: Case, series: Series) -> str:
    ratio = results.ratio(series, case.floor)
    times = f", {number(ratio.median)} × the floor" if ratio and series.tool != case.floor else ""
    return amount(_median(series), case.unit) + times


def _kind(series: Series, case: Case) -> str:
    if series.tool.startswith(_OURS):
        return "ours"
    return "floor" if series.tool == case.floor else "other"


def _median(series: Series) -> float:
    return Spread.of(series.values).median
