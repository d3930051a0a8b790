"""What the server says of work that it was given: queries, their log, mutations.

Read-only, but for :func:`kill_queries` and the flush of the log. Each function
asks once; waiting is the caller's.

https://clickhouse.com/docs/operations/system-tables/processes
https://clickhouse.com/docs/operations/system-tables/query_log
https://clickhouse.com/docs/operations/system-tables/mutations
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import QUERY_ID_IN_USE, error_code, server_message
from budeval_migrations.errors import ConnectionFailed, EngineError
from budeval_migrations.sql import quote


@dataclass(frozen=True)
class Running:
    """A query that the server works on.

    Attributes:
        elapsed: Seconds that it has run.
        done: Rows read so far.
        total: Rows to read, as far as the server knows; 0 when it does not.

    """

    elapsed: float
    done: int
    total: int


@dataclass(frozen=True)
class Logged:
    """How a query ended, as ``system.query_log`` has it.

    Attributes:
        finished: It did all that it should.
        started: It failed while it ran, and not before.

    """

    finished: bool
    started: bool
    code: int = 0
    error: str = ""
    elapsed_ms: int = 0
    rows_read: int = 0
    rows_written: int = 0


@dataclass(frozen=True)
class Mutation:
    """A mutation of one table.

    Attributes:
        parts: Parts that are still to be changed.
        reason: Why the last try at a part failed; empty when none did.
        code: ClickHouse's code of that; 0 when none did.

    """

    name: str
    command: str
    parts: int
    done: bool
    killed: bool
    reason: str
    code: int


def running_query(session: Session, query_id: str) -> Running | None:
    """Return the query if the server works on it."""
    rows = session.query(
        "SELECT elapsed, read_rows, total_rows_approx FROM system.processes "
        f"WHERE query_id = {quote.string(query_id)}"
    )
    if not rows:
        return None
    elapsed, done, total = rows[0]
    return Running(float(elapsed), int(done), int(total))


def logged_query(session: Session, query_id: str) -> Logged | None:
    """Return how the query ended; None when the server keeps no log, or has nothing yet."""
    with suppress(EngineError):
        session.execute("SYSTEM FLUSH LOGS")  # needs a privilege that not everybody has
    details = session.features.query_log_details
    code, written = ("exception_code", "written_rows") if details else ("0", "0")
    try:
        rows = session.query(
            f"SELECT toInt8(type), {code}, exception, query_duration_ms, read_rows, {written} "
            f"FROM system.query_log WHERE query_id = {quote.string(query_id)} "
            "AND event_date >= today() - 30 "
            # A second copy of the request is refused while the first one runs.
            f"AND NOT (toInt8(type) = 3 AND position(exception, 'Code: {QUERY_ID_IN_USE}') > 0) "
            "ORDER BY indexOf([2, 4, 3, 1], toInt8(type)) LIMIT 1"
        )
    except ConnectionFailed:
        raise
    except EngineError:
        return None  # no such table, or not for us
    if not rows or int(rows[0][0]) == 1:
        return None  # it began, and the log does not say how it ended
    kind, number, error, elapsed, read, wrote = rows[0]
    return Logged(
        finished=int(kind) == 2,
        started=int(kind) != 3,
        code=int(number),
        error=str(error),
        elapsed_ms=int(elapsed),
        rows_read=int(read),
        rows_written=int(wrote),
    )


def kill_queries(session: Session, prefix: str) -> None:
    """Ask the server to stop a query, or all whose ids begin so.

    It may take a while, or not be allowed.
    """
    assert prefix, "everybody's queries begin so"
    with suppress(EngineError):
        session.execute(f"KILL QUERY WHERE startsWith(query_id, {quote.string(prefix)}) ASYNC")


def mutations(
    session: Session, database: str, table: str, known: Collection[str] = ()
) -> list[Mutation]:
    """Return the mutations of a table that are not among the known ones."""
    features = session.features
    reason = "latest_fail_reason" if features.mutations else "''"
    killed = "is_killed" if features.killed_mutations else "0"
    rows = session.query(
        f"SELECT mutation_id, command, parts_to_do, is_done, {killed}, {reason} "
        f"FROM system.mutations WHERE database = {quote.string(database)} "
        f"AND table = {quote.string(table)} ORDER BY create_time, mutation_id"
    )
    found = [
        Mutation(
            name=str(name),
            command=str(command),
            parts=int(parts),
            done=bool(int(done)),
            killed=bool(int(stopped)),
            reason=session.redact(server_message(str(said))),
            code=error_code(str(said)),
        )
        for name, command, parts, done, stopped, said in rows
    ]
    return [mutation for mutation in found if mutation.name not in set(known)]
