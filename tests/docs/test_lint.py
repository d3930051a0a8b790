"""The page about lint, typed from its first line to its last."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reading import read
from tests.docs.terminal import Terminal


def test_what_is_doubtful_is_found_and_may_be_meant(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        read("docs/lint.md", terminal)
