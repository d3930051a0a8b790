"""A throw-away ClickHouse in this process, as like a live server as it can be made.

chDB keeps one directory a process, so there is one shadow engine a process; see
:mod:`budeval_migrations.shadow.apart`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from budeval_migrations.clickhouse.cluster.topology import Arrangement, Topology
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.settings import Settings
from budeval_migrations.shadow.sample import Sample, put_sample
from budeval_migrations.shadow.schema import Schema, read_schema
from budeval_migrations.shadow.source import Source
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.redact import excerpt
from budeval_migrations.sql.stand_in import stand_in
from budeval_migrations.sql.statement import parse

# A macro that only a shadow engine has: a revision that waits for other writers may ask for it.
MARK = "migrations_stage"
# Whoever has it has been allowed it; and a TTL that is past is no reason to merge here.
_STRICT = (
    "SELECT name FROM system.settings WHERE type = 'Bool' AND value = '0' "
    "AND (name LIKE 'allow\\_%' OR name LIKE 'enable\\_deprecated%')"
)


class _Wanted(NamedTuple):
    name: str
    text: str


class ShadowEngine:
    """An empty server with a session on it.

    Args:
        directory: An empty directory for its data, which the caller removes.
        settings: Those of the run that is tried; the URL and the lock are not used.
        source: Where clusters, disks and settings are taken from.

    Attributes:
        session: Statements of revisions are sent as :func:`stand_in` has them.

    """

    def __init__(self, directory: str, settings: Settings, source: Source) -> None:
        import chdb  # costs half a second, and is an extra

        config = os.path.join(directory, "config.xml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(_config(directory, source))
        self._source, self._directory = source, directory
        # The first connection of a process gives the server its configuration.
        self._server: Any = chdb.connect(  # type: ignore[no-untyped-call]
            f"{directory}/data?config-file={config}"
        )
        self.session = Session(
            replace(
                settings,
                url=f"chdb:///{directory}/data",
                database=source.schema.database,
                cluster="",
                lock="off",
                hooks="",
            ),
            topology=Topology(Arrangement.SHADOW),
        )

    def __enter__(self) -> ShadowEngine:
        self.session.ensure_database()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.session.close()
        self._server.close()

    def schema(self) -> Schema:
        """Return what the shadow engine's database has now."""
        found = read_schema(self.session, functions=False)
        return replace(found, functions=self._functions())

    def _functions(self) -> dict[str, str]:
        """Read chDB's file for each SQL function; to ask system.functions takes 20 ms."""
        files = os.path.join(self._directory, "data", "user_defined")
        texts = []
        for name in sorted(os.listdir(files)) if os.path.isdir(files) else ():
            with open(os.path.join(files, name), encoding="utf-8") as file:
                texts.append(file.read().strip())
        return {parse(text).effect.targets[0].name: text for text in texts}

    def clear(self) -> None:
        """Make the database empty again, and forget the functions."""
        for name in self.schema().functions:
            self.session.execute(f"DROP FUNCTION IF EXISTS {quote.identifier(name)}")
        for schema in (self._source.schema, *self._source.others):
            name = quote.identifier(schema.database)
            self.session.execute(f"DROP DATABASE IF EXISTS {name} SYNC")
        self.session.ensure_database()
        self.session.execute(f"USE {quote.identifier(self.session.database)}")

    def imitate(self) -> None:
        """Take over the settings of the live server that decide what DDL is taken."""
        version = self._source.version.split(".")
        wanted = {"compatibility": ".".join(version[:2])} if len(version) > 1 else {}
        for name, value in {**wanted, **self._source.settings}.items():
            with suppress(EngineError):  # one that 26.9 does not know decides nothing here
                self.session.execute(f"SET {name} = {quote.string(value)}")

    def load(self) -> tuple[str, ...]:
        """Make everything that the source has; return sentences on what is not the same.

        Names that refer to each other may come in any order.
        """
        notes, refused = self._load(self._source.schema.tables)
        return (*notes, *_refusals(refused))

    def read_source(self, known: Schema) -> tuple[Schema, tuple[str, ...]]:
        """Return the source's schema as the shadow engine prints it, and what is not the same.

        Args:
            known: What a shadow engine has printed: where the source has the very text, that is
                how it would be printed again.

        """
        tables = self._source.schema.tables
        stands_in = {name: stand_in(text) for name, text in tables.items()}
        same = {n: each for n, each in stands_in.items() if each.text == known.tables.get(n)}
        notes, refused = self._load({n: text for n, text in tables.items() if n not in same})
        if refused and same:
            # It may need some of them.
            self.clear()
            same = {}
            notes, refused = self._load(tables)
        found = self.schema()
        texts = {name: each.text for name, each in same.items()}
        told = (f"{name}: {each.note}" for name, each in same.items() if each.note)
        return replace(found, tables={**texts, **found.tables}), (
            *notes,
            *told,
            *_refusals(refused),
        )

    def _load(self, tables: Mapping[str, str]) -> tuple[list[str], dict[_Wanted, str]]:
        notes: list[str] = []
        schema = self._source.schema
        wanted = [
            *self._of(self._source.others),
            *self._of([replace(schema, tables=tables)]),
        ]
        functions = [_Wanted(*each) for each in schema.functions.items()]
        # Rows first, then the views that would take them in once more.
        first = [each for each in wanted if parse(each.text).kind is Kind.CREATE_TABLE]
        left = self._make([*functions, *first], notes)
        for sample in self._source.samples:
            notes += self._put(sample)
        views = [each for each in wanted if each not in first]
        return notes, self._make([*left, *views], notes)

    def load_tables(self, texts: Iterable[str]) -> None:
        """Make what a shadow engine printed, in any order.

        Raises:
            EngineError: Something of it cannot be made.

        """
        refused = self._make([_Wanted("", text) for text in texts], [])
        for wanted, why in refused.items():
            raise EngineError(f"{why} ({excerpt(wanted.text)})")

    def load_others(self, *, without: Collection[tuple[str, str]]) -> None:
        """Make what other databases have, as far as it can be made.

        Args:
            without: Tables that will be made by revisions, as pairs of names.

        """
        self._make(list(self._of(self._source.others, without)), [])

    def _of(
        self, schemas: Iterable[Schema], without: Collection[tuple[str, str]] = ()
    ) -> Iterator[_Wanted]:
        for schema in schemas:
            database = quote.identifier(schema.database)
            self.session.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
            for name, text in schema.tables.items():
                if (schema.database, name) not in without:
                    yield _Wanted(name, text)

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        self._set(1)
        try:
            yield
        finally:
            self._set(0)

    def _put(self, sample: Sample) -> list[str]:
        try:
            put_sample(self.session, self._directory, sample)
        except EngineError as error:
            return [f"{sample.table} has no rows on the shadow engine: {error.message}"]
        return []

    @cached_property
    def _strict(self) -> list[str]:
        return [str(name) for (name,) in self.session.query(_STRICT)]

    def _set(self, value: int) -> None:
        self.session.execute("SET " + ", ".join(f"{name} = {value}" for name in self._strict))

    def _make(self, wanted: Sequence[_Wanted], notes: list[str]) -> dict[_Wanted, str]:
        """Make what can be made, as often as something new can; return what cannot, and why."""
        refused = self._make_once(wanted, notes)
        if refused:
            # Not before: to send all these settings costs more than to make a table.
            with self._lenient():
                left: Sequence[_Wanted] = ()
                while refused and len(refused) != len(left):
                    left = list(refused)
                    refused = self._make_once(left, notes)
        return refused

    def _make_once(self, wanted: Sequence[_Wanted], notes: list[str]) -> dict[_Wanted, str]:
        refused: dict[_Wanted, str] = {}
        for each in wanted:
            text, note = stand_in(each.text)
            try:
                self.session.execute(text)
            except EngineError as error:
                refused[each] = error.message
                continue
            if note:
                notes.append(f"{each.name}: {note}")
        return refused


