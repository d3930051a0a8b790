"""Where a command's words go: nothing from outside is interpreted, and no write raises."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import IO, Any

from rich.console import Console

from budeval_migrations.visible import printable, visible

# What stdout could not take; of a reader that has gone nothing is kept.
_lost: list[str] = []


class Screen(Console):
    """A console that shows control characters as text, and has no emoji.

    Args:
        stderr: Write there.
        wide: Lines stay whole.

    """

    def __init__(self, *, stderr: bool = False, wide: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, **options)
        if wide or not self.is_terminal:
            # A pipe has no width to respect: lines stay whole for grep and logs.
            self.width = 10_000

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a text's control characters are shown, and an output that is full is noted."""
        shown = [printable(each) if isinstance(each, str) else each for each in objects]
        try:
            super().print(*shown, **options)
        except OSError as error:
            lose(self.file, error)

    def on_broken_pipe(self) -> None:
        """Go on: what a command did is told by its exit code, whoever reads its words."""
        lose(self.file, BrokenPipeError())


def write(text: str) -> None:
    """Write a text to stdout as it is; to a terminal, with its control characters shown.

    What the output's encoding does not have is not replaced: SQL would say something else.
    """
    try:
        if not takes(text):
            _lost.append(f"its encoding is {sys.stdout.encoding}; PYTHONIOENCODING=utf-8 helps")
            return
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except OSError as error:
        lose(sys.stdout, error)


def takes(text: str) -> bool:
    """Return whether the encoding of stdout has all of a text's characters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escape_unencodable() -> None:
    """Let words for people show as ``\\xe9`` what the encoding of stdout does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def finish() -> str:
    """Flush stdout, and return why it could not take all; empty where it did."""
    try:
        sys.stdout.flush()
    except OSError as error:
        lose(sys.stdout, error)
    return _lost[0] if _lost else ""


def lose(stream: IO[str], error: OSError) -> None:
    """Note why a stream takes no more, and let what is written to it from now on go nowhere."""
    if not isinstance(error, BrokenPipeError):
        _lost.append(error.strerror or str(error))
    with suppress(OSError, ValueError):  # Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
