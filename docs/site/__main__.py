"""Make the site: ``python -m docs.site OUTPUT``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from mkdocs.exceptions import MkDocsException

from docs.site.build import build

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Make it, or say everything that stands against it."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("output", type=Path, help="a directory; what is in it goes")
    output = parser.parse_args().output
    # mkdocs empties the directory without asking.
    if output.exists() and not (output / "sitemap.xml").exists() and any(output.iterdir()):
        parser.error(f"{output} holds something else than a site; name another directory")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        build(ROOT, output)
    except MkDocsException as error:
        print(error.format_message(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
