"""The JSON Schemas of what --json prints. Every answer of every test is held against them."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from budeval_migrations.cli.json_schema import VERSION, read_schema, schema_names
from budeval_migrations.model import ChecksumState, Direction, Operation, RevisionState
from budeval_migrations.model.findings import Severity
from budeval_migrations.model.previews import Cost
from tests.cli.shell import one_object, refused
from tests.support.answers import check_answer
from tests.support.project import Project

# A schema that changes for its readers gets another VERSION; a new key does not change it for
# them. Either way the sum is written anew here, so that nobody changes one unawares.
SUMS = {
    "drift": "fd1c3537a07918d3",
    "error": "9fa34a7d733a1056",
    "history": "c3ef200d558baecc",
    "hosts": "777174a1734404a3",
    "lint": "271d7647c7a3b4cc",
    "lock": "202fb449e1212f11",
    "plan": "45e2eea4d230b5de",
    "project": "96e712d44c99963e",
    "report": "a0e18232a3a12abc",
    "revision": "5a8aa15e17d73845",
    "rules": "8c562d7811cb8c40",
    "run": "4654c61aa5936e3d",
    "schemas": "a61ec39d4821eea2",
    "status": "c800830818d47669",
    "validation": "1e4c25905951a62f",
    "verification": "5053135c0fe053bc",
}


def test_the_schemas_are_those_that_readers_know() -> None:
    assert VERSION == 1
    assert {name: _sum(name) for name in schema_names()} == SUMS


def _sum(name: str) -> str:
    return hashlib.sha256(json.dumps(read_schema(name)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_schema_is_one_and_says_its_name_and_version(name: str) -> None:
    schema = read_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:budeval-migrations:{name}:{VERSION}"
    assert schema["properties"]["schema"] == {"const": f"{name}/{VERSION}"}
    assert schema["title"] and "schema" in schema["required"]


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("status", "revisions/items/properties/state", RevisionState),
        ("status", "revisions/items/properties/checksum", ChecksumState),
        ("history", "attempts/items/properties/operation", Operation),
        ("history", "attempts/items/properties/direction", Direction),
        ("rules", "rules/items/properties/severity", Severity),
        (
            "plan",
            "revisions/items/properties/statements/items/properties/cost",
            Cost,
        ),
    ],
)
def test_a_schema_knows_every_word(name: str, path: str, kind: type[Enum]) -> None:
    found: Any = read_schema(name)["properties"]
    for key in path.split("/"):
        found = found[key]
    assert sorted(found["enum"]) == sorted(each.value for each in kind)


def test_an_answer_that_lacks_a_key_or_has_another_is_refused() -> None:
    lock = {"schema": "lock/1", "unlocked": False, "holder": None}
    check_answer(json.dumps(lock))
    for wrong in ({**lock, "more": 1}, {**lock, "holder": 7}, {"schema": "lock/1"}):
        with pytest.raises(ValidationError):
            check_answer(json.dumps(wrong))


def test_the_command_prints_and_lists_them(project: Project) -> None:
    done = project.cli("schema")
    assert done.stdout.split() == [f"{name}/1" for name in sorted(SUMS)]
    listed = one_object(project.cli("--json", "schema"))
    assert listed == {"schema": "schemas/1", "schemas": done.stdout.split()}
    for name in ("status", "status/1"):
        assert one_object(project.cli("schema", name)) == read_schema("status")


@pytest.mark.parametrize("name", ["nothing", "status/2", "../error", ""])
def test_a_schema_that_is_not_there_is_refused(project: Project, name: str) -> None:
    refused(project.cli("schema", name), 2, "There is no schema", hint="One of: drift, error,")
