"""What the hosts of a cluster have done of a statement ON CLUSTER; read-only.

A statement ON CLUSTER is an entry of a queue in Keeper. Each host carries it out
when it comes to it, and leaves its outcome there. So one is sent without waiting
(:data:`SUBMIT`), and its entry is looked at until every host has answered; an
answer that was lost, or a host that was away, changes nothing in this.

Where the server has ``system.distributed_ddl_queue`` (21.1) that is asked,
otherwise the queue itself through ``system.zookeeper``. The second is tested, on
18.16; of the first, only the SQL.
https://clickhouse.com/docs/operations/system-tables/distributed_ddl_queue
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from urllib.parse import unquote

from budeval_migrations.engine.session import Session
from budeval_migrations.sql import quote
from budeval_migrations.sql.effects import effect

# Makes the server answer as soon as the entry is in the queue: 0 is "do not wait" (18.16: tried;
# https://clickhouse.com/docs/operations/settings/settings#distributed_ddl_task_timeout).
SUBMIT = {"distributed_ddl_task_timeout": "0"}

# Where a server's configuration puts the queue when it does not say: <distributed_ddl><path>.
_QUEUE = "/clickhouse/task_queue/ddl"
# Before every name of an entry.
START = ""


@dataclass(frozen=True)
class Entry:
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
class Answer:
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
        rows = session.query("SELECT max(entry) FROM system.distributed_ddl_queue")
    else:
        rows = session.query(f"SELECT max(name) FROM system.zookeeper WHERE {_at(_QUEUE)}")
    return str(rows[0][0]) if rows else START


def find_entry(session: Session, statement: str, after: str) -> Entry | None:
    """Return the entry that a statement made.

    The server writes a query in its own way, so an entry is known by what it does to
    which table. Of several, only the first is known to have been sent after ``after``;
    who holds the lock sends one at a time.

    Args:
        after: The newest entry before the statement was sent.

    Returns:
        None when the statement did not come so far.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    wanted = _said_by(statement)
    for entry in _entries(session, after):
        if _said_by(entry.query) == wanted:
            return entry
    return None


def read_answers(session: Session, entry: Entry) -> list[Answer]:
    """Return what the hosts say that are done with an entry, in the order of the hosts.

    Raises:
        EngineError: Keeper does not answer, or may not be asked.

    """
    if session.features.distributed_ddl_queue:
        rows = session.query(
            "SELECT host, port, exception_code, exception_text FROM system.distributed_ddl_queue "
            f"WHERE entry = {quote.string(entry.name)} AND status = 'Finished'"
        )
        found = [Answer(f"{host}:{port}", int(c), str(e)) for host, port, c, e in rows]
    else:
        finished = session.query(
            "SELECT name, value FROM system.zookeeper "
            f"WHERE {_at(f'{_QUEUE}/{entry.name}/finished')}"
        )
        found = [_answer(str(name), str(value)) for name, value in finished]
    return sorted(found, key=lambda answer: entry.hosts.index(answer.host))


def _entries(session: Session, after: str) -> list[Entry]:
    if session.features.distributed_ddl_queue:
        rows = session.query(
            "SELECT entry, any(query), groupArray(concat(host, ':', toString(port))) "
            f"FROM system.distributed_ddl_queue WHERE entry > {quote.string(after)} "
            "GROUP BY entry ORDER BY entry"
        )
        return [Entry(str(name), str(query), tuple(hosts)) for name, query, hosts in rows]
    rows = session.query(
        f"SELECT name, value FROM system.zookeeper WHERE {_at(_QUEUE)} "
        f"AND name > {quote.string(after)} ORDER BY name"
    )
    return [_entry(str(name), str(value)) for name, value in rows]


def _entry(name: str, value: str) -> Entry:
    """Read ``version: 1``, ``query: …``, ``hosts: […]``, ``initiator: …``, a line each."""
    lines = dict(line.partition(": ")[::2] for line in value.splitlines())
    hosts = ast.literal_eval(lines.get("hosts", "[]"))
    query = ast.literal_eval('"""' + lines.get("query", "").replace('"', '\\"') + '"""')
    return Entry(name, query, tuple(unquote(host) for host in hosts))


def _answer(name: str, value: str) -> Answer:
    """Read the code and, on the next line, the error."""
    code, _, error = value.partition("\n")
    return Answer(unquote(name), int(code), error.strip())


def _said_by(query: str) -> tuple[object, ...]:
    """Return what a statement does, and to what: its kind and the names it changes."""
    found = effect(query)
    return (found.kind, *(name.name for name in found.targets))


def _at(path: str) -> str:
    return f"path = {quote.string(path)}"
