"""What ``--json`` prints, from the JSON Schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from budeval_migrations.cli.json_schema import PRINTED_BY, VERSION, read_schema, schema_names
from docs.site.reference.markdown import page, table

_ABOUT = f"""\
`--json` puts one object on stdout; progress and sentences for people go to stderr. Its key `schema`
names the JSON Schema (draft 2020-12) that it follows, `"status/{VERSION}"`:
`budeval-migrate schema status` prints that one, `budeval-migrate schema` lists them. New keys may
come; the number grows when an old key goes or means something else. A key in brackets is not always
there. `lint --format sarif` is as SARIF says.\
"""


def text() -> str:
    """Return the page."""
    found = {name: read_schema(name) for name in schema_names()}
    shared: dict[str, Any] = {}
    for schema in found.values():
        shared.update(schema.get("$defs", {}))
    return page(
        "JSON",
        "budeval_migrations/schemas",
        _ABOUT,
        *(part for name, schema in found.items() for part in _answer(name, schema)),
        "## Parts",
        "What several of them have in common.",
        *(part for name in sorted(shared) for part in (f"### {name}", _keys(shared[name]))),
    )


def _answer(name: str, schema: dict[str, Any]) -> Iterator[str]:
    printers = ", ".join(f"`{command}`" for command in PRINTED_BY[name]) or "every command"
    yield f"## {name}"
    yield f"{schema['title']}. Printed by {printers}."
    yield f"{schema['description']}" if "description" in schema else ""
    yield _keys(schema)


def _keys(schema: dict[str, Any]) -> str:
    return table(("key", "type", "what it is"), _rows(schema, ""))


def _rows(schema: dict[str, Any], above: str) -> Iterator[tuple[str, str, str]]:
    """Yield the keys of an object and of those in it, whose paths begin with its own."""
    for key, each in schema.get("properties", {}).items():
        path = f"{above}{key}"
        shown = f"`{path}`" if key in schema["required"] else f"[`{path}`]"
        words = [each["description"]] if "description" in each else []
        if "enum" in each:
            words.append("one of " + ", ".join(_value(value) for value in each["enum"]))
        yield shown, _type(each), "; ".join(words)
        for inner in (each, *each.get("oneOf", ())):
            yield from _rows(inner, f"{path}.")
        if "items" in each:
            yield from _rows(each["items"], f"{path}[].")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in schema:
        return _value(schema["const"])
    if "oneOf" in schema:
        return " or ".join(_type(each) for each in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "items" in schema:
        return f"array of {_type(schema['items'])}"
    return " or ".join(kinds)


def _value(value: object) -> str:
    return "null" if value is None else f'`"{value}"`'
