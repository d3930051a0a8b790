"""The pages for people, and what stands on them to be typed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.project import REPOSITORY

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_NAMED = re.compile(r"^`([\w./-]+)`[^\n]*:\n\n\Z", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``file`` is the name in the line before it, as in "`main.py`:".

    ``start`` is where its text begins in the page, in characters.
    """

    line: int
    start: int
    language: str
    file: str
    text: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a terminal, and what it printed; a command goes on in lines with "> "."""
        for part in re.split(r"^\$ ", self.text, flags=re.M)[1:]:
            command, *lines = part.splitlines(keepends=True)
            while lines and lines[0].startswith("> "):
                command += lines.pop(0)[2:]
            yield command, "".join(lines)


def pages() -> list[str]:
    """Every page of the repository, as a path from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return sorted(listed.stdout.split())


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (REPOSITORY / page).read_text("utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        named = _NAMED.search(text, 0, fence.start())
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(line, fence.start(2), fence[1], named[1] if named else "", fence[2]))
    assert len(re.findall("^```", text, re.M)) == 2 * len(found), (
        f"{page} has a fence that is not understood"
    )
    return found
