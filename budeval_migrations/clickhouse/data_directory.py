"""What is in the way of chDB's directory, before chDB is asked to open it.

chDB itself says no more than that it could not, and its engine writes to the terminal.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from budeval_migrations.clickhouse.failures import UNKNOWN_DATABASE
from budeval_migrations.errors import ConnectionFailed, EngineError
from budeval_migrations.forks import lost_chdb


def open_directory(path: str, shown: str, *, create: bool) -> None:
    """Make the directory of a chDB where there is none.

    Args:
        create: Otherwise one that is not there is an error.

    Raises:
        EngineError: code 81: there is none.
        ConnectionFailed: chDB cannot use it.

    """
    if lost_chdb():
        raise ConnectionFailed(
            f"{shown} cannot be opened in this process: it was forked from one that had "
            "loaded chDB, whose threads ended with that.",
            hint="Load chDB after the fork, or start the process anew (multiprocessing: "
            'set_start_method("spawn")), or use a server.',
        )
    if not create and not os.path.exists(path):
        raise EngineError(f"There is no chDB directory at {shown} yet.", code=UNKNOWN_DATABASE)
    if path != os.curdir:
        check_directory(path, shown)
        with suppress(OSError):  # chDB says what is wrong
            os.makedirs(path, mode=0o700, exist_ok=True)  # it holds what revisions insert


def check_directory(path: str, shown: str) -> None:
    """Return when nothing speaks against opening a directory; read-only.

    Args:
        path: The directory; it need not be there.
        shown: What people call it.

    Raises:
        ConnectionFailed: It is a file, may not be written, or another process has it open.

    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise ConnectionFailed(
            f"{shown} is a file, and chDB needs a directory.", hint="Name another one in the URL."
        )
    nearest = os.path.abspath(path)
    while not os.path.exists(nearest) and os.path.dirname(nearest) != nearest:
        nearest = os.path.dirname(nearest)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConnectionFailed(
            f"{shown} cannot be opened: this user may not write to {nearest}.",
            hint="chDB writes there even to read. Name another directory in the URL, or run as "
            "the user that owns it.",
        )
    holder = _holder(os.path.join(path, "status"))
    if holder is not None:
        raise ConnectionFailed(
            f"{shown} is in use by another process (pid {holder}).",
            hint="Run again when it is done: chDB serves one process a directory. Several at a "
            "time, such as a service with workers, need a server.",
        )


def _holder(status: str) -> int | None:
    """Return the other process that holds the lock on ClickHouse's status file."""
    import fcntl  # not on every system, and neither is chDB

    with suppress(OSError), open(status, encoding="utf-8", errors="replace") as file:
        found = re.search(r"^PID: (\d+)$", file.read(), re.M)
        # One that was killed leaves the file, so that its number may be another's by now. The
        # lock is tried only where a process is there: one that starts now could miss it.
        if found and int(found[1]) != os.getpid() and _is_there(int(found[1])):
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(found[1])
    return None


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
