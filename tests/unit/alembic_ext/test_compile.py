"""A revision's Python as statements: their texts to the byte, and their lines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import indent

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from budeval_migrations.errors import RevisionCompileError, StatementSyntaxError
from budeval_migrations.model import CompiledRevision, Direction, Statement
from tests.unit.alembic_ext.workshop import (
    HEADER,
    URLS,
    compile_file,
    line_with,
    statements,
    write,
)


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for revision files, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "versions"


# --- what a compiled revision is ------------------------------------------------------------


def test_a_compiled_revision_says_whose_it_is(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute("SELECT 1")')

    assert compile_file(path) == CompiledRevision(
        revision="001_a",
        direction=Direction.UP,
        file="versions/001_a.py",
        statements=(Statement("SELECT 1", "versions/001_a.py", 11),),
    )


def test_each_direction_has_its_own_statements(versions: Path) -> None:
    path = write(
        versions,
        """
        def upgrade():
            op.execute("CREATE TABLE t (x Int8) ENGINE = Memory")

        def downgrade():
            op.execute("DROP TABLE t")
        """,
    )

    down = compile_file(path, direction=Direction.DOWN)

    assert (down.direction, [s.text for s in down.statements]) == (
        Direction.DOWN,
        ["DROP TABLE t"],
    )


@pytest.mark.parametrize("body", ["pass", 'op.execute("")', 'op.execute(" ;; -- nothing\\n;")'])
def test_a_revision_may_do_nothing(versions: Path, body: str) -> None:
    assert statements(write(versions, f"def upgrade():\n    {body}")) == ()


def test_compiling_twice_gives_the_same(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute("SELECT 1; SELECT 2")')

    assert compile_file(path) == compile_file(path)


# --- lines ----------------------------------------------------------------------------------

# body -> statements as (first line of the text, what stands on its line in the file)
PLACES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "one line": (
        """
        def upgrade():
            op.execute("SELECT 1")
        """,
        [("SELECT 1", "SELECT 1")],
    ),
    "a call over several lines": (
        """
        def upgrade():
            op.execute(

                "SELECT 1"
            )
        """,
        [("SELECT 1", "SELECT 1")],
    ),
    "triple quotes": (
        '''
        def upgrade():
            op.execute("""
                CREATE TABLE a (x Int8)
                ENGINE = Memory
            """)
        ''',
        [("CREATE TABLE a (x Int8)", "CREATE TABLE a")],
    ),
    "triple quotes that begin on the line": (
        '''
        def upgrade():
            op.execute("""CREATE TABLE a (x Int8)
                ENGINE = Memory""")
        ''',
        [("CREATE TABLE a (x Int8)", "CREATE TABLE a")],
    ),
    "triple quotes with a backslash": (
        '''
        def upgrade():
            op.execute("""\\
                CREATE TABLE a (x Int8)
                ENGINE = Memory;
                SELECT 2
            """)
        ''',
        [("CREATE TABLE a (x Int8)", "CREATE TABLE a"), ("SELECT 2", "SELECT 2")],
    ),
    "raw triple quotes": (
        """
        def upgrade():
            op.execute(r'''
                SELECT '\\n';
                SELECT 2
            ''')
        """,
        [("SELECT '\\n'", "SELECT '"), ("SELECT 2", "SELECT 2")],
    ),
    "several statements with comments between them": (
        '''
        def upgrade():
            op.execute("""
                -- the first; and only

                SELECT 1
                ; /* the
                second */ SELECT 2;

                SELECT 3
            """)
        ''',
        [
            # The line is that of the first word, not of what was said before it.
            ("-- the first; and only", "SELECT 1"),
            ("/* the", "SELECT 2"),
            ("SELECT 3", "SELECT 3"),
        ],
    ),
    "strings side by side, a line each": (
        """
        def upgrade():
            op.execute(
                "SELECT 1;\\n"
                "SELECT 2;\\n"
                "SELECT 3"
            )
        """,
        [("SELECT 1", "SELECT 1"), ("SELECT 2", "SELECT 2"), ("SELECT 3", "SELECT 3")],
    ),
    "strings side by side, without line endings": (
        """
        def upgrade():
            op.execute(
                "SELECT 1; "
                "SELECT 2; "
                "SELECT 3"
            )
        """,
        [("SELECT 1", "SELECT 1"), ("SELECT 2", "SELECT 2"), ("SELECT 3", "SELECT 3")],
    ),
    "line endings written as escapes": (
        """
        def upgrade():
            op.execute("SELECT 1;\\nSELECT 2;\\nSELECT 3")
        """,
        [("SELECT 1", "SELECT 1"), ("SELECT 2", "SELECT 2"), ("SELECT 3", "SELECT 3")],
    ),
    "an escape within triple quotes": (
        '''
        def upgrade():
            op.execute("""
                SELECT 'a\\nb';
                SELECT 2
            """)
        ''',
        [("SELECT 'a", "SELECT 'a"), ("SELECT 2", "SELECT 2")],
    ),
    "strings added together": (
        """
        def upgrade():
            op.execute("SELECT 1 " + "FROM t")
        """,
        [("SELECT 1 FROM t", "SELECT 1")],
    ),
    "a constant of the module": (
        '''
        CREATE = """
            CREATE TABLE a (x Int8) ENGINE = Memory;
            SELECT 2
        """

        def upgrade():
            op.execute(CREATE)
        ''',
        [("CREATE TABLE a (x Int8) ENGINE = Memory", "CREATE TABLE a"), ("SELECT 2", "SELECT 2")],
    ),
    "a constant below its use": (
        """
        def upgrade():
            op.execute(CREATE)

        CREATE = "SELECT 1"
        """,
        [("SELECT 1", "SELECT 1")],
    ),
    "a list of constants": (
        """
        STEPS = [
            "SELECT 1",
            '''
            SELECT 2
            ''',
            "SELECT 3",
        ]

        def upgrade():
            for step in STEPS:
                op.execute(step)
        """,
        [("SELECT 1", "SELECT 1"), ("SELECT 2", "SELECT 2"), ("SELECT 3", "SELECT 3")],
    ),
    "a helper in the file": (
        """
        def run(sql):
            op.execute(sql)

        def upgrade():
            run("SELECT 1")
            run("SELECT 2")
        """,
        [("SELECT 1", "SELECT 1"), ("SELECT 2", "SELECT 2")],
    ),
    "an f-string": (
        '''
        TABLE = "t"

        def upgrade():
            op.execute(f"""
                SELECT 1 FROM {TABLE};
                SELECT 2 FROM {TABLE}
            """)
        ''',
        [("SELECT 1 FROM t", "SELECT 1"), ("SELECT 2 FROM t", "SELECT 2")],
    ),
    "a text that was put together": (
        """
        def upgrade():
            op.execute("SELECT {}".format(1))
        """,
        [("SELECT 1", "op.execute")],
    ),
    "several statements that were put together": (
        """
        def upgrade():
            op.execute(";\\n".join(["SELECT 1", "SELECT 2", "SELECT 3"]))
        """,
        [("SELECT 1", "op.execute"), ("SELECT 2", "op.execute"), ("SELECT 3", "op.execute")],
    ),
    "a loop": (
        """
        def upgrade():
            for name in ("a", "b"):
                op.execute(f"DROP TABLE {name}")
        """,
        [("DROP TABLE a", "op.execute"), ("DROP TABLE b", "op.execute")],
    ),
    "a text that is also in the docstring of a function": (
        '''
        def upgrade():
            """SELECT 1"""
            # nothing
            # here
            op.execute("SELECT 1",)
        ''',
        [("SELECT 1", "op.execute")],
    ),
    "a directive of Alembic": (
        """
        def upgrade():
            op.drop_column(
                "t",
                "c",
            )
        """,
        [("ALTER TABLE t DROP COLUMN c", "op.drop_column")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), PLACES.values(), ids=PLACES)
def test_a_statement_is_placed_where_it_was_written(
    versions: Path, body: str, expected: list[tuple[str, str]]
) -> None:
    path = write(versions, body)

    found = [(s.text.split("\n")[0], s.file, s.line) for s in statements(path)]

    assert found == [
        (text, "versions/001_a.py", line_with(path, needle)) for text, needle in expected
    ]


def test_the_same_text_in_two_calls_has_two_lines(versions: Path) -> None:
    path = write(
        versions,
        """
        def upgrade():
            op.execute("OPTIMIZE TABLE t")  # first
            op.execute("SELECT 1")
            op.execute("OPTIMIZE TABLE t")  # second
        """,
    )

    lines = [s.line for s in statements(path) if s.text == "OPTIMIZE TABLE t"]

    assert lines == [line_with(path, "# first"), line_with(path, "# second")]


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_line_endings_and_a_byte_order_mark_move_nothing(
    versions: Path, ending: str, mark: bytes
) -> None:
    path = write(versions, 'def upgrade():\n    op.execute("""\n    SELECT 1;\n    SELECT 2\n""")')
    lines = [line_with(path, "SELECT 1"), line_with(path, "SELECT 2")]
    path.write_bytes(mark + path.read_bytes().replace(b"\n", ending.encode()))

    assert [(s.text, s.line) for s in statements(path)] == [
        ("SELECT 1", lines[0]),
        ("SELECT 2", lines[1]),
    ]


_blanks = st.lists(st.sampled_from(["", "    ", "-- a comment", "/* one */"]), max_size=2)


@st.composite
def _scripts(draw: st.DrawFn) -> list[tuple[str, bool]]:
    """Return the lines of a triple-quoted text, and whether a statement begins on each."""
    lines: list[tuple[str, bool]] = [("", False)]
    for n in range(draw(st.integers(1, 5))):
        lines += [(blank, False) for blank in draw(st.lists(st.just(""), max_size=2))]
        lines.append((f"SELECT {n}", True))
        lines += [(blank, False) for blank in draw(_blanks)]
        lines.append(("FROM t;", False))
    return lines


@given(st.lists(_scripts(), min_size=1, max_size=3), st.booleans())
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_statement_of_triple_quoted_texts_has_its_line(
    scripts: list[list[tuple[str, bool]]], in_constants: bool
) -> None:
    names = [f"TEXT_{n}" for n in range(len(scripts))]
    texts = ['"""' + "\n".join(line for line, _ in script) + '"""' for script in scripts]
    if in_constants:
        constants = "\n\n".join(f"{n} = {t}" for n, t in zip(names, texts, strict=True))
        calls = "\n".join(f"    op.execute({name})" for name in names)
        body = f"{constants}\n\n\ndef upgrade():\n{calls}\n"
    else:
        calls = "\n".join(f"    op.execute({text})" for text in texts)
        body = f"def upgrade():\n{calls}\n"
    source = HEADER + body

    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "versions", "001_a.py")
        path.parent.mkdir()
        path.write_text(source)
        found = [(s.text.split("\n")[0], s.line) for s in statements(path)]

    lines = source.split("\n")
    placed = [line for _, line in found]
    assert len(found) == sum(begins for script in scripts for _, begins in script)
    assert placed == sorted(placed) or len({*texts}) < len(texts)
    for text, line in found:
        assert line is not None
        assert lines[line - 1].split('"""')[-1].strip().startswith(text.strip()[:6])


