"""``verify``, and the same as tests in a user's own suite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.model.previews import Verification, Verified
from tests.support.project import REPOSITORY, Project

pytestmark = pytest.mark.embedded

EVENTS = "CREATE TABLE events (id UInt32) ENGINE = MergeTree ORDER BY id"


def verify(project: Project) -> Verification:
    return bm.verify(versions=[str(project.versions)], url="clickhouse+http://127.0.0.1:1/shop")


def tried(project: Project, revision: str) -> Verified:
    [found] = [v for v in verify(project).revisions if v.revision == revision]
    return found


def write_good(project: Project) -> None:
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    project.write_revision(
        "002_more",
        "001_events",
        "ALTER TABLE events ADD COLUMN IF NOT EXISTS a String",
        "ALTER TABLE events DROP COLUMN IF EXISTS a",
    )
    path = project.write_revision("003_end", "002_more", "SELECT 1", None)
    path.write_text(path.read_text() + '\nirreversible = "it is the end"\n')


def test_good_revisions_are_verified_without_any_server(project: Project) -> None:
    write_good(project)
    found = verify(project)
    assert found.ok, found
    assert found.heads == ("003_end",)
    assert [(v.revision, v.no_way_back) for v in found.revisions] == [
        ("001_events", False),
        ("002_more", False),
        ("003_end", True),
    ]
    done = project.cli("verify")
    assert done.returncode == 0, done.output
    assert done.stdout == (
        "ok        001_events  up, down, up\n"
        "ok        002_more  up, down, up\n"
        "ok        003_end  up (no downgrade)\n"
        f"3 of 3 revisions verified on ClickHouse {found.engine}, embedded\n"
    )


def test_a_downgrade_that_leaves_something(project: Project) -> None:
    write_good(project)
    project.write_revision("002_more", "001_events", "ALTER TABLE events ADD COLUMN a String", [])
    found = tried(project, "002_more")
    assert [(d.part, d.after) for d in found.back] == [("column a", "String")]
    # The second upgrade meets what was left.
    assert found.failed is not None
    assert (found.failed.code, found.direction) == (15, "up")


def test_a_second_upgrade_that_does_something_else(project: Project) -> None:
    project.write_revision(
        "001_events",
        None,
        body=f"""
        from sqlalchemy import text

        def upgrade():
            left = op.get_bind().execute(text("SELECT count() FROM system.functions WHERE name = 'seen'"))
            column = "b" if left.scalar() else "a"
            op.execute("CREATE FUNCTION IF NOT EXISTS seen AS () -> 1")
            op.execute(f"{EVENTS}")
            op.execute(f"ALTER TABLE events ADD COLUMN {{column}} String")

        def downgrade():
            op.execute("DROP TABLE events")
        """,
    )
    found = tried(project, "001_events")
    assert [(d.part, d.before, d.after) for d in found.again] == [
        ("column a", "String", None),
        ("column b", None, "String"),
    ]


def test_a_statement_that_fails_stops_it_with_its_place(project: Project) -> None:
    write_good(project)
    project.write_revision(
        "002_more", "001_events", "ALTER TABLE missing ADD COLUMN a String", "SELECT 1"
    )
    found = verify(project)
    assert [v.revision for v in found.revisions] == ["001_events", "002_more"]
    assert found.untried == ("003_end",)
    failed = found.revisions[-1].failed
    assert failed is not None
    assert (failed.code, failed.statement) == (60, 1)
    done = project.cli("verify")
    assert done.returncode == 3, done.output
    assert (
        "not ok    002_more\n  the upgrade fails at 002_more  statement 1 of 1  "
        "(versions/002_more.py:10)\n    ClickHouse 60: " in done.stdout
    )
    assert "not tried 003_end\n" in done.stdout
    assert "\n1 of 3 revisions verified" in done.stdout


def test_a_downgrade_that_leaves_a_table_is_named_before_the_upgrade_that_fails_for_it(
    project: Project,
) -> None:
    create = "CREATE TABLE events (a UInt8) ENGINE = MergeTree ORDER BY a"
    project.write_revision("001_events", None, create, "SELECT 1")
    said = project.cli("verify").stdout
    left = said.index("  the downgrade does not bring the schema back\n  + table events")
    assert left < said.index("  the second upgrade fails at 001_events  statement 1 of 1")


def test_what_is_compiled_otherwise_each_time_is_told(project: Project) -> None:
    project.write_revision(
        "001_events",
        None,
        body="""
        import uuid

        def upgrade():
            op.execute(f"CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a COMMENT '{uuid.uuid4()}'")

        def downgrade():
            op.execute("DROP TABLE t")
        """,
    )
    found = tried(project, "001_events")
    assert found.unstable
    assert not found.ok
    done = project.cli("verify")
    assert "compiled twice, it says two things" in done.stdout


def test_several_heads_are_told(project: Project) -> None:
    project.write_revision("001_a", None, EVENTS, "DROP TABLE events")
    project.write_revision("002_b", None, "SELECT 1", [])
    found = verify(project)
    assert found.heads == ("001_a", "002_b")
    assert not found.ok
    done = project.cli("verify", "--json")
    assert done.returncode == 3, done.output
    assert json.loads(done.stdout)["heads"] == ["001_a", "002_b"]


def test_what_a_stage_cannot_run_is_told(project: Project) -> None:
    project.write_revision(
        "001_a",
        None,
        [
            "CREATE USER u",
            "CREATE TABLE t ON CLUSTER crew (a UInt8) ENGINE = "
            "ReplicatedMergeTree('/t/{shard}', '{replica}') ORDER BY a",
            "CREATE TABLE k (a UInt8) ENGINE = Kafka('h:1', 't', 'g', 'JSONEachRow')",
        ],
        ["DROP TABLE k", "DROP TABLE t ON CLUSTER crew", "DROP USER u"],
    )
    found = verify(project)
    assert found.ok, found
    assert found.notes == (
        "001_a statement 1: not run: it is about users",
        "001_a statement 3: ENGINE = Null stands for Kafka",
    )


def pytest_of(project: Project, *words: str) -> tuple[int, str]:
    """Run a suite of a user's own, with the plugin as it is installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("directory", "told"), [("nowhere", "nowhere"), ("empty", "there is no revision in empty")]
)
def test_a_wrong_directory_is_a_mistake_in_the_words_of_pytest(
    project: Project, directory: str, told: str
) -> None:
    (project.path / "empty").mkdir()
    code, said = pytest_of(project, "--budeval-versions", directory)
    assert code == 4, said
    assert "ERROR: --budeval-versions: " in said
    assert told in said
    assert "INTERNALERROR" not in said


