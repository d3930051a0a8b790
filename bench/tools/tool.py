"""What the bench has to know of a tool."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.environments import python_of
from bench.places import Place

Command = list[str | Path]

#: One statement of the fresh upgrade, for :func:`bench.bare.numbered`.
CREATE = "CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a"
#: One statement of a history that is only there to be looked at. Of several tables: ours writes
#: the rows of statements that change the same thing one by one, and chDB would load the parts
#: that this leaves, at each of its starts, until it deletes them after eight minutes.
CHEAP = "CREATE TABLE IF NOT EXISTS t{m} (a Int32) ENGINE = Memory"

#: What a program that uses clickhouse-sqlalchemy has imported, its dialects among it.
DIALECTS = (
    "import sqlalchemy, clickhouse_sqlalchemy.drivers.http.base, "
    "clickhouse_sqlalchemy.drivers.native.base"
)


@dataclass(frozen=True)
class Application:
    """How a program that already runs calls a tool: Python source.

    ``loaded`` is what such a program has imported by itself (its driver), and is not timed;
    ``call`` is timed, and timed again.
    """

    loaded: str
    call: str


class Tool:
    """A tool, and how its files are written and its commands are called.

    Attributes:
        name: As in tables, and as its environment's directory.
        packages: Pinned, for pip; empty for what runs in the bench's own environment.
        refused: Engine -> the sentence that stands in the table where it cannot be tried.
        imports: The modules that one call of it needs.
        application: How a program calls it; None when it cannot.
        shares: The tool whose history it looks at, instead of one of its own.

    """

    name = ""
    packages: tuple[str, ...] = ()
    refused: ClassVar[Mapping[str, str]] = {}
    imports: tuple[str, ...] = ()
    application: Application | None = None
    shares = ""

    @property
    def python(self) -> Path:
        """The interpreter that it runs in."""
        return python_of(self.name) if self.packages else Path(sys.executable)

    def script(self, name: str) -> Path:
        """One of its commands."""
        return self.python.parent / name

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``count`` revisions of one statement each."""
        raise NotImplementedError

    def configure(self, project: Path, place: Place) -> None:
        """Write what says where the database is; may be called again for another place."""

    def environment(self, place: Place) -> dict[str, str]:
        """The variables that its commands need."""
        del place
        return {}

    def prepare(self, place: Place) -> list[Command]:
        """What has to be run once before the first upgrade, and is not timed."""
        del place
        return []

    def upgrade(self, place: Place) -> Command:
        """Everything that is pending."""
        raise NotImplementedError

    def catch_up(self, place: Place) -> Command:
        """Record everything as applied; a tool that reads the same afterwards may skip the work."""
        return self.upgrade(place)

    def status(self, place: Place) -> Command | None:
        """Where every revision stands."""
        del place
        return None

    def current(self, place: Place) -> Command | None:
        """``alembic current``."""
        del place
        return None


def revision_ids(count: int) -> list[str]:
    """The revisions' names, in their order."""
    return [f"{n:05}_step" for n in range(1, count + 1)]