# --- texts ----------------------------------------------------------------------------------

VERBATIM = (
    "SELECT '50%', '%%', '%s', '%(name)s', '%d'",
    "SELECT ':name', {id:UInt32}, x ? y : z",
    "SELECT '{\"k\": 1}'",
    r"SELECT 'a\\b\'c', 'it''s'",
    "SELECT $tag$it's; raw %$tag$",
    "SELECT 'ключ', '键', '🔑'",
    "SELECT 1 -- 100% ; no end",
    "INSERT INTO t VALUES (1, '50%'), (2, ':x')",
    "SELECT\t1\u00a0+ 1",
)


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
@pytest.mark.parametrize("text", VERBATIM)
def test_raw_sql_is_kept_to_the_byte(versions: Path, text: str, url: str) -> None:
    path = write(versions, f"def upgrade():\n    op.execute({text!r})")

    assert [s.text for s in statements(path, url=url)] == [text]


@pytest.mark.parametrize("text", VERBATIM)
@pytest.mark.parametrize("directive", ["execute_file", "execute_unless"])
def test_our_own_directives_keep_sql_to_the_byte_too(
    versions: Path, directive: str, text: str
) -> None:
    call = f'"{directive}.sql"' if directive == "execute_file" else f'"SELECT 1", {text!r}'
    path = write(versions, f"def upgrade():\n    op.{directive}({call})")
    (versions / "execute_file.sql").write_text(text, "utf-8")

    assert [s.text for s in statements(path)] == [text]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0'\\\r")))
