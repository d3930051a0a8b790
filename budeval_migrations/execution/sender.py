"""Send one statement and bring back what became of it.

A statement is sent once. Only where the server surely did nothing (it says so
with a passing error, or the catalogue shows it) is it sent again.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.cluster.ddl_queue import SUBMIT
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import (
    AMBIGUOUS,
    CANNOT_ASSIGN_ALTER,
    STOPPED,
    is_passing,
    nothing_changed,
)
from budeval_migrations.clickhouse.fingerprint import Fingerprint
from budeval_migrations.clickhouse.own_settings import without_shaping
from budeval_migrations.errors import (
    ConnectionFailed,
    EngineError,
    LockError,
    Unsupported,
)
from budeval_migrations.events import Interrupting, Notice
from budeval_migrations.execution import mutations
from budeval_migrations.execution.barrier import Barrier
from budeval_migrations.execution.reconcile.outcome import Outcome
from budeval_migrations.execution.reconcile.reconciled import Reconciled
from budeval_migrations.execution.reconcile.reconciler import Reconciler
from budeval_migrations.execution.reconcile.unknown import unknown
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.task import Task, redactor_of
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import PARAMETER
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.effects import Watch
from budeval_migrations.state.unfinished import JournalEntry, JournalEvent

# Waits between tries at a statement that the server passes over for now, in seconds.
_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0)
# The note of a statement that was not sent, because its probe found it done.
PROBED = "its probe finds it done"
_MERGE_HINT = (
    "Several ALTERs of one table in one statement (ADD COLUMN a …, ADD COLUMN b …) "
    "are one change of its metadata instead of many."
)


class Refused(Exception):
    """The server refused a statement.

    Attributes:
        error: What it said.
        reason: The same without the statement's secrets, which a server quotes.
        clean: Whether it left nothing behind.
        passing: It may be accepted in a moment.
        moved: Chunks of it are in the target, and stay there.

    """

    def __init__(
        self,
        error: EngineError,
        task: Task,
        intent: JournalEntry,
        *,
        clean: bool = True,
        passing: bool = False,
        moved: bool = False,
        why: str = "",
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = said_of(task, error)
        self.intent = intent
        self.clean = clean
        self.passing = passing
        self.moved = moved
        self.why = why

    @property
    def entry(self) -> JournalEntry:
        """The journal's entry about it."""
        return self.intent.outcome(
            JournalEvent.FAILED if self.clean else JournalEvent.DOUBTFUL,
            self.why,
            before="" if self.clean else self.intent.before,
            error=self.reason,
            error_code=self.error.code,
        )


