"""The splitter: golden pairs, places, refusals and speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.lexer import INSIGNIFICANT, WHITESPACE, TokenKind, tokenize
from budeval_migrations.sql.splitter import Piece, split

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.sql"))


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: path.stem)
def test_a_script_is_cut_as_its_golden_file_says(script: Path) -> None:
    text = script.read_bytes().decode()
    expected = json.loads(script.with_suffix(".expected.json").read_text(encoding="utf-8"))

    pieces = split(text)

    assert [[piece.line, piece.column, piece.text] for piece in pieces] == expected
    assert all(text.startswith(piece.text, piece.offset) for piece in pieces)


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 15


def test_a_piece_knows_its_place_in_the_script() -> None:
    assert split("SELECT 1;\n-- why\n  SELECT 'é';") == [
        Piece("SELECT 1", 0, 1, 1),
        Piece("-- why\n  SELECT 'é'", 10, 3, 3),
    ]


@pytest.mark.parametrize("text", ["", " \n\t", "-- a", "/* a; */", ";;", "\ufeff", "-- a\n;-- b"])
def test_a_text_without_a_statement_has_no_pieces(text: str) -> None:
    assert split(text) == []


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("SELECT (1;", 1, 8, "'(' is not closed"),
        ("SELECT 1;\n SELECT ([1)", 2, 12, "')' does not close '['"),
        ("SELECT 1)", 1, 9, "')' closes nothing"),
        ("SELECT {a:UInt8", 1, 8, "'{' is not closed"),
        ("INSERT INTO t VALUES (1", 1, 22, "'(' is not closed"),
        ("SELECT 1; SELECT 'a", 1, 18, "the single-quoted string is not closed"),
        ("INSERT INTO t FORMAT CSV;", 1, 25, "a ';' stands between FORMAT and the data"),
        ("INSERT INTO t FORMAT CSV ; SELECT 1", 1, 26, "a ';' stands between FORMAT"),
        ("INSERT INTO t FORMAT CSV\n1\nCREATE TABLE a (b Int8)", 3, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1\n  drop table a", 3, 3, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\nINSERT INTO t VALUES (1)", 2, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV 1; DROP TABLE a", 1, 29, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV 1;\nGRANT x TO y", 2, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\r\n1\r\n\r\nSELECT 2", 4, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1\n  \nOPTIMIZE TABLE t", 4, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1\nEXCHANGE TABLES a AND b", 3, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1\n/* now */ DROP TABLE a", 3, 11, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1\r\n\r\n-- now\r\nUSE d", 5, 1, "looks like a statement"),
        ("INSERT INTO t FORMAT CSV\n1;\n", 2, 2, "would be a part of the last row"),
        ("INSERT INTO t FORMAT CSV\n1\n\n2\n", 4, 1, "no statement begins here"),
        ("INSERT INTO t FORMAT CSV\n1\n\n'", 4, 1, "no statement begins here"),
    ],
)
def test_a_broken_script_is_refused_at_the_offending_place(
    text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        split(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason


def test_an_empty_line_ends_rows_and_what_follows_is_read_as_ever() -> None:
    script = (
        "INSERT INTO t FORMAT CSV\n1,'a;b'\n2,--\n\n-- then\nCREATE TABLE u (a Int8);\n"
        'insert into t (a) format JSONEachRow {"a": "DROP"}\n{"a": ";"}\n\n;\nSELECT .5\n'
    )
    assert [(p.text, p.line, p.column) for p in split(script)] == [
        ("INSERT INTO t FORMAT CSV\n1,'a;b'\n2,--", 1, 1),
        ("-- then\nCREATE TABLE u (a Int8)", 6, 1),
        ('insert into t (a) format JSONEachRow {"a": "DROP"}\n{"a": ";"}', 7, 1),
        ("SELECT .5", 11, 1),
    ]


@pytest.mark.parametrize(
    "rows", ["1;", "a\tb;", " \n1", "\t\n\t", "1\r\n2", "CREATE", "create_table x", "use", "--"]
)
def test_rows_that_an_empty_line_ends_are_kept_to_the_byte(rows: str) -> None:
    script = f"INSERT INTO t FORMAT TSV\n{rows}\n\nSELECT 1"
    assert [piece.text for piece in split(script)] == [
        f"INSERT INTO t FORMAT TSV\n{rows}",
        "SELECT 1",
    ]


@given(
    st.text(max_size=30),
    st.sampled_from(["SELECT 1", "-- a\nDROP TABLE b", "with 1 as x select x"]),
)
def test_of_any_rows_each_is_kept_or_the_script_is_refused(rows: str, following: str) -> None:
    head = "INSERT INTO t FORMAT TSV\n"
    try:
        found = [piece.text for piece in split(f"{head}{rows}\n\n{following}")]
    except StatementSyntaxError:
        return
    begun = rows.partition("\n\n")[0]
    if begun == rows and not rows.endswith("\n"):
        assert found == [head + rows, following]
    else:
        assert found[0] == (head + begun).removesuffix("\n" * begun.endswith("\n"))


def test_brackets_in_strings_and_comments_do_not_count() -> None:
    assert len(split("SELECT '(' /* ( */ -- (\n, `(`, $$($$")) == 1


FRAGMENTS = (
    *(
        "1",
        "a",
        "x",
        "1e",
        "1e-",
        "0x1p-",
        "1.",
        ".5e",
        ".e",
        "1_",
        "f(",
        "-",
        "--",
        "+",
        "x'",
        "'",
    ),
    *(
        "''",
        "\\",
        "b'01'",
        "x'zz'",
        "'a;'",
        "`;`",
        "$",
        "$a$",
        "$$",
        "a$",
        "(",
        ")",
        "(1, a)",
        "[1]",
    ),
    *(
        "{",
        "}",
        ";",
        ".",
        ",",
        " ",
        "\n",
        "# ",
        "#",
        "/*",
        "*/",
        "//",
        "/",
        "\ufeff",
        "é",
        "\u2018",
    ),
    *("insert into t ", "values ", "format CSV ", "select "),
)


def cut(text: str) -> list[str] | None:
    """Split the slow way, by every token; None for what is refused."""
    pieces: list[str] = []
    try:
        split(text)
        tokens = tokenize(text)
    except StatementSyntaxError:
        return None
    begin = 0
    significant = False
    for token in tokens:
        if token.kind is TokenKind.SEMICOLON:
            pieces += [text[begin : token.start].strip(WHITESPACE)] if significant else []
            begin, significant = token.end, False
        elif token.kind not in INSIGNIFICANT:
            significant = True
    return [*pieces, text[begin:].strip(WHITESPACE)] if significant else pieces


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_hurrying_over_dull_stretches_changes_nothing(text: str) -> None:
    expected = cut("select 1 " + text)
    if expected is None or "format" in text or "#" in text:
        return

    assert [piece.text for piece in split("select 1 " + text)] == expected


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
@example(".e1$$")
@example("[e1$$]")
def test_a_script_is_refused_for_its_lexing_whether_hurried_or_not(text: str) -> None:
    text = "select 1 " + text
    if "insert" in text:
        return
    try:
        tokenize(text)
        reason = ""
    except StatementSyntaxError as error:
        reason = str(error)
    try:
        split(text)
    except StatementSyntaxError as error:
        # Brackets may be refused earlier than what is not closed behind them.
        assert "'" in error.reason or str(error) == reason
    else:
        assert reason == ""


@pytest.mark.parametrize(
    "unit",
    [
        "INSERT INTO t VALUES (1, 'a;b', now()), (2, 'it''s', 1.5);\n",
        "SELECT 1;",
        "$a$ ",
        "SELECT '\\'\\'';",
        "/* a */ -- b\n;",
    ],
)
@pytest.mark.timeout(120)  # with the square of its length it would take hours
def test_a_long_text_is_split_in_a_time_that_grows_with_its_length(unit: str) -> None:
    repeated = 2_000_000 // len(unit)
    split(unit * repeated)


@pytest.mark.parametrize(
    "head",
    [
        "WITH 1 AS x INSERT INTO t FORMAT TSV",
        "INSERT INTO t SELECT * FROM input('a String') FORMAT TSV",
        "INSERT INTO t (a) (SELECT a FROM input('a String')) SETTINGS max_threads = 1 FORMAT TSV",
        "INSERT INTO t WITH 1 AS x SELECT a, x FROM (SELECT * FROM input('a String')) FORMAT TSV",
    ],
)
def test_rows_behind_a_with_or_a_query_of_input_are_no_statements(head: str) -> None:
    assert [piece.text for piece in split(f"{head}\na;b; c\n\nSELECT 1")] == [
        f"{head}\na;b; c",
        "SELECT 1",
    ]


@pytest.mark.parametrize("query", ["SELECT input FROM q", "SELECT a FROM input('a Int8')"])
def test_without_format_no_rows_follow_a_query(query: str) -> None:
    assert len(split(f"INSERT INTO t {query}; DROP TABLE u")) == 2


@pytest.mark.parametrize(
    "rows",
    [
        "/* x\n" * 40_000,
        ";GRANT x " * 40_000,
        "/**/" * 200 + "x\n1",
        "-- x\n" * 100_000,
        "/* a */ " * 300 + "x",
    ],
)
def test_rows_full_of_comments_do_not_take_for_ever(rows: str) -> None:
    assert len(split(f"INSERT INTO t FORMAT TSV\n{rows}")) == 1
