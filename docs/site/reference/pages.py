"""Every page, by the name of its file."""

from __future__ import annotations

from pathlib import Path

from docs.site.reference import api, commands, errors, rules, schemas, settings

FOLDER = Path(__file__).resolve().parents[2] / "reference"


def pages() -> dict[str, str]:
    """Return what ``docs/reference`` has to hold."""
    return {
        "api.md": api.text(),
        "commands.md": commands.text(),
        "errors.md": errors.text(),
        "json.md": schemas.text(),
        "rules.md": rules.text(),
        "settings.md": settings.text(),
    }
