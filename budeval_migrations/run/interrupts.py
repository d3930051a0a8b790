"""Hear Ctrl-C, SIGTERM and SIGHUP where they do no harm: between statements, and in waits.

A pod that is stopped gets SIGTERM, at which Python would end on the spot, with the
lock held and nothing recorded; and a KeyboardInterrupt in the middle of our own
bookkeeping could lose an outcome that is known. So a signal waits for the next
window. A second one is heard at once. Threads that help a run hear no signals: the
thread that does tells them to stop.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""

    by = "SIGTERM"


class HungUp(Terminated):
    """SIGHUP came: the terminal was closed."""

    by = "SIGHUP"


class Halted(KeyboardInterrupt):
    """The run that this thread helps is being stopped."""


_KINDS: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}
_USUAL: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _KINDS[signal.SIGHUP] = HungUp
    _USUAL[signal.SIGHUP] = signal.SIG_DFL


class Interrupts:
    """What was asked of this process by signals; there is one, as there is one process."""

    def __init__(self) -> None:
        self._asked: type[KeyboardInterrupt] | None = None
        self._open = False
        self._helper = threading.local()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Put signals off while the body runs; raise what came at its end.

        Only in the main thread, and only where nobody else has a handler: a web
        server's way to shut down stays its own.

        Raises:
            KeyboardInterrupt: Ctrl-C came; Terminated, a kind of it, for SIGTERM and SIGHUP.

        """
        main = threading.current_thread() is threading.main_thread()
        ours = [n for n, handler in _USUAL.items() if main and signal.getsignal(n) is handler]
        self._asked = None
        for number in ours:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, _USUAL[number])
        self.check()

    @contextmanager
    def helping(self, halt: threading.Event) -> Iterator[None]:
        """Say that this thread helps another one, and stops when that one says so."""
        self._helper.halt = halt
        try:
            yield
        finally:
            del self._helper.halt

    @contextmanager
    def window(self) -> Iterator[None]:
        """Let signals interrupt the body."""
        self.check()
        if self._halt is not None:
            yield
            return
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def answer(self, embedded: bool) -> AbstractContextManager[None]:
        """Let signals interrupt the wait for an answer; chDB runs a statement to its end.

        A helper cannot be interrupted in it: its query is stopped on the server.
        """
        if self._halt is not None:
            return self._stopped_elsewhere()
        return nullcontext() if embedded else self.window()

    @contextmanager
    def _stopped_elsewhere(self) -> Iterator[None]:
        self.check()
        try:
            yield
        except Exception as error:
            try:
                self.check()
            except Halted as halted:
                raise halted from error
            raise

    def sleep(self, seconds: float) -> None:
        """Wait, unless a signal comes."""
        if self._halt is not None:
            self._halt.wait(seconds)
            self.check()
            return
        with self.window():
            time.sleep(seconds)

    def check(self) -> None:
        """Raise what was put off; once, as what was begun is still to be looked after."""
        if self._halt is not None:
            if self._halt.is_set():
                self._helper.halt = threading.Event()
                raise Halted
            return
        asked, self._asked = self._asked, None
        if asked is not None:
            raise asked

    @property
    def _halt(self) -> threading.Event | None:
        return getattr(self._helper, "halt", None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._open or self._asked is not None:
            self._asked = None
            raise _KINDS[number]
        self._asked = _KINDS[number]


interrupts = Interrupts()
