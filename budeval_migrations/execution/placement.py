"""Say what becomes of each statement of a run on the servers that there are.

On a cluster a change of the schema gets its ON CLUSTER, and a MergeTree table its
Replicated twin; rows are written once and reach the other replicas by themselves.
What would be done on one host only and look done everywhere is refused, before
anything is sent. Reads the catalogue, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from budeval_migrations.clickhouse.cluster.topology import Arrangement, Topology
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import RevisionError
from budeval_migrations.model import (
    CompiledRevision,
    Direction,
    Operation,
    Placed,
    Reach,
    Statement,
    Step,
)
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.effects import Effect, Name
from budeval_migrations.sql.on_cluster import is_of_server, is_on_cluster, put_on_cluster
from budeval_migrations.sql.protected import Protected
from budeval_migrations.sql.redact import excerpt
from budeval_migrations.sql.replicated import engine_of, replicate, server_chooses_engine
from budeval_migrations.sql.stand_in import stand_in
from budeval_migrations.sql.statement import parse
from budeval_migrations.state import schema

# Rows that one host is given reach the others.
_SHARED = ("Replicated", "Shared", "KeeperMap", "Null", "Kafka", "S3")
_SPREAD = "Distributed"


FindEngine = Callable[[str, str], str]


class Placement:
    """Places the statements of one run, in the order in which they will be sent.

    Args:
        database: The current one.
        find_engine: Returns the engine of a table that is there (database, name);
            empty where it is not known.

    """

    def __init__(self, topology: Topology, database: str, find_engine: FindEngine) -> None:
        self._topology = topology
        self._database = database
        self._find_engine = find_engine
        self._engines: dict[tuple[str, str], str] = {}

    def place(self, steps: Sequence[Step]) -> list[Step]:
        """Return the steps with the statements as they will be sent.

        Raises:
            RevisionError: A statement has no known place for ON CLUSTER, its rows would
                stay on one host, or it would change the tables of this package.

        """
        return [self._step(step) for step in steps]

    def statement(self, step: Step, position: int, statement: Statement) -> Statement:
        """Return one statement as it will be sent.

        Args:
            position: Its number in the revision, from 1.

        Raises:
            RevisionError: See :meth:`place`.

        """
        try:
            check_own_tables(statement.text, self._database)
            if self._topology.arrangement is Arrangement.SINGLE:
                return statement
            text = self._text(step, position, statement)
            if self._gives_rows(statement):
                for one in parse(statement.text).joined:
                    self._check_rows(one.effect)
        except RevisionError as error:
            where = f" ({statement.file}:{statement.line})" if statement.file else ""
            raise RevisionError(
                f"{step.revision}  statement {position}{where}: {error.message}",
                hint=error.hint,
                revision=step.revision,
                statement=position,
                reason=error.message,
            ) from error
        self._remember(text)
        queued = self._topology.on_cluster and is_on_cluster(text)
        return replace(statement, placed=Placed(text, queued))

    def _step(self, step: Step) -> Step:
        work = step.work
        if work is None:
            return step
        placed: CompiledRevision = replace(
            work,
            statements=tuple(
                self.statement(step, position, statement)
                for position, statement in enumerate(work.statements, start=1)
            ),
        )
        if step.operation is Operation.DOWNGRADE:
            return replace(step, down=placed)
        return replace(step, up=placed)

    def _text(self, step: Step, position: int, statement: Statement) -> str:
        text, topology = statement.text, self._topology
        if topology.arrangement is Arrangement.SHADOW:
            return stand_in(text).text
        if statement.reach is Reach.HERE:
            return text
        if statement.backfill is not None:
            return text  # who runs it makes sure that there is nothing to move
        if statement.reach is Reach.EVERYWHERE:
            _require_engine(text)
            path = "" if topology.uuids else self._path(step, position, statement)
            text = replicate(text, path, topology.replica)
        if topology.on_cluster:
            return put_on_cluster(text, topology.cluster)
        for one in parse(text).joined:
            self._check_in_database(one.text)
        return text

    def _path(self, step: Step, position: int, statement: Statement) -> str:
        """Return where Keeper has a table: the same on all replicas, and no other table's.

        A table that is renamed away leaves its path; so the statement that makes a
        table is in it, not the table's name alone.
        """
        names = parse(statement.text).effect.targets
        if not names:
            return ""
        database, table = self._pair(names[0])
        down = "-down" if step.direction is Direction.DOWN else ""
        made_by = f"{step.revision}-{position}{down}"
        return f"/clickhouse/tables/{{shard}}/{database}/{table}/{made_by}"

    def _check_in_database(self, text: str) -> None:
        """Refuse what a Replicated database does not replicate: it is not in a database."""
        if not is_of_server(text) or is_on_cluster(text):
            return
        if {name.name for name in parse(text).effect.targets} == {self._database}:
            return  # it is there, or the run would not have come here
        raise RevisionError(
            f"Only one host would run it: a Replicated database replicates what is in it, and "
            f"this is not: {excerpt(text)}",
            hint=f"Write ON CLUSTER {quote.identifier(self._database)} into the statement; or, "
            "where one host is meant, or the servers keep it in Keeper, say op.execute_here.",
        )

    def _gives_rows(self, statement: Statement) -> bool:
        """Tell whether rows that a statement inserts must reach every host."""
        everywhere = statement.reach is not Reach.HERE and statement.backfill is None
        return everywhere and bool(self._topology.hosts)

    def _check_rows(self, found: Effect) -> None:
        """Refuse rows that would be on one host, or in one shard, and look inserted."""
        if found.kind is not Kind.INSERT or not found.targets:
            return
        engine = self._engine(self._pair(found.targets[0]))
        if engine == _SPREAD or (not engine and self._topology.shards == 1):
            return
        if self._topology.shards > 1:
            raise RevisionError(
                f"The rows would be in one of {self._topology.shards} shards only.",
                hint="Insert into a Distributed table; or, where one shard is meant, say "
                "op.execute_here.",
            )
        if not engine.startswith(_SHARED):
            raise RevisionError(
                f"The rows would be on one host only: the table is a {engine}.",
                hint="Make it a replicated table; or, where one host is meant, say "
                "op.execute_here.",
            )

    def _remember(self, text: str) -> None:
        """Note what a statement makes of the engines that are known."""
        found = parse(text).effect
        pairs = [self._pair(name) for name in found.targets]
        made = engine_of(text)
        if made and pairs:
            kept = self._engine(pairs[0]) if found.repeatable else ""
            self._engines[pairs[0]] = kept or made
        elif found.kind is Kind.DROP:
            self._engines.update(dict.fromkeys(pairs, ""))
        elif found.kind in (Kind.RENAME, Kind.EXCHANGE):
            for old, new in zip(pairs[::2], pairs[1::2], strict=True):
                leaves = self._engine(new) if found.kind is Kind.EXCHANGE else ""
                self._engines[new], self._engines[old] = self._engine(old), leaves

    def _engine(self, pair: tuple[str, str]) -> str:
        """Return a table's engine, as it will be when the statement runs; empty if not known."""
        if pair in self._engines:
            return self._engines[pair]
        return self._find_engine(*pair)

    def _pair(self, name: Name) -> tuple[str, str]:
        return name.database or self._database, name.name


