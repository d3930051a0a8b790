"""The JSON Schemas of what ``--json`` prints."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from budeval_migrations.errors import ConfigError

if TYPE_CHECKING:
    from budeval_migrations.cli.app import App

# Of all of them: it grows when a reader of one would misread the other. A new key does not count.
VERSION = 1
_FOLDER = files("budeval_migrations") / "schemas"
# Which commands print each, with --json.
PRINTED_BY: dict[str, tuple[str, ...]] = {
    "drift": ("drift",),
    "error": (),  # every one of them
    "history": ("history",),
    "hosts": ("repair --cluster",),
    "lint": ("lint",),
    "lock": ("unlock",),
    "plan": ("plan",),
    "project": ("init",),
    "report": ("report",),
    "revision": ("new", "diff"),
    "rules": ("lint --list",),
    "run": ("up", "down", "adopt", "repair", "reset"),
    "schemas": ("schema",),
    "status": ("status",),
    "validation": ("validate",),
    "verification": ("verify",),
}


def schema_names() -> list[str]:
    """Return the names of the schemas."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of an answer.

    Raises:
        ConfigError: There is no such schema.

    """
    if name not in schema_names():
        raise ConfigError(
            f"There is no schema {name}.", hint=f"One of: {', '.join(schema_names())}."
        )
    found: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


@click.command()
@click.argument("name", required=False)
@click.pass_obj
def schema(app: App, name: str | None) -> None:
    """Print the JSON Schema of what --json prints; without NAME, list them.

    \b
    Every object says which it follows: "schema": "status/1".
    Example: budeval-migrate schema status
    """

    def work() -> int:
        output = app.output
        if name is not None:
            output.dump(read_schema(name.removesuffix(f"/{VERSION}")))
        elif output.as_json:
            output.answer("schemas", {"schemas": [f"{each}/{VERSION}" for each in schema_names()]})
        else:
            for each in schema_names():
                output.print(f"{each}/{VERSION}")
        return 0

    app.run(work)
