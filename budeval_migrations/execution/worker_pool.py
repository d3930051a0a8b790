"""Threads that do statements, each with a connection of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.execution.schedule import Item
from budeval_migrations.execution.task import Task
from budeval_migrations.execution.worker import StatementResult, Worker
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state.unfinished import Recorded

# Seconds between two looks of the thread that hears signals.
_POLL = 0.25


class WorkerPool:
    """The workers of one run. A single one works in the thread of the caller.

    Attributes:
        busy: What they are at.

    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._alone = len(workers) == 1
        self._idle = list(workers)
        self.busy: dict[Item, Worker] = {}
        self._results: deque[tuple[Item, StatementResult]] = deque()
        self._news = threading.Event()
        self._halt = threading.Event()

    @property
    def full(self) -> bool:
        """Whether no worker is free."""
        return not self._idle

    def start(self, item: Item, task: Task, known: Recorded | None) -> None:
        """Give a statement to a free worker.

        Raises:
            KeyboardInterrupt: A signal came, and there is one worker.

        """
        worker = self.busy[item] = self._idle.pop()
        if not self._alone:
            threading.Thread(
                target=self._work,
                args=(worker, item, task, known),
                name="budeval-worker",
                daemon=True,
            ).start()
            return
        try:
            self._results.append((item, worker.run(task, known)))
        except BaseException:
            self._idle.append(self.busy.pop(item))
            raise

    def _work(self, worker: Worker, item: Item, task: Task, known: Recorded | None) -> None:
        try:
            with interrupts.helping(self._halt):
                result = worker.run(task, known)
        except BaseException as error:
            result = StatementResult(task, None, error)
        self._results.append((item, result))
        self._news.set()

    def wait(self) -> tuple[Item, StatementResult]:
        """Return the next result of a worker.

        Raises:
            KeyboardInterrupt: A signal came.

        """
        while not self._results:
            interrupts.check()
            self._pause()
        return self._next()

    def halt(self, session: Session) -> None:
        """Tell all of them to stop.

        Args:
            session: Over which the server is asked to stop what it does for them.

        """
        self._halt.set()
        for query_id in [worker.session.at for worker in self.busy.values()]:
            if query_id and not session.embedded:  # chDB runs a statement to its end
                queries.kill_queries(session, query_id)

    def last_words(self, each: Callable[[], None]) -> list[tuple[Item, StatementResult]]:
        """Return what they have to say in the end.

        Args:
            each: Is called again and again while they are at it.

        """
        found = []
        while self.busy:
            each()
            self._pause()
            while self._results:
                found.append(self._next())
        return found

    def _pause(self) -> None:
        self._news.wait(_POLL)
        self._news.clear()

    def _next(self) -> tuple[Item, StatementResult]:
        item, result = self._results.popleft()
        self._idle.append(self.busy.pop(item))
        return item, result