@hypothesis_settings(max_examples=50, deadline=None)
def test_whatever_stands_in_a_literal_is_kept(content: str) -> None:
    text = f"SELECT '{content}'"
    with tempfile.TemporaryDirectory() as home:
        path = write(Path(home, "versions"), f"def upgrade():\n    op.execute({text!r})")

        assert [s.text for s in statements(path, url=URLS["clickhouse-http"])] == [text]


# --- execute_file and execute_unless --------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../secret.sql", "/etc/passwd", "link.sql", "sql/../../secret.sql"]
)
def test_a_file_outside_the_directory_is_refused_and_not_shown(versions: Path, name: str) -> None:
    (versions / "sql").mkdir(parents=True)
    (versions.parent / "secret.sql").write_text("SELECT 'hunter2'")
    (versions / "link.sql").symlink_to(versions.parent / "secret.sql")
    path = write(versions, f"def upgrade():\n    op.execute_file({name!r})")
    with pytest.raises(RevisionCompileError) as caught:
        compile_file(path)
    assert "lies outside the directory of the revision" in caught.value.message
    assert "outside=True" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_a_file_outside_is_taken_where_that_is_said(versions: Path) -> None:
    versions.mkdir(exist_ok=True)
    (versions.parent / "shared.sql").write_text("SELECT 7")
    path = write(versions, 'def upgrade():\n    op.execute_file("../shared.sql", outside=True)')
    assert [s.text for s in statements(path)] == ["SELECT 7"]


