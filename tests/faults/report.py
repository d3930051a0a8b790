"""The kill matrix as a page: who was killed where, and what came of it."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from tests.faults.cases import CASES, CLIENT, ENGINE, SEAMS
from tests.faults.kills import Order, Outcome

Result = tuple[Order, Outcome]

_TITLES = {
    CLIENT: "SIGKILL of the migrating process",
    ENGINE: "SIGKILL of the engine, restarted on its directory",
}


def page(results: Sequence[Result], *, seconds: float, jobs: int, clickhouse: str) -> str:
    """Markdown: one table for each victim, then the outcomes that stay unknown."""
    from budeval_migrations.version import __version__

    counts = Counter(outcome.verdict for _, outcome in results)
    kills = sum(counts.values()) - counts["skipped"]
    today = datetime.now(timezone.utc).date().isoformat()
    lines = [
        f"{today} · budeval-migrations {__version__} · ClickHouse {clickhouse} (chDB over HTTP) · "
        f"Python {platform.python_version()} · {kills} kills in {seconds / 60:.0f} min "
        f"({jobs} at a time): {counts['same']} same, {counts['unknown']} unknown, "
        f"{counts['wrong']} wrong, {counts['error']} errors of the harness.",
        "",
        "Where a run is killed: " + " · ".join(f"{n} {name}" for n, name in SEAMS.items()) + ".",
        "A number counts runs that ended like an uninterrupted one; `n?` those that stopped with "
        "`StatementOutcomeUnknown`; `n!` what was wrong; `–` is a statement without intent.",
    ]
    for victim, title in _TITLES.items():
        chosen = [(o, r) for o, r in results if o.victim == victim]
        lines += ["", f"### {title}", "", *_table(chosen)]
    lines += ["", "### Unknown", "", *_unknown(results)]
    lines += ["", "### What an engine leaves that is killed while it executes", "", *_left(results)]
    return "\n".join(lines) + "\n"


def _table(results: Iterable[Result]) -> list[str]:
    cells: dict[str, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for order, outcome in results:
        cells[CASES[order.case].kind][order.seam][outcome.verdict] += 1
    lines = [
        "| statement | " + " | ".join(str(n) for n in SEAMS) + " |",
        "|---|" + "---|" * len(SEAMS),
    ]
    kinds = dict.fromkeys(case.kind for case in CASES.values())
    for kind in kinds:
        if kind in cells:
            shown = (_cell(cells[kind][seam]) for seam in SEAMS)
            lines.append(f"| {kind} | " + " | ".join(shown) + " |")
    return lines


def _cell(counts: Counter[str]) -> str:
    marks = {"same": "", "unknown": "?", "wrong": "!", "error": " errors"}
    shown = [f"{counts[name]}{mark}" for name, mark in marks.items() if counts[name]]
    return " ".join(shown) or "–"


def _unknown(results: Iterable[Result]) -> list[str]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for order, outcome in results:
        if outcome.verdict == "unknown":
            found[CASES[order.case].kind][f"{order.victim} at seam {order.seam}"] += 1
    if not found:
        return ["None."]
    reasons = {
        c.kind: reason
        for c in CASES.values()
        for reason in (*c.may_be_unknown.values(), c.torn)
        if reason
    }
    return [
        f"- {kind}: {reasons.get(kind, '')} (" + ", ".join(sorted(where)) + ")"
        for kind, where in found.items()
    ]


def _left(results: Iterable[Result]) -> list[str]:
    """What was found right after the restart, where nobody had touched it yet."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for order, outcome in results:
        if order.victim == ENGINE and order.seam == 3 and outcome.effect:
            found[CASES[order.case].kind][outcome.effect] += 1
    lines = ["| statement | the state it was in |", "|---|---|"]
    for kind, effects in sorted(found.items()):
        shown = ", ".join(f"{n} × {effect}" for effect, n in sorted(effects.items()))
        lines.append(f"| {kind} | {shown} |")
    return lines
