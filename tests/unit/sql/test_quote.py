"""Quoting names and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.sql import quote
from budeval_migrations.sql.lexer import TokenKind, tokenize


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("a\\", r"'a\\'"),
        ("\0\x01\x7f", r"'\x00\x01\x7F'"),
        ("\b\t\n\f\r", r"'\b\t\n\f\r'"),
        ('é%:x{y}`"', "'é%:x{y}`\"'"),
        ("\ud800", r"'\xED\xA0\x80'"),
    ],
)
def test_a_value_becomes_a_literal(value: str, expected: str) -> None:
    assert quote.string(value) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", "`a`"), ("a`b", r"`a\`b`"), ("a\\", r"`a\\`"), ("a'b", "`a'b`"), ("a\nb", r"`a\nb`")],
)
def test_a_name_goes_into_backticks(name: str, expected: str) -> None:
    assert quote.identifier(name) == expected


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        quote.identifier("")


@given(st.text(st.characters()))
def test_whatever_is_quoted_is_one_token_that_can_be_sent(value: str) -> None:
    literal = quote.string(value)

    assert [token.kind for token in tokenize(literal)] == [TokenKind.STRING]
    assert literal.encode("utf-8").isascii() or not value.isascii()
