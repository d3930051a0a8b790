"""``diff`` and ``alembic revision --autogenerate``: from a target schema to a revision."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ConfigError, RevisionError
from budeval_migrations.scaffold.kinds import NewRevision
from budeval_migrations.shadow.apart import Apart
from tests.shadow.law import run_law
from tests.support.project import Project

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(900)]

EVENTS = "CREATE TABLE events (id UInt64, name String) ENGINE = MergeTree ORDER BY id"
# Two hundred in two parts, each a process of its own; ten thousand more with make exhaustive.
PAIRS = 100


@pytest.mark.parametrize("part", range(2))
def test_what_is_found_leads_there_and_back_and_then_there_is_nothing_more_to_do(part: int) -> None:
    with Apart(run_law) as apart:
        seen = apart.call(PAIRS, part)
    assert seen["pairs"] >= PAIRS
    assert seen["different"] > PAIRS / 2
    assert seen["rebuilt"] > 0
    assert seen["replaced"] > 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_the_law_holds_for_ten_thousand_pairs(part: int) -> None:
    with Apart(run_law) as apart:
        assert apart.call(1000, 1000 + part)["pairs"] >= 1000


@pytest.fixture
def shop(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one revision; no server is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project.configure(url="clickhouse+http://127.0.0.1:1/shop")
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    return project


def diff(project: Project, wanted: str, **more: object) -> NewRevision | None:
    path = project.path / "schema.sql"
    path.write_text(wanted)
    return bm.diff(
        str(path),
        versions=[str(project.versions)],
        url="clickhouse+http://127.0.0.1:1/shop",
        **more,  # type: ignore[arg-type]
    )


def test_a_new_column_with_its_place_and_an_index_that_is_built(shop: Project) -> None:
    found = diff(
        shop,
        "CREATE TABLE events (id UInt64, at DateTime DEFAULT now() CODEC(ZSTD(1)), name String, "
        "INDEX by_name name TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree ORDER BY id",
        message="add at",
    )
    assert found is not None
    assert (found.revision, found.down_revision) == ("002_add_at", "001_events")
    assert (
        found.text
        == '''"""Add at."""

from alembic import op

revision = "002_add_at"
down_revision = "001_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE events ADD COLUMN IF NOT EXISTS at DateTime DEFAULT now() CODEC(ZSTD(1)) AFTER id
""")
    op.execute("""
ALTER TABLE events ADD INDEX IF NOT EXISTS by_name name TYPE bloom_filter GRANULARITY 1
""")
    op.execute("ALTER TABLE events MATERIALIZE INDEX by_name")


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP INDEX IF EXISTS by_name")
    op.execute("ALTER TABLE events DROP COLUMN IF EXISTS at")
