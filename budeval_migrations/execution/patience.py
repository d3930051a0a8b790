"""Ask a server that may be away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from budeval_migrations.clickhouse.failures import is_away
from budeval_migrations.errors import EngineError
from budeval_migrations.interrupts import interrupts
from budeval_migrations.state.lock.lock import Lock

# How long a server may be away before we give up asking it, in seconds.
PATIENCE = 60.0
_POLL = 0.25
_T = TypeVar("_T")


def patiently(ask: Callable[[], _T], lock: Lock, patience: float = PATIENCE) -> _T:
    """Return an answer, as soon as the server gives one.

    Args:
        ask: Asks a question that may be asked again.
        patience: Seconds to wait for a server that does not answer.

    Raises:
        EngineError: The server refused, or did not come back.
        LockLost: Somebody else has taken over meanwhile.

    """
    until = time.monotonic() + patience
    while True:
        try:
            return ask()
        except EngineError as error:
            if not is_away(error) or time.monotonic() >= until:
                raise
        lock.check()
        interrupts.sleep(_POLL)
