"""From the pages of a repository to a site, with mkdocs."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.commands.build import build as make
from mkdocs.config import load_config

from docs.site.tree import copy_pages


def build(root: Path, output: Path) -> None:
    """Make the site; what the directory held before is removed.

    Args:
        root: The repository; its ``docs/site/mkdocs.yml`` says how the site looks and which page
            has which place in it.
        output: The directory of the site.

    Raises:
        MkDocsException: A link or an anchor leads nowhere, a page has no place, or mkdocs has
            another complaint; each one is logged. What there is of the site is left.

    """
    with TemporaryDirectory() as directory:
        place = Path(directory)
        listings = copy_pages(root, place)
        config = load_config(
            str(root / "docs" / "site" / "mkdocs.yml"),
            docs_dir=directory,
            site_dir=str(output.resolve()),
            not_in_nav="\n".join(f"/{page}" for page in listings),
        )
        config.nav = _expanded(config.nav, place)
        config.plugins.on_startup(command="build", dirty=False)
        try:
            make(config)
        finally:
            config.plugins.on_shutdown()


def _expanded(nav: Any, place: Path) -> Any:
    """Return the places with the pages that a pattern stands for, in order of their names."""
    if isinstance(nav, dict):
        return {title: _expanded(below, place) for title, below in nav.items()}
    if isinstance(nav, list):
        return [page for each in nav for page in _matches(each, place)]
    return nav


def _matches(entry: Any, place: Path) -> list[Any]:
    if not isinstance(entry, str) or "*" not in entry:
        return [_expanded(entry, place)]
    found = sorted(page.relative_to(place).as_posix() for page in place.glob(entry))
    # mkdocs says of a pattern that stands for nothing that there is no such page.
    return found or [entry]
