"""What the server's catalogue says of the things that a statement changes.

A fingerprint is taken before a statement is sent and, when its outcome is in
doubt, once more: the difference tells what happened. Read-only.

https://clickhouse.com/docs/operations/system-tables/tables
https://clickhouse.com/docs/operations/system-tables/parts
https://clickhouse.com/docs/operations/system-tables/mutations
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeVar

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.sql import quote
from budeval_migrations.sql.effects import Effect, Name, Watch
from budeval_migrations.sql.elements import elements

# More hashes than this are not kept: the ranges of blocks must do.
_MOST_HASHES = 200


@dataclass(frozen=True)
class Partition:
    """The active parts of one partition, as far as merges leave it alone.

    Attributes:
        first: The smallest block number; a merge keeps it.
        last: The greatest block number; every insert makes a greater one.
        hashes: ``hash_of_all_files`` of the parts; a copied part keeps its hash.
        value: What the partition is of, as ``system.parts`` prints it; empty where it is not known.

    """

    first: int
    last: int
    rows: int
    hashes: tuple[str, ...] = ()
    value: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """What was found, by ``database.name``; a name that is not there is not a key.

    Attributes:
        objects: Tables, views and dictionaries: engine, UUID and a hash of their DDL.
        elements: Of the elements of a table that the statement adds or takes away, those
            that are there.
        missing: Tables that are not there.
        partitions: Of MergeTree tables, by partition id.
        detached: Names of detached parts.
        mutations: Of MergeTree tables, ids of the mutations that the server remembers.
        databases: Which of the watched databases are there.
        functions: User-defined functions: a hash of their DDL.
        queue: The newest entry of a cluster's queue; empty where it is not asked for.

    """

    objects: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    partitions: Mapping[str, Mapping[str, Partition]] = field(default_factory=dict)
    detached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mutations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    databases: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""

    @property
    def names_alias(self) -> bool:
        """Whether one of the objects is another name of a table."""
        return any(mark.startswith("Alias ") for mark in self.objects.values())

    def as_json(self) -> str:
        """Return the form that the journal keeps."""
        found = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Return what :meth:`as_json` wrote; an empty text is an empty fingerprint.

        Raises:
            ValueError: Something else wrote it, or a newer version of this package.

        """
        try:
            return cls._from(json.loads(text) if text else {})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    @classmethod
    def _from(cls, found: dict[str, Any]) -> Fingerprint:
        partitions = {
            name: {
                key: Partition(
                    int(p["first"]),
                    int(p["last"]),
                    int(p["rows"]),
                    tuple(p["hashes"]),
                    str(p.get("value", "")),
                )
                for key, p in held.items()
            }
            for name, held in found.pop("partitions", {}).items()
        }
        elements, detached, mutations = (
            {name: tuple(values) for name, values in found.pop(key, {}).items()}
            for key in ("elements", "detached", "mutations")
        )
        missing = tuple(found.pop("missing", ()))
        if not isinstance(found.get("queue", ""), str):
            raise TypeError("queue is no name of an entry")
        return cls(
            partitions=partitions,
            elements=elements,
            missing=missing,
            detached=detached,
            mutations=mutations,
            **found,
        )


_Pair = tuple[str, str]
_ROWS = {Watch.PARTS, Watch.MUTATIONS}
_T = TypeVar("_T")


def key(name: Name, session: Session) -> str:
    """Return the key of a table in a fingerprint."""
    return _key(*_pair(name, session))


def _key(database: str, name: str) -> str:
    """Return the key of a table: another one for `a.b`.`c` than for `a`.`b.c`."""
    if "." in database + name:
        return f"{quote.identifier(database)}.{quote.identifier(name)}"
    return f"{database}.{name}"


def take(session: Session, effects: Sequence[Effect]) -> list[Fingerprint]:
    """Return a fingerprint for each effect; one query for each kind of fact.

    Raises:
        EngineError: The catalogue cannot be read.

    """
    watched = {watch: [e for e in effects if watch in e.watches] for watch in Watch}
    rows = _pairs(session, watched[Watch.PARTS]), _pairs(session, watched[Watch.MUTATIONS])
    definitions = _definitions(session, _pairs(session, watched[Watch.TABLES]).union(*rows))
    objects = {name: found.mark for name, found in definitions.items()}
    moved, mutated = (
        {pair for pair in pairs if "MergeTree" in objects.get(_key(*pair), "")} for pairs in rows
    )
    partitions = _partitions(session, moved)
    detached = _detached(session, moved)
    mutations = _mutations(session, mutated)
    absent = {pair for pairs in rows for pair in pairs if _key(*pair) not in objects}
    unlisted = _unlisted(session, {database for database, _ in absent})
    missing = {_key(*pair) for pair in absent if pair[0] not in unlisted}
    databases = _databases(session, _plain(watched[Watch.DATABASES]))
    functions = _functions(session, _plain(watched[Watch.FUNCTIONS]))
    found = []
    for effect in effects:
        keys = [key(name, session) for name in effect.targets]
        plain = [name.name for name in effect.targets]
        on = effect.watches
        found.append(
            Fingerprint(
                objects=_of(objects, keys if Watch.TABLES in on else ()),
                elements=_elements(effect, keys[:1], definitions),
                missing=tuple(k for k in keys if _ROWS & set(on) and k in missing),
                partitions=_of(partitions, keys),
                detached=_of(detached, keys),
                mutations=_of(mutations, keys if Watch.MUTATIONS in on else ()),
                databases=_of(databases, plain if Watch.DATABASES in on else ()),
                functions=_of(functions, plain if Watch.FUNCTIONS in on else ()),
            )
        )
    return found


