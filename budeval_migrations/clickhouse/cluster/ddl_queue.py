"""What the hosts of a cluster have done of a statement ON CLUSTER; read-only.

A statement ON CLUSTER is an entry of a queue in Keeper. Each host carries it out
when it comes to it, and leaves its outcome there. So one is sent without waiting
(:data:`SUBMIT`), and its entry is looked at until every host has answered; an
answer that was lost, or a host that was unreachable, changes nothing in this.

Where the server has ``system.distributed_ddl_queue`` (21.1) that is asked,
otherwise the queue itself through ``system.zookeeper``. The second is tested, on
18.16; of the first, only the SQL.
https://clickhouse.com/docs/operations/system-tables/distributed_ddl_queue
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.interrupts import interrupts
from budeval_migrations.sql import quote
from budeval_migrations.sql.alteration import column_of
from budeval_migrations.sql.effects import Watch
from budeval_migrations.sql.statement import ParsedStatement, parse

# Makes the server answer as soon as the entry is in the queue: 0 is "do not wait" (18.16: tried;
# https://clickhouse.com/docs/operations/settings/settings#distributed_ddl_task_timeout).
SUBMIT = {"distributed_ddl_task_timeout": "0"}

# Where a server's configuration puts the queue when it does not say: <distributed_ddl><path>.
_QUEUE = "/clickhouse/task_queue/ddl"
_POLL = 0.05
# What has no database.
_GLOBAL = frozenset({Watch.DATABASES, Watch.FUNCTIONS})
_MUTATES = ("UPDATE", "DELETE", "MATERIALIZE", "CLEAR")
_QUALIFIER = re.compile(r"(?<![\w.])`?([^\W\d]\w*)`?\.(?=[\w`])")
_FIRST_WORD = re.compile(r"\W")
# Before every name of an entry.
START = "query-"


@dataclass(frozen=True)
class QueueEntry:
    """A statement in the queue.

    Attributes:
        name: Such as ``query-0000000012``; later entries have greater names.
        query: As the server writes it.
        hosts: All that are to run it, as ``name:port``.

    """

    name: str
    query: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class HostAnswer:
    """What one host says of an entry that it is done with.

    Attributes:
        code: ClickHouse's error code; 0 when it did it.

    """

    host: str
    code: int
    error: str = ""


def newest_entry(session: Session) -> str:
    """Return the name of the last entry; :data:`START` when there is none.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    if session.features.distributed_ddl_queue:
        rows = keeper.query(session, "SELECT max(entry) FROM system.distributed_ddl_queue")
    else:
        rows = keeper.read_children(session, _QUEUE, "max(name)")
    return str(rows[0][0] if rows else "") or START


def is_forgotten(session: Session, after: str) -> bool:
    """Return whether an entry that came after this one may have been removed already.

    Servers keep entries for a week, and not more than a thousand:
    https://clickhouse.com/docs/operations/server-configuration-parameters/settings#distributed_ddl

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    entries = _entries(session, START)
    return not entries or entries[0].name > after


def find_entry(session: Session, statement: str, after: str) -> QueueEntry | None:
    """Return the entry that a statement made.

    The server writes a query in its own way, so an entry is known by what it does to
    which table of which database, to which of its columns and indices, and by the types of
    columns. The queue is the cluster's, and the lock is the database's: who holds it sends
    one at a time, so that of several it is the first.

    Args:
        after: The newest entry before the statement was sent.

    Returns:
        None when the statement did not come so far.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    wanted = _said_by(statement, session.database)
    for entry in _entries(session, after):
        # The server has put the database before each name (18.16: tried).
        if _said_by(entry.query, "") == wanted and _is_of(entry.query, statement, session):
            return entry
    return None


def read_answers(session: Session, entry: QueueEntry) -> list[HostAnswer]:
    """Return what the hosts say that are done with an entry, in the order of the hosts.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    if session.features.distributed_ddl_queue:
        rows = keeper.query(
            session,
            "SELECT host, port, exception_code, exception_text FROM system.distributed_ddl_queue "
            f"WHERE entry = {quote.string(entry.name)} AND status = 'Finished'",
        )
        found = [HostAnswer(f"{host}:{port}", int(c), str(e)) for host, port, c, e in rows]
    else:
        path = f"{_QUEUE}/{entry.name}/finished"
        finished = keeper.read_children(session, path, "name, value")
        found = [_answer(str(name), str(value)) for name, value in finished]
    return sorted(found, key=lambda answer: entry.hosts.index(answer.host))


def wait(
    session: Session,
    entry: QueueEntry,
    hosts: Collection[str],
    seconds: float,
    rest: Callable[[list[HostAnswer]], None],
) -> list[HostAnswer]:
    """Return the answers as soon as all of these hosts have given one, or time is up.

    Args:
        seconds: The most that is waited.
        rest: Called between two looks with the answers so far; it sleeps.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    until = time.monotonic() + seconds
    while True:
        answers = read_answers(session, entry)
        if set(hosts) <= {answer.host for answer in answers} or time.monotonic() >= until:
            return answers
        rest(answers)


