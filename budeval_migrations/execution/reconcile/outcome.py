"""What became of a statement, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What became of a statement."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """An outcome, and the sentence that says how it is known.

    Attributes:
        blind: It is unknown since nothing of it could be seen; no trace of it was found.

    """

    outcome: Outcome
    why: str
    blind: bool = field(default=False, compare=False)


def blind(why: str) -> Evidence:
    """Return the evidence of somebody who could see nothing."""
    return Evidence(Outcome.UNKNOWN, why, blind=True)
