"""Say which statements of a plan may be sent now. Pure: no I/O.

A statement may be sent when those before it in the plan are done or apart from it, and
the revisions that its own builds on are finished. What comes of that is what comes of
one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from budeval_migrations.execution.task import Task
from budeval_migrations.model import Statement, Step
from budeval_migrations.sql.access_set import NOTHING, AccessSet
from budeval_migrations.sql.statement import parse

# How many statements that are not done are looked at for one that may pass the others.
_AHEAD = 200

Apart = Callable[[AccessSet, AccessSet], bool]


@dataclass(frozen=True, eq=False)
class Item:
    """A statement that is not done; or the whole of a dynamic revision.

    Attributes:
        step: The place of its step in the plan.
        task: None for a dynamic revision, which nothing passes.

    """

    step: int
    task: Task | None

    @cached_property
    def access_set(self) -> AccessSet:
        """What it may touch; read only where something might pass it."""
        return _access_set(self.task.statement) if self.task else AccessSet(unclear=True)

    @property
    def block(self) -> tuple[int, int] | None:
        """Those of one ``op.parallel()`` are apart: their author says so."""
        block = self.task.statement.block if self.task else None
        return None if block is None else (self.step, block)


class Schedule:
    """What is left of a plan, and what of it may be sent.

    Args:
        steps: In order.
        tasks: The statements of each that are to be sent; None for a dynamic one.

    """

    def __init__(self, steps: Sequence[Step], tasks: Sequence[Sequence[Task] | None]) -> None:
        self._waits, self._follow = _order(steps)
        self._open = {n for n, earlier in enumerate(self._waits) if not earlier}
        self._left: dict[Item, None] = {}
        self._of_step: list[dict[Item, None]] = []
        for n, found in enumerate(tasks):
            items = [Item(n, None)] if found is None else [Item(n, task) for task in found]
            self._left |= dict.fromkeys(items)
            self._of_step.append(dict.fromkeys(items))
        self._complete = {n for n in self._open if not self._of_step[n]}

    def next(self, begun: Collection[Item], apart: Apart) -> Item | None:
        """Return the first statement that may be sent beside those that are on their way.

        Args:
            begun: Those.
            apart: Says whether two may run at the same time.

        """
        first = next(iter(self._left), None)
        if first is None or (first not in begun and first.step in self._open):
            return first  # nothing is before it
        before, outside, block = NOTHING, NOTHING, None
        for item in islice(self._left, _AHEAD):
            if item.block is None or item.block != block:
                outside, block = before, item.block
            if item not in begun and item.step in self._open and apart(item.access_set, outside):
                return item
            before |= item.access_set
        return None

    def of(self, step: int) -> list[Item]:
        """Return what is left of a step, in order."""
        return list(self._of_step[step])

    def done(self, item: Item) -> None:
        """Take a statement off."""
        del self._left[item]
        del self._of_step[item.step][item]
        if item.step in self._open and not self._of_step[item.step]:
            self._complete.add(item.step)

    def complete(self, among: Collection[int] | None = None) -> int | None:
        """Return the first step of which everything is done, and that waits for no other.

        Args:
            among: Only these; all without it.

        """
        found = self._complete if among is None else self._complete.intersection(among)
        return min(found, default=None)

    def finish(self, step: int) -> None:
        """Take a step off; those that build on it wait for it no longer."""
        self._open.remove(step)
        self._complete.remove(step)
        for later in self._follow[step]:
            self._waits[later].discard(step)
            if not self._waits[later]:
                self._open.add(later)
                if not self._of_step[later]:
                    self._complete.add(later)


def _access_set(statement: Statement) -> AccessSet:
    """Return what a statement may touch: itself, its probe, and what its chunks are cut by."""
    backfill = statement.backfill
    beside = (backfill.source, backfill.by) if backfill else ()
    found = parse(statement.text).access_set
    if any("select" in value.lower() for _, value in statement.settings):
        return AccessSet(unclear=True)  # such as additional_table_filters
    for text in (*beside, *([statement.unless] if statement.unless else ())):
        found |= parse(text).reads
    return found


def _order(steps: Sequence[Step]) -> tuple[list[set[int]], list[list[int]]]:
    """Return for each step those that it waits for, and those that wait for it.

    On the way up a step waits for its parents, on the way down for those that it is a
    parent of: for those of either kind that come before it.
    """
    waits: list[set[int]] = []
    places: dict[str, int] = {}
    children: dict[str, set[int]] = {}
    for n, step in enumerate(steps):
        parents = {places[name] for name in step.parents if name in places}
        waits.append(parents | children.get(step.revision, set()))
        places[step.revision] = n
        for name in step.parents:
            children.setdefault(name, set()).add(n)
    follow: list[list[int]] = [[] for _ in steps]
    for n, earlier in enumerate(waits):
        for m in earlier:
            follow[m].append(n)
    return waits, follow
