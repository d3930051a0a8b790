"""Ids of new revisions: the next number and the message."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from budeval_migrations.alembic_ext.naming import number_revision


class Environment:
    """What ``alembic revision`` hands to ``process_revision_directives``."""

    def __init__(self, known: list[str], **arguments: object) -> None:
        self.script = SimpleNamespace(
            walk_revisions=lambda: [SimpleNamespace(revision=name) for name in known]
        )
        revision_context = SimpleNamespace(command_args={"rev_id": None, **arguments})
        self.context_opts: dict[str, Any] = {"revision_context": revision_context}


def named(known: list[str], message: str | None, rev_id: str | None = None) -> str:
    """Return the id that a new revision gets; ``drawn`` is what Alembic made up."""
    directive = SimpleNamespace(rev_id=rev_id or "drawn")
    environment = Environment(known, message=message, rev_id=rev_id)
    context = SimpleNamespace(environment_context=environment)
    number_revision(context, (), [directive])  # type: ignore[arg-type, list-item]
    return directive.rev_id


KNOWN = (
    ([], "Initial schema", "001_initial_schema"),
    (["001_a"], "b", "002_b"),
    (["006_f", "001_a", "003_c"], "g", "007_g"),
    (["009_i"], "j", "010_j"),
    (["999_x"], "y", "1000_y"),
    (["0001_a"], "b", "0002_b"),
    (["1_a"], "b", "2_b"),
    (["1_a", "010_b"], "c", "011_c"),
    (["abc123def456"], "b", "001_b"),
    (["abc123", "004_d"], "e", "005_e"),
    (["2026_01_02_x"], "y", "2027_y"),
)
MESSAGES = (
    ("Add status", "001_add_status"),
    ("add  status -- now!", "001_add_status_now"),
    ("  Add_status. ", "001_add_status"),
    ("ALTER TABLE `t`: x → y", "001_alter_table_t_x_y"),
    ("7 days", "001_7_days"),
    ("../../etc/passwd", "001_etc_passwd"),
    ("", "001_revision"),
    (None, "001_revision"),
    ("…", "001_revision"),
    ("x" * 100, "001_" + "x" * 60),
    ("x" * 59 + " y", "001_" + "x" * 59),
)


@pytest.mark.parametrize(("known", "message", "expected"), KNOWN)
def test_a_new_revision_has_the_next_number(known: list[str], message: str, expected: str) -> None:
    assert named(known, message) == expected


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_the_message_becomes_the_name(message: str | None, expected: str) -> None:
    assert named([], message) == expected


def test_an_id_that_was_asked_for_is_kept() -> None:
    assert named(["001_a"], "b", rev_id="my_own") == "my_own"


def test_nothing_happens_where_no_revision_is_made() -> None:
    context = SimpleNamespace(environment_context=Environment([]))

    number_revision(context, (), [])  # type: ignore[arg-type]


def test_nothing_happens_outside_of_the_revision_command() -> None:
    directive = SimpleNamespace(rev_id="drawn")
    environment = Environment([])
    environment.context_opts = {}

    for context in (
        SimpleNamespace(environment_context=None),
        SimpleNamespace(environment_context=environment),
    ):
        number_revision(context, (), [directive])  # type: ignore[arg-type, list-item]

    assert directive.rev_id == "drawn"


@given(st.text(max_size=120), st.lists(st.integers(1, 5000), max_size=5))
@example("x" * 59 + " y", [])
@example("Ünïcödé", [])
def test_every_message_gives_an_id_that_is_new_and_a_file_name(
    message: str, numbers: list[int]
) -> None:
    known = [f"{n:03}_old" for n in numbers]

    found = named(known, message)

    assert re.fullmatch(r"\d{3,}_[a-z0-9]+(_[a-z0-9]+)*", found)
    assert found not in known
    assert int(found.split("_")[0]) == 1 + max(numbers, default=0)
    assert len(found) <= 70


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5))
def test_ids_sort_in_the_order_they_were_made(messages: list[str]) -> None:
    made: list[str] = []
    for message in messages:
        made.append(named(made, message))

    assert made == sorted(made)
