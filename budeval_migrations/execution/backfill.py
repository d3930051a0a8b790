"""Move rows exactly once, chunk by chunk: what ``op.backfill`` does.

A chunk is inserted into a staging table of its own, which is then noted in the
journal as filled, and its partitions are moved into the target, each at once.
Killed while a chunk is filled, that chunk is filled again in a new staging
table. Killed while it is moved, the next run moves what the staging table still
holds. So no row is lost or doubled, and at most one chunk is read twice.

https://clickhouse.com/docs/sql-reference/statements/alter/partition#move-partition-to-table
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.fingerprint import Fingerprint, key, take_partitions
from budeval_migrations.clickhouse.own_settings import without_shaping
from budeval_migrations.errors import ConnectionFailed, EngineError, Unsupported
from budeval_migrations.events import BackfillProgress, Notice
from budeval_migrations.execution.chunks import Chunk, from_json, plan_chunks, to_json
from budeval_migrations.execution.patience import PATIENCE, patiently
from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.reconcile.unknown import unknown
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.sender import Refused, said_of
from budeval_migrations.execution.task import Task
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import Backfill
from budeval_migrations.sql import quote
from budeval_migrations.sql.effects import Name
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, Recorded, filled

_PREFIX = "budeval_backfill_"
_TRIES = 5
_POLL = 0.5


@dataclass
class _Work:
    """One backfill on its way."""

    task: Task
    intent: JournalEntry
    backfill: Backfill
    into: Name
    database: str
    chunks: tuple[Chunk, ...]
    done: int = 0
    rows: int = 0
    began: float = 0.0
    began_rows: int = 0

    @property
    def source_rows(self) -> int:
        """About how many rows of the source are done."""
        return sum(chunk.rows for chunk in self.chunks[: self.done])

    @property
    def prefix(self) -> str:
        """The beginning of the names of its staging tables and of its queries."""
        step = self.task.step
        mark = f"{self.database} {step.revision} {step.direction.value} {self.task.position}"
        return _PREFIX + hashlib.sha256(mark.encode()).hexdigest()[:12] + "_"


class Backfiller:
    """Runs the backfills of one run."""

    def __init__(self, run: Run, recorder: Recorder) -> None:
        self._session = run.session
        self._hosts = run.hosts
        self._lock = run.lock
        self._emit = run.emit
        self._recorder = recorder

    def run(self, task: Task, known: Recorded | None) -> JournalEntry:
        """Move what is not yet moved, and return the entry that says that it is done.

        Args:
            known: What earlier runs did of it.

        Raises:
            Refused: The server refused a statement; the finished chunks stay.
            StatementOutcomeUnknown: The server died in the middle of a move, and a
                writer beside it makes it impossible to tell what was moved.

        """
        assert task.statement.backfill is not None
        began = time.monotonic()
        intent = self._recorder.intend(task)
        backfill = task.statement.backfill
        chunks = known.chunks if known and known.last.hash == task.hash else ()
        work = _Work(task, intent, backfill, _name(backfill.into), self._session.database, ())
        try:
            if self._session.topology.hosts:
                self._check_nothing_to_move(backfill)
                return intent.outcome(JournalEvent.APPLIED, "no host has rows to move")
            self._check_target(work)
            work.chunks = self._plan(work, chunks)
            self._take_up(work, chunks)
            work.began, work.began_rows = time.monotonic(), work.source_rows
            while work.done < len(work.chunks):
                self._lock.check()
                self._move(work, self._fill(work), before=None)
                work.done += 1
                self._report(work)
                if work.done < len(work.chunks):
                    interrupts.sleep(backfill.pause)
            self._drop_staging(work)
        except EngineError as error:
            why = f"{work.done} of {len(work.chunks)} chunks are done"
            raise Refused(error, task, intent, moved=work.done > 0, why=why) from error
        return intent.outcome(
            JournalEvent.APPLIED,
            f"{len(work.chunks)} chunks",
            rows_written=work.rows,
            elapsed_ms=int((time.monotonic() - began) * 1000),
        )

    def _check_nothing_to_move(self, backfill: Backfill) -> None:
        """Refuse on a cluster, unless the source is empty on every host, as in a new one."""
        sql = f"SELECT count() FROM {_sql(_name(backfill.source))}"
        for host, [[rows]] in self._hosts.ask(lambda session: session.query(sql, patient=True)):
            if int(rows):
                raise Unsupported(
                    "op.backfill moves rows on one host, and is not made for clusters yet; "
                    f"{backfill.source} has {rows} rows on {host}.",
                    hint="Write it as INSERT … SELECT into a replicated table; let nobody write.",
                )

    def _check_target(self, work: _Work) -> None:
        if not self._session.features.move_partition:
            raise Unsupported(
                "op.backfill needs ClickHouse 20.1; this server is "
                f"{self._session.server_version}.",
                hint="Use op.execute with an INSERT … SELECT.",
            )
        rows = self._session.query(
            "SELECT engine FROM system.tables WHERE "
            f"database = {quote.string(work.into.database or self._session.database)} "
            f"AND name = {quote.string(work.into.name)}"
        )
        if rows and "MergeTree" not in str(rows[0][0]):
            raise EngineError(
                f"op.backfill moves partitions into its target, and {work.backfill.into} is "
                f"a {rows[0][0]} table.",
                hint="Fill the table behind it, or use op.execute with an INSERT … SELECT.",
            )

    def _plan(self, work: _Work, known: tuple[JournalEntry, ...]) -> tuple[Chunk, ...]:
        planned = next((e for e in known if "plan" in json.loads(e.note)), None)
        if planned is not None:
            return from_json(planned.note)
        chunks = plan_chunks(self._session, work.backfill, _name(work.backfill.source))
        self._write(work, to_json(chunks))
        return chunks

    def _take_up(self, work: _Work, known: tuple[JournalEntry, ...]) -> None:
        """Go on after the last chunk that was filled."""
        done = filled(known)
        work.rows = sum(int(state["rows"]) for _, state in done)
        for entry, state in done[-1:]:
            self._move(work, state, before=entry)
            work.done = int(state["chunk"]) + 1
            self._report(work)
        self._stop_strays(work)
        self._drop_staging(work)

    def _fill(self, work: _Work) -> Mapping[str, Any]:
        """Insert the next chunk into a new staging table, and note that it is there."""
        chunk = work.chunks[work.done]
        select = work.backfill.select_where(chunk.condition)
        for attempt in range(1, _TRIES + 1):
            staging = Name(f"{work.prefix}{uuid.uuid4().hex[:8]}", work.into.database)
            query_id = staging.name
            self._lock.check()
            try:
                # IF NOT EXISTS: where the answer is lost, the name is still ours alone.
                self._session.execute(
                    f"CREATE TABLE IF NOT EXISTS {_sql(staging)} AS {work.backfill.into}"
                )
                with interrupts.answer(self._session.embedded):
                    self._session.execute(
                        f"INSERT INTO {_sql(staging)} {work.backfill.column_list}{select}",
                        query_id=query_id,
                        settings=without_shaping(work.task.said),
                        patient=True,
                    )
                break
            except ConnectionFailed as error:
                # Whatever the server still does with it, it does to a table that nobody reads.
                if attempt == _TRIES:
                    raise
                said = said_of(work.task, error)
                self._emit(Notice(f"A chunk of the backfill is begun anew: {said}"))
                self._wait_for_server()
                self._stop_strays(work)
                self._drop_staging(work)
            except BaseException:
                queries.kill_queries(self._session, query_id)
                raise
        [[rows]] = self._session.query(f"SELECT count() FROM {_sql(staging)}")
        state = {"chunk": work.done, "staging": staging.name, "rows": int(rows)}
        target = take_partitions(self._session, work.into)
        self._write(work, json.dumps({**state, "into": target.as_json()}))
        work.rows += int(rows)
        return {**state, "into": target.as_json()}

    def _move(self, work: _Work, state: Mapping[str, Any], before: JournalEntry | None) -> None:
        """Move what a staging table still holds, partition by partition.

        Args:
            before: The entry of an earlier run that says that it was filled; None
                for a table that this run has filled.

        """
        staging = Name(str(state["staging"]), work.into.database)
        held = Fingerprint.from_json(str(state["into"]))
        restarted = before is not None and self._restarted_since(before)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._lock.check()
                for partition in self._partitions(staging):
                    self._move_one(work, staging, partition, held, before if restarted else None)
                break
            except ConnectionFailed:
                if time.monotonic() >= until:
                    raise
                self._wait_for_server()
                restarted, before = True, work.intent
        self._session.execute(f"DROP TABLE IF EXISTS {_sql(staging)}")

    def _move_one(
        self,
        work: _Work,
        staging: Name,
        partition: str,
        held: Fingerprint,
        died: JournalEntry | None,
    ) -> None:
        """Move one partition; where the server died meanwhile, look first whether it is moved."""
        if died is not None:
            name = key(work.into, self._session)
            now = take_partitions(self._session, staging, work.into).partitions
            mine = now[key(staging, self._session)][partition]
            old = held.partitions.get(name, {}).get(partition)
            new = now[name].get(partition)
            if new is not None and (old is None or new.last > old.last):
                if mine.hashes and set(mine.hashes) <= set(new.hashes):
                    self._session.execute(
                        f"ALTER TABLE {_sql(staging)} DROP PARTITION ID {quote.string(partition)}"
                    )
                    return
                why = f"whose the new parts in partition {partition} of {name} are is not known"
                reconciled = Reconciled(Outcome.UNKNOWN, why)
                raise unknown(work.intent, work.task.total, reconciled, work.task.statement)
        self._session.execute(
            f"ALTER TABLE {_sql(staging)} MOVE PARTITION ID {quote.string(partition)} "
            f"TO TABLE {work.backfill.into}",
            patient=True,
        )

    def _partitions(self, table: Name) -> list[str]:
        rows = self._session.query(
            "SELECT DISTINCT partition_id FROM system.parts WHERE active AND rows > 0 "
            f"AND database = {quote.string(table.database or self._session.database)} "
            f"AND table = {quote.string(table.name)} ORDER BY partition_id"
        )
        return [str(row[0]) for row in rows]

    def _restarted_since(self, entry: JournalEntry) -> bool:
        if entry.at is None:
            return False
        at = f"{entry.at.timestamp():.3f}"
        [[restarted]] = self._session.query(
            f"SELECT toUnixTimestamp(now()) - uptime() + 1 >= toFloat64({at})"
        )
        return bool(int(restarted))

    def _stop_strays(self, work: _Work) -> None:
        """Stop INSERTs that a killed run left behind on the server."""
        if not self._session.embedded:
            queries.kill_queries(self._session, work.prefix)

    def _drop_staging(self, work: _Work) -> None:
        database = work.into.database or self._session.database
        rows = self._session.query(
            f"SELECT name FROM system.tables WHERE database = {quote.string(database)} "
            f"AND startsWith(name, {quote.string(work.prefix)})"
        )
        for (name,) in rows:
            self._session.execute(f"DROP TABLE IF EXISTS {_sql(Name(str(name), database))}")

    def _write(self, work: _Work, note: str) -> None:
        """Note a chunk in the journal; durable when this returns."""
        self._recorder.write(work.intent.outcome(JournalEvent.CHUNK, note))

    def _wait_for_server(self) -> None:
        interrupts.sleep(_POLL)
        patiently(lambda: self._session.query("SELECT 1"), self._lock)

    def _report(self, work: _Work) -> None:
        done = work.source_rows
        total = sum(chunk.rows for chunk in work.chunks)
        elapsed = time.monotonic() - work.began if work.began else 0.0
        own = done - work.began_rows if work.began else 0
        rate = int(own / elapsed) if elapsed > 0 else 0
        self._emit(
            BackfillProgress(
                revision=work.task.step.revision,
                index=work.task.position,
                chunk=work.done,
                chunks=len(work.chunks),
                rows=done,
                rows_total=total,
                elapsed_ms=int(elapsed * 1000),
                rows_per_second=rate,
                left_ms=int((total - done) * 1000 / rate) if rate else None,
            )
        )


def _name(text: str) -> Name:
    targets = parse(f"INSERT INTO {text} SELECT 1").effect.targets
    if not targets:
        raise EngineError(
            f"op.backfill moves rows between tables, and {text} is not the name of one.",
            hint="Write the table, as database.table or table; the query stands in select.",
        )
    return targets[0]


def _sql(name: Name) -> str:
    table = quote.identifier(name.name)
    return f"{quote.identifier(name.database)}.{table}" if name.database else table