def test_the_statements_of_a_file_have_the_files_lines(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute_file("sql/001_a.sql")')
    (versions / "sql").mkdir()
    (versions / "sql" / "001_a.sql").write_text("-- a\n\nSELECT 1;\n\nSELECT\n2;\nSELECT 3\n")

    assert [(s.text, s.file, s.line) for s in statements(path)] == [
        ("-- a\n\nSELECT 1", "versions/sql/001_a.sql", 3),
        ("SELECT\n2", "versions/sql/001_a.sql", 5),
        ("SELECT 3", "versions/sql/001_a.sql", 7),
    ]


def test_a_file_with_a_byte_order_mark_begins_with_sql(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute_file("a.sql")')
    (versions / "a.sql").write_bytes(b"\xef\xbb\xbfSELECT 1;\r\nSELECT 2")

    assert [(s.text, s.line) for s in statements(path)] == [("SELECT 1", 1), ("SELECT 2", 2)]


def test_a_file_that_is_not_there_is_an_error_of_its_revision(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute_file("a.sql")')

    with pytest.raises(RevisionCompileError) as caught:
        compile_file(path)

    assert caught.value.message.startswith("versions/001_a.py:11: upgrade() of 001_a failed: ")
    assert "versions/a.sql cannot be read" in caught.value.message


@pytest.mark.parametrize("name", ['"a" + ".sql"', 'f"{revision}.sql"', "NAME"])
def test_a_file_whose_name_is_no_literal_is_refused(versions: Path, name: str) -> None:
    path = write(versions, f'NAME = "a.sql"\n\ndef upgrade():\n    op.execute_file({name})')
    for file in ("a.sql", "001_a.sql"):
        (versions / file).write_text("SELECT 1")

    with pytest.raises(RevisionCompileError) as caught:
        compile_file(path)

    assert "the name must be a literal" in caught.value.message
    assert caught.value.hint.startswith('Write op.execute_file("')
    assert caught.value.details["line"] == line_with(path, "op.execute_file")


@pytest.mark.parametrize(
    "probe",
    [
        "SELECT 1; SELECT 2",
        "TRUNCATE TABLE t",
        "INSERT INTO t SELECT 1",
        "EXISTS TABLE t",
        "",
        "-- nothing",
    ],
)
def test_a_probe_that_is_not_one_question_is_refused(versions: Path, probe: str) -> None:
    path = write(versions, f'def upgrade():\n    op.execute_unless({probe!r}, "SELECT 3")')

    with pytest.raises(RevisionCompileError) as caught:
        compile_file(path)

    assert f"op.execute_unless(): the probe is not one SELECT: {probe}" in caught.value.message
    assert caught.value.details["line"] == line_with(path, "op.execute_unless")


@pytest.mark.parametrize("probe", ["SELECT 1;", "WITH 1 AS x SELECT x", "SHOW TABLES LIKE 't'"])
def test_a_probe_is_taken_as_it_is_written(versions: Path, probe: str) -> None:
    path = write(versions, f'def upgrade():\n    op.execute_unless({probe!r}, "SELECT 3")')
    assert [s.unless for s in statements(path)] == [probe]


def test_a_guard_goes_with_every_statement_of_its_text(versions: Path) -> None:
    path = write(
        versions,
        '''
        def upgrade():
            op.execute_unless(
                "SELECT 1 FROM system.tables WHERE name = 'b'",
                """
                CREATE TABLE b (x Int8) ENGINE = Memory;
                EXCHANGE TABLES a AND b
                """,
            )
            op.execute("SELECT 3")
        ''',
    )
    probe = "SELECT 1 FROM system.tables WHERE name = 'b'"

    assert [(s.text, s.line, s.unless) for s in statements(path)] == [
        ("CREATE TABLE b (x Int8) ENGINE = Memory", line_with(path, "CREATE TABLE b"), probe),
        ("EXCHANGE TABLES a AND b", line_with(path, "EXCHANGE"), probe),
        ("SELECT 3", line_with(path, "SELECT 3"), None),
    ]


# --- what SQLAlchemy renders ----------------------------------------------------------------

CREATE_TABLE = {
    "chdb": (
        """
        op.create_table(
            "t",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("note", sa.String, server_default=sa.text("'5% %%'")),
        )
        """,
        "CREATE TABLE t (\n\tid Int32, \n\tnote Nullable(String) DEFAULT '5% %%'\n)\n"
        "ENGINE = MergeTree\nORDER BY (id)",
    ),
    "clickhouse-http": (
        """
        from clickhouse_sqlalchemy import engines, types

        op.create_table(
            "t",
            sa.Column("id", types.Int32, primary_key=True),
            sa.Column("note", types.String, server_default=sa.text("'5% %%'")),
            engines.MergeTree(order_by="id"),
        )
        """,
        "CREATE TABLE t (\n\tid Int32, \n\tnote String DEFAULT '5% %%'\n) ENGINE = MergeTree()\n"
        " ORDER BY id",
    ),
    "clickhousedb": (
        """
        from clickhouse_connect.cc_sqlalchemy.datatypes.sqltypes import Int32, String
        from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import MergeTree

        op.create_table(
            "t",
            sa.Column("id", Int32),
            sa.Column("note", String, server_default=sa.text("'5% %%'")),
            clickhousedb_engine=MergeTree(order_by="id"),
        )
        """,
        "CREATE TABLE `t` (`id` Int32, `note` String DEFAULT '5% %%') Engine MergeTree ORDER BY id",
    ),
}
CREATE_TABLE["clickhouse-native"] = CREATE_TABLE["clickhouse-http"]

# directive -> what each dialect renders; the texts of both transports of clickhouse are the same
RENDERED: dict[str, tuple[str, str, str, str]] = {
    "add_column": (
        'op.add_column("t", sa.Column("c", sa.Integer, server_default=sa.text("1")))',
        "ALTER TABLE t ADD COLUMN c Nullable(Int32) DEFAULT 1",
        "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 1",
        "ALTER TABLE `t` ADD COLUMN `c` INTEGER DEFAULT 1",
    ),
    "add_column in another database": (
        'op.add_column("t", sa.Column("c", sa.Integer), schema="other")',
        "ALTER TABLE other.t ADD COLUMN c Nullable(Int32)",
        "ALTER TABLE other.t ADD COLUMN c INTEGER",
        "ALTER TABLE `other`.`t` ADD COLUMN `c` INTEGER",
    ),
    "add_column with percent signs": (
        """op.add_column("t", sa.Column("c", sa.String, server_default=sa.text("'5% %%'")))""",
        "ALTER TABLE t ADD COLUMN c Nullable(String) DEFAULT '5% %%'",
        "ALTER TABLE t ADD COLUMN c String DEFAULT '5% %%'",
        "ALTER TABLE `t` ADD COLUMN `c` VARCHAR DEFAULT '5% %%'",
    ),
    "drop_column": (
        'op.drop_column("t", "c")',
        "ALTER TABLE t DROP COLUMN c",
        "ALTER TABLE t DROP COLUMN c",
        "ALTER TABLE `t` DROP COLUMN `c`",
    ),
    "drop_table": ('op.drop_table("t")', "DROP TABLE t", "DROP TABLE t", "DROP TABLE `t`"),
    "rename_table": (
        'op.rename_table("t", "u")',
        "RENAME TABLE `t` TO `u`",
        "RENAME TABLE `t` TO `u`",
        "RENAME TABLE `t` TO `u`",
    ),
    "rename a column": (
        'op.alter_column("t", "c", new_column_name="d")',
        "ALTER TABLE `t` RENAME COLUMN `c` TO `d`",
        "ALTER TABLE `t` RENAME COLUMN `c` TO `d`",
        "ALTER TABLE `t` RENAME COLUMN `c` TO `d`",
    ),
    "bulk_insert": (
        'op.bulk_insert(sa.table("t", sa.column("a", sa.Integer), sa.column("b", sa.String)), '
        '[{"a": 1, "b": "it\'s"}, {"a": 2, "b": None}])',
        r"INSERT INTO t (a, b) VALUES (1, 'it\'s'), (2, NULL)",
        r"INSERT INTO t (a, b) VALUES (1, 'it\'s'), (2, NULL)",
        "INSERT INTO `t` (`a`, `b`) VALUES (1, 'it''s'), (2, NULL)",
    ),
    "bulk_insert with what drivers substitute": (
        'op.bulk_insert(sa.table("t", sa.column("a", sa.String)), '
        '[{"a": "5% %% %s %(a)s :a ? {a:String}"}])',
        "INSERT INTO t (a) VALUES ('5% %% %s %(a)s :a ? {a:String}')",
        "INSERT INTO t (a) VALUES ('5% %% %s %(a)s :a ? {a:String}')",
        "INSERT INTO `t` (`a`) VALUES ('5% %% %s %(a)s :a ? {a:String}')",
    ),
    "bulk_insert with backslashes": (
        r"""op.bulk_insert(sa.table("t", sa.column("a", sa.String)), [{"a": "C:\\new\\'x"}])""",
        r"INSERT INTO t (a) VALUES ('C:\\new\\\'x')",
        r"INSERT INTO t (a) VALUES ('C:\\new\\\'x')",
        r"INSERT INTO `t` (`a`) VALUES ('C:\\new\\''x')",
    ),
    "execute with text()": (
        "op.execute(sa.text(\"SELECT '5% %%', 'a\\\\:b'\"))",
        "SELECT '5% %%', 'a:b'",
        "SELECT '5% %%', 'a:b'",
        "SELECT '5% %%', 'a:b'",
    ),
    "execute with text() and a value": (
        'op.execute(sa.text("SELECT :x").bindparams(x="50% :x"))',
        "SELECT '50% :x'",
        "SELECT '50% :x'",
        "SELECT '50% :x'",
    ),
    "execute with a construct": (
        'op.execute(sa.table("t", sa.column("a")).delete().where(sa.column("a") == 1))',
        "ALTER TABLE t DELETE WHERE a = 1",
        "ALTER TABLE t DELETE WHERE a = 1",
        "DELETE FROM `t` WHERE `a` = 1",
    ),
}


@pytest.mark.filterwarnings("ignore:The 'clickhouse")
@pytest.mark.parametrize("dialect", URLS)
def test_a_table_is_created_as_each_dialect_writes_it(versions: Path, dialect: str) -> None:
    body, expected = CREATE_TABLE[dialect]
    lines = "\n".join(line[8:] for line in body.strip("\n").split("\n"))
    path = write(versions, f"def upgrade():\n{indent(lines, '    ')}")

    assert [(s.text, s.line) for s in statements(path, url=URLS[dialect])] == [
        (expected, line_with(path, "op.create_table"))
    ]


@pytest.mark.parametrize("dialect", URLS)
@pytest.mark.parametrize("directive", RENDERED)
def test_a_directive_is_rendered_as_each_dialect_writes_it(
    versions: Path, directive: str, dialect: str
) -> None:
    call, *texts = RENDERED[directive]
    expected = texts[{"chdb": 0, "clickhousedb": 2}.get(dialect, 1)]
    path = write(versions, f"def upgrade():\n    {call}")

    assert statements(path, url=URLS[dialect]) == (Statement(expected, "versions/001_a.py", 11),)


@pytest.mark.parametrize("dialect", URLS)
def test_an_insert_of_no_rows_is_no_statement(versions: Path, dialect: str) -> None:
    path = write(versions, 'def upgrade():\n    op.bulk_insert(sa.table("t"), [])')

    assert statements(path, url=URLS[dialect]) == ()


@pytest.mark.parametrize("dialect", URLS)
@pytest.mark.parametrize(
    "call",
    [
        'op.create_index("i", "t", ["a"])',
        'op.drop_index("i", "t")',
        'op.create_unique_constraint("u", "t", ["a"])',
        'op.create_foreign_key("f", "t", "u", ["a"], ["b"])',
    ],
)
def test_what_a_dialect_renders_as_nothing_is_not_sent_as_a_statement(
    versions: Path, call: str, dialect: str
) -> None:
    path = write(versions, f"def upgrade():\n    {call}")

    try:
        found = statements(path, url=URLS[dialect])
    except RevisionCompileError as error:
        assert error.details["line"] == 11
    else:
        assert all(s.text.strip() for s in found)


def test_rows_that_are_no_list_of_dictionaries_are_refused(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.bulk_insert(sa.table("t"), [(1, 2)])')

    with pytest.raises(RevisionCompileError, match="bulk_insert takes a list of dictionaries"):
        compile_file(path)


# --- dynamic --------------------------------------------------------------------------------

DYNAMIC = {
    "get_bind": "op.get_bind()",
    "after statements": 'op.execute("SELECT 1")\nop.get_bind()\nop.execute("SELECT 2")',
    "a query": 'rows = op.get_bind().execute(sa.text("SELECT 1")).all()',
    "an inspector": "sa.inspect(op.get_bind()).get_table_names()",
    "the context's connection": 'op.get_context().bind.execute(sa.text("SELECT 1"))',
    "caught": "try:\n    op.get_bind()\nexcept Exception:\n    op.execute('SELECT 1')",
}


@pytest.mark.parametrize("body", DYNAMIC.values(), ids=DYNAMIC)
def test_a_revision_that_asks_for_a_connection_is_dynamic(versions: Path, body: str) -> None:
    path = write(versions, "def upgrade():\n" + indent(body, "    "))

    assert compile_file(path) == CompiledRevision(
        "001_a", Direction.UP, "versions/001_a.py", (), dynamic=True
    )


def test_one_direction_can_be_dynamic_and_the_other_not(versions: Path) -> None:
    path = write(
        versions,
        'def upgrade():\n    op.get_bind()\n\ndef downgrade():\n    op.execute("SELECT 1")',
    )

    assert compile_file(path, direction=Direction.UP).dynamic
    assert not compile_file(path, direction=Direction.DOWN).dynamic


@pytest.mark.parametrize(
    "body",
    [
        'if op.get_context().dialect.name == "chdb":\n    op.execute("SELECT 1")',
        'if not op.get_context().as_sql:\n    op.execute("SELECT 1")',
    ],
)
def test_a_revision_that_asks_only_for_the_dialect_is_not_dynamic(
    versions: Path, body: str
) -> None:
    path = write(versions, "def upgrade():\n" + indent(body, "    "))

    assert [s.text for s in statements(path)] == ["SELECT 1"]


# --- errors ---------------------------------------------------------------------------------

# body -> what stands on the line, what is said
WRONG = {
    "an exception": (
        'def upgrade():\n    op.execute("SELECT 1")\n    raise ValueError("no")  # here',
        "ValueError: no",
    ),
    "an exception in a helper": (
        "def help():\n    return 1 / 0  # here\n\ndef upgrade():\n    help()",
        "ZeroDivisionError: division by zero",
    ),
    "an exception in a library": (
        'def upgrade():\n    import json\n\n    json.loads("{")  # here',
        "JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
    ),
    "a name that is not there": (
        "def upgrade():\n    op.execute(SQL)  # here",
        "NameError: name 'SQL' is not defined",
    ),
    "a directive that is not there": (
        'def upgrade():\n    op.exekute("SELECT 1")  # here',
        "AttributeError: module 'alembic.op' has no attribute 'exekute'",
    ),
    "an exception in a call of several lines": (
        'def upgrade():\n    op.execute(\n        "SELECT 1"\n        + 1  # here\n    )',
        'TypeError: can only concatenate str (not "int") to str',
    ),
}


@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG)
def test_an_exception_is_told_with_its_line(versions: Path, body: str, words: str) -> None:
    path = write(versions, body)
    # An expression of several lines is placed where it begins.
    line = line_with(path, '"SELECT 1"' if "+ 1" in body else "# here")

    with pytest.raises(RevisionCompileError) as caught:
        compile_file(path)

    assert caught.value.message == (f"versions/001_a.py:{line}: upgrade() of 001_a failed: {words}")
    assert caught.value.details == {
        "revision": "001_a",
        "file": "versions/001_a.py",
        "line": line,
    }
    assert caught.value.__cause__ is not None


def test_an_exception_of_the_downgrade_says_so(versions: Path) -> None:
    path = write(versions, "def upgrade():\n    pass\n\ndef downgrade():\n    raise ValueError(1)")

    with pytest.raises(RevisionCompileError, match=r"14: downgrade\(\) of 001_a failed: "):
        compile_file(path, direction=Direction.DOWN)


def test_an_interruption_is_not_swallowed(versions: Path) -> None:
    path = write(versions, "def upgrade():\n    raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        compile_file(path)


@pytest.mark.parametrize(
    ("body", "needle", "column"),
    [
        ('op.execute("SELECT \'no end")', "no end", 8),
        ('op.execute("""\n        SELECT 1;\n        SELECT `no end\n    """)', "no end", 16),
        ('op.execute("""\n        SELECT 1;\n        /* no end\n    """)', "no end", 9),
    ],
)
def test_a_statement_that_does_not_lex_is_told_with_line_and_column(
    versions: Path, body: str, needle: str, column: int
) -> None:
    path = write(versions, f"def upgrade():\n    {body}")

    with pytest.raises(StatementSyntaxError) as caught:
        compile_file(path)

    error = caught.value
    assert (error.file, error.revision) == ("versions/001_a.py", "001_a")
    assert (error.line, error.column) == (line_with(path, needle), column)


def test_a_file_that_does_not_lex_is_told_with_its_own_lines(versions: Path) -> None:
    path = write(versions, 'def upgrade():\n    op.execute_file("a.sql")')
    (versions / "a.sql").write_text("SELECT 1;\n\nSELECT 'no end\n")

    with pytest.raises(StatementSyntaxError) as caught:
        compile_file(path)

    error = caught.value
    assert (error.file, error.revision) == ("versions/a.sql", "001_a")
    assert (error.line, error.column) == (3, 8)