'''
    )
    assert Path(found.file).read_text() == found.text
    # It is a revision like any other, and there is nothing more to do.
    assert diff(shop, (shop.path / "schema.sql").read_text()) is None


def test_another_sorting_key_becomes_the_online_rebuild(shop: Project) -> None:
    found = diff(shop, EVENTS.replace("ORDER BY id", "ORDER BY (name, id)"))
    assert found is not None
    assert "op.rebuild_table(" in found.text
    assert "ORDER BY (name, id)" in found.text
    assert 'requires_clickhouse = "23.8"' in found.text
    assert "destructive" not in found.text
    assert bm.verify(versions=[str(shop.versions)], url="clickhouse+http://127.0.0.1:1/shop").ok


def test_what_would_lose_data_is_refused_until_somebody_says_why_it_may(shop: Project) -> None:
    wanted = "CREATE TABLE events (id UInt64) ENGINE = MergeTree ORDER BY id"
    with pytest.raises(ConfigError) as refused:
        diff(shop, wanted)
    assert refused.value.message == "The target schema would lose column name of events."
    assert refused.value.details["loses"] == ["column name of events"]
    assert list(shop.versions.glob("002*")) == []
    found = diff(shop, wanted, destructive="nobody reads it")
    assert found is not None
    assert 'destructive = "nobody reads it"' in found.text
    with pytest.raises(ConfigError, match="would lose the rows of events"):
        diff(shop, "SELECT 1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CREATE TABLE t (id UInt64, v String) ENGINE = Log", "t"),
        ("CREATE TABLE t (id UInt64, v String) ENGINE = Log", "u"),
        ("CREATE VIEW t AS SELECT id, v FROM u", "t"),
    ],
)
def test_a_table_that_a_dictionary_reads_gives_its_place(
    shop: Project, one: str, other: str
) -> None:
    read = (
        "CREATE DICTIONARY d (id UInt64, v UInt32 DEFAULT 0) PRIMARY KEY id "
        "SOURCE(CLICKHOUSE(TABLE '{}')) LIFETIME(MIN 0 MAX 60) LAYOUT(FLAT())"
    )
    other_table = "CREATE TABLE u (id UInt64, v UInt32) ENGINE = Log"
    first = ["CREATE TABLE t (id UInt64, v UInt32) ENGINE = Log", other_table, read.format("t")]
    shop.write_revision("002_read", "001_events", first, ["DROP DICTIONARY d", *DROP_BOTH])
    wanted = ";\n".join((EVENTS, other_table, one, read.format(other)))
    assert diff(shop, wanted, destructive="they are small") is not None
    assert bm.verify(versions=[str(shop.versions)], url="clickhouse+http://127.0.0.1:1/shop").ok
    assert diff(shop, wanted) is None


DROP_BOTH = ("DROP TABLE t", "DROP TABLE u")


def test_a_view_reads_the_new_column_before_the_old_one_goes(shop: Project) -> None:
    def schema(column: str) -> str:
        return f"""
            CREATE TABLE events (id UInt64, {column} String) ENGINE = MergeTree ORDER BY id;
            CREATE TABLE sums (id UInt64, s UInt64) ENGINE = SummingMergeTree ORDER BY id;
            CREATE MATERIALIZED VIEW to_sums TO sums AS
                SELECT id, length(any({column})) AS s FROM events GROUP BY id
        """

    shop.write_revision("001_events", None, schema("name").split(";"), ["SELECT 1"])
    found = diff(shop, schema("title"), destructive="titles replace names")
    assert found is not None
    upgrade = found.text.partition("def upgrade")[2].partition("def downgrade")[0]
    added, queried, dropped = (
        upgrade.index(word)
        for word in ("ADD COLUMN IF NOT EXISTS title", "MODIFY QUERY", "DROP COLUMN IF EXISTS name")
    )
    assert added < queried < dropped


def test_views_come_after_what_they_read_and_go_before_it(shop: Project) -> None:
    found = diff(
        shop,
        f"{EVENTS}; CREATE TABLE z (day Date, c UInt64) ENGINE = SummingMergeTree ORDER BY day;"
        "CREATE VIEW b AS SELECT name FROM events; CREATE VIEW a AS SELECT name FROM b;"
        "CREATE MATERIALIZED VIEW m TO z AS SELECT today() AS day, count() AS c FROM events;",
    )
    assert found is not None
    up, down = found.text.split("def downgrade()")
    made = [name for name in ("z", "b", "a", "m") if f"{name}\n" in up or f"EXISTS {name}" in up]
    assert sorted(made) == ["a", "b", "m", "z"]
    assert up.index("VIEW IF NOT EXISTS b") < up.index("VIEW IF NOT EXISTS a")
    assert up.index("TABLE IF NOT EXISTS z") < up.index("VIEW IF NOT EXISTS m")
    assert down.index("DROP VIEW IF EXISTS a") < down.index("DROP VIEW IF EXISTS b")
    assert "shop." not in found.text


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY b",
            "schema.sql:1: ClickHouse 47: ",
        ),
        (f"{EVENTS};\n\nCREATE TABEL t", "schema.sql:3: ClickHouse 62: "),
        (f"{EVENTS};\nSELECT 'open", "schema.sql:2:8: the single-quoted string is not closed"),
    ],
)
def test_a_wanted_schema_that_is_none_is_refused_with_its_place(
    shop: Project, wanted: str, said: str
) -> None:
    with pytest.raises(RevisionError) as refused:
        diff(shop, wanted)
    assert said in refused.value.message
    assert list(shop.versions.glob("002*")) == []


MODELS = """
from clickhouse_sqlalchemy import engines, types
from sqlalchemy import Column, MetaData, Table

metadata = MetaData()
Table(
    "events",
    metadata,
    Column("id", types.UInt64, primary_key=True),
    Column("name", types.String),
    Column("tags", types.Array(types.LowCardinality(types.String))),
    engines.MergeTree(order_by="id"),
)
"""


def test_models_of_sqlalchemy_say_what_is_wanted(shop: Project) -> None:
    (shop.path / "models.py").write_text(MODELS)
    done = shop.cli("diff", "--to", "models:metadata", "-m", "add tags")
    assert done.returncode == 0, done.output
    assert done.stdout == "versions/002_add_tags.py\n"
    text = (shop.versions / "002_add_tags.py").read_text()
    assert "ADD COLUMN IF NOT EXISTS tags Array(LowCardinality(String))" in text
    again = shop.cli("diff", "--to", "models:metadata", "--json")
    assert json.loads(again.stdout) == {"schema": "revision/1", "revision": None}
    missing = shop.cli("diff", "--to", "models:nothing")
    assert missing.returncode == 2
    assert "models has no nothing" in missing.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "No target schema given."),
        (["--to", "missing.sql"], 2, "missing.sql cannot be read: No such file or directory."),
        (["--to", "no.such:module"], 2, "no.such cannot be imported: ModuleNotFoundError"),
        (["--to", "schema.sql", "--head", "009"], 3, "009 names no head."),
        (["--to"], 2, "Option '--to' requires an argument."),
    ],
)
def test_words_that_make_no_sense_are_refused(
    shop: Project, words: list[str], code: int, said: str
) -> None:
    (shop.path / "schema.sql").write_text(EVENTS)
    done = shop.cli("diff", *words)
    assert done.returncode == code, done.output
    assert said in done.stderr


def test_alembics_autogenerate_writes_the_same_revision(shop: Project) -> None:
    (shop.path / "schema.sql").write_text(EVENTS.replace("name String", "name String, more UInt8"))
    nothing = shop.run("revision", "--autogenerate", "-m", "add more")
    assert nothing.returncode == 255, nothing.output
    assert "--autogenerate needs to know the target schema." in nothing.output
    shop.configure(url="clickhouse+http://127.0.0.1:1/shop", schema=str(shop.path / "schema.sql"))
    done = shop.run("revision", "--autogenerate", "-m", "add more")
    assert done.returncode == 0, done.output
    text = (shop.versions / "002_add_more.py").read_text()
    assert "ALTER TABLE events ADD COLUMN IF NOT EXISTS more UInt8" in text
    again = shop.run("revision", "--autogenerate", "-m", "once more")
    assert again.returncode == 0, again.output
    assert sorted(path.name for path in shop.versions.glob("*.py")) == [
        "001_events.py",
        "002_add_more.py",
    ]
    refused = shop.run("revision", "--autogenerate", "-m", "x", "--splice")
    assert "--splice does not go with --autogenerate." in refused.output


def test_alembics_autogenerate_refuses_what_loses_data_without_a_reason(shop: Project) -> None:
    (shop.path / "schema.sql").write_text("CREATE TABLE other (a UInt8) ENGINE = Memory")
    shop.configure(url="clickhouse+http://127.0.0.1:1/shop", schema=str(shop.path / "schema.sql"))
    refused = shop.run("revision", "--autogenerate", "-m", "anew")
    assert refused.returncode != 0
    assert "The target schema would lose the rows of events." in refused.output
    done = shop.run("-x", "destructive=starting anew", "revision", "--autogenerate", "-m", "anew")
    assert done.returncode == 0, done.output
    assert 'destructive = "starting anew"' in (shop.versions / "002_anew.py").read_text()


def test_alembics_check_tells_what_is_wanted_and_not_yielded(
    project: Project, tmp_path: Path
) -> None:
    url = f"chdb:///{tmp_path}/data"
    (project.path / "schema.sql").write_text(EVENTS)
    project.configure(url=url, database="shop", schema=str(project.path / "schema.sql"))
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    assert project.cli("up").returncode == 0
    good = project.run("check")
    assert good.returncode == 0, good.output
    (project.path / "schema.sql").write_text(EVENTS.replace("name String", "name UInt8"))
    bad = project.run("check")
    assert bad.returncode == 255, bad.output
    assert "do not yield the target schema: table events column name type" in bad.output


def test_a_program_that_asks_alembic_sees_the_statements_and_may_keep_the_file_from_being_written(
    shop: Project,
) -> None:
    (shop.path / "schema.sql").write_text(EVENTS.replace("name String", "name String, more UInt8"))
    shop.configure(url="clickhouse+http://127.0.0.1:1/shop", schema=str(shop.path / "schema.sql"))
    (shop.path / "ask.py").write_text(
        "from alembic import command\n"
        "from alembic.config import Config\n"
        "def look(context, revision, directives):\n"
        "    print([op.sqltext for op in directives[0].upgrade_ops.ops])\n"
        "    if not KEEP:\n"
        "        directives.clear()\n"
        "for KEEP in (False, True):\n"
        "    command.revision(Config('alembic.ini'), 'x', autogenerate=True,\n"
        "                     process_revision_directives=look)\n"
    )
    done = subprocess.run(
        [sys.executable, "ask.py"],
        cwd=shop.path,
        env=shop.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    seen = "['ALTER TABLE events ADD COLUMN IF NOT EXISTS more UInt8']\n"
    assert done.stdout == seen * 2
    assert [path.name for path in shop.versions.glob("002*.py")] == ["002_x.py"]
