"""A virtual environment for each competitor, below ``build/bench/venvs``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENVS = REPOSITORY / "build" / "bench" / "venvs"
_MINUTES = 10


def python_of(name: str) -> Path:
    """The interpreter of a competitor's environment."""
    return VENVS / name / "bin" / "python"


def set_up(name: str, packages: Sequence[str]) -> None:
    """Create an environment with pinned packages; one that has them already is left alone.

    Raises:
        subprocess.SubprocessError: pip could not install them.

    """
    home = VENVS / name
    stamp = home / ".installed"
    wanted = "\n".join(packages)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(home)])
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([str(python_of(name)), *install, *packages])
    stamp.write_text(wanted)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MINUTES * 60)
    if done.returncode:
        raise subprocess.SubprocessError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
