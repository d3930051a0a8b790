"""What a database is like: its catalogue and its rows, so that two can be compared."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.faults.nursery import Front
from tests.support.server import QueryError

_OURS = re.compile(r"schema_migrations(_\w+)?|alembic_version")
#: What ClickHouse itself leaves when it is killed in CREATE TABLE … AS SELECT and the like.
LITTER = re.compile(r"_tmp_replace_[0-9a-f]+_[0-9a-z]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READABLE = re.compile(r".*MergeTree|.*Log|Memory|View|MaterializedView|Dictionary|Null")

Snapshot = dict[str, Any]


def take(
    front: Front,
    database: str,
    *,
    patience: float = 30,
    parts: bool = False,
    functions: bool = True,
) -> Snapshot:
    """The state of everything that is not bookkeeping.

    Args:
        patience: Seconds to wait for unfinished mutations; 0 tells of them instead.
        parts: Compare the number of active parts too; merges change it at any time.
        functions: Look at functions too, which belong to no database.

    """
    unfinished = _await_mutations(front, database, patience)
    found: Snapshot = {}
    tables = front.rows(
        "SELECT name, engine, create_table_query, comment FROM system.tables "
        f"WHERE database = '{database}' AND NOT is_temporary ORDER BY name"
    )
    for name, engine, create, comment in tables:
        if _ignored(name):
            continue
        shown = _plain(name, database)
        found[f"table {shown}"] = [_plain(create, database), comment]
        if _READABLE.fullmatch(engine):
            found[f"rows {shown}"] = _rows(front, database, name)
    found["parts"] = [
        [_plain(table, database), int(count) if parts else "", int(indices), projections]
        for table, count, indices, projections in front.rows(
            "SELECT table, count(), max(secondary_indices_compressed_bytes > 0), "
            "arraySort(groupUniqArrayArray(projections)) FROM system.parts "
            f"WHERE database = '{database}' AND active AND rows > 0 GROUP BY table ORDER BY table"
        )
        if not _ignored(table)
    ]
    found["detached"] = front.rows(
        "SELECT table, partition_id FROM system.detached_parts "
        f"WHERE database = '{database}' AND ifNull(reason, '') = '' "
        "GROUP BY table, partition_id ORDER BY table, partition_id"
    )
    if functions:  # costs more than all the rest
        found["functions"] = [
            _plain(sql, database)
            for (sql,) in front.rows(
                "SELECT create_query FROM system.functions WHERE origin = 'SQLUserDefined' "
                f"AND name LIKE '%{database}' ORDER BY name"
            )
        ]
    found["databases"] = [
        [_plain(name, database), engine]
        for name, engine in front.rows(
            f"SELECT name, engine FROM system.databases WHERE name LIKE '{database}%' ORDER BY name"
        )
    ]
    if unfinished:
        found["unfinished mutations"] = unfinished
    return found


def differences(expected: Snapshot, actual: Snapshot) -> list[str]:
    """What differs, in words; empty when nothing does."""
    said = []
    for key in sorted(expected.keys() | actual.keys()):
        one, other = expected.get(key, "nothing"), actual.get(key, "nothing")
        if one != other:
            said.append(f"{key}: expected {one!r}, found {other!r}")
    return said


def _rows(front: Front, database: str, table: str) -> Any:
    try:
        [[count, total, first]] = front.rows(
            "SELECT count(), toString(sum(cityHash64(*))), arraySort(groupArraySample(50, 1)"
            f"(toString(tuple(*)))) FROM `{table}`",
            database,
        )
    except QueryError as error:
        return f"cannot be read: {error.code}"
    return [int(count), total, first if int(count) <= 50 else first[:5]]


def _await_mutations(front: Front, database: str, patience: float) -> list[list[Any]]:
    deadline = time.monotonic() + patience
    while True:
        unfinished = front.rows(
            "SELECT table, command, latest_fail_reason FROM system.mutations "
            f"WHERE database = '{database}' AND NOT is_done"
        )
        if not unfinished or time.monotonic() > deadline:
            return unfinished
        time.sleep(0.01)


def litter(front: Front, database: str) -> int:
    """How many tables a killed engine has left over."""
    tables = front.rows(f"SELECT name FROM system.tables WHERE database = '{database}'")
    return sum(bool(LITTER.fullmatch(name)) for (name,) in tables)


def _ignored(table: str) -> bool:
    return bool(_OURS.fullmatch(table) or LITTER.fullmatch(table))


def _plain(text: str, database: str) -> str:
    return _UUID.sub("UUID", text.replace(database, "DB"))
