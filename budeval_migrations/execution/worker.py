"""Run statements over one connection, and record what became of each."""

from __future__ import annotations

from dataclasses import dataclass

from budeval_migrations.events import StatementStarted
from budeval_migrations.execution.backfill import Backfiller
from budeval_migrations.execution.barrier import Barrier
from budeval_migrations.execution.reconcile.reconciler import Reconciler
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.run import Run
from budeval_migrations.execution.sender import Refused, Sender
from budeval_migrations.execution.task import Task
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state.unfinished import JournalEntry, Recorded


@dataclass(frozen=True)
class StatementResult:
    """What became of a statement.

    Attributes:
        entry: The journal's entry about it; None where what became of it is not known.
        error: What stopped it; None if it took effect.

    """

    task: Task
    entry: JournalEntry | None = None
    error: BaseException | None = None


class Worker:
    """Runs one statement at a time.

    Attributes:
        session: Its connection.
        barrier: Holds a statement back until every host has what was written before it.
        reconciler: Finds out what became of a statement whose outcome is unknown.
        sender: Sends what is not a backfill.

    """

    def __init__(self, run: Run, recorder: Recorder) -> None:
        self.session = run.session
        self.barrier = Barrier(run.session, run.hosts, run.lock)
        self.reconciler = Reconciler(run.session, run.lock, run.emit, run.hosts, self.barrier)
        self.sender = Sender(run, recorder, self.reconciler, self.barrier)
        self._backfiller = Backfiller(run, recorder)
        self._recorder = recorder
        self._run = run

    def run(self, task: Task, known: Recorded | None) -> StatementResult:
        """Run a statement to its end, and record its outcome.

        A kill leaves the intent of a statement that may not be repeated, and perhaps its effect.

        Args:
            known: What earlier runs did of it.

        Returns:
            Its result, for every error but an interrupt. A refusal is recorded; an unknown
            outcome has its intent in the journal.

        """
        try:
            self._announce(task)
            if task.statement.backfill is not None:
                entry = self._backfiller.run(task, known)
            else:
                entry = self.sender.send(task)
            self._recorder.note(task, entry)
        except Refused as refused:
            self._recorder.record(refused.entry)
            return StatementResult(task, refused.entry, refused)
        except Exception as error:
            return StatementResult(task, None, error)
        return StatementResult(task, entry)

    def _announce(self, task: Task) -> None:
        revision, position, total = task.step.revision, task.position, task.total
        of = f" of {total}" if total is not None else ""
        interrupts.check()
        self._run.lock.doing = f"{revision} statement {position}{of}"
        interrupts.doing = f"statement {position}{of} of {revision}"
        self._run.lock.check()
        self._run.emit(StatementStarted(revision, position, total, task.shown))
