"""Import what commands need before they are forked: most of a short command's time."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import pkgutil
import sys
from pathlib import Path

# What the package imports as late as it can, and Alembic's own.
_OTHERS = (
    "alembic.command",
    "alembic.config",
    "clickhouse_sqlalchemy.drivers.http.base",
    "requests",
    "rich.console",
)


def preload() -> Path | None:
    """Import the package, what it imports late, and chDB's library; start no thread.

    Returns the directory of the package chdb; None where it is missing.

    ``import chdb`` itself stays for the forks: it connects, and the threads of a connection do
    not survive a fork.
    """
    import budeval_migrations

    for name in _OTHERS:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(budeval_migrations.__path__, "budeval_migrations."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    directory = _load_chdb_library()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads before the first fork")
    gc.collect()
    gc.freeze()
    return directory


def _load_chdb_library() -> Path | None:
    if "chdb" in sys.modules:
        raise RuntimeError("chdb is imported already")
    spec = importlib.util.find_spec("chdb")
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent
    ctypes.CDLL(str(directory / "_chdb.abi3.so"), mode=sys.getdlopenflags() | 0x8)  # DEEPBIND
    return directory
