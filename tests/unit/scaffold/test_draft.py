"""Python that reads like SQL: literals, names, docstrings, the shape of a file."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.identifiers import named, read_column_name, read_name
from budeval_migrations.recipes.selects import read_source, with_condition
from budeval_migrations.scaffold.draft import Draft, Execute, Fill, Unless, literal, render
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.reader import Reader

NASTY = st.text(alphabet=st.sampled_from("ab \n\t\"'`\\{}%:\0\r\u2028é\ud800#"), max_size=30)
ANY = st.text(max_size=40) | NASTY


@given(ANY)
def test_a_literal_is_the_text_but_for_line_breaks_around_it(text: str) -> None:
    assert ast.literal_eval(literal(text)).strip("\n") == text.strip("\n")


@given(ANY, ANY, ANY, ANY)
@example("", "", "\ud800", "")
def test_every_text_reaches_its_call_as_it_is(one: str, two: str, title: str, name: str) -> None:
    columns = (one, two)
    draft = Draft(
        title,
        "x",
        (Execute(one), Unless(one, two), Fill(one, two, name, by=two, columns=columns)),
        (Execute(two, comment="why"),),
        notes=(one, two),
        destructive=one,
        irreversible=two,
    )
    names: dict[str, object] = {}
    said: list[object] = []

    class Op:
        def __getattr__(self, method: str) -> object:
            return lambda *args, **options: said.extend([*args, *options.values()])

    text = render(draft, "007_x", name or None)
    exec(text.replace("from alembic import op", ""), names | {"op": Op()}, names)
    exec("upgrade()", {"op": Op(), **names})
    found = [item.strip("\n") if isinstance(item, str) else item for item in said]
    one, two, name_ = one.strip("\n"), two.strip("\n"), name.strip("\n")
    assert found == [
        one,
        one,
        two,
        one,
        two,
        name_,
        *([two] if two != "partition" else []),
        list(columns),
    ]
    assert names.get("destructive", "") == draft.destructive
    assert names.get("irreversible", "") == draft.irreversible


@given(ANY.filter(bool))
def test_a_name_is_read_back_from_the_sql_that_it_becomes(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    written = named(text)
    reader = Reader(written)
    assert reader.name() == Name(text)
    if text.strip():
        assert read_name(written) == Name(text)
        assert read_column_name(written) == text or not written.startswith("`")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("events", Name("events")),
        ("db.events", Name("events", "db")),
        ("`a.b`", Name("a.b")),
        ("db.`a``b`", Name("a`b", "db")),
        ("a-b", Name("a-b")),
        ("события", Name("события")),
        ("it's", Name("it's")),
        ("from", Name("from")),
    ],
)
def test_a_table_is_named_as_people_type_it(typed: str, meant: Name) -> None:
    assert read_name(typed) == meant


def test_only_names_that_need_them_get_backticks() -> None:
    assert [named(name) for name in ("a_1", "from", "Order", "1a", "é", "a b")] == [
        "a_1",
        "`from`",
        "`Order`",
        "`1a`",
        "`é`",
        "`a b`",
    ]
    assert named(Name("t", "my-db")) == "`my-db`.t"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t", "SELECT a FROM t\nWHERE c"),
        ("SELECT a FROM t WHERE x OR y", "SELECT a FROM t\nWHERE c AND (x OR y)"),
        (
            "SELECT a, count() FROM db.t AS e WHERE x GROUP BY a HAVING n",
            "SELECT a, count() FROM db.t AS e\nWHERE c AND (x)\nGROUP BY a HAVING n",
        ),
        (
            "WITH (SELECT 1 FROM u WHERE z) AS k SELECT a FROM t e ORDER BY a",
            "WITH (SELECT 1 FROM u WHERE z) AS k SELECT a FROM t e\nWHERE c\nORDER BY a",
        ),
        (
            "SELECT ' FROM x WHERE ' FROM `from` WHERE a IN (SELECT 1 FROM v WHERE w)",
            "SELECT ' FROM x WHERE ' FROM `from`\nWHERE c AND (a IN (SELECT 1 FROM v WHERE w))",
        ),
    ],
)
def test_a_condition_goes_where_it_belongs(query: str, expected: str) -> None:
    assert with_condition(query, "c") == expected


@pytest.mark.parametrize(
    ("query", "name", "rows"),
    [
        ("SELECT a FROM t", Name("t"), "t"),
        ("SELECT a FROM db.t GROUP BY a", Name("t", "db"), "t"),
        ("SELECT a FROM t AS `e e` WHERE 1", Name("t"), "`e e`"),
        ("SELECT a FROM t e", Name("t"), "e"),
    ],
)
def test_the_table_of_a_select_and_the_name_of_its_rows(query: str, name: Name, rows: str) -> None:
    assert read_source(query) == (name, rows)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT a FROM t JOIN u USING a",
        "SELECT a FROM t, u",
        "SELECT a FROM (SELECT a FROM t)",
        "SELECT a FROM numbers(3)",
        "SELECT a FROM t FINAL",
        "SELECT a FROM t PREWHERE a",
        "SELECT a FROM t UNION ALL SELECT a FROM u",
        "SELECT 1",
        "INSERT INTO t SELECT a FROM u",
        "nonsense",
    ],
)
def test_a_select_of_another_form_is_refused(query: str) -> None:
    with pytest.raises(ConfigError, match="cannot be given a condition"):
        read_source(query)


def test_a_product_is_no_star() -> None:
    assert read_source("SELECT a * 2, count(*) FROM t") == (Name("t"), "t")


def test_a_file_reads_as_if_a_person_had_written_it() -> None:
    draft = Draft(
        "add \"x\" to 'y'",
        "x",
        (
            Execute("ALTER TABLE t ADD COLUMN IF NOT EXISTS x UInt8"),
            Unless("SELECT 1", "EXCHANGE TABLES a AND b", "Why."),
            Fill("a", "SELECT x\nFROM b\nWHERE {chunk}", "b", "x", ("x",), 1_000_000, 0.5),
        ),
        None,
        notes=("It is so.",),
        destructive="nothing",
        irreversible="it's gone",
    )
    assert (
        render(draft, "007_x", "006_y")
        == '''\
"""Add "x" to 'y'.