def run_everywhere(session: Session, statement: str) -> None:
    """Run a statement ON CLUSTER that may be run again, and wait for every host.

    Where a host has lost Keeper for a moment, it is run again.

    Raises:
        EngineError: A host refused, or has not done it in ``ddl_timeout`` seconds.

    """
    keeper.patiently(lambda: _run_everywhere(session, statement))


def _run_everywhere(session: Session, statement: str) -> None:
    shown = " ".join(statement.split()[:6])
    after = newest_entry(session)
    session.execute(statement, settings=SUBMIT)
    entry = find_entry(session, statement, after)
    if entry is None:
        raise EngineError(f"{shown} … did not come into the queue of the cluster.")
    seconds = session.settings.ddl_timeout
    awaited = set(entry.hosts) - session.absent
    answers = wait(session, entry, awaited, seconds, lambda _: interrupts.sleep(_POLL))
    for answer in answers:
        if answer.code:
            raise EngineError(
                f"Host {answer.host} refused {shown} …: {answer.error}", code=answer.code
            )
    left = sorted(awaited - {answer.host for answer in answers})
    if left:
        raise EngineError(
            f"{', '.join(left)} did not run {shown} … within {seconds:.0f} s.",
            hint="It does so when it is back. Bring it back, then run the command again.",
        )


def ensure_database(session: Session) -> None:
    """Create the target database, on a cluster on every host; idempotent.

    Raises:
        EngineError: A host refused, or has not done it in ``ddl_timeout`` seconds.

    """
    cluster = session.topology.cluster
    if not cluster:
        session.ensure_database()
        return
    name = quote.identifier(session.database)
    with session.elsewhere() as other:
        run_everywhere(
            other, f"CREATE DATABASE IF NOT EXISTS {name} ON CLUSTER {quote.identifier(cluster)}"
        )


def _entries(session: Session, after: str) -> list[QueueEntry]:
    if session.features.distributed_ddl_queue:
        rows = keeper.query(
            session,
            "SELECT entry, any(query), groupArray(concat(host, ':', toString(port))) "
            f"FROM system.distributed_ddl_queue WHERE entry > {quote.string(after)} "
            "GROUP BY entry ORDER BY entry",
        )
        return [QueueEntry(str(name), str(query), tuple(hosts)) for name, query, hosts in rows]
    rows = keeper.read_children(session, _QUEUE, "name, value", f"name > {quote.string(after)}")
    return [_entry(str(name), str(value)) for name, value in sorted(map(tuple, rows))]


def _entry(name: str, value: str) -> QueueEntry:
    """Read ``version: 1``, ``query: …``, ``hosts: […]``, ``initiator: …``, a line each."""
    lines = dict(line.partition(": ")[::2] for line in value.splitlines())
    hosts = ast.literal_eval(lines.get("hosts", "[]"))
    return QueueEntry(
        name, _unescaped(lines.get("query", "")), tuple(unquote(host) for host in hosts)
    )


def _answer(name: str, value: str) -> HostAnswer:
    """Read the code and, on the next line, the error."""
    code, _, error = value.partition("\n")
    return HostAnswer(unquote(name), int(code), _unescaped(error.strip()))


def _unescaped(text: str) -> str:
    """Read what the server wrote with backslashes."""
    return str(ast.literal_eval('"""' + text.replace('"', '\\"') + '"""'))


def _is_of(query: str, statement: str, session: Session) -> bool:
    """Return whether an entry may be in the session's database, by the databases that it names."""
    named = {*_QUALIFIER.findall(query)}
    return not named or session.database in named or named <= {*_QUALIFIER.findall(statement)}


def _said_by(query: str, database: str) -> tuple[object, ...]:
    """Return what a statement does, and to what: its kind, and the names that it changes.

    Args:
        database: Where a name without one is.

    """
    said = parse(query)
    found = said.effect
    if _GLOBAL & {*found.watches}:
        database = ""
    names = ((name.database or database, name.name) for name in found.targets)
    elements = sorted((element.key, element.appears) for element in found.elements)
    # Of mutations, which change no elements, the verbs at least.
    altered = said.alteration
    verbs = [c.head[0] for c in altered.clauses if c.head[0] in _MUTATES] if altered else []
    return (found.kind, *names, *elements, *verbs, *_types(said))


def _types(said: ParsedStatement) -> list[tuple[str, str]]:
    """Return the columns that a statement declares, with the first word of their types.

    The server may write the rest of a type in another way.
    """
    if said.alteration is not None:
        declared = [column for c in said.alteration.clauses if (column := column_of(c)) is not None]
    else:
        declared = [*said.definition.columns] if said.definition else []
    return [(column.name, _FIRST_WORD.split(column.type, 1)[0].lower()) for column in declared]
