"""What a shadow engine needs to know of a live server, in one object that can be pickled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.errors import EngineError
from budeval_migrations.shadow.sample import Sample, read_samples
from budeval_migrations.shadow.schema import Schema, read_schema
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader, lexemes

# What can be the name of an element of the configuration.
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_SYSTEM = frozenset({"system", "information_schema", "INFORMATION_SCHEMA"})
# What decides whether a statement is taken, and what it makes.
_DECIDE = ("allow_", "enable_", "default_", "data_type_", "cast_", "flatten_", "join_use_nulls")


@dataclass(frozen=True)
class Source:
    """The schema of a live database, and what of its server decides how statements end.

    Attributes:
        schema: The target database.
        others: Databases that its tables refer to.
        version: The server's.
        settings: Those that its user has changed and that decide what DDL is taken.
        clusters: Names for Distributed tables.
        macros: What the server puts in for names in braces.
        volumes: Disks by volume, by storage policy.
        samples: Some rows of tables.

    """

    schema: Schema
    others: tuple[Schema, ...] = ()
    version: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ()
    macros: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()

    def fingerprint(self) -> str:
        """Return what a replay on a shadow engine depends on, beside the revisions."""
        others = [(o.database, sorted(o.tables.items())) for o in self.others]
        volumes = {policy: dict(found) for policy, found in self.volumes.items()}
        around = [sorted(self.clusters), sorted(self.macros.items()), volumes]
        return json.dumps([self.schema.database, others, *around])


def read_source(session: Session, sample: int = 0) -> Source:
    """Return what a shadow engine needs to know of a session's server; read-only.

    What a plain user may not read is left out.

    Args:
        sample: How many rows of each table to take along.

    Raises:
        EngineError: The tables of the database cannot be read.

    """
    schema = read_schema(session)
    volumes: dict[str, dict[str, tuple[str, ...]]] = {}
    for policy, volume, disks in _may_be_refused(
        session, "SELECT policy_name, volume_name, disks FROM system.storage_policies"
    ):
        volumes.setdefault(str(policy), {})[str(volume)] = tuple(disks)
    return Source(
        schema,
        tuple(_others(session, schema)),
        session.version(),
        {
            str(name): str(value)
            for name, value in _may_be_refused(
                session, "SELECT name, value FROM system.settings WHERE changed"
            )
            if str(name).startswith(_DECIDE)
        },
        tuple(
            str(name)
            for (name,) in _may_be_refused(session, "SELECT DISTINCT cluster FROM system.clusters")
            if _NAME.fullmatch(str(name))
        ),
        {
            str(macro): str(value)
            for macro, value in _may_be_refused(
                session, "SELECT macro, substitution FROM system.macros"
            )
            if _NAME.fullmatch(str(macro))
        },
        volumes,
        tuple(read_samples(session, sample)) if sample else (),
    )


def imagined_source(database: str, texts: Iterable[str]) -> Source:
    """Return a source that stands for no server: everything that statements refer to is there.

    Args:
        texts: The statements that will run there.

    """
    clusters: set[str] = set()
    volumes: dict[str, dict[str, tuple[str, ...]]] = {}
    for text in texts:
        found = lexemes(text)
        for word, mark, name in zip(found, found[1:], found[2:], strict=False):
            said = text[name.start : name.end].strip("'`\"{}")
            if word.word == "DISTRIBUTED" and mark.kind is TokenKind.OPEN:
                clusters.add(said)
            elif word.word == "STORAGE_POLICY" and name.kind is TokenKind.STRING:
                volumes[said] = {"main": ("default",)}
    named = tuple(sorted(name for name in clusters if _NAME.fullmatch(name)))
    # ``{cluster}`` may stand for any name; here for its own.
    macros = {name: name for name in (*named, "shard", "replica")}
    return Source(Schema(database), clusters=named, macros=macros, volumes=volumes)


def _others(session: Session, schema: Schema) -> list[Schema]:
    """Read the databases that statements refer to, and those that these refer to."""
    rows = session.ask("SELECT name FROM system.databases")
    known = {str(name) for (name,) in rows} - _SYSTEM - {schema.database}
    found: list[Schema] = []
    looked_at: list[Schema] = [schema]
    while looked_at and known:
        here = looked_at.pop()
        mentioned = {
            name for create in here.tables.values() for name in qualifiers(create) if name in known
        }
        known -= mentioned
        for name in sorted(mentioned):
            found.append(read_schema(session, name))
            looked_at.append(found[-1])
    return found


def qualifiers(text: str) -> set[str]:
    """Return every name that stands before a dot."""
    found = lexemes(text)
    reader = Reader(text, found)
    return {
        reader.identifier(here)
        for here, dot in pairwise(found)
        if here.kind in NAMES and dot.kind is TokenKind.DOT
    }


def _may_be_refused(session: Session, sql: str) -> Sequence[Row]:
    with suppress(EngineError):
        return session.ask(sql)
    return ()
