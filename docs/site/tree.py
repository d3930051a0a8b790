"""The pages of a repository, and what they link to, in a directory that is laid out like it.

A link that works on a code host works there too, and a link to what is not in the repository, such
as a file that Git ignores, leads nowhere.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

_FRONT = "README.md"
_FENCE = re.compile(r"(^ *```.*?^ *```)", re.M | re.S)
# A link, or the definition of one; its path without an anchor.
_LINK = re.compile(r"(\]\(<?|^ {0,3}\[[^\]]+\]: *<?)([^)\s>#?]+)", re.M)


def copy_pages(root: Path, place: Path) -> list[str]:
    """Copy pages, and files that they link to.

    A code host shows a directory that is linked to as its ``README.md``, or as a list of what is in
    it; a link to a directory is turned into one to such a page.

    Args:
        root: A Git work tree; what it tracks and what it does not ignore counts.
        place: An empty directory.

    Returns:
        The lists that were made, as paths from the root.

    """
    files = _files(root)
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    linked, listings = set(), set()

    def follow(page: str, text: str) -> str:
        def led(link: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(link[2])))
            if target in folders:
                front = posixpath.normpath(posixpath.join(target, _FRONT))
                listings.update({front} - files)
                return f"{link[1]}{link[2].rstrip('/')}/{_FRONT}"
            linked.update({target} & files)
            return link[0]

        parts = _FENCE.split(text)
        parts[::2] = (_LINK.sub(led, part) for part in parts[::2])
        return "".join(parts)

    for page in (name for name in files if name.endswith(".md")):
        _write(place / page, follow(page, (root / page).read_text("utf-8")))
    for page in listings:
        folder = posixpath.dirname(page)
        below = sorted(name for name in files if name.startswith(f"{folder}/"))
        linked.update(below)
        _write(place / page, _listing(folder, below))
    for name in linked:
        if not (place / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, place / name)
    return sorted(listings)


def _files(root: Path) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    # What is tracked may have been deleted in the work tree.
    return {name for name in listed.stdout.split("\0") if name and (root / name).is_file()}


def _write(page: Path, text: str) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, "utf-8")


def _listing(folder: str, files: list[str]) -> str:
    names = (posixpath.relpath(name, folder) for name in files)
    return f"# {folder}\n\n" + "".join(f"- [`{name}`]({quote(name)})\n" for name in names)
