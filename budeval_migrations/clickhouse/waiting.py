"""Say that a server lets us wait, so that nobody sits before a silent program.

What is said is a log line of ``budeval_migrations.engine``, since any command, and an
application's start, may wait for a server before there is a run that could tell of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds that pass without a word.
QUIET = 2.0
_LOG = logging.getLogger("budeval_migrations.engine")


@contextmanager
def told(shown: str, timeout: float) -> Iterator[None]:
    """Say once that an answer does not come, where the body takes long.

    Args:
        shown: The URL as people may see it.
        timeout: Seconds that the answer may take.

    """
    timer = threading.Timer(QUIET, _say, (shown, timeout))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def say_held(shown: str, why: str) -> None:
    """Say that what is known cannot be written yet.

    Args:
        why: What the server does instead, without its subject.

    """
    _LOG.warning(
        "%s %s. What ran so far is recorded as soon as it can.",
        shown,
        why,
        extra={"event": "record_waiting"},
    )


def _say(shown: str, timeout: float) -> None:
    _LOG.warning(
        "%s has not answered for %.0f s. It is waited for, %.0f s at most.",
        shown,
        QUIET,
        timeout,
        extra={"event": "server_waiting"},
    )
