"""Hear Ctrl-C and SIGTERM where they do no harm: between statements, and in waits.

A pod that is stopped gets SIGTERM, at which Python would end on the spot, with the
lock held and nothing recorded; and a KeyboardInterrupt in the middle of our own
bookkeeping could lose an outcome that is known. So a signal waits for the next
window. A second one is heard at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


_KINDS: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}


class Interrupts:
    """What was asked of this process by signals; there is one, as there is one process."""

    def __init__(self) -> None:
        self._asked: type[KeyboardInterrupt] | None = None
        self._open = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Put signals off while the body runs; raise what came at its end.

        Only in the main thread, and only where nobody else has a handler: a web
        server's way to shut down stays its own.

        Raises:
            KeyboardInterrupt: Ctrl-C came; Terminated, a kind of it, for SIGTERM.

        """
        usual: dict[signal.Signals, Any] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
        }
        main = threading.current_thread() is threading.main_thread()
        ours = [n for n, handler in usual.items() if main and signal.getsignal(n) is handler]
        self._asked = None
        for number in ours:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, usual[number])
        self.check()

    @contextmanager
    def window(self) -> Iterator[None]:
        """Let signals interrupt the body."""
        self.check()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def answer(self, embedded: bool) -> AbstractContextManager[None]:
        """Let signals interrupt the wait for an answer; chDB runs a statement to its end."""
        return nullcontext() if embedded else self.window()

    def check(self) -> None:
        """Raise what was put off."""
        asked, self._asked = self._asked, None
        if asked is not None:
            raise asked

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._open or self._asked is not None:
            self._asked = None
            raise _KINDS[number]
        self._asked = _KINDS[number]


interrupts = Interrupts()
