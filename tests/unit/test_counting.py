"""Numbers in sentences."""

from __future__ import annotations

import pytest

from budeval_migrations.counting import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 parts"), (1, "1 part"), (2, "2 parts"), (100_000, "100,000 parts")],
)
def test_a_noun_has_an_s_for_every_number_but_one(number: int, said: str) -> None:
    assert counted(number, "part") == said
