"""Hear SIGTERM as Ctrl-C is heard, and both only where they do no harm.

A pod that is stopped gets SIGTERM; Python's default would end the process on the
spot, with the lock held and nothing recorded.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def heard() -> Iterator[None]:
    """Raise Terminated at SIGTERM while the body runs.

    Only in the main thread, and only where the application has no handler of its
    own: a web server's way to shut down stays its own.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    # A second SIGTERM ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated("SIGTERM")