It is so.
"""

from alembic import op

revision = "007_x"
down_revision = "006_y"
branch_labels = None
depends_on = None
destructive = "nothing"
irreversible = "it's gone"


def upgrade() -> None:
    op.execute("ALTER TABLE t ADD COLUMN IF NOT EXISTS x UInt8")
    # Why.
    op.execute_unless("SELECT 1", "EXCHANGE TABLES a AND b")
    op.backfill(
        "a",
        """
SELECT x
FROM b
WHERE {chunk}
""",
        source="b",
        by="x",
        columns=["x"],
        chunk_rows=1_000_000,
        pause=0.5,
    )
'''
    )


def test_the_formatter_has_nothing_to_add(tmp_path: Path) -> None:
    ruff = shutil.which("ruff") or str(Path(sys.executable).parent / "ruff")
    if not Path(ruff).exists():
        pytest.skip("ruff is not installed")
    from tests.unit.scaffold.test_kinds import EVENTS
    from tests.unit.scaffold.test_kinds import draft as made

    kinds = [
        made("add-column", table="events", column="x", type="String", default="'it''s'"),
        made("change-order-by", table="events", order_by="site", ddl=EVENTS, pause=True),
        made("blank"),
        made(
            "materialized-view",
            view="v",
            select="SELECT site FROM events",
            columns=["site String"],
            order_by="site",
            time_column="at",
        ),
        made("backfill", table="a", source="b", columns=["c" * 30, "d" * 30, "e" * 30]),
        made("drop-table", table="_trash_x", purge=True),
    ]
    for number, found in enumerate(kinds):
        (tmp_path / f"r_{number}.py").write_text(render(found, f"r_{number}", None))
    words = [ruff, "format", "--isolated", "--line-length", "100", "--check", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
