"""Threads that do statements, each with a connection of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from budeval_migrations.clickhouse import queries
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.execution.scheduler import Item
from budeval_migrations.execution.worker import Worker
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state.unfinished import JournalEntry

# Seconds between two looks of the thread that hears signals.
_POLL = 0.25


class Result(NamedTuple):
    """What became of a statement on its thread: an entry, or an error."""

    item: Item
    entry: JournalEntry | None
    error: BaseException | None


class WorkerPool:
    """The hands of one run.

    Attributes:
        busy: What they are at.

    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._idle = list(workers)
        self.busy: dict[Item, Worker] = {}
        self._results: deque[Result] = deque()
        self._news = threading.Event()
        self._halt = threading.Event()

    @property
    def full(self) -> bool:
        """Whether no worker is free."""
        return not self._idle

    def start(self, item: Item, work: Callable[[Worker], JournalEntry]) -> None:
        """Give it to a free worker."""
        worker = self.busy[item] = self._idle.pop()
        thread = threading.Thread(
            target=self._work, args=(worker, item, work), name="budeval-worker", daemon=True
        )
        thread.start()

    def _work(self, worker: Worker, item: Item, work: Callable[[Worker], JournalEntry]) -> None:
        try:
            with interrupts.helping(self._halt):
                result = Result(item, work(worker), None)
        except BaseException as error:
            result = Result(item, None, error)
        self._results.append(result)
        self._news.set()

    def wait(self) -> Result:
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

    def last_words(self, each: Callable[[], None]) -> list[Result]:
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

    def _next(self) -> Result:
        result = self._results.popleft()
        self._idle.append(self.busy.pop(result.item))
        return result

    def close(self) -> None:
        """Close the connections of those that are done."""
        for worker in self._idle:
            worker.session.close()
