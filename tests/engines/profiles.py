"""A whole life of a database under a user's profile, and what must have come of it."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import budeval_migrations as bm
from budeval_migrations.errors import MigrationError
from tests.support.project import Project
from tests.support.servers import ChdbFront, OldServer, QueryError

_TABLE = "CREATE TABLE {0} (a Int32) ENGINE = MergeTree ORDER BY a"
_INSERT = "INSERT INTO {0} VALUES (1), (2), (3)"
# 18.16 ends at the first two; with the others it loses the rows of every INSERT without a word.
_HARMFUL = {
    ("max_streams_to_max_threads_ratio", "0"),
    ("merge_tree_min_rows_for_concurrent_read", "0"),
    ("max_insert_block_size", "0"),
    ("max_read_buffer_size", "0"),
}
# With it chDB reports progress without end, and no query ends; a server's HTTP interface has no
# such loop.
_ENDLESS = ("interactive_delay", "0")
# Settings that share a life until something is wrong with it.
_TOGETHER = 8
# Values of its settings that are words.
_OLD_WORDS = ("break", "any", "throw", "deny", "local", "global", "allow", "ALL", "ANY")
_NORMAL_LEDGER = [
    *(f"00{n}_r\tup\t1\t{2 if n < 3 else 1}" for n in range(1, 9)),
    *(f"00{n}_r\tdown\t1\t1" for n in (8, 7)),
    *(f"00{n}_r\tup\t1\t1" for n in (7, 8)),
]
_LEDGER = (
    "SELECT version, direction, toUInt8(success), statements_applied FROM schema_migrations "
    "ORDER BY sequence"
)
# Which intents are written together depends on time.
_JOURNAL = (
    "SELECT revision, direction, position, event, count() FROM schema_migrations_journal "
    "GROUP BY revision, direction, position, event ORDER BY revision, direction, position, event"
)
_NORMAL_JOURNAL = [
    f"00{n}_r\t{direction}\t{position}\t{event}\t{2 if n > 6 and direction == 'up' else 1}"
    for n in range(1, 9)
    for direction in (("down", "up") if n > 6 else ("up",))
    for position in ((1, 2) if n < 3 else (1,))
    for event in ("applied", "intent")
]
_TABLES = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 't_'"


def write_project(directory: Path) -> Project:
    """Eight revisions, with rows that would be there twice if an INSERT ran twice."""
    project = Project(directory)
    parent = None
    for n in range(1, 9):
        up = [_TABLE.format(f"t{n}"), *([_INSERT.format(f"t{n}")] if n < 3 else [])]
        project.write_revision(f"00{n}_r", parent, up, f"DROP TABLE t{n}")
        parent = f"00{n}_r"
    return project


def telling_values(server: ChdbFront | OldServer) -> Iterator[tuple[str, str]]:
    """Every setting that a profile may have, with values (SQL literals) that change something."""
    if isinstance(server, OldServer):
        yield from _old_values(server)
        return
    rows = server.query(
        "SELECT name, type, value, default FROM system.settings WHERE NOT readonly "
        "AND tier != 'Obsolete' AND name NOT IN ('log_comment', 'readonly') ORDER BY name FORMAT TSV"
    )
    for line in rows.splitlines():
        name, kind, value, _ = line.split("\t")
        for each in _values(server, name, kind, value):
            if (name, each) == _ENDLESS:
                continue
            with contextlib.suppress(QueryError):  # no profile can have it
                server.query(f"SET {name} = {each}")
                yield name, each


def _old_values(server: OldServer) -> Iterator[tuple[str, str]]:
    """18.16 tells no types: what it takes is one."""
    rows = server.query("SELECT name, value FROM system.settings ORDER BY name FORMAT TSV")
    for line in rows.splitlines():
        name, _, value = line.partition("\t")
        if name == "readonly":
            continue
        for each in _OLD_WORDS if value.isalpha() else ("0", "1", "5"):
            if each != value and (name, each) not in _HARMFUL:
                with contextlib.suppress(QueryError):
                    server.query("SELECT 1", **{name: each})
                    yield name, each


def _values(server: ChdbFront, name: str, kind: str, value: str) -> list[str]:
    if name.endswith("_bandwidth"):
        return ["100000"]  # bytes a second; with a few of them no query ends
    if kind == "Bool":
        return ["0" if value == "1" else "1"]
    if name == "additional_table_filters":
        return ["{'schema_migrations': '0', 'schema_migrations_journal': '0'}"]
    if name == "additional_result_filter":
        return ["'0'"]
    if re.fullmatch(r"U?Int\d+(Auto)?|NonZeroUInt64|MaxThreads|Float|Double", kind):
        return [each for each in ("0", "1", "5") if each != value]
    if "econds" in kind:
        return ["1"]
    try:
        server.query("SELECT 1", **{name: "no such value"})
    except QueryError as error:
        found = re.search(r"Must be one of \[(.*?)\]", error.text)
        if found:
            return [each for each in re.findall(r"'[^']*'", found[1]) if each.strip("'") != value]
        return []
    return ["'x'"]


@dataclass
class Life:
    """What came of a life under a profile.

    ``refusals``: what was said, where something was refused. ``wrong``: what is not as it
    should be; empty where all is well.
    """

    refusals: list[str]
    wrong: list[str]


def live(
    server: ChdbFront | OldServer, project: Project, database: str, profile: dict[str, str]
) -> Life:
    """Upgrade, look, go down, up again and once more; then once more without the profile."""
    options: dict[str, Any] = {
        "url": server.url("clickhouse+http", database),
        "database": database,
        "versions": [str(project.versions)],
        "lock": "off" if isinstance(server, OldServer) else "auto",
        "lock_timeout": 60.0,
        "lock_lease": 20.0,
    }
    refusals: list[str] = []
    wrong: list[str] = []
    server.query(f"CREATE DATABASE {database}")
    server.set_profile(database, profile)

    def attempt(what: str, call: Any) -> None:
        try:
            found = call()
        except MigrationError as error:
            refusals.append(f"{what}: {error.message} {error.hint}")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
        else:
            if what == "status" and not refusals and found.pending:
                wrong.append(f"status: pending {found.pending}")

    attempt("up", lambda: bm.upgrade(**options))
    attempt("status", lambda: bm.status(**options))
    attempt("down", lambda: bm.downgrade("006_r", **options))
    attempt("up", lambda: bm.upgrade(**options))
    attempt("up", lambda: bm.upgrade(**options))
    server.set_profile(database, {})
    had = bool(refusals)
    attempt("up without it", lambda: bm.upgrade(**options))
    if len(refusals) > had and refusals[-1].startswith("up without"):
        wrong.append(refusals[-1])
    else:
        rows = [server.query(sql, database=database).split() for sql in _COUNTS]
        if rows != [["3", "6"], ["3", "6"], ["8"]]:
            wrong.append(f"rows {rows}")
        ledger = server.query(_LEDGER, database=database).splitlines()
        if not refusals and ledger != _NORMAL_LEDGER:
            wrong.append(f"ledger {ledger}")
        journal = server.query(_JOURNAL, database=database).splitlines()
        if not refusals and journal != _NORMAL_JOURNAL:
            wrong.append(f"journal {journal}")
    # What comes after the first refusal can be about what is missing since.
    wrong.extend(
        f"{', '.join(profile)} is not named: {said}"
        for said in refusals[:1]
        if not any(name in said or _is_slow(name, said) for name in profile)
    )
    server.query(f"DROP DATABASE {database}")
    return Life(refusals, wrong)


def wrong_settings(
    server: ChdbFront | OldServer, project: Project, database: str, settings: list[tuple[str, str]]
) -> dict[str, list[str]]:
    """Return the settings under which something is wrong, and what it is.

    A life costs seconds, and most settings change nothing: eight settings share one life. Where
    it is not a normal one, its halves are lived apart, down to a single setting. What one setting
    breaks and another one repairs at the same time stays unseen.
    """
    numbers = itertools.count()

    def search(some: list[tuple[str, str]]) -> dict[str, list[str]]:
        life = live(server, project, f"{database}_{next(numbers)}", dict(some))
        if len(some) == 1:
            return {" = ".join(some[0]): life.wrong} if life.wrong else {}
        if not life.refusals and not life.wrong:
            return {}
        return search(some[::2]) | search(some[1::2])

    found: dict[str, list[str]] = {}
    for group in _groups(settings):
        found |= search(group)
    return found


def _groups(settings: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield groups in which no setting is there with two values."""
    groups: list[dict[str, str]] = []
    for name, value in settings:
        for group in groups:
            if name not in group and len(group) < _TOGETHER:
                group[name] = value
                break
        else:
            groups.append({name: value})
    yield from (list(group.items()) for group in groups)


def _is_slow(setting: str, said: str) -> bool:
    """Whether a setting lets a server answer too late, which does not say why."""
    return setting.endswith("_bandwidth") and "has not answered for" in said


_COUNTS = (
    "SELECT count(), sum(a) FROM t1",
    "SELECT count(), sum(a) FROM t2",
    _TABLES,
)