def _refusals(refused: Mapping[_Wanted, str]) -> tuple[str, ...]:
    return tuple(f"{each.name} is not on the shadow engine: {why}" for each, why in refused.items())


def _config(directory: str, source: Source) -> str:
    """Return a server configuration with the clusters and the disks that there are."""
    # A port that is its own: the server takes itself for every host, and nothing is sent.
    macros = {**source.macros, MARK: "1"}
    return (
        "<clickhouse><tcp_port>1</tcp_port><remote_servers>"
        + "".join(_cluster(escape(name)) for name in source.clusters)
        + "</remote_servers><macros>"
        + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in macros.items())
        + "</macros><storage_configuration>"
        + _storage(directory, source.volumes)
        + "</storage_configuration></clickhouse>"
    )


def _cluster(tag: str) -> str:
    host = "<host>127.0.0.1</host><port>1</port>"
    return f"<{tag}><shard><replica>{host}</replica></shard></{tag}>"


def _storage(directory: str, volumes: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    others = {policy: found for policy, found in volumes.items() if policy != "default"}
    disks = sorted({d for found in others.values() for named in found.values() for d in named})
    listed = "".join(
        f"<{disk}><path>{directory}/disk-{disk}/</path></{disk}>"
        for disk in disks
        if disk != "default"
    )
    policies = "".join(
        f"<{policy}><volumes>"
        + "".join(
            f"<{volume}>{''.join(f'<disk>{disk}</disk>' for disk in named)}</{volume}>"
            for volume, named in found.items()
        )
        + f"</volumes></{policy}>"
        for policy, found in others.items()
    )
    return f"<disks>{listed}</disks><policies>{policies}</policies>" if policies else ""
