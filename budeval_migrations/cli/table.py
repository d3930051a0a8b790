"""Tables of any length, in the width that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

_GAP = 2
_LEAST = 8  # of a name that is cut


class OutputColumn(NamedTuple):
    """A column.

    Attributes:
        right: Whether its cells stand at the right.
        least: Of one column: its cells are cut to no less before another column goes.
        spare: Where there is no room, the columns with the highest number go first; 0 stays.
        styles: A cell's text -> its style in rich's words.

    """

    title: str
    right: bool = False
    least: int = 0
    spare: int = 0
    styles: Mapping[str, str] = {}


class OutputTable(NamedTuple):
    """A table as one text, a line a row, and the titles of the columns that found no room."""

    text: Text
    left_out: tuple[str, ...]


def table(
    columns: Sequence[OutputColumn], rows: Sequence[Sequence[str]], width: int
) -> OutputTable:
    """Return a table in the width that there is.

    rich's own table takes a third of a millisecond for every row.

    Args:
        rows: As many cells as there are columns.
        width: How many cells of a terminal a line may take. Names are cut in the middle, then
            spare columns go, and then the widest column is cut as far as it has to be.

    """
    sizes = [max(map(cell_len, cells)) for cells in zip(_titles(columns), *rows, strict=True)]
    cut = [min(size, each.least or size) for size, each in zip(sizes, columns, strict=True)]
    kept = _fitting(columns, cut, width)
    widest = max(kept, key=lambda n: (columns[n].least, sizes[n]))
    sizes[widest] = max(_LEAST, sizes[widest] - max(0, _total(sizes, kept) - width))
    text = Text(no_wrap=True)
    for at, row in enumerate([_titles(columns), *rows]):
        for n in kept:
            last = n == kept[-1]
            style = columns[n].styles.get(row[n], "") if at else "bold"
            text.append(_cell(row[n], sizes[n], columns[n], last=last), style)
            text.append("\n" if last else " " * _GAP)
    return OutputTable(text, tuple(each.title for n, each in enumerate(columns) if n not in kept))


def _titles(columns: Sequence[OutputColumn]) -> list[str]:
    return [column.title for column in columns]


def _fitting(columns: Sequence[OutputColumn], sizes: Sequence[int], width: int) -> list[int]:
    kept = list(range(len(columns)))
    while _total(sizes, kept) > width:
        spare = max(kept, key=lambda n: columns[n].spare)
        if not columns[spare].spare:
            break
        kept.remove(spare)
    return kept


def _total(sizes: Sequence[int], kept: Sequence[int]) -> int:
    return sum(sizes[n] for n in kept) + _GAP * (len(kept) - 1)


def _cell(text: str, size: int, column: OutputColumn, *, last: bool) -> str:
    length = cell_len(text)
    if length > size:
        # The number of a revision stands at the beginning, what tells two apart often at the end.
        tail = set_cell_size(text[::-1], (size - 1) // 3)[::-1]
        return set_cell_size(text, size - 1 - (size - 1) // 3) + "…" + tail
    if column.right:
        return " " * (size - length) + text
    return text if last else text + " " * (size - length)