def test_the_pytest_plugin_has_a_test_for_each_revision(project: Project) -> None:
    write_good(project)
    (project.path / "test_mine.py").write_text("def test_mine():\n    pass\n")
    code, said = pytest_of(project, "--budeval-versions", "versions", "-v")
    assert code == 0, said
    for name in ("single head", "001_events", "002_more", "003_end"):
        assert f"versions::{name} PASSED" in said
    assert "5 passed" in said
    project.write_revision(
        "002_more", "001_events", "ALTER TABLE missing ADD COLUMN a String", "SELECT 1"
    )
    code, said = pytest_of(project, "--budeval-versions", "versions")
    assert code == 1, said
    assert "the upgrade fails at 002_more  statement 1 of 1" in said
    assert "1 failed, 3 passed, 1 skipped" in said
    assert "Traceback" not in said
    code, said = pytest_of(project)
    assert (code, "1 passed" in said) == (0, True), said


def test_the_plugin_costs_other_suites_no_import() -> None:
    check = (
        "import sys, budeval_migrations.integrations.pytest_plugin as p; "
        "print(sorted(m for m in sys.modules if m.startswith(('budeval_migrations.', 'alembic', 'chdb'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == (
        "['budeval_migrations.forks', 'budeval_migrations.integrations', "
        "'budeval_migrations.integrations.pytest_plugin', 'budeval_migrations.version']"
    )


def test_budevals_own_revisions_are_verified() -> None:
    found = bm.verify(versions=[str(Path(REPOSITORY) / "versions")], database="budeval")
    assert found.ok, found
    assert len(found.revisions) == 6
