"""The lexer: kinds, extents and what is not closed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.lexer import WHITESPACE, TokenKind, tokenize

K = TokenKind


def kinds(text: str) -> list[tuple[TokenKind, str]]:
    return [(t.kind, t.of(text)) for t in tokenize(text) if t.kind is not K.WHITESPACE]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (WHITESPACE, K.WHITESPACE),
        ("-- a; 'b", K.COMMENT),
        ("--a\r;", K.COMMENT),
        ("// a; 'b", K.COMMENT),
        ("# a; 'b", K.COMMENT),
        ("#!a; 'b", K.COMMENT),
        ("/**/", K.COMMENT),
        ("/* a /* b */ c */", K.COMMENT),
        ("/*/ */", K.COMMENT),
        ("'a''b'", K.STRING),
        (r"'a\'b'", K.STRING),
        (r"'\\'", K.STRING),
        ("'a\nb'", K.STRING),
        ("\u2018a';\u2019", K.STRING),
        ("x'41'", K.STRING),
        ("X''", K.STRING),
        ("b'01'", K.STRING),
        ('"a""b"', K.QUOTED_IDENTIFIER),
        ('"a\\"b"', K.QUOTED_IDENTIFIER),
        ("`a``b`", K.QUOTED_IDENTIFIER),
        ("\u201ca\u201d", K.QUOTED_IDENTIFIER),
        ("$$;'$$", K.HEREDOC),
        ("$a_1$;$a$ $$ $a_1$", K.HEREDOC),
        ("a$b$c", K.WORD),
        ("$a", K.WORD),
        ("$a$b", K.WORD),
        ("1a", K.WORD),
        ("1__0", K.WORD),
        ("0x", K.WORD),
        ("1_000", K.NUMBER),
        ("0xFFp-1", K.NUMBER),
        ("0b101", K.NUMBER),
        ("1.5e-5", K.NUMBER),
        ("1e", K.WORD),
        (".5", K.NUMBER),
        ("1.5a", K.OTHER),
        ("[", K.OPEN),
        ("}", K.CLOSE),
        (";", K.SEMICOLON),
        ("\\G", K.VERTICAL),
        ("@@", K.DOUBLE_AT),
        ("\u2212", K.OTHER),
        ("é", K.OTHER),
        ("\x00", K.OTHER),
    ],
)
def test_a_token_is_read_whole(text: str, kind: TokenKind) -> None:
    assert [(t.kind, t.start, t.end) for t in tokenize(text)] == [(kind, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#a", [(K.OTHER, "#"), (K.WORD, "a")]),
        ("t.1.1", [(K.WORD, "t"), (K.DOT, "."), (K.NUMBER, "1"), (K.DOT, "."), (K.NUMBER, "1")]),
        ("-.5", [(K.OTHER, "-"), (K.NUMBER, ".5")]),
        ("{a}.5", [(K.OPEN, "{"), (K.WORD, "a"), (K.CLOSE, "}"), (K.NUMBER, ".5")]),
        ("(a).5", [(K.OPEN, "("), (K.WORD, "a"), (K.CLOSE, ")"), (K.DOT, "."), (K.NUMBER, "5")]),
        ("1e--1", [(K.NUMBER, "1e-"), (K.OTHER, "-"), (K.NUMBER, "1")]),
        ("x.5e--1", [(K.WORD, "x"), (K.DOT, "."), (K.WORD, "5e"), (K.COMMENT, "--1")]),
        ("1$b$;$b$", [(K.NUMBER, "1"), (K.HEREDOC, "$b$;$b$")]),
        ("ax'4'", [(K.WORD, "ax"), (K.STRING, "'4'")]),
        ("\u2018a\u2019\u2019", [(K.STRING, "\u2018a\u2019"), (K.OTHER, "\u2019")]),
        ("$ a", [(K.OTHER, "$"), (K.WORD, "a")]),
        ("$A$;$a$", [(K.WORD, "$A$"), (K.SEMICOLON, ";"), (K.WORD, "$a$")]),
    ],
)
def test_tokens_end_where_clickhouse_ends_them(
    text: str, expected: list[tuple[TokenKind, str]]
) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("SELECT 'a", 1, 8, "single-quoted string is not closed"),
        ("SELECT 'a''", 1, 8, "single-quoted string is not closed"),
        ("SELECT 'a\\'", 1, 8, "single-quoted string is not closed"),
        ('\n\n é"a', 3, 3, "double-quoted identifier is not closed"),
        ("`", 1, 1, "backtick-quoted identifier is not closed"),
        ("a\r\n\u2018a'", 2, 1, "curly quotes is not closed"),
        ("\u201ca\u2019", 1, 1, "curly quotes is not closed"),
        ("a /* /* */", 1, 3, "comment is not closed"),
        ("/*/", 1, 1, "comment is not closed"),
        ("a $$ b $", 1, 3, "heredoc is not closed"),
        ("x'4g'", 1, 1, "hexadecimal or binary string is not closed"),
    ],
)
def test_what_is_not_closed_is_refused_where_it_opens(
    text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        tokenize(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from(" \n';\"`$a1x.e-/*#\\é\u2018\u2019\ufeff")) | st.text())
def test_tokens_follow_each_other_without_gaps(text: str) -> None:
    try:
        tokens = tokenize(text)
    except StatementSyntaxError:
        return

    assert "".join(token.of(text) for token in tokens) == text
    assert all(token.start < token.end for token in tokens)
