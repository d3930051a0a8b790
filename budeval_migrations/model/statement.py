"""Statements as a revision says them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

# How the name of a query parameter begins as a setting: what SET param_x = 1 sets stands for
# {x:UInt8}.
PARAMETER = "param_"


@dataclass(frozen=True)
class Backfill:
    """How rows are moved by ``op.backfill``.

    Attributes:
        into: The table that gets the rows, as written.
        select: The SELECT, with ``{chunk}`` where the condition of a chunk goes.
        source: The table whose rows are cut into chunks.
        by: ``partition``, or the expression whose ranges are the chunks.
        chunk_rows: About how many rows of the source a chunk has.
        columns: The target's columns that get the SELECT's; empty for all.
        pause: Seconds to wait after each chunk.

    """

    PLACEHOLDER: ClassVar[str] = "{chunk}"
    CHUNK_ROWS: ClassVar[int] = 5_000_000  # where nothing else is said

    into: str
    select: str
    source: str
    by: str
    chunk_rows: int
    columns: tuple[str, ...] = ()
    pause: float = 0.0

    @property
    def column_list(self) -> str:
        """The columns as they stand in an INSERT, with a blank behind; empty for all."""
        return f"({', '.join(self.columns)}) " if self.columns else ""

    @property
    def insert(self) -> str:
        """The one INSERT that it stands for."""
        return f"INSERT INTO {self.into} {self.column_list}{self.select_where('1')}"

    def select_where(self, condition: str) -> str:
        """Return the SELECT for the rows that meet a condition."""
        return self.select.replace(self.PLACEHOLDER, f"({condition})")

    def parts(self) -> list[str]:
        """Return what makes it the same backfill; how fast it goes does not."""
        return [self.into, self.column_list, self.select, self.source, self.by]


class Reach(Enum):
    """What a revision wants of a statement on a cluster; a single server knows one."""

    EVERYWHERE = "everywhere"  # ON CLUSTER, and MergeTree tables replicated
    UNREPLICATED = "unreplicated"  # ON CLUSTER, engines as they are written
    HERE = "here"  # to the byte as it is written, on the host that is connected to


@dataclass(frozen=True)
class Placed:
    """What becomes of a statement on a cluster.

    Attributes:
        text: What is sent.
        queued: It is carried out by every host, through their queue.

    """

    text: str
    queued: bool


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a revision.

    Attributes:
        text: The SQL to the byte, without the separator that ended it; for a
            backfill, the one INSERT that it stands for.
        file: The file it was written in, relative where it can be.
        line: 1-based line of its first token in that file.
        unless: A probe; when it returns a row the statement is not sent.
        backfill: The statement is sent chunk by chunk.
        reach: What it wants on a cluster.
        placed: What becomes of it there; None for a single server. It does not count in
            what makes it the same statement: one history holds for both.
        block: Which ``op.parallel()`` of its revision it stands in, from 1; None for none.
            It does not count either.
        settings: Names and values that SETs before it in its revision say. They do not
            count: the SETs do.

    """

    text: str
    file: str | None = None
    line: int | None = None
    unless: str | None = None
    backfill: Backfill | None = None
    reach: Reach = Reach.EVERYWHERE
    placed: Placed | None = None
    block: int | None = None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def sent(self) -> str:
        """The SQL as the server gets it."""
        return self.placed.text if self.placed else self.text

    def parts(self) -> list[str]:
        """Return the texts that make it the same statement."""
        probe = [self.unless] if self.unless else []
        reach = [self.reach.value] if self.reach is not Reach.EVERYWHERE else []
        return [*probe, *reach, *(self.backfill.parts() if self.backfill else [self.text])]
