"""The cases: what each measures, in which unit, and what its floor is. Nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass

DRIVER = "the driver alone"
STATEMENTS = "the driver alone, without the rows"
IMPORTS = "importing Alembic and the dialect"
SQLALCHEMY = "sqlalchemy"
INSERT = "one INSERT … SELECT"
BACKFILL = "op.backfill"
IN_TURN = "--jobs 1"
TOGETHER = "--jobs 2"
MEMORY = "backfill-memory"
LEFT = "backfill-left"


@dataclass(frozen=True)
class Case:
    """One table of the report.

    Attributes:
        name: As on the command line.
        title: The table's heading.
        unit: ``s``, ``MB``, ``%`` (of a share) or ``round trips``.
        floor: The tool that the others are divided by; empty: none.
        about: What is measured, and what the floor is.
        within: The case whose runs measure this one too; empty: it has runs of its own.

    """

    name: str
    title: str
    unit: str
    floor: str
    about: str
    within: str = ""


CASES = (
    Case(
        "fresh",
        "Fresh upgrade",
        "s",
        DRIVER,
        "A whole process that applies one `CREATE TABLE` a revision to an empty database. The floor"
        " is a process that sends the same statements and one row each through the driver.",
    ),
    Case(
        "noop",
        "Nothing to do: a whole process",
        "s",
        DRIVER,
        "The upgrade command on a database at head. The floor is a process that imports the driver,"
        " connects and sends one SELECT.",
    ),
    Case(
        "app",
        "Nothing to do: an application starts",
        "s",
        DRIVER,
        "The first call within a program that has imported SQLAlchemy and the driver; what else the"
        " tool imports is in it. The floor is a connection and one SELECT. A program without a"
        " server has its chDB open, and at rest: chDB's own start is in the case above.",
    ),
    Case(
        "again",
        "Nothing to do: the second call in the same application",
        "s",
        DRIVER,
        "The same call once more: everything is imported.",
    ),
    Case(
        "status",
        "`status`",
        "s",
        DRIVER,
        "A whole process that says where every revision stands. The floor is that of the no-op.",
    ),
    Case(
        "current",
        "`alembic current`",
        "s",
        DRIVER,
        "Where there is Alembic's own command. The floor is that of the no-op.",
    ),
    Case(
        "trips",
        "Round trips of a no-op",
        "round trips",
        "",
        "How often the no-op process sends and then waits, counted by a proxy before the server.",
    ),
    Case(
        "memory",
        "Peak memory of a no-op",
        "MB",
        DRIVER,
        "The largest resident set of the no-op process.",
    ),
    Case(
        "memory-upgrade",
        "Peak memory of an upgrade",
        "MB",
        DRIVER,
        "The largest resident set of the process that made the history for the cases above, where"
        " the tool really ran it; each revision's statement does nothing.",
    ),
    Case(
        "backfill",
        "Move many rows",
        "s",
        INSERT,
        "`op.backfill` of a whole table, and the same SELECT as one statement, in one process;"
        " merges have come to rest before each.",
    ),
    Case(
        MEMORY,
        "Move many rows: memory",
        "MB",
        INSERT,
        "By how much the process grew while that was done.",
        within="backfill",
    ),
    Case(
        LEFT,
        "Move many rows: the time left",
        "%",
        "",
        "By which share the time left that `op.backfill` told was wrong at worst, between the first"
        " tenth of the work and the last.",
        within="backfill",
    ),
    Case(
        "mutations",
        "Two mutations",
        "s",
        IN_TURN,
        "`ALTER TABLE … UPDATE` of two tables with one part each, in one revision.",
    ),
    Case(
        "backfills",
        "Two backfills",
        "s",
        IN_TURN,
        "`op.backfill` into two tables, in one revision. ClickHouse has every core at work for one"
        " already.",
    ),
    Case(
        "import",
        "Import",
        "s",
        SQLALCHEMY,
        "What one call of the tool needs, imported after SQLAlchemy (where the tool uses it) in a"
        " fresh interpreter.",
    ),
)
# What is done by this package alone: the case, and what stands beside the floor.
WORK = {"backfill": BACKFILL, "mutations": TOGETHER, "backfills": TOGETHER}
NAMES = tuple(case.name for case in CASES if not case.within)