class Sender:
    """Sends the statements of one run, one after another.

    Attributes:
        mutations: Waits for the mutations that they make.

    """

    def __init__(
        self, run: Run, recorder: Recorder, reconciler: Reconciler, barrier: Barrier
    ) -> None:
        self._session = run.session
        self._lock = run.lock
        self._hosts = run.hosts
        self._emit = run.emit
        self._recorder = recorder
        self._reconciler = reconciler
        self._barrier = barrier
        self.mutations = mutations.MutationWait(
            run.session, run.hosts, run.lock, run.emit, recorder.write
        )

    def send(self, task: Task) -> JournalEntry:
        """Send a statement, wait for its work on the server, and return its outcome.

        Returns:
            The journal entry that says that it took effect; not yet written.

        Raises:
            Refused: The server refused it.
            StatementOutcomeUnknown: Nobody can know what became of it.
            LockLost: The lock was lost; nothing more was sent.

        """
        mutations.check(task)
        for pause in (*_RETRIES, None):
            self._barrier.wait()
            # Before each try: a try before it may have done the work.
            unless = task.statement.unless
            if unless:
                with self._connection(task) as session:
                    done = session.query(unless, settings=without_shaping(task.said), patient=True)
                if done:
                    return task.entry(JournalEvent.APPLIED, note=PROBED)
            intent = self._recorder.intend(task)
            try:
                return self._send_once(task, intent)
            except Refused as refused:
                if pause is None or not refused.passing:
                    raise
                self._recorder.note(task, refused.entry)
                self._emit(Notice(_passing(task, refused)))
                interrupts.sleep(pause)
        raise AssertionError("unreachable")

    def _send_once(self, task: Task, intent: JournalEntry) -> JournalEntry:
        began = time.monotonic()
        self._lock.check()
        try:
            with interrupts.answer(self._session.embedded), self._connection(task) as session:
                done = session.execute(
                    task.statement.sent,
                    query_id=intent.query_id,
                    settings=self._settings(task, intent),
                    check=self._lock.check,
                    fence=self._lock.fence,
                    own=False,
                    patient=True,
                )
            entry = intent.outcome(
                JournalEvent.APPLIED, rows_read=done.rows_read, rows_written=done.rows_written
            )
        except ConnectionFailed as error:
            if not error.details.get("sent"):
                raise Refused(error, task, intent) from error
            entry = self._rejoin(task, intent, error)
        except Unsupported as error:  # our own word, before anything is sent
            raise self._refused(task, intent, error) from error
        except EngineError as error:
            # Without a code it is not the server that speaks, but something in between.
            unsure = error.code in AMBIGUOUS or not error.code
            if unsure or self._shows_effect(task, intent, error):
                entry = self._rejoin(task, intent, error)
            else:
                raise self._refused(task, intent, error) from error
        except LockError:
            raise
        except BaseException as stop:
            # Ctrl-C, or SIGTERM: what was begun is stopped, and what became of it is told.
            self._abandon(task, intent, stop)
            raise
        if task.queued:
            entry = self._follow(task, intent)
        else:
            self._barrier.lower()
        if task.effect.mutation:
            self._wait_for_mutations(task, intent)
        return replace(entry, elapsed_ms=int((time.monotonic() - began) * 1000))

    def _connection(self, task: Task) -> AbstractContextManager[Session]:
        """Return where a statement is sent: a SET shall not hold for our own requests.

        Nothing takes a query parameter back that was set on a connection to chDB.
        """
        parameters = any(name.startswith(PARAMETER) for name in task.said)
        alone = task.effect.kind is Kind.SET or (parameters and self._session.embedded)
        return self._session.twin() if alone else nullcontext(self._session)

    def _follow(self, task: Task, intent: JournalEntry) -> JournalEntry:
        """Wait until every host of the cluster has carried out what is in their queue."""
        reconciled = self._reconciler.reconcile(intent, sent=True)
        if reconciled.outcome is Outcome.APPLIED:
            return reconciled.entry(intent)
        if not reconciled.error:
            raise unknown(intent, task.total, reconciled, task.statement)
        told = EngineError(reconciled.error, code=reconciled.code)
        clean = reconciled.outcome is Outcome.NOT_APPLIED
        passing = clean and is_passing(told)
        raise Refused(told, task, intent, clean=clean, passing=passing, why=reconciled.why)

    def _settings(self, task: Task, intent: JournalEntry) -> dict[str, str]:
        """Return what the revision sets, and what makes the server answer where we poll."""
        settings = {**task.said, **(SUBMIT if task.queued else {})}
        if task.effect.mutation and self._session.features.mutations_sync:
            # The table may be a parameter, or one of several; a view passes a mutation on to a
            # table whose mutations we do not look at.
            passed_on = (
                not task.effect.targets
                or task.effect.kind is Kind.PARALLEL
                or (
                    Watch.MUTATIONS in task.effect.watches
                    and intent.before
                    and not Fingerprint.from_json(intent.before).mutations
                )
            )
            if passed_on:
                mutations.check_waited_for(task)
                settings.pop("alter_sync", None)
            wait = "2" if passed_on else "0"
            settings["mutations_sync"] = wait
            if self._session.features.lightweight_deletes_sync:
                settings["lightweight_deletes_sync"] = wait
        return settings

    def _refused(self, task: Task, intent: JournalEntry, error: EngineError) -> Refused:
        """Say whether a refusal left anything behind, and whether it will pass."""
        if not (isinstance(error, Unsupported) or task.effect.atomic or task.repeatable):
            why = self._reconciler.left_behind(intent, error)
            if why:
                return Refused(error, task, intent, clean=False, why=why)
        return Refused(error, task, intent, passing=is_passing(error))

    def _shows_effect(self, task: Task, intent: JournalEntry, error: EngineError) -> bool:
        """Return whether a statement that the server refuses for now has an effect all the same.

        Something in between may have sent it twice, and the answer is of the second.
        """
        if not (is_passing(error) and intent.before and task.effect.watches) or task.repeatable:
            return False
        return self._reconciler.compare(intent).outcome is not Outcome.NOT_APPLIED

    def _rejoin(self, task: Task, intent: JournalEntry, error: EngineError) -> JournalEntry:
        """Find out what became of a statement whose answer did not come."""
        self._emit(
            Notice(
                f"{task.step.revision} statement {task.position}: "
                f"{said_of(task, error).rstrip('.')}. What became of it is looked up."
            )
        )
        reconciled = self._reconciler.reconcile(intent, sent=True)
        if reconciled.outcome is Outcome.APPLIED:
            return reconciled.entry(intent)
        if _goes_on(task, error):
            why = "the server may insert the rows after it has answered so"
            reconciled = Reconciled(Outcome.UNKNOWN, why)
        if reconciled.outcome is Outcome.UNKNOWN:
            raise unknown(intent, task.total, reconciled, task.statement) from error
        # A change of type that the data does not fit is made all the same, and hangs.
        self._wait_for_mutations(task, intent)
        if reconciled.error:
            told = EngineError(reconciled.error, code=reconciled.code)
            raise Refused(told, task, intent, passing=is_passing(told)) from error
        again = error.code not in STOPPED
        if isinstance(error, ConnectionFailed):
            nothing_changed(error)
        raise Refused(error, task, intent, passing=again, why=reconciled.why) from error

    def _abandon(self, task: Task, intent: JournalEntry, stop: BaseException) -> None:
        self._emit(
            Interrupting(
                f"The server is asked to stop statement {task.position} of {task.step.revision}. "
                "A second interrupt stops the waiting."
            )
        )
        queries.kill_queries(self._session, intent.query_id)
        reconciled = self._reconciler.reconcile(intent, sent=True)
        if reconciled.outcome is Outcome.APPLIED:
            self._recorder.note(task, reconciled.entry(intent))
        elif reconciled.outcome is Outcome.NOT_APPLIED:
            stopped = replace(reconciled, why=f"interrupted; {reconciled.why}")
            self._recorder.note(task, stopped.entry(intent))
        else:
            raise unknown(intent, task.total, reconciled, task.statement) from stop

    def _wait_for_mutations(self, task: Task, intent: JournalEntry) -> None:
        killed = self.mutations.wait(intent, task.total)
        if killed:
            why = "parts that it had changed stay changed"
            raise Refused(EngineError(killed), task, intent, clean=False, why=why)


def said_of(task: Task, error: EngineError) -> str:
    """Return a server's words without the statement's secrets."""
    return redactor_of(task.statement)(error.message)


def _goes_on(task: Task, error: EngineError) -> bool:
    """Tell whether the server gave up waiting for its own queue of asynchronous inserts (159)."""
    return task.effect.kind is Kind.INSERT and "async insert" in error.message.lower()


def _passing(task: Task, refused: Refused) -> str:
    code = f"ClickHouse {refused.error.code}: " if refused.error.code else ""
    merge = f" {_MERGE_HINT}" if refused.error.code == CANNOT_ASSIGN_ALTER else ""
    return (
        f"{task.step.revision} statement {task.position} is sent again, since "
        f"{refused.why or 'nothing of it took effect'}: {code}{refused.reason}{merge}"
    )
