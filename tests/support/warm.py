"""Keep chDB running from one test to the next: its start costs more than most tests' own work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock


@contextlib.contextmanager
def kept_running(directory: Path) -> Iterator[None]:
    """Hold a connection to a data directory from its first use until the end.

    A process can have one data directory open: the connection is let go for as long as somebody
    opens another. Other processes cannot open the directory meanwhile.
    """
    from chdb import _chdb

    connect, held = _chdb.connect, contextlib.ExitStack()
    holding = False

    def hold_and_connect(target: str) -> Any:
        nonlocal holding
        mine = target.removeprefix("file:").partition("?")[0] == str(directory)
        if mine and not holding:
            held.callback(connect(str(directory)).close)
        elif not mine:
            held.close()
        holding = mine
        return connect(target)

    with held, mock.patch.object(_chdb, "connect", hold_and_connect):
        yield
