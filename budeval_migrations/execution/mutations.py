"""Mutations: refuse what could not be followed, and wait until they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.fingerprint import Fingerprint, key
from budeval_migrations.clickhouse.queries import Mutation
from budeval_migrations.counting import counted
from budeval_migrations.errors import MutationFailed, Unsupported
from budeval_migrations.events import Listener, StatementWaiting
from budeval_migrations.execution.reconcile.commands import may_have_made
from budeval_migrations.execution.reconcile.reconciler import may_run_twice
from budeval_migrations.execution.resume import repair_command
from budeval_migrations.execution.task import Task, effect_of
from budeval_migrations.interrupts import interrupts
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Reader
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.lock.lock import Lock
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent, mutations_note

_LONGEST_POLL = 2.0
# How long a mutation may fail before we stop waiting for it, in seconds.
_PATIENCE = 10.0
# After which time of waiting, in seconds, the journal says what is waited for.
_NOTED_AFTER = 1.0
# Settings with which an ALTER … UPDATE or a DELETE writes patch parts.
_LIGHTWEIGHT = ("alter_update_mode", "lightweight_delete_mode")
# Settings that say whether the server waits for a mutation, and the values with which it does.
_WAITING = ("alter_sync", "lightweight_deletes_sync", "mutations_sync")
_WAITS = ("1", "2", "3")


def check(task: Task) -> None:
    """Refuse a mutation whose work could neither be seen nor waited for.

    Raises:
        Unsupported: A setting makes it leave no mutation.

    """
    if not task.effect.mutation:
        return
    reader = Reader(task.statement.text)
    names = {reader.identifier(each) for each in reader.rest if each.kind in NAMES}
    for name in _LIGHTWEIGHT:
        if name in names or name in task.said:
            raise Unsupported(
                f"With {name} it leaves no mutation that could be followed.",
                hint="Write it as UPDATE t SET … WHERE …, or without that setting.",
            )


def check_waited_for(task: Task) -> None:
    """Refuse a mutation that we cannot follow and that the server is told not to wait for.

    Raises:
        Unsupported: A setting in the statement says so.

    """
    reader = Reader(task.statement.text)
    said = {name: value for name, value in task.said.items() if name in _WAITING}
    for at, each in enumerate(reader.rest):
        name = reader.identifier(each) if each.kind in NAMES else ""
        if name in _WAITING:
            value = reader.peek(at + 2)
            said[name] = reader.text[value.start : value.end]
    for name, found in said.items():
        if found not in _WAITS:
            raise Unsupported(
                f"It is not known which table's mutation this is, and with this {name} the server "
                "does not wait for it.",
                hint=f"Leave {name} out, or write the name of the table itself.",
            )


def left_to_do(
    session: Session, hosts: Hosts, statement: str, intent: JournalEntry | None
) -> list[Mutation]:
    """Return unfinished mutations that a statement may have made, since its intent; read-only."""
    changes = parse(statement).effect
    if not changes.mutation or not changes.targets:
        return []
    name = _real_table(session, changes.targets[0])
    database = name.database or session.database
    seen = Fingerprint.from_json(intent.before if intent else "").mutations
    known = seen.get(key(name, session), ()) if session.topology.shards <= 1 else ()
    look = partial(queries.mutations, database=database, table=name.name, known=known)
    return [
        mutation
        for _, made in hosts.ask(look)
        for mutation in made
        if not mutation.done and may_have_made(statement, mutation.command)
    ]


def _real_table(session: Session, name: Name) -> Name:
    """Return the table that a name stands for: an Alias passes its mutations on to another one.

    The arguments of the engine are printed as strings (26.9): ``Alias('db', 't')``.
    """
    if not session.features.alias_tables:
        return name
    database = name.database or session.database
    rows = session.query(
        "SELECT engine_full FROM system.tables WHERE engine = 'Alias' AND "
        f"database = {quote.string(database)} AND name = {quote.string(name.name)}"
    )
    if not rows:
        return name
    reader = Reader(str(rows[0][0]))
    said = [reader.identifier(each) for each in reader.rest if each.kind is TokenKind.STRING]
    if len(said) == 1 and "." in said[0]:
        said = said[0].split(".", 1)
    return Name(said[-1], said[0] if len(said) > 1 else database) if said else name


class MutationWait:
    """Waits for the mutations that the statements of a run make.

    A mutation that is killed leaves no trace, so the journal says in time what is waited for.

    Args:
        write: Writes an entry to the journal.

    """

    def __init__(
        self,
        session: Session,
        hosts: Hosts,
        lock: Lock,
        emit: Listener,
        write: Callable[[JournalEntry], None],
    ) -> None:
        self._session = session
        self._hosts = hosts
        self._lock = lock
        self._emit = emit
        self._write = write

    def wait(
        self,
        intent: JournalEntry,
        total: int | None,
        noted: Collection[tuple[str, str]] = (),
    ) -> str:
        """Poll until the mutations that a statement made are done.

        Args:
            noted: Those that an earlier run noted, by host and name.

        Returns:
            Why it has not run once: a mutation was killed, or there are two; empty where it has.

        Raises:
            MutationFailed: One fails again and again; it is still in the server's queue.

        """
        changes = effect_of(intent)
        if not changes.mutation or not changes.targets:
            return ""
        name = changes.targets[0]
        seen = Fingerprint.from_json(intent.before).mutations
        if key(name, self._session) not in seen:  # of those that have mutations of their own
            name = _real_table(self._session, name)
        database = name.database or self._session.database
        table = key(name, self._session)
        # Each shard numbers its own.
        known = seen.get(table) if self._session.topology.shards <= 1 else None
        awaited, to_note = {*noted}, not noted
        forgotten = ", or is too old to be listed" if noted else ""
        began, failing_since, pause, most = time.monotonic(), 0.0, 0.01, 0
        look = partial(queries.mutations, database=database, table=name.name, known=known or ())
        while True:
            answers = {str(host): made for host, made in self._hosts.ask(look)}
            found = {(host, m.name): m for host, made in answers.items() for m in made}
            if gone := _killed(awaited, answers.keys(), found):
                return f"{gone} of {table} was killed before it was done{forgotten}"
            awaited = {each for each, mutation in found.items() if not mutation.done}
            if not awaited:
                return _twice(intent, table, answers) if known is not None else ""
            left = {each: found[each] for each in sorted(awaited)}
            self._lock.check()
            now, parts = time.monotonic(), sum(m.parts for m in left.values())
            most = max(most, parts)
            failing = next((m for m in left.values() if m.reason), None)
            failing_since = (failing_since or now) if failing else 0.0
            if to_note and (failing or now - began >= _NOTED_AFTER):
                self._note(intent, left)
                to_note = False
            if failing and now - failing_since >= _PATIENCE:
                raise _failed(intent, total, failing, database, name.name)
            what = f"{next(iter(left.values())).name} of {table}: {counted(parts, 'part')} to do"
            what += ", and the last try failed" if failing else ""
            took = int((now - began) * 1000)
            self._emit(
                StatementWaiting(intent.revision, intent.position, what, took, most - parts, most)
            )
            interrupts.sleep(pause)
            pause = min(pause * 2, _LONGEST_POLL)

    def _note(self, intent: JournalEntry, left: Mapping[tuple[str, str], Mutation]) -> None:
        own = [each for each, m in left.items() if may_have_made(intent.sql, m.command)]
        if own:
            self._write(intent.outcome(JournalEvent.DOUBTFUL, mutations_note(own)))


def _killed(
    awaited: set[tuple[str, str]], hosts: Collection[str], found: Mapping[tuple[str, str], Mutation]
) -> str:
    """Return the names of mutations that ended before they were done.

    KILL MUTATION marks a mutation, and then takes it out of the table.
    """
    gone = {each for each in awaited - found.keys() if each[0] in hosts}
    gone |= {each for each, mutation in found.items() if mutation.killed and not mutation.done}
    return ", ".join(sorted({name for _, name in gone}))


def _twice(intent: JournalEntry, table: str, answers: Mapping[str, Collection[Mutation]]) -> str:
    """Return a sentence when one host has several mutations of one command of a statement.

    Two old hosts may both carry out one ON CLUSTER ALTER of a replicated table (18.16, seen).
    """
    if may_run_twice(intent):
        return ""
    for made in answers.values():
        names: dict[str, set[str]] = {}
        for each in made:
            if may_have_made(intent.sql, each.command):
                names.setdefault(each.command, set()).add(each.name)
        for found in names.values():
            if len(found) > 1:
                both = ", ".join(sorted(found))
                return (
                    f"{both} of {table} have its command: it ran twice, or somebody else has sent "
                    "the same"
                )
    return ""


def _failed(
    intent: JournalEntry, total: int | None, mutation: Mutation, database: str, table: str
) -> MutationFailed:
    kill = (
        f"KILL MUTATION WHERE database = {quote.string(database)} "
        f"AND table = {quote.string(table)} AND mutation_id = {quote.string(mutation.name)}"
    )
    undone = repair_command(intent.revision, intent.position, "--not-applied")
    return MutationFailed(
        revision=intent.revision,
        index=intent.position,
        total=total,
        reason=f"{mutation.name} of {database}.{table} fails: {mutation.reason}",
        code=mutation.code,
        file=None,
        line=None,
        outcome=f"The server goes on trying it, with {counted(mutation.parts, 'part')} to do; "
        "the next run waits for it again.",
        hint=f"If it can never succeed: {kill} — then look at the data, correct the statement, "
        f"and run: {undone} — and again what stopped here. Parts that were changed already stay "
        "changed, and the corrected statement changes them again.",
    )
