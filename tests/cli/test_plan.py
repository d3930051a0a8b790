"""``plan`` shows what ``up`` would send, and sends nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.embedded

CREATE = "CREATE TABLE t\n(\n    a Int8\n)\nENGINE = MergeTree ORDER BY a"


@pytest.fixture
def planned(project: Project, tmp_path: Path) -> Project:
    """Two revisions, of which the second reads the database while it runs."""
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    project.write_revision("001_a", None, [CREATE, "INSERT INTO t VALUES (1)"])
    project.write_revision(
        "002_b",
        "001_a",
        body="""
        def upgrade():
            op.get_bind()
        """,
    )
    return project


def test_every_statement_is_shown_with_its_place(planned: Project) -> None:
    done = planned.cli("plan", "--quick")
    assert done.returncode == 0, done.output
    statements, _, findings = done.stdout.partition("BM")
    assert statements == (
        "001_a  001_a\n"
        "  1  versions/001_a.py:10  metadata only\n"
        "    CREATE TABLE t\n    (\n        a Int8\n    )\n    ENGINE = MergeTree ORDER BY a\n"
        "  2  versions/001_a.py:15  data movement\n"
        "    INSERT INTO t VALUES (1)\n"
        "002_b  002_b\n"
        "  (it reads the database while it runs: known only then)\n"
    )
    assert findings.startswith("019 warning versions/001_a.py:9: downgrade() does nothing")
    assert findings.endswith("shop: 2 revisions to apply\n")
    assert not (planned.path.parent / "data").exists()


def test_the_indentation_that_a_statement_has_in_its_file_is_not_shown(planned: Project) -> None:
    indented = CREATE.replace("\n", "\n        ")
    planned.write_revision("001_a", None, f"\n        {indented}\n    ")
    done = planned.cli("plan", "001", "--quick")
    shown = CREATE.replace("\n", "\n    ")
    assert f"metadata only\n    {shown}\n" in done.stdout, done.output

    script = planned.cli("plan", "001", "--sql").stdout
    assert f"\n{indented};\n" in script, script


def test_a_target_and_json(planned: Project) -> None:
    done = planned.cli("plan", "001", "--json")
    assert done.returncode == 0, done.output
    plan = json.loads(done.stdout)
    assert plan["topology"] == "single server"
    assert [revision["revision"] for revision in plan["revisions"]] == ["001_a"]
    assert plan["revisions"][0]["statements"][1] == {
        "position": 2,
        "sql": "INSERT INTO t VALUES (1)",
        "file": "versions/001_a.py",
        "line": 15,
        "everywhere": None,
        "cost": "data movement",
        "touched": [],
    }
    assert [change["name"] for change in plan["rehearsal"]["changes"]] == ["t"]
    assert [(found["rule"], found["revision"]) for found in plan["findings"]] == [
        ("BM019", "001_a")
    ]


def test_what_took_effect_already_is_left_out(planned: Project) -> None:
    planned.write_revision("001_a", None, [CREATE, "INSERT INTO missing VALUES (1)"])
    assert planned.cli("up").returncode == 6
    done = planned.cli("plan", "001")
    assert "  2  versions/001_a.py:15  data movement\n    INSERT INTO missing" in done.stdout
    assert "CREATE TABLE" not in done.stdout


def test_secrets_are_not_shown(planned: Project) -> None:
    text = "CREATE USER u IDENTIFIED BY 'hunter2'"
    planned.write_revision("001_a", None, text)
    done = planned.cli("plan", "001")
    assert done.returncode == 0, done.output
    assert "CREATE USER u" in done.stdout
    assert "hunter2" not in done.output


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["plan", "zzz"], 3, "There is no revision zzz"),
        (["plan", "base"], 3, "base is where a downgrade ends; no upgrade leads there."),
        (["up", "base"], 3, "base is where a downgrade ends; no upgrade leads there."),
        (["plan", "001", "002"], 2, "unexpected extra argument"),
        (["plan", "--url", "nonsense"], 2, "The URL cannot be read"),
        (["plan", "--format", "github"], 2, "hint: Add --rehearse."),
        (["plan", "--format", "github", "--rehearse", "--json"], 2, "cannot both be"),
        (["verify", "--format", "github", "--json"], 2, "cannot both be"),
    ],
)
def test_bad_words_get_a_sentence(planned: Project, words: list[str], code: int, says: str) -> None:
    done = planned.cli(*words)
    assert done.returncode == code, done.output
    assert says in done.stderr


def test_a_statement_that_does_not_parse_is_told(planned: Project) -> None:
    planned.write_revision("001_a", None, "CREATE TABEL t (a Int8) ENGINE = Log")
    done = planned.cli("plan", "001")
    assert done.returncode == 3, done.output
    assert "versions/001_a.py:10:" in done.stderr


def test_at_head_there_is_nothing_to_do(planned: Project) -> None:
    assert planned.cli("up").returncode == 0
    assert planned.cli("plan").stdout == "shop: nothing to do\n"
