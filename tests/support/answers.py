"""What ``--json`` prints, beside the schema that it names."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from budeval_migrations.cli.json_schema import PRINTED_BY, VERSION, read_schema

# What an error knows of its matter differs from error to error.
_OPEN = {"error"}


def check_answer(text: str) -> None:
    """Raise unless the text is one object, as its schema says, without a key that it lacks."""
    answer = json.loads(text)
    name, _, version = answer["schema"].partition("/")
    assert version == str(VERSION), answer["schema"]
    _validator(name).validate(answer)


def check_printer(text: str, words: Collection[str]) -> None:
    """Raise unless the command that printed the object is one that is said to print it."""
    commands = PRINTED_BY[json.loads(text)["schema"].partition("/")[0]]
    assert not commands or any({*each.split()} <= {*words} for each in commands), (commands, words)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = read_schema(name)
    return Draft202012Validator(
        schema if name in _OPEN else _closed(schema),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed["additionalProperties"] = False
    return closed
