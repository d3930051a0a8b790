"""The one path to anything that changes a database.

Reads the ledger, lets the caller decide, takes the lock, looks again, and runs
what was decided. ``alembic``, ``budeval-migrate`` and an application's start-up
all come through here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from budeval_migrations.clickhouse.cluster.ddl_queue import ensure_database
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.cluster.topology import Arrangement
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.identity import check_one_server
from budeval_migrations.errors import StatementError
from budeval_migrations.events import Interrupting, Listener, Notice, Notices, RunStarted
from budeval_migrations.execution.adoption import adopt, check_foreign_heads, needs_adoption
from budeval_migrations.execution.barrier import check_hosts, check_sync
from budeval_migrations.execution.cost_estimate import CostEstimate
from budeval_migrations.execution.placement import placement_on
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.preflight import check_server, check_syntax
from budeval_migrations.execution.problems import (
    check_downgrade,
    check_nothing_to_take_back,
    find_problems,
    refuse,
    unfinished,
)
from budeval_migrations.execution.resume import check_steps
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.scheduler import Scheduler
from budeval_migrations.execution.source import RevisionSource
from budeval_migrations.execution.task import tasks_of
from budeval_migrations.interrupts import interrupts
from budeval_migrations.model import (
    Failure,
    LedgerRow,
    Operation,
    Report,
    Step,
)
from budeval_migrations.model.previews import Plan, PlannedRevision, PlannedStatement
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.lock.lock import Lock, make_lock

Decide = Callable[[Position], Sequence[Step]]


@dataclass
class Request:
    """What the caller wants done.

    Attributes:
        operation: The word for it, as in ``Report.operation``.
        decide: Returns the steps for a position; called again inside the lock.
        tolerate: Kinds of problem that do not stop the run (``ahead`` …).

    """

    operation: str
    source: RevisionSource
    decide: Decide
    tolerate: frozenset[str] = field(default=frozenset())


class Runner:
    """Carries out requests over one session."""

    def __init__(self, session: Session, emit: Listener) -> None:
        self._session = session
        self._ledger = Ledger(session)
        self._hosts = Hosts(session)
        self._emit = Notices(emit)
        self._found_before: list[str] = []  # what was wrong, and tolerated

    def run(self, request: Request, state: LedgerState | None = None) -> Report:
        """Do what is asked and report it.

        Args:
            state: What was just read from the ledger, to save a query.

        Raises:
            MigrationError: ``report`` on a StatementFailed says how far it came.

        """
        began = time.monotonic()
        self._emit.messages.clear()
        run_id = str(uuid.uuid4())
        position = self._position(request, state or self._ledger.read_state())
        steps = self._decide(request, position)
        done: list[LedgerRow] = []
        failure: StatementError | None = None
        if steps or needs_adoption(position.state):
            check_one_server(self._session)
            self._preflight(steps)
            if self._session.topology.hosts:
                check_hosts(self._session, self._hosts, self._emit)
            lock = make_lock(self._session, self._emit)
            if position.state.ground is Ground.NO_DATABASE or self._session.topology.on_cluster:
                ensure_database(self._session)
            try:
                with interrupts.heard(self._interrupting), self._hosts:
                    position, failure = self._run_locked(
                        lock, request, position, steps, run_id, done
                    )
            except KeyboardInterrupt as stop:
                stop.args = (_how_far(str(stop), done, steps),)  # for who shows it
                raise
        report = Report(
            operation=request.operation,
            database=self._session.database,
            applied=tuple(row.version for row in done),
            failed=_failure(failure) if failure else None,
            pending=position.pending,
            current=position.heads,
            elapsed_ms=int((time.monotonic() - began) * 1000),
            run_id=run_id if done or failure else "",
            notices=self._still_true(request, position),
        )
        if failure is not None:
            failure.report = report
            raise failure
        return report

    def plan(self, request: Request) -> Plan:
        """Return what would be sent, and send nothing; read-only.

        Raises:
            MigrationError: What :meth:`run` would refuse before its first statement.

        """
        self._emit.messages.clear()
        position = self._position(request, self._ledger.read_state())
        steps = self._decide(request, position)
        self._preflight(steps)
        estimate = CostEstimate(self._session)
        wanted = {step.revision for step in steps}
        goes_on = [each for each in unfinished(position) if each.revision in wanted]
        self._emit.messages += [each.message for each in goes_on]
        return Plan(
            self._session.database,
            str(self._session.topology),
            tuple(self._planned(step, position.state, estimate) for step in steps),
            tuple(self._emit.messages),
        )

    def _planned(self, step: Step, state: LedgerState, estimate: CostEstimate) -> PlannedRevision:
        unfinished = state.unfinished_runs.get(step.key)
        done = (
            {at for at, known in unfinished.statements.items() if known.applied}
            if unfinished
            else set()
        )
        return PlannedRevision(
            step.revision,
            step.doc,
            step.dynamic,
            tuple(
                PlannedStatement(
                    task.position,
                    task.shown,
                    task.statement.file,
                    task.statement.line,
                    task.queued if task.statement.placed else None,
                    *estimate.of(task.statement),
                )
                for task in tasks_of(self._session, state, step)
                if task.position not in done
            ),
        )

    def _run_locked(
        self,
        lock: Lock,
        request: Request,
        before: Position,
        steps: Sequence[Step],
        run_id: str,
        done: list[LedgerRow],
    ) -> tuple[Position, StatementError | None]:
        with interrupts.window():
            lock.acquire()
        try:
            with interrupts.window():
                position, steps = self._look_again(request, before, steps)
            lock.check()
            self._ledger.ensure(position.state)
            if needs_adoption(position.state):
                for sentence in adopt(
                    self._session,
                    self._ledger,
                    position,
                    run_id=run_id,
                    lock=lock,
                ):
                    self._emit(Notice(sentence))
                position = self._position(request, self._ledger.read_state())
            lock.check()
            self._ledger.ensure_view()
            failure = None
            if steps:
                self._emit(RunStarted(request.operation, tuple(s.revision for s in steps), run_id))
                run = Run(
                    self._session,
                    lock,
                    self._emit,
                    self._hosts,
                    run_id,
                    request.source,
                    position.state,
                    steps,
                )
                failure = Scheduler(run, self._jobs(), done).run()
                position = self._position(request, position.state.after(done))
            return position, failure
        finally:
            lock.release()

    def _look_again(
        self, request: Request, before: Position, steps: Sequence[Step]
    ) -> tuple[Position, Sequence[Step]]:
        """Return what there is to do now that nobody else can change it."""
        position = self._position(request, self._ledger.read_state(thorough=True))
        if self._session.topology.hosts and not position.state.unfinished_runs:
            check_sync(self._session, self._hosts, request.source.reaches, self._emit)
        if position.state != before.state:
            wanted = {step.revision for step in steps}
            steps = self._decide(request, position)
            others = wanted - {step.revision for step in steps}
            if others:
                were = "1 revision was" if len(others) == 1 else f"{len(others)} revisions were"
                self._emit(Notice(f"{were} done by another runner."))
            self._preflight(steps)
        return position, steps

    def _jobs(self) -> int:
        """Return how many statements may run at the same time."""
        jobs = self._session.settings.jobs
        if jobs == 1 or self._session.topology.arrangement is Arrangement.SHADOW:
            return 1
        if self._session.topology.hosts:
            self._emit(
                Notice(
                    f"jobs is {jobs}; statements are sent one after the other, since a cluster "
                    "carries them out so."
                )
            )
            return 1
        return jobs

    def _preflight(self, steps: Sequence[Step]) -> None:
        check_server(self._session, steps)
        check_syntax(self._session, steps)

    def _position(self, request: Request, state: LedgerState) -> Position:
        return Position(state, request.source.files, request.source.graph)

    def _decide(self, request: Request, position: Position) -> Sequence[Step]:
        check_foreign_heads(position)
        self._found_before = refuse(position, request.source.statements_checksum, request.tolerate)
        for sentence in self._found_before:
            self._emit(Notice(sentence))
        steps = request.decide(position)
        stored = [step.revision for step in steps if step.work is not None and not step.work.file]
        if stored:
            self._emit(
                Notice(f"Run from what the ledger keeps, without a file: {', '.join(stored)}.")
            )
        if steps:
            steps = placement_on(self._session).place(steps)
        down = [s.revision for s in steps if s.operation is Operation.DOWNGRADE]
        check_downgrade(position, down)
        if request.operation == "downgrade" and not steps:
            check_nothing_to_take_back(position)
        check_steps(self._session, position.state, steps)
        return steps

    def _still_true(self, request: Request, position: Position) -> tuple[str, ...]:
        """Return the notices of a run, without what it has mended."""
        after = {
            problem.message
            for found in find_problems(position, request.source.statements_checksum)
            for problem in found
        }
        mended = {*self._found_before} - after
        return tuple(notice for notice in self._emit.messages if notice not in mended)

    def _interrupting(self, sentence: str, number: int) -> None:
        self._emit(Interrupting(sentence, number))


def _how_far(said: str, done: Sequence[LedgerRow], steps: Sequence[Step]) -> str:
    """Return what an interrupted run says of itself."""
    names = [row.version for row in done]
    left = [step.revision for step in steps if step.revision not in names]
    return (
        f"{said or 'Interrupted.'}\n  Done: {', '.join(names) or 'nothing'}. "
        f"Not done: {', '.join(left) or 'nothing'}."
    )


def _failure(error: StatementError) -> Failure:
    return Failure(
        revision=error.revision,
        statement=error.index,
        statements_total=error.total,
        code=error.code,
        error=error.reason,
        outcome=error.outcome,
        file=error.file,
        line=error.line,
        hint=error.hint,
    )
