"""The shadow engine is as like the live server as it can be, and touches nothing outside."""

from __future__ import annotations

from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.shadow.apart import Apart
from tests.engines.workspace import Workspace
from tests.support.project import Project
from tests.support.targets import engine_parameters

on_modern = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


@pytest.mark.embedded
def test_rows_of_a_distributed_table_stay_on_the_shadow_engine(project: Project) -> None:
    project.write_revision(
        "001_spread",
        None,
        [
            "CREATE TABLE local ON CLUSTER crew (a UInt8) ENGINE = ReplicatedMergeTree ORDER BY a",
            "CREATE TABLE spread AS local ENGINE = Distributed('crew', currentDatabase(), 'local', a)",
            "CREATE TABLE named AS local ENGINE = Distributed('{cluster}', currentDatabase(), 'local')",
            "INSERT INTO spread SELECT number FROM numbers(5)",
            "SELECT throwIf((SELECT count() FROM named) != 5)",
        ],
        ["DROP TABLE named", "DROP TABLE spread", "DROP TABLE local ON CLUSTER crew"],
    )
    found = bm.verify(versions=[str(project.versions)], database="shop")
    assert found.revisions[0].failed is None, found.revisions[0].failed
    assert found.revisions[0].ok


@pytest.mark.embedded
def test_a_storage_policy_is_there_by_its_name(project: Project) -> None:
    project.write_revision(
        "001_tiered",
        None,
        "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'tiered'",
        "DROP TABLE t",
    )
    assert bm.verify(versions=[str(project.versions)], database="shop").revisions[0].ok


@pytest.mark.embedded
def test_a_revision_can_tell_that_it_is_on_a_shadow_engine(
    project: Project, tmp_path: Path
) -> None:
    asked = "(SELECT count() FROM system.macros WHERE macro = 'migrations_stage')"
    project.write_revision("001_a", None, f"SELECT throwIf({asked} != 1)", "SELECT 1")
    assert bm.verify(versions=[str(project.versions)], database="shop").revisions[0].ok
    project.configure(url=f"chdb:///{tmp_path}/data")
    done = project.cli("up")
    assert done.returncode == 6, done.output


@pytest.mark.embedded
def test_nothing_is_left_behind(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    project.write_revision(
        "001_a", None, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", "DROP TABLE t"
    )
    assert bm.verify(versions=[str(project.versions)], database="shop").revisions[0].ok
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(path.name for path in project.path.iterdir() if path.name != "__pycache__") == [
        "alembic.ini",
        "env.py",
        "versions",
    ]


@pytest.mark.embedded
def test_an_embedded_server_that_dies_is_told_and_nothing_is_left(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    project.write_revision(
        "001_dies",
        None,
        body="""
        import os, sys

        def upgrade():
            if "budeval_migrations.shadow.apart" in sys.argv[0].replace("/", "."):
                os._exit(3)
        """,
    )
    with pytest.raises(bm.MigrationError) as died:
        bm.verify(versions=[str(project.versions)], database="shop")
    assert "The embedded server ended" in died.value.message
    assert "before it answered" in died.value.message
    assert list((tmp_path / "tmp").iterdir()) == []


@on_modern
def test_a_broken_view_of_the_live_server_is_there_too_and_a_stand_in_is_told(
    workspace: Workspace,
) -> None:
    workspace.project.write_revision(
        "001_t", None, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"
    )
    bm.upgrade(**workspace.options)
    workspace.prepare(
        "CREATE VIEW broken AS SELECT a FROM t",
        "CREATE TABLE outside (a UInt8) ENGINE = URL('http://127.0.0.1:1/x', 'CSV')",
        "DROP TABLE t",
    )
    found = bm.drift(**workspace.options)
    assert {(d.name, d.before is None, d.after is None) for d in found.differences} == {
        ("t", False, True),
        ("broken", True, False),
        ("outside", True, False),
    }
    assert found.notes == ("outside: ENGINE = Null stands for URL",)


def mistake(directory: str) -> None:
    raise KeyError("what was not thought of")


@pytest.mark.embedded
def test_a_mistake_of_ours_on_the_shadow_engine_is_a_sentence_with_the_traceback_behind_it() -> (
    None
):
    with pytest.raises(bm.MigrationError) as raised, Apart(mistake) as apart:
        apart.call()
    assert raised.value.message == "Unexpected KeyError on the shadow engine."
    assert "KeyError: 'what was not thought of'" in str(raised.value.__cause__)
