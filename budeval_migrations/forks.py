"""Know a process that was forked from one that had loaded chDB.

chDB's threads do not live on in it, and the first call into chDB waits for them for ever
(26.9: tried), also where its parent had closed every connection.
"""

from __future__ import annotations

import os
import sys

_was_loaded = False


def _look() -> None:
    global _was_loaded
    _was_loaded = "chdb" in sys.modules


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_look)


def lost_chdb() -> bool:
    """Return whether chDB cannot work in this process."""
    return _was_loaded
