"""What the shop's old script has applied, by its table ``migrations_done``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

# The old script numbered its files. Each is a revision file now.
REVISIONS = {1: "001_orders", 2: "002_items", 3: "003_totals"}


def applied(query: Callable[[str], Sequence[Sequence[Any]]]) -> list[str]:
    """Return the ids of the revisions that the script has applied."""
    rows = query("SELECT number, finished FROM migrations_done ORDER BY number")
    for number, finished in rows:
        if not int(finished):
            raise ValueError(f"migration {number} of the old script has not finished")
    return [REVISIONS[int(number)] for number, _ in rows]