def take_partitions(session: Session, *names: Name) -> Fingerprint:
    """Return the fingerprint of MergeTree tables' partitions alone.

    Raises:
        EngineError: The catalogue cannot be read.

    """
    return Fingerprint(partitions=_partitions(session, {_pair(name, session) for name in names}))


def _of(found: Mapping[str, _T], keys: Iterable[str]) -> dict[str, _T]:
    return {key: found[key] for key in keys if key in found}


def _pair(name: Name, session: Session) -> _Pair:
    return name.database or session.database, name.name


def _unlisted(session: Session, databases: set[str]) -> set[str]:
    """Return those of some databases that have tables which system.tables does not show.

    Such as those of Filesystem, S3, MySQL and DataLakeCatalog.
    """
    if not databases:
        return set()
    names = ", ".join(quote.string(name) for name in sorted(databases))
    rows = session.query(
        f"SELECT name FROM system.databases WHERE name IN ({names}) AND engine NOT IN "
        "('Atomic', 'Ordinary', 'Replicated', 'Shared', 'Memory', 'Lazy', 'Dictionary')"
    )
    return {str(name) for (name,) in rows}


def _pairs(session: Session, effects: Iterable[Effect]) -> set[_Pair]:
    return {_pair(name, session) for effect in effects for name in effect.targets}


def _plain(effects: Iterable[Effect]) -> set[str]:
    return {name.name for effect in effects for name in effect.targets}


class _Definition(NamedTuple):
    mark: str
    text: str


def _definitions(session: Session, names: set[_Pair]) -> dict[str, _Definition]:
    if not names:
        return {}
    uuid = "toString(uuid)" if session.features.atomic_databases else "''"
    engine = f"if({_LAZY}, 'Lazy', engine)" if session.features.lazy_tables else "engine"
    rows = session.query(
        f"SELECT database, name, {uuid}, create_table_query, {engine} FROM system.tables "
        f"WHERE {_where(names, 'name')}"
    )
    return {
        _key(database, name): _Definition(f"{engine} {uid} {_hash(str(text))}", str(text))
        for database, name, uid, text, engine in rows
    }


# There, a table has another engine until somebody reads it, and system.parts lacks it for good
# (26.9): as if it were no MergeTree table.
_LAZY = (
    "database IN (SELECT name FROM system.databases "
    "WHERE position(engine_full, 'lazy_load_tables') > 0)"
)


def _elements(
    effect: Effect, keys: Sequence[str], definitions: Mapping[str, _Definition]
) -> dict[str, tuple[str, ...]]:
    if not effect.elements:
        return {}
    wanted = {element.key for element in effect.elements}
    return {
        name: tuple(sorted(wanted & elements(definitions[name].text)))
        for name in keys
        if name in definitions
    }


def _partitions(session: Session, names: set[_Pair]) -> dict[str, dict[str, Partition]]:
    found: dict[str, dict[str, Partition]] = {_key(*pair): {} for pair in names}
    if not names:
        return found
    hashes = (
        f"groupArray({_MOST_HASHES + 1})(hash_of_all_files)"
        if session.features.part_hashes
        else "emptyArrayString()"
    )
    rows = session.query(
        "SELECT database, table, partition_id, min(min_block_number), max(max_block_number), "
        f"sum(rows), {hashes}, any(partition) FROM system.parts "
        f"WHERE active AND rows > 0 AND {_where(names, 'table')} "
        "GROUP BY database, table, partition_id"
    )
    for database, table, partition, first, last, count, listed, value in rows:
        kept = tuple(sorted(listed)) if len(listed) <= _MOST_HASHES else ()
        found[_key(database, table)][str(partition)] = Partition(
            int(first), int(last), int(count), kept, str(value)
        )
    return found


def _detached(session: Session, names: set[_Pair]) -> dict[str, tuple[str, ...]]:
    if not names or not session.features.detached_parts:
        return {}
    rows = session.query(
        f"SELECT database, table, name FROM system.detached_parts WHERE {_where(names, 'table')}"
    )
    return _listed(rows)


def _mutations(session: Session, names: set[_Pair]) -> dict[str, tuple[str, ...]]:
    if not names:
        return {}
    none: dict[str, tuple[str, ...]] = {_key(*pair): () for pair in names}
    rows = session.query(
        "SELECT DISTINCT database, table, mutation_id FROM system.mutations "
        f"WHERE {_where(names, 'table')}"
    )
    return none | _listed(rows)


def _databases(session: Session, names: set[str]) -> dict[str, str]:
    if not names:
        return {}
    listed = ", ".join(quote.string(name) for name in sorted(names))
    uuid = "toString(uuid)" if session.features.atomic_databases else "''"
    rows = session.query(f"SELECT name, {uuid} FROM system.databases WHERE name IN ({listed})")
    return {str(name): str(value) for name, value in rows}


def _functions(session: Session, names: set[str]) -> dict[str, str]:
    if not names or not session.features.functions:
        return {}
    listed = ", ".join(quote.string(name) for name in sorted(names))
    rows = session.query(
        f"SELECT name, create_query FROM system.functions WHERE name IN ({listed})"
    )
    return {str(name): _hash(str(ddl)) for name, ddl in rows}


def _where(names: Iterable[_Pair], column: str) -> str:
    pairs = sorted(names)
    listed = ", ".join(f"({quote.string(d)}, {quote.string(n)})" for d, n in pairs)
    databases, tables = (
        ", ".join(sorted({quote.string(pair[at]) for pair in pairs})) for at in (0, 1)
    )
    # By conditions on one column alone a server leaves out early what it need not describe.
    return (
        f"database IN ({databases}) AND {column} IN ({tables}) "
        f"AND (database, {column}) IN ({listed})"
    )


def _listed(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for database, table, value in rows:
        found.setdefault(_key(str(database), str(table)), []).append(str(value))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
