"""Lay a graph of revisions out in tracks, a row for every revision. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from budeval_migrations.model import RevisionNode


@dataclass(frozen=True)
class Row:
    """What is drawn beside one revision; the rows stand children first.

    Attributes:
        track: Where its dot is, from 0.
        past: Tracks that go by.
        above: Tracks that end at the dot from above: its children are up there.
        below: Tracks that begin at the dot and go down: to its parents.

    """

    revision: str
    track: int
    past: tuple[int, ...]
    above: tuple[int, ...]
    below: tuple[int, ...]


def lay_out(parents: Mapping[str, Sequence[str]]) -> list[Row]:
    """Return the rows of a graph, the last revision first.

    A track leads from children down to one parent; children of the same parent share it.
    Parents that are not in the graph have no line.

    Args:
        parents: Revision -> its parents; parents before children.

    """
    awaited: list[str | None] = []  # by track: the parent that it leads to
    rows = []
    drawn: set[str] = set()
    for revision in reversed(list(parents)):
        drawn.add(revision)
        above = tuple(n for n, wanted in enumerate(awaited) if wanted == revision)
        track = above[0] if above else _free(awaited)
        awaited[track] = None
        past = tuple(n for n, wanted in enumerate(awaited) if wanted is not None)
        below = []
        for parent in dict.fromkeys(parents[revision]):
            if parent in parents and parent not in drawn:
                way = awaited.index(parent) if parent in awaited else _free(awaited, track)
                awaited[way] = parent
                below.append(way)
        rows.append(Row(revision, track, past, above, tuple(below)))
    return rows


def parents_first(graph: Mapping[str, RevisionNode]) -> dict[str, RevisionNode]:
    """Return the same revisions, every one behind its parents; else in the order given.

    Revisions without a file stand at the end of what a ledger knows, wherever they belong.
    """
    placed: dict[str, RevisionNode] = {}
    for name in graph:
        todo = [name]
        on_the_way: set[str] = set()
        while todo:
            above = [p for p in graph[todo[-1]].parents if p in graph and p not in placed]
            # What a ledger recorded may go round in a circle; the line that closes it is left out.
            above = [p for p in above if p not in on_the_way]
            on_the_way.add(todo[-1])
            if above:
                todo.append(above[0])
            else:
                done = todo.pop()
                placed.setdefault(done, graph[done])
    return placed


def _free(awaited: list[str | None], liked: int = 0) -> int:
    """Return a track that leads nowhere: the one that is liked, else the first."""
    free = [track for track, wanted in enumerate(awaited) if wanted is None]
    if not free:
        awaited.append(None)
        return len(awaited) - 1
    return liked if liked in free else free[0]
