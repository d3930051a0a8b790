"""The splitter, the lexer and the classifier against ClickHouse's own parser."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import WHITESPACE, tokenize
from budeval_migrations.sql.splitter import split
from tests.support.parser_judge import Judge

pytestmark = pytest.mark.embedded
law = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# ClickHouse's parser reads UTF-8, which has no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
nasty = st.text(
    st.sampled_from("';`\"\\$-/*#!%:{}()[]?@ \n\t\r\u2018\u2019\u201c\u201d\u2212\ufeffé日ax0"),
    max_size=10,
)
anything = texts | nasty

STATEMENTS = (
    "SELECT 1",
    "select {0} as x, {1} where a % 2 = 0 and b = {{id:UInt32}}",
    "WITH x AS (SELECT {0} AS a) SELECT * FROM x WHERE a = {1} FORMAT JSON",
    "CREATE TABLE IF NOT EXISTS d.t ({2} UInt64 COMMENT {0}, b Map(String, Array(Int8)) "
    "DEFAULT map() CODEC(ZSTD(3)), INDEX i b TYPE bloom_filter GRANULARITY 1) "
    "ENGINE = ReplacingMergeTree(ver) ORDER BY (a, b) TTL d + INTERVAL 1 DAY SETTINGS x = {0}",
    "CREATE MATERIALIZED VIEW v TO t AS SELECT arrayMap(x -> x + 1, [1, 2]) AS y, {0} FROM u",
    "CREATE VIEW {2} AS (SELECT 1) UNION ALL (SELECT 2)",
    "CREATE DICTIONARY d (id UInt64, v String DEFAULT {0}) PRIMARY KEY id "
    "SOURCE(CLICKHOUSE(HOST {1} DB 'd' TABLE 't')) LIFETIME(MIN 0 MAX 10) LAYOUT(FLAT())",
    "CREATE FUNCTION f AS (x, y) -> concat(x, {0}, y)",
    "CREATE DATABASE {2} ENGINE = Atomic COMMENT {0}",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS {2} String DEFAULT {0} AFTER b, DROP COLUMN c",
    "ALTER TABLE t UPDATE a = {0} WHERE b = {1} AND c.1.1 = 1e5",
    "DROP TABLE IF EXISTS {2} SYNC",
    "RENAME TABLE a TO b, c TO {2}",
    "EXCHANGE TABLES a AND b",
    "INSERT INTO t SELECT {0}, 1.5, .5, 0xFF, 1_000",
    "INSERT INTO t (a, `b`) VALUES (1, {0}), (2, {1})",
    "INSERT INTO values (values) VALUES ({0})",
    "INSERT INTO FUNCTION file({0}) SELECT {1}",
    "TRUNCATE TABLE {2}",
    "OPTIMIZE TABLE t FINAL",
    "SYSTEM FLUSH LOGS",
    "SET max_threads = 1",
    "GRANT SELECT ON d.* TO u",
    "CREATE USER u IDENTIFIED WITH sha256_password BY {0}",
    "EXPLAIN SELECT {0}",
    "KILL MUTATION WHERE table = {0}",
    "SELECT @@x, a::Int8, b[1], c.d, `e`.\"f\", x'4142', b'0101'",
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


@st.composite
def literals(draw: st.DrawFn) -> str:
    body = draw(anything)
    form = draw(st.sampled_from(["string", "doubled", "heredoc", "tagged", "curly"]))
    if form == "doubled":
        return "'" + body.replace("\\", "\\\\").replace("'", "''") + "'"
    if form == "heredoc" and "$" not in body:
        return f"$${body}$$"
    if form == "tagged" and "$" not in body:
        return f"$tag${body}$tag$"
    if form == "curly" and "\u2019" not in body and "\\" not in body:
        return f"\u2018{body}\u2019"
    return quote.string(body)


@st.composite
def names(draw: st.DrawFn) -> str:
    name = draw(anything) or "x"
    if draw(st.booleans()):
        return quote.identifier(name)
    return '"' + name.replace("\\", "\\\\").replace('"', '""') + '"'


@st.composite
def noise(draw: st.DrawFn) -> str:
    body = draw(anything).replace("\n", " ")
    inner = body.replace("*", "").replace("/", "")
    blank = draw(st.text(st.sampled_from(WHITESPACE), min_size=1, max_size=3))
    form = st.sampled_from(
        [
            blank,
            f"--{body}\n",
            f"# x{body}\n",
            f"#!{body}\n",
            f"//{body}\n",
            f"/*{inner}*/",
            f"/*{inner}/*{inner}*/;*/",
            "",
        ]
    )
    return draw(form)


@st.composite
def statements(draw: st.DrawFn) -> str:
    parts = (draw(literals()), draw(literals()), draw(names()))
    core = draw(st.sampled_from(STATEMENTS)).format(*parts)
    # Between two words of the statement any noise may stand, if a blank stands there.
    head, blank, rest = core.partition(" ")
    return draw(noise()) + head + blank + draw(noise()) + rest + draw(noise())


@law
@given(st.lists(statements(), min_size=1, max_size=5), noise())
def test_a_script_is_cut_into_exactly_the_statements_put_in(
    judge: Judge, put_in: list[str], tail: str
) -> None:
    pieces = split(";".join(put_in) + ";" + tail)

    assert [piece.text for piece in pieces] == [text.strip(WHITESPACE) for text in put_in]
    for before, verdict in zip(
        judge.formats(put_in), judge.formats([p.text for p in pieces]), strict=True
    ):
        assert before.accepted == verdict.accepted
        assert not verdict.several_statements


def test_the_statements_the_laws_are_made_of_are_accepted(judge: Judge) -> None:
    cores = [statement.format("'a'", "'b'", "`c`") for statement in STATEMENTS]

    refused = [v.error for v in judge.formats(cores) if not v.accepted]

    assert refused == []


FRAGMENTS = (
    *("select ", "1", "a", "x", "b", "0x1", "0b1", "1e", "1e5", "1.", ".5", "1_0", "f(", "n'a'"),
    *("'", "''", "\\'", "\\\\", "\\", "`", '"', "\u2018", "\u2019", "\u201c", "\u201d"),
    *("x'41'", "x'", "b'01'", "'a'", "'a;b'", "`a;`", '"a"', "'\\''", "'a''b'"),
    *("--", "-- ;\n", "/*", "*/", "/* ; */", "//", "#", "# ", "#!", "\n", "\r", "-", "+", "\u2212"),
    *("$", "$$", "$a$", "$b$", "$$;$$", "$a$;$a$", "a$b", "$1"),
    *("(", ")", "[", "]", "{", "}", "{a:UInt8}", "(1)", "[1]", ";", "\\G", "@", "@@", "@@x", "?"),
    *(",", ".", ":", "::", "->", "=", "==", "!=", "<>", "%", "||", "|", "&", "^", "~", "!", "*"),
    *(" ", "\ufeff", "\u00a0", "\u200b", "\u3000", "\u0085", "é", "日", "\x00", "\x1f"),
    *(" as ", " from ", " where ", " union all select ", " format JSON", " limit 1 "),
)
soup = st.lists(st.sampled_from(FRAGMENTS), max_size=9).map("".join)
selects = st.tuples(st.sampled_from(["select ", "select 1,", "select a", "select 'a' "]), soup)
batches = st.lists(soup | selects.map("".join), min_size=1, max_size=8)


@law
@given(batches)
def test_what_clickhouse_accepts_is_one_piece_and_what_we_refuse_it_refuses(
    judge: Judge, batch: list[str]
) -> None:
    for text, verdict in zip(batch, judge.formats(batch), strict=True):
        try:
            pieces = split(text)
        except StatementSyntaxError as error:
            assert not verdict.accepted, (text, error)
            continue
        if verdict.accepted:
            assert len(pieces) == 1, text
        if verdict.several_statements:
            # Something stands behind the first ``;``, perhaps only a second one.
            assert ";" in text


@law
@given(batches)
def test_no_piece_holds_two_statements(judge: Judge, batch: list[str]) -> None:
    pieces = []
    for text in batch:
        try:
            pieces += [piece.text for piece in split(text)]
        except StatementSyntaxError:
            continue
    assume(pieces)

    assert [v.error for v in judge.formats(pieces) if v.several_statements] == []


def test_many_random_texts_lex_as_they_do_in_clickhouse(judge: Judge) -> None:
    # Hypothesis looks for small faults; this looks at many texts, from a fixed seed.
    source = random.Random(20241122)
    script = [
        "select " * source.randint(0, 1)
        + "".join(source.choices(FRAGMENTS, k=source.randint(1, 7)))
        for _ in range(6000)
    ]
    accepted = 0
    for text, verdict in zip(script, judge.formats(script), strict=True):
        error = verdict.error or ""
        try:
            tokenize(text)
        except StatementSyntaxError as ours:
            assert not verdict.accepted, (text, ours)
            continue
        # ClickHouse names an unclosed thing only where its parser had got that far.
        if "is not closed" in error and "Multi" not in error:
            raise AssertionError((text, error))
        if verdict.accepted:
            accepted += 1
            assert len(split(text)) == 1, text
    assert accepted > 300


@law
@given(st.lists(nasty, min_size=1, max_size=5))
def test_the_rows_of_insert_format_end_at_an_empty_line_alone(
    judge: Judge, batch: list[str]
) -> None:
    scripts = [f"INSERT INTO t FORMAT CSV \n{data}" for data in batch]

    for script, verdict in zip(scripts, judge.formats(scripts), strict=True):
        assert verdict.accepted
        try:
            (piece,) = split(script)
        except StatementSyntaxError as error:
            assert "\n\n" in script or ";" in script, error
            continue
        assert script.startswith(piece.text)
        assert script[len(piece.text) :].strip(WHITESPACE) == ""


INSERTS = (
    "insert into t {}",
    "insert into t (a, b) {}",
    "insert into t (select) {}",
    "insert into values {}",
    "insert into format {}",
    "insert into d.format {}",
    "insert into table table {}",
    "insert into {{a:Identifier}} {}",
    "insert into {{d:Identifier}}.{{a:Identifier}} {}",
    "insert into `t` {}",
    "insert into d.`t` (* except(a)) {}",
    "insert into t settings a = 1 {}",
    "insert into function file('a') {}",
    "insert into function file('a') partition by x (a) {}",
    "insert into t from infile 'a' {}",
    "insert into t (select 1) {}",
    "insert into t ((select 1)) {}",
    "insert into t select 1 {}",
    "insert into t (a) with 1 as x select x {}",
)


@pytest.mark.parametrize("insert", INSERTS)
def test_the_data_of_an_insert_begins_where_clickhouse_says(judge: Judge, insert: str) -> None:
    # Data may hold anything; a query may not, so ClickHouse accepts only data here.
    rows, values = insert.format("format CSV 'a;("), insert.format("values (1) (")
    takes_rows, takes_values = judge.formats([rows, values])

    if takes_rows.accepted:
        assert [piece.text for piece in split(rows)] == [rows]
        assert classify(rows).inline_data
    else:
        with pytest.raises(StatementSyntaxError):
            split(rows)
    assert classify(values).inline_data == takes_values.accepted


@pytest.mark.parametrize(
    ("text", "kind", "root"),
    [
        ("CREATE TABLE t (a Int8) ENGINE = Memory", Kind.CREATE_TABLE, "CreateQuery"),
        ("CREATE OR REPLACE TABLE t (a Int8) ENGINE = Memory", Kind.CREATE_TABLE, "CreateQuery"),
        ("ALTER TABLE t DROP COLUMN a", Kind.ALTER, "AlterQuery"),
        ("DELETE FROM t WHERE 1", Kind.DELETE, "DeleteQuery"),
        ("DROP TABLE t", Kind.DROP, "DropQuery"),
        ("INSERT INTO t SELECT 1", Kind.INSERT, "InsertQuery"),
        ("WITH 1 AS x INSERT INTO t SELECT x", Kind.INSERT, "InsertQuery"),
        ("(SELECT 1) UNION ALL (SELECT 2)", Kind.SELECT, "SelectWithUnionQuery"),
        ("FROM t SELECT 1", Kind.SELECT, "SelectWithUnionQuery"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Kind.SELECT, "SelectWithUnionQuery"),
        ("RENAME TABLE a TO b", Kind.RENAME, "Rename"),
        ("EXCHANGE TABLES a AND b", Kind.EXCHANGE, "Rename"),
        ("OPTIMIZE TABLE t", Kind.OPTIMIZE, "OptimizeQuery"),
        ("SET a = 1", Kind.SET, "Set"),
        ("SET ROLE r", Kind.ACCESS, "SetRoleQuery"),
        ("GRANT SELECT ON *.* TO u", Kind.ACCESS, "GrantQuery"),
        ("CREATE ROW POLICY p ON t USING 1", Kind.ACCESS, "CREATE ROW POLICY"),
        ("CREATE SETTINGS PROFILE p", Kind.ACCESS, "CreateSettingsProfileQuery"),
    ],
)
def test_the_kind_of_a_statement_is_the_root_of_its_syntax_tree(
    judge: Judge, text: str, kind: Kind, root: str
) -> None:
    (tree,) = judge.asts([text])

    assert tree.error is None
    assert tree.result[0].startswith(root)
    assert classify(text).kind is kind


@law
@given(st.lists(anything, min_size=1, max_size=10))
def test_a_quoted_string_comes_back_as_it_was(judge: Judge, batch: list[str]) -> None:
    answers = judge.values([quote.string(text) for text in batch])

    assert [answer.result for answer in answers] == batch


@law
@given(st.lists(anything.filter(bool), min_size=1, max_size=10))
def test_a_quoted_identifier_is_a_name_that_clickhouse_reads(
    judge: Judge, batch: list[str]
) -> None:
    answers = judge.values(
        [
            f"(SELECT {quote.identifier(n)} FROM (SELECT 'v' AS {quote.identifier(n)}))"
            for n in batch
        ]
    )

    assert [answer.result for answer in answers] == ["v"] * len(batch)
