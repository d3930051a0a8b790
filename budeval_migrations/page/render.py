"""Write an overview as one page of HTML that needs nothing else and runs no script. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from mako.template import Template

from budeval_migrations.model import LedgerRow
from budeval_migrations.page.graph import Row, lay_out
from budeval_migrations.page.overview import Overview
from budeval_migrations.visible import visible

TRACK = 14  # pixels between two tracks
HEIGHT = 30  # of a revision's row, in pixels
BAR = 400  # pixels of the longest run


@dataclass(frozen=True)
class Run:
    """The attempts of one run, in order."""

    attempts: tuple[LedgerRow, ...]

    @property
    def began(self) -> datetime:
        """When its first attempt started, UTC."""
        return self.attempts[0].executed_at

    @property
    def elapsed_ms(self) -> int:
        """The time of its attempts together."""
        return sum(row.execution_time_ms for row in self.attempts)

    @property
    def by(self) -> str:
        """Who it was; empty where nobody wrote that down."""
        return self.attempts[0].by

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return not any(row.failed for row in self.attempts)


def render(overview: Overview) -> str:
    """Return the page. Every text in it is escaped; a strict policy forbids what is not."""
    style = _text("overview.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = Template(  # noqa: S702 - "h" escapes every expression
        _text("overview.html.mako"), default_filters=["h"], strict_undefined=True
    )
    graph = lay_out({name: node.parents for name, node in overview.graph.items()})
    runs = runs_of(overview.attempts)
    page: str = template.render_unicode(
        o=overview,
        style=style,
        digest=digest,
        rows=graph,
        lines={row.revision: row for row in graph},
        states={line.revision: line for line in overview.status.revisions},
        width=TRACK * (1 + max((n for row in graph for n in _tracks(row)), default=0)),
        runs=runs,
        longest=max((run.elapsed_ms for run in runs), default=0) or 1,
        failures=[row for row in reversed(overview.attempts) if row.failed],
        paths=paths,
        x=x,
        bars=bars,
        HEIGHT=HEIGHT,
        BAR=BAR,
    )
    return visible(page)


def runs_of(attempts: Sequence[LedgerRow]) -> list[Run]:
    """Return the runs, the last first; a row of an older tool is a run of its own."""
    runs: list[list[LedgerRow]] = []
    for row in attempts:
        if runs and row.run_id and row.run_id == runs[-1][0].run_id:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [Run(tuple(run)) for run in reversed(runs)]


def x(track: int) -> int:
    """Return where the middle of a track is, in pixels."""
    return TRACK * track + TRACK // 2


def paths(row: Row) -> list[str]:
    """Return the lines of a row, as the ``d`` of SVG paths."""
    dot, middle = x(row.track), HEIGHT // 2
    return [
        *(f"M{x(n)} 0V{HEIGHT}" for n in row.past),
        *(f"M{x(n)} 0Q{x(n)} {middle} {dot} {middle}" for n in row.above),
        *(f"M{dot} {middle}Q{x(n)} {middle} {x(n)} {HEIGHT}" for n in row.below),
    ]


def bars(run: Run, longest: int) -> list[tuple[float, float, LedgerRow]]:
    """Return start and width of every attempt's bar, in pixels; none is too small to see."""
    found, at = [], 0.0
    for row in run.attempts:
        width = row.execution_time_ms * BAR / longest
        found.append((round(at, 1), round(max(width, 2), 1), row))
        at += width
    return found


def _tracks(row: Row) -> tuple[int, ...]:
    return (row.track, *row.past, *row.above, *row.below)


def _text(name: str) -> str:
    return (files("budeval_migrations.page") / name).read_text(encoding="utf-8")
