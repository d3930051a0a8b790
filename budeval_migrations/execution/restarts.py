"""Find what an earlier run applied and a restart of the server has taken away since.

A server keeps the rows of some engines, detached tables and stopped background work in its
process alone. An embedded engine is a server that starts with every process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from budeval_migrations import clock
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import StatementOutcomeUnknown, StatementSyntaxError
from budeval_migrations.execution.reconcile.unknown import place
from budeval_migrations.execution.resume import repair_command, short
from budeval_migrations.execution.task import Task
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.statement import ParsedStatement, parse
from budeval_migrations.state.unfinished import Recorded

# A Buffer is written to its table when a server stops in order, and is lost in a kill.
_IN_MEMORY = (
    "(engine IN ('Memory', 'Buffer') OR (engine IN ('Join', 'Set') AND "
    "position(create_table_query, 'persistent = 0') > 0))"
)
_ON_DISK = "((engine LIKE '%MergeTree' OR engine LIKE '%Log') AND empty(dependencies_table))"
# After these a name may be another table's, and the view gone that passed rows on.
_MOVING = frozenset({Kind.RENAME, Kind.EXCHANGE, Kind.DROP})
_FILLS = {Kind.CREATE_TABLE: "AS", Kind.CREATE_MATERIALIZED_VIEW: "POPULATE"}
_READ_BY_WORDS = (Kind.DETACH, Kind.SYSTEM, *_FILLS)


def check_restart(
    session: Session, known: Mapping[int, Recorded], tasks: Mapping[int, Task]
) -> None:
    """Raise where statements that are yet to come may miss what an applied one left behind.

    A session asks for the time of the server's start only if a statement is of such a kind. In a
    cluster it is that of the host in the URL.

    Args:
        known: What earlier runs did of a revision, by the positions of its statements.
        tasks: The statements as they are now; empty for a dynamic revision.

    Raises:
        StatementOutcomeUnknown: Names the first such statement and what is lost of it.

    """
    applied = [(r, tasks.get(at)) for at, r in sorted(known.items()) if r.applied and r.last.at]
    held = [(*each, found) for each in applied for found in _in_process(_text(*each))]
    if not held:
        return
    started = _started(session)
    moved = any(p.effect.kind in _MOVING for each in applied for p in _parts(_text(*each)))
    for recorded, task, found in held:
        if recorded.last.at and _is_before(recorded, recorded.last.at, started):
            lost = _lost(session, found, moved) if isinstance(found, Name) else found
            if lost:
                raise _error(recorded, task, lost, started)


def _is_before(recorded: Recorded, at: datetime, started: datetime) -> bool:
    """Return whether an outcome is from before a start; where a second decides, a person does."""
    second = at.replace(microsecond=0)
    return second < started or (second == started and not recorded.answered)


def _text(recorded: Recorded, task: Task | None) -> str:
    return task.statement.sent if task else recorded.last.sql


def _in_process(text: str) -> Iterator[Name | str]:
    """Yield the tables whose rows may be in the server's process alone, or else what is there."""
    for part in _parts(text):
        found = part.effect
        words = [lx.word for lx in part.lexemes] if found.kind in _READ_BY_WORDS else []
        if found.kind is Kind.DETACH and "PERMANENTLY" not in words[3:]:
            yield "what it detached is attached again"
        if found.kind is Kind.SYSTEM and words[1:2] in (["STOP"], ["PAUSE"]):
            yield "what it stopped goes on again"
        filled = _FILLS.get(found.kind) in words
        if filled or found.kind is Kind.INSERT:
            # A parameter, or a table function, may have put them anywhere.
            yield found.targets[0] if found.targets else Name("")


def _parts(text: str) -> Sequence[ParsedStatement]:
    """Return what PARALLEL WITH joins; nothing of a text that cannot be read."""
    with suppress(StatementSyntaxError):
        return parse(text).joined
    return ()


def _lost(session: Session, table: Name, moved: bool) -> str:
    """Return what is lost of the rows that went to a table; empty where they are on disk.

    Where a view or an Alias passed them on, or the name was another table's, they may have
    been in any table in memory beside it.
    """
    named = f"database = {_database(table)} AND name = {quote.string(table.name)}"
    rows = session.query(
        f"SELECT name, {named}, {_IN_MEMORY}, {_ON_DISK} FROM system.tables "
        f"WHERE database IN ({_database(table)}, currentDatabase()) ORDER BY name"
    )
    in_memory = [str(name) for name, _, held, _ in rows if int(held)]
    [(held, kept)] = [(int(r[2]), int(r[3])) for r in rows if int(r[1])] or [(0, 0)]
    if held:
        return f"the rows of {table.name} are lost, which were in memory"
    if table.name and not moved and not any(int(row[1]) for row in rows):
        # Such as one of a database with ENGINE = Memory.
        return f"there is no table {table.name} any more"
    if in_memory and (moved or not kept):
        return f"rows may be lost with those of {in_memory[0]}, which were in memory"
    return ""


def _database(name: Name) -> str:
    return quote.string(name.database) if name.database else "currentDatabase()"


def _started(session: Session) -> datetime:
    """Return when the server started, to the second, in UTC."""
    rows = session.query("SELECT toUInt64(now()) - toUInt64(uptime())")
    return datetime.fromtimestamp(int(rows[0][0]), timezone.utc)


def _error(
    recorded: Recorded, task: Task | None, lost: str, started: datetime
) -> StatementOutcomeUnknown:
    last = recorded.last
    again, as_is = (
        repair_command(last.revision, last.position, answer)
        for answer in ("--not-applied", "--applied")
    )
    assert last.at is not None
    return StatementOutcomeUnknown(
        reason=f"it took effect on {clock.shown(last.at)}, the server was started on "
        f"{clock.shown(started)}, and {lost}\n"
        f"  {short(last.statement)}",
        code=0,
        **place(last, task.total if task else None, task.statement if task else None),
        outcome=f"Nothing was sent. To have it run again: {again}\n"
        f"  if the statements after it do not need it: {as_is}",
        hint="Run one of these two commands, then run again what stopped here.",
    )
