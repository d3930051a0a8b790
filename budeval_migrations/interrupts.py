"""Hear Ctrl-C, SIGTERM and SIGHUP where they do no harm: between statements, and in waits.

A pod that is stopped gets SIGTERM, at which Python would end on the spot, with the
lock held and nothing recorded; and a KeyboardInterrupt in the middle of our own
bookkeeping could lose an outcome that is known. So a signal waits for the next
window. A second one is heard at once, and nothing is waited for after it. Threads that
help a run hear no signals: the thread that does tells them to stop.

Python calls a handler when its main thread is back from C, and chDB runs a statement
there. So a thread listens too while chDB does (:func:`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

_Told = Callable[[str, int], None]
_AGAIN = "A second interrupt stops the waiting."


class Interrupted(KeyboardInterrupt):
    """Somebody wants the run to end.

    Attributes:
        number: Of the signal.
        hurried: It came after another one: nothing is waited for any more.

    """

    def __init__(self, number: int, *, hurried: bool = False) -> None:
        super().__init__()
        self.number = number
        self.hurried = hurried

    @property
    def by(self) -> str:
        """What stopped us, for a sentence."""
        if self.number == signal.SIGINT:
            return "interrupted"
        return f"stopped by {signal.Signals(self.number).name}"


class Halted(KeyboardInterrupt):
    """The run that this thread helps is being stopped."""


_USUAL: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _USUAL[signal.SIGHUP] = signal.SIG_DFL


def exit_code(number: int) -> int:
    """Return how a shell says that a signal ended a program."""
    return 128 + number


class Interrupts:
    """What was asked of this process by signals; there is one, as there is one process.

    Attributes:
        doing: The statement that a signal waits for; empty for none.

    """

    def __init__(self) -> None:
        self.doing = ""
        self._told: _Told = _ignore
        self._asked: int | None = None
        self._count = 0
        self._open = False
        self._deaf = False
        self._helper = threading.local()
        self._teller: threading.Thread | None = None

    @property
    def hurried(self) -> bool:
        """Whether two signals came, so that nothing is to be waited for."""
        return self._count > 1

    @contextmanager
    def heard(self, told: _Told) -> Iterator[None]:
        """Put signals off while the body runs; raise what came at its end.

        Only in the main thread, and only where nobody else has a handler: a web
        server's way to shut down stays its own.

        Args:
            told: Gets what a signal leads to, as a sentence, and 0; or, where the process
                ends at once because chDB cannot be stopped, the signal's number.

        Raises:
            Interrupted: A signal came.

        """
        main = _is_main()
        ours = [n for n, handler in _USUAL.items() if main and signal.getsignal(n) is handler]
        self._asked, self._count, self._told, self.doing = None, 0, told, ""
        for number in ours:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, _USUAL[number])
            self._told = _ignore
            teller, self._teller = self._teller, None
            if teller is not None:
                teller.join(1)
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
        if not _is_main():
            yield
            return
        before, self._open = self._open, True
        try:
            yield
        finally:
            self._open = before

    def answer(self, embedded: bool) -> AbstractContextManager[None]:
        """Let signals interrupt the wait for an answer; chDB runs a statement to its end.

        A helper cannot be interrupted in it: its query is stopped on the server.
        """
        if self._halt is not None:
            return self._stopped_elsewhere()
        return self._listening() if embedded else self.window()

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
        if not _is_main():
            return
        asked, self._asked = self._asked, None
        if asked is not None:
            raise Interrupted(asked)

    @property
    def _halt(self) -> threading.Event | None:
        return getattr(self._helper, "halt", None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._deaf:
            self._asked = number  # the thread that listens has told of it
            return
        self._count += 1
        if self._open or self.hurried:
            self._asked = None
            raise Interrupted(number, hurried=self.hurried)
        self._asked = number
        said = f"The run ends after {self.doing or 'a write to its own tables'}. {_AGAIN}"
        # The handler may have come in the middle of a write, which cannot be entered again.
        self._teller = threading.Thread(target=self._told, args=(said, 0), daemon=True)
        self._teller.start()

    def _listening(self) -> AbstractContextManager[None]:
        """Listen on a thread while the main one is in chDB, if signals are ours at all."""
        ours = _is_main() and signal.getsignal(signal.SIGINT) == self._hear
        return self._listen() if ours else nullcontext()

    @contextmanager
    def _listen(self) -> Iterator[None]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        thread = threading.Thread(target=self._follow, args=(ours,), daemon=True)
        self._deaf = True  # for as long as the thread may count a signal: it counts once
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            theirs.close()
            thread.join()
            ours.close()
            self._deaf = False

    def _follow(self, signals: socket.socket) -> None:
        """Tell of each signal that comes while chDB works; leave at the second."""
        for number in iter(lambda: signals.recv(1), b""):
            if number[0] not in _USUAL:
                continue
            self._count += 1
            if self.hurried:
                self._told(f"chDB may still be at {self.doing}, and is not waited for.", number[0])
                for stream in (sys.stdout, sys.stderr):
                    with suppress(Exception):
                        stream.flush()
                os._exit(exit_code(number[0]))
            self._told(f"chDB runs {self.doing} to its end; then the run ends. {_AGAIN}", 0)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _ignore(sentence: str, number: int) -> None:
    """Tell nobody."""


interrupts = Interrupts()
