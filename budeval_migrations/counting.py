"""Numbers in sentences. Imports nothing of this package."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return "1 part", "2 parts", "100,000 parts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
