"""Find out what became of a statement whose outcome is not known.

It asks, one after the other, until one has an answer: does the server still work on
it, does the server's log know how it ended, may it be run again without harm, does the
catalogue show its effect or that there is none? Otherwise nobody can know, and a
person is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from budeval_migrations import clock
from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.cluster.ddl_queue import (
    HostAnswer,
    find_entry,
    is_forgotten,
    wait,
)
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import (
    BEFORE_RUNNING,
    SYNTAX_ERROR,
    UNFINISHED,
    is_from_analysis,
)
from budeval_migrations.clickhouse.fingerprint import Fingerprint, key, take
from budeval_migrations.errors import EngineError
from budeval_migrations.events import Listener, StatementWaiting
from budeval_migrations.execution.barrier import Barrier
from budeval_migrations.execution.patience import PATIENCE, patiently
from budeval_migrations.execution.reconcile.commands import is_one_change, may_have_made
from budeval_migrations.execution.reconcile.evidence import judge
from budeval_migrations.execution.reconcile.outcome import Evidence, Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.task import effect_of
from budeval_migrations.interrupts import interrupts
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Change, Kind, Name
from budeval_migrations.sql.effects import Watch
from budeval_migrations.state.lock.lock import Lock
from budeval_migrations.state.unfinished import JournalEntry

REPEATABLE = "repeatable"
BACKFILL = "backfill"

_POLL = 0.25
# Seconds until a change of one replica is seen on the others.
_REPLICATION = 10.0
# Seconds between two events that say that the server still works.
_TELL = 2.0
# A request that was cut off may reach the server a moment after we look for it.
_LOOKS = 3
_T = TypeVar("_T")


class Reconciler:
    """Asks about one statement at a time; read-only.

    Args:
        hosts: Where a statement may have been sent to.
        barrier: Waits until they have the same, before they are compared.
        patience: Seconds to wait for a server that does not answer.

    """

    def __init__(
        self,
        session: Session,
        lock: Lock,
        emit: Listener,
        hosts: Hosts,
        barrier: Barrier,
        patience: float = PATIENCE,
    ) -> None:
        self._session = session
        self._hosts = hosts
        self._barrier = barrier
        self._lock = lock
        self._emit = emit
        self._patience = patience

    def reconcile(self, intent: JournalEntry, *, sent: bool = False) -> Reconciled:
        """Return what became of the statement of an intent.

        Waits for as long as the server works on it. That it did not take effect is
        believed only when its request can no longer reach the server.

        Args:
            sent: This run has just sent it; otherwise a run before it may have.

        Raises:
            LockLost: Somebody else has taken over meanwhile.

        """
        began = clock.now()
        found = self._ask(intent)
        surely = found.outcome is not Outcome.NOT_APPLIED or found.error or intent.note == BACKFILL
        since = began if sent else self._lock.alone_since
        return found if surely or not self._waits_until_late(intent, since) else self._ask(intent)

    def _waits_until_late(self, intent: JournalEntry, since: float) -> bool:
        """Wait until the request cannot arrive any more; return whether that took any time."""
        late = self._session.late
        waited = self._wait_until(intent, since + late)
        # A request whose head is there, and whose body is not, lives longer.
        while patiently(self._may_arrive(intent), self._lock, self._patience):
            waited = self._wait_until(intent, clock.now() + late)
        return waited

    def _may_arrive(self, intent: JournalEntry) -> Callable[[], bool]:
        return lambda: self._session.may_arrive(intent.query_id)

    def _wait_until(self, intent: JournalEntry, until: float) -> bool:
        began = clock.now()
        while (now := clock.now()) < until:
            self._emit(
                StatementWaiting(
                    intent.revision,
                    intent.position,
                    "waiting until its request cannot reach the server any more",
                    int((now - began) * 1000),
                    0,
                    0,
                )
            )
            self._lock.check()
            interrupts.sleep(min(_POLL, until - now))
        return now > began

    def _ask(self, intent: JournalEntry) -> Reconciled:
        about_server = [self._running, self._logged]
        if _queue(intent):
            # What the log knows of it is how it came into the queue.
            about_server = [self._queued, self._running, self._queued, self._never_queued]
        questions = [*about_server, self._harmless, self._shown]
        try:
            for question in questions:
                found = patiently(partial(question, intent), self._lock, self._patience)
                if found is not None:
                    return found
        except EngineError as error:
            why = f"the server cannot be asked, and the next run asks again ({error.message})"
            return Reconciled(Outcome.UNKNOWN, why)
        return Reconciled(Outcome.UNKNOWN, "nothing tells whether it ran")

    def compare(self, intent: JournalEntry) -> Evidence:
        """Return what the catalogue shows, beside what it showed before the intent."""
        # Another host than this may have answered the question before.
        self._barrier.lower()
        self._barrier.wait()
        return self._judge(intent, self._session)

    def left_behind(self, intent: JournalEntry, error: EngineError) -> str:
        """Return why a refused statement may have left something behind; empty where it did not.

        For statements that can do a part of their work. An error of the analysis proves
        nothing by its code: a view of the table, or another part of the statement, may have it.
        """
        effect = effect_of(intent)
        from_analysis = is_from_analysis(error) and is_one_change(intent.text or intent.statement)
        if not (intent.before and effect.watches):
            known = effect.kind is Kind.INSERT or error.code == SYNTAX_ERROR
            sure = from_analysis and known
            return "" if sure else "nothing in the catalogue tells what it did before that"
        try:
            shown = self.compare(intent)
        except EngineError as gone:
            return f"what it left behind cannot be looked up: {gone.message}"
        nothing = shown.outcome is Outcome.NOT_APPLIED or (from_analysis and shown.blind)
        return "" if nothing else shown.why

    def _judge(self, intent: JournalEntry, session: Session) -> Evidence:
        changes = effect_of(intent, on_one_host=True)
        [now] = take(session, [changes])
        before = Fingerprint.from_json(intent.before)
        keys = [key(name, session) for name in changes.targets]
        evidence = judge(changes, keys, before, now)
        if evidence.outcome is Outcome.APPLIED and Watch.MUTATIONS in changes.watches:
            return self._own_mutation(intent, keys[0], before, evidence)
        if evidence.outcome is not Outcome.UNKNOWN and changes.change is Change.INSERT:
            return _with_views(session, changes.targets[0], evidence)
        return evidence

    def _queued(self, intent: JournalEntry) -> Reconciled | None:
        """Follow it in the queue of the cluster until every host has done it."""
        entry = find_entry(self._session, intent.sql, _queue(intent))
        if entry is None:
            return None
        awaited = set(entry.hosts) - self._session.absent
        began, told = time.monotonic(), float("-inf")

        def rest(answers: Sequence[HostAnswer]) -> None:
            nonlocal told
            self._lock.check()
            now = time.monotonic()
            left = sorted(awaited - {answer.host for answer in answers})
            if now - began >= 1 and now - told >= _TELL:
                told = now
                doing = f"waiting for {', '.join(left)}"
                elapsed = int((now - began) * 1000)
                self._emit(
                    StatementWaiting(
                        intent.revision, intent.position, doing, elapsed, len(answers), len(awaited)
                    )
                )
            interrupts.sleep(_POLL / 5)

        answers = wait(self._session, entry, awaited, self._session.settings.ddl_timeout, rest)
        left = sorted(awaited - {answer.host for answer in answers})
        if left:
            done = ", ".join(sorted(answer.host for answer in answers)) or "no host"
            seconds = self._session.settings.ddl_timeout
            why = f"pending on {', '.join(left)} after {seconds:.0f} s; done on {done}"
            return Reconciled(Outcome.UNKNOWN, why, pending=tuple(left))
        return self._answered(intent, answers, sorted(set(entry.hosts) - awaited))

    def _answered(
        self, intent: JournalEntry, answers: Sequence[HostAnswer], absent: list[str]
    ) -> Reconciled:
        refused = [answer for answer in answers if answer.code]
        later = f"; {', '.join(absent)} will do it when back" if absent else ""
        if not refused:
            return Reconciled(Outcome.APPLIED, f"{len(answers)} hosts have done it{later}")
        said = "; ".join(f"{a.host}: {self._session.redact(a.error)}" for a in refused)
        code = refused[0].code
        changes = effect_of(intent, on_one_host=True)
        if not changes.watches:
            outcome = Outcome.NOT_APPLIED if changes.repeatable else Outcome.UNKNOWN
            return Reconciled(outcome, "no catalogue tells what it did", said, code)
        if any(answer.code in UNFINISHED for answer in refused):
            return self._finished(intent)
        if changes.atomic and code in BEFORE_RUNNING and len(refused) == len(answers):
            return Reconciled(Outcome.NOT_APPLIED, "every host refused it", said, code)
        shown = self._on_each_host(intent)
        until = time.monotonic() + _REPLICATION
        while (
            len({evidence.outcome for evidence in shown.values()}) > 1 and time.monotonic() < until
        ):
            self._rest()
            shown = self._on_each_host(intent)
        outcomes = {evidence.outcome for evidence in shown.values()}
        why = "; ".join(f"{host}: {evidence.why}" for host, evidence in shown.items())
        if outcomes == {Outcome.APPLIED}:
            return Reconciled(Outcome.APPLIED, f"every host shows it, though {said}")
        if outcomes == {Outcome.NOT_APPLIED}:
            return Reconciled(Outcome.NOT_APPLIED, "no host shows it", said, code)
        return Reconciled(Outcome.UNKNOWN, why, said, code)

    def _finished(self, intent: JournalEntry) -> Reconciled:
        """Wait until every host shows what some go on with after they have answered."""
        seconds = self._session.settings.ddl_timeout
        until = time.monotonic() + seconds
        while True:
            shown = self._on_each_host(intent)
            left = sorted(h for h, v in shown.items() if v.outcome is not Outcome.APPLIED)
            if not left:
                return Reconciled(Outcome.APPLIED, f"{len(shown)} hosts show it")
            if time.monotonic() >= until:
                why = f"pending on {', '.join(left)} after {seconds:.0f} s"
                return Reconciled(Outcome.UNKNOWN, why, pending=tuple(left))
            self._rest()

    def _rest(self) -> None:
        self._lock.check()
        interrupts.sleep(_POLL)

    def _on_each_host(self, intent: JournalEntry) -> dict[str, Evidence]:
        """Return what the catalogue of each host shows that is there."""
        return {str(h): found for h, found in self._hosts.ask(partial(self._judge, intent))}

    def _never_queued(self, intent: JournalEntry) -> Reconciled | None:
        if is_forgotten(self._session, _queue(intent)):
            return None
        return Reconciled(Outcome.NOT_APPLIED, "it never came into the queue of the cluster")

    def _running(self, intent: JournalEntry) -> Reconciled | None:
        """Wait until the server does not work on it any more; says nothing by itself."""
        looks, told = 0, float("-inf")
        while looks < _LOOKS and not self._session.embedded:
            running = self._first(lambda host: queries.running_query(host, intent.query_id))
            if running is None:
                looks += 1
            else:
                looks = 0
                self._lock.check()
                if time.monotonic() - told >= _TELL:
                    told = time.monotonic()
                    self._emit(
                        StatementWaiting(
                            intent.revision,
                            intent.position,
                            "the server still works on it",
                            int(running.elapsed * 1000),
                            running.done,
                            running.total,
                        )
                    )
            interrupts.sleep(_POLL if running else _POLL / 5)
        return None

    def _logged(self, intent: JournalEntry) -> Reconciled | None:
        """Take the outcome from ``system.query_log``."""
        if self._session.embedded:
            return None  # chDB has none
        logged = self._first(lambda host: queries.logged_query(host, intent.query_id))
        if logged is None:
            return None
        if logged.finished:
            return Reconciled(
                Outcome.APPLIED,
                "the server's query log says that it finished",
                elapsed_ms=logged.elapsed_ms,
                rows_read=logged.rows_read,
                rows_written=logged.rows_written,
            )
        refused = Reconciled(
            Outcome.NOT_APPLIED, "the server refused it", self._session.redact(logged.error),
            logged.code,
        )  # fmt: skip
        effect = effect_of(intent)
        # Only what has a pipeline starts: other statements fail before that, whatever they did.
        if effect.atomic or (effect.kind is Kind.INSERT and not logged.started):
            return refused
        why = self.left_behind(intent, EngineError(logged.error, code=logged.code))
        if not why:
            return refused
        return Reconciled(
            Outcome.UNKNOWN, f"the server stopped it halfway, and {why}", refused.error, logged.code
        )

    def _first(self, question: Callable[[Session], _T | None]) -> _T | None:
        """Return the answer of the host that has one; a proxy may have chosen any."""
        return next((found for _, found in self._hosts.ask(question) if found is not None), None)

    def _harmless(self, intent: JournalEntry) -> Reconciled | None:
        """Run it again, where twice is the same as once."""
        if intent.note == BACKFILL:
            why = "it goes on after its last finished chunk"
            return Reconciled(Outcome.NOT_APPLIED, why, repeatable=True)
        if may_run_twice(intent):
            return Reconciled(Outcome.NOT_APPLIED, "it may be run twice", repeatable=True)
        return None

    def _shown(self, intent: JournalEntry) -> Reconciled | None:
        """Compare the catalogue with what it was before the statement was sent."""
        if not intent.before:
            return None
        evidence = self.compare(intent)
        return Reconciled(evidence.outcome, evidence.why)

    def _own_mutation(
        self, intent: JournalEntry, table: str, before: Fingerprint, evidence: Evidence
    ) -> Evidence:
        """Make sure that the new mutation is this statement's and nobody else's."""
        name = effect_of(intent).targets[0]
        database = name.database or self._session.database
        made = queries.mutations(self._session, database, name.name, before.mutations[table])
        if made and all(may_have_made(intent.sql, mutation.command) for mutation in made):
            return evidence
        return Evidence(Outcome.UNKNOWN, f"{table} has a new mutation, which is not surely its own")


def may_run_twice(intent: JournalEntry) -> bool:
    """Return whether a statement may be run again without harm: by its probe or by its kind."""
    return intent.note == REPEATABLE or effect_of(intent).repeatable


def _queue(intent: JournalEntry) -> str:
    """Return the newest entry of the cluster's queue before it was sent; empty for a server."""
    return Fingerprint.from_json(intent.before).queue


def _with_views(session: Session, table: Name, evidence: Evidence) -> Evidence:
    """Doubt an INSERT by whose rows views are filled as well, before the table or after it.

    A table may keep nothing of what its views have got, as with TTL or CollapsingMergeTree.
    """
    views = session.query(
        "SELECT arrayJoin(dependencies_table) FROM system.tables "
        f"WHERE database = {quote.string(table.database or session.database)} "
        f"AND name = {quote.string(table.name)}"
    )
    if not views:
        return evidence
    names = ", ".join(str(view) for (view,) in views)
    why = f"{evidence.why}, and whether its views ({names}) have got theirs is not known"
    return Evidence(Outcome.UNKNOWN, why, blind=evidence.outcome is Outcome.NOT_APPLIED)
