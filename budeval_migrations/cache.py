"""Small files below the user's cache directory; to lose them costs time alone."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def recall(kind: str, key: str) -> Any:
    """Return what was kept under a key; None if nothing was, or it cannot be read."""
    with suppress(OSError, ValueError):
        return json.loads(_file(kind, key).read_text("utf-8"))
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
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(value), "utf-8")
        part.replace(file)
        known = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in known[:-most]:
            old.unlink(missing_ok=True)


def _file(kind: str, key: str) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return Path(root) / "budeval-migrations" / kind / f"{name}.json"
