"""What does the statements of a run, over one connection."""

from __future__ import annotations

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.events import Listener
from budeval_migrations.execution.backfill import Backfiller
from budeval_migrations.execution.barrier import Barrier
from budeval_migrations.execution.reconcile.reconciler import Reconciler
from budeval_migrations.execution.recorder import Recorder
from budeval_migrations.execution.sender import Sender
from budeval_migrations.execution.task import Task
from budeval_migrations.state.lock.lock import Lock
from budeval_migrations.state.unfinished import JournalEntry, Recorded


class Worker:
    """Does one statement at a time.

    Attributes:
        session: Its connection.
        barrier: Holds a statement back until every host has what was written before it.
        reconciler: Finds out what became of a statement whose outcome is unknown.
        sender: Sends what is not a backfill.

    """

    def __init__(
        self, session: Session, lock: Lock, recorder: Recorder, hosts: Hosts, emit: Listener
    ) -> None:
        self.session = session
        self.barrier = Barrier(session, hosts, lock)
        self.reconciler = Reconciler(session, lock, emit, hosts, self.barrier)
        self.sender = Sender(session, lock, recorder, self.reconciler, hosts, self.barrier, emit)
        self._recorder = recorder
        self._backfiller = Backfiller(session, lock, recorder, hosts, emit)

    def do(self, task: Task, known: Recorded | None) -> JournalEntry:
        """Do a statement to its end, take down its outcome, and return that.

        Args:
            known: What earlier runs did of it.

        Raises:
            Refused: The server refused it.
            StatementOutcomeUnknown: Nobody can know what became of it.
            LockLost: The lock was lost; nothing more was sent.

        """
        if task.statement.backfill is not None:
            entry = self._backfiller.run(task, known)
        else:
            entry = self.sender.send(task)
        self._recorder.note(task, entry)
        return entry
