"""Small files below the user's cache directory; to lose them costs time alone."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any


def recall(kind: str, key: str) -> Any:
    """Return what was kept under a key; None if nothing was, or somebody else may have.

    Only a file of this user that nobody else can write is believed, in a directory that is so.
    """
    with suppress(OSError, ValueError):
        file = _file(kind, key)
        if _is_ours(file) and _is_ours(file.parent):
            return json.loads(file.read_text("utf-8"))
    return None


def keep(kind: str, key: str, value: Any, *, most: int) -> None:
    """Keep something that JSON can say; where nothing can be written, nothing is kept.

    Killed in between, it leaves what was there before.

    Args:
        kind: The name of a directory.
        most: How many keys are kept of this kind; the oldest go.

    """
    with suppress(OSError):
        file = _file(kind, key)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_suffix(f".{os.getpid()}")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600, exist_ok=False)
        part.write_text(json.dumps(value), "utf-8")
        part.replace(file)
        known = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in known[:-most]:
            old.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    found = path.stat()
    owned = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return owned and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _file(kind: str, key: str) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return Path(root) / "budeval-migrations" / kind / f"{name}.json"
