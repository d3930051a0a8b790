"""The figures of a run: values round by round, and what is computed from them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A median, and how far the rounds were apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], floor: Sequence[float]) -> list[float]:
    """Each value over that of the floor in the same round."""
    return [value / least for value, least in zip(values, floor, strict=False) if least]


@dataclass
class Series:
    """What one tool took in one case, round by round.

    Attributes:
        case: The case's name.
        engine: The engine's name; empty where there is none.
        revisions: How many; 0 where that does not matter.
        tool: The tool's name.
        values: One for each round, in the case's unit.
        said: Why there are no values.

    """

    case: str
    engine: str
    revisions: int
    tool: str
    values: list[float] = field(default_factory=list)
    said: str = ""


@dataclass
class Results:
    """Every series of a run, and how the run was done."""

    about: dict[str, str] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)

    def at(self, case: str, engine: str, revisions: int, tool: str) -> Series:
        """The series; a new and empty one when there is none yet."""
        found = self.find(case, engine, revisions, tool)
        if found is None:
            found = Series(case, engine, revisions, tool)
            self.series.append(found)
        return found

    def find(self, case: str, engine: str, revisions: int, tool: str) -> Series | None:
        """The series, if there is one."""
        wanted = (case, engine, revisions, tool)
        for each in self.series:
            if (each.case, each.engine, each.revisions, each.tool) == wanted:
                return each
        return None

    def ratio(self, series: Series, floor: str) -> Spread | None:
        """A series over another tool's in the same case, round by round."""
        other = self.find(series.case, series.engine, series.revisions, floor)
        if other is None or not series.values or not any(other.values):
            return None
        return Spread.of(ratios(series.values, other.values))

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        """What :meth:`as_json` wrote."""
        return cls(data["about"], [Series(**each) for each in data["series"]])
