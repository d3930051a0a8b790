"""Read what another migration tool has applied.

An installed package registers an adopter as an entry point of the group
``budeval_migrations.adopters``, by the name that ``adopt --from`` gets: a function that takes
another function, which returns the rows of a SELECT, and returns the ids of the revision files
whose changes the other tool has made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import ConfigError, LedgerError, MigrationError
from budeval_migrations.plugins import REMEDY, get, load

GROUP = "budeval_migrations.adopters"

Query = Callable[[str], Sequence[Sequence[Any]]]
Adopter = Callable[[Query], Iterable[str]]


def read_applied(session: Session, tool: str) -> tuple[str, ...]:
    """Return the ids of the revisions that another tool has applied; read-only.

    Args:
        tool: The name of an installed adopter.

    Raises:
        ConfigError: No package has it, two have it, it cannot be loaded, or it returns
            something else than ids.
        LedgerError: It does not understand what the tool left.
        EngineError: The server refused a query of it.

    """
    point = get(GROUP, tool, "adopter")
    adopter: Adopter = load(point, "adopter")
    try:
        found = tuple(adopter(session.query))
    except MigrationError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise LedgerError(
            f"The records of {tool} cannot be adopted: {session.redact(said)}",
            hint="Nothing was recorded. Bring the database to a state that the other tool calls "
            "complete, and run adopt again.",
        ) from error
    if not all(isinstance(name, str) for name in found):
        raise ConfigError(
            f"The adopter {tool} ({point.value}) returned no list of revision ids.",
            hint=REMEDY,
        )
    return found
