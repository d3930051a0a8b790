"""Code in the cells of a table, read as code hosts read it.

There, a bar behind a backslash separates no cells, and the backslash is not shown, in code as well;
Python-Markdown shows it in code.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString

_AFTER_INLINE = 15  # which is 20: code is there, and is not yet text


class _Bars(Treeprocessor):
    """Take the backslash away."""

    def run(self, root: Element) -> None:
        for kind in ("th", "td"):
            for cell in root.iter(kind):
                for code in cell.iter("code"):
                    code.text = AtomicString((code.text or "").replace(r"\|", "|"))


class Bars(Extension):
    """Take the backslash away that is in front of a bar in a cell's code."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  its name is Python-Markdown's
        """Register what does it."""
        md.treeprocessors.register(_Bars(md), "bars", _AFTER_INLINE)


def makeExtension(**options: object) -> Bars:  # noqa: N802  its name is Python-Markdown's
    """Return the extension, as Python-Markdown looks for it."""
    return Bars(**options)