def check_own_tables(text: str, database: str) -> None:
    """Refuse a statement that would change what tells which revisions are applied.

    Args:
        text: One statement.
        database: Where the tables of this package are.

    Raises:
        RevisionError: Names the table, or the database that it is in.

    """
    changed = Protected(database, schema.is_own).changed_by(text)
    if changed:
        raise RevisionError(
            f"The statement would change {changed}, and with it the record of what is applied.",
            hint=f"Leave out the tables of this package, which are in {database}. "
            "To remove the record, run: budeval-migrate reset",
        )


def _require_engine(text: str) -> None:
    """Refuse a table whose engine the server would choose: it would not be replicated."""
    if any(server_chooses_engine(one.text) for one in parse(text).joined):
        raise RevisionError(
            "The table has no ENGINE: each host would make one that does not share its rows.",
            hint="Write the engine, say ENGINE = MergeTree, which is replicated here. To send "
            "it as it is, say op.execute_unreplicated.",
        )


def placement_on(session: Session) -> Placement:
    """Return the placement of statements on a session's servers."""

    def find_engine(database: str, table: str) -> str:
        rows = session.ask(
            "SELECT engine FROM system.tables "
            f"WHERE database = {quote.string(database)} AND name = {quote.string(table)}"
        )
        return str(rows[0][0]) if rows else ""

    return Placement(session.topology, session.database, find_engine)
