"""Do what a page says, in the order in which it says it, and see what it says one would see.

- A block ``console``: each command behind ``$`` is typed, and has to print what follows it. A line
  ``…`` stands for any lines.
- A block ``sh``: is typed, and has to go well.
- A block of another language behind a line such as "`versions/002_x.py`:" is written to that file.
- Any other block has to have a reader in the test.

With ``BUDEVAL_DOCS_WRITE=1`` a page gets what its commands print, to be read before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.pages import Block, blocks
from tests.docs.terminal import Terminal
from tests.support.project import REPOSITORY

_WRITE = "BUDEVAL_DOCS_WRITE"
_VOLATILE = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "<time>"),
    (r"\b\d+(?=  +\d+/\d+)", "<ms>"),  # the column before the statements
    (r"\b\d+ ms\b|\b\d+(\.\d+)? s\b", "<duration>"),
    (r"\b(ClickHouse|chDB) \d+(\.\d+)+", r"\1 <version>"),
    (r"\S+@\S+ pid \d+", "<process>"),
    (r" +$", ""),
    (r"  +", "  "),  # columns are as wide as what is in them
]


def read(
    page: str,
    terminal: Terminal,
    *,
    stand_ins: Mapping[str, str] | None = None,
    before: Mapping[str, Callable[[Path], object]] | None = None,
    readers: Mapping[str, Callable[[str], object]] | None = None,
) -> None:
    """Do everything on a page; fails at the first thing that is not so.

    Args:
        stand_ins: What is used in place of what the page names, such as the address of a server.
        before: What happens, unseen, each time before a command; called with the directory.
        readers: For a block that is neither typed nor written: by its first line.

    """
    swaps, events, others = dict(stand_ins or {}), dict(before or {}), dict(readers or {})
    unsaid = set(events)
    found = blocks(page)
    assert found, f"{page} has nothing to do"

    def here(text: str) -> str:
        for name, stand_in in swaps.items():
            text = text.replace(name, stand_in)
        return text

    def run(command: str) -> tuple[int, str]:
        if (said := command.rstrip("\n")) in events:
            unsaid.discard(said)
            events[said](terminal.place)
        code, printed = terminal.run(here(command))
        for name, stand_in in swaps.items():
            printed = printed.replace(stand_in, name)
        return code, printed

    said: dict[Block, str] = {}
    try:
        for block in found:
            first = block.text.partition("\n")[0]
            if first in others:
                others.pop(first)(block.text)
            elif block.language == "console":
                said[block] = _converse(page, block, run)
            elif block.language == "sh":
                for command in block.text.replace("\\\n", "").splitlines():
                    code, printed = run(command)
                    assert code == 0, f"{page}:{block.line}: {command}\n{printed}"
            else:
                assert block.file, f"{page}:{block.line}: who reads this block?"
                target = terminal.place / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(here(block.text), "utf-8")
    finally:
        if _WRITE in os.environ:
            _rewrite(REPOSITORY / page, said)
    assert not unsaid, f"{page} no longer says {sorted(unsaid)}"
    assert not others, f"{page} no longer says {sorted(others)}"


def _converse(page: str, block: Block, run: Callable[[str], tuple[int, str]]) -> str:
    """Return the block as it should stand on the page."""
    said = []
    for command, expected in block.commands():
        _, printed = run(command)
        said.append("$ " + command.rstrip("\n").replace("\n", "\n> ") + "\n")
        same = re.fullmatch(_pattern(expected), steady(printed))
        said.append(expected if same else printed)
        assert same or _WRITE in os.environ, (
            f"{page}:{block.line}: {command}\n--- said\n{expected}--- printed\n{printed}"
        )
    text = "".join(said)
    assert text == block.text or _WRITE in os.environ, (
        f"{page}:{block.line}: this is no conversation"
    )
    return text


def _rewrite(path: Path, said: Mapping[Block, str]) -> None:
    text = path.read_text("utf-8")
    for block in sorted(said, key=lambda each: each.start, reverse=True):
        end = block.start + len(block.text)
        text = text[: block.start] + said[block] + text[end:]
    path.write_text(text, "utf-8")


def steady(text: str) -> str:
    """What was printed, without what is another time each time."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text, flags=re.M)
    return text


def _pattern(expected: str) -> str:
    lines = steady(expected).splitlines(keepends=True)
    return "".join(r"(?:.*\n)*?" if line == "…\n" else re.escape(line) for line in lines)
