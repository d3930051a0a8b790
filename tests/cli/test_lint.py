"""``budeval-migrate lint``: needs no server, and says what it finds in four ways."""

from __future__ import annotations

import json

import pytest

import budeval_migrations
from budeval_migrations.errors import ConfigError, RevisionCompileError
from tests.cli.shell import no_traceback, one_object, refused
from tests.support.project import Project

NOWHERE = "clickhouse+http://nobody:hunter2@127.0.0.1:1/nowhere"
T = "CREATE TABLE IF NOT EXISTS t (a Int8, b String) ENGINE = MergeTree ORDER BY a"


@pytest.fixture
def offline(project: Project) -> Project:
    """Two revisions of a database that cannot be reached: 002 drops a column and updates a key."""
    project.configure(url=NOWHERE)
    project.write_revision("001_one", None, T, "DROP TABLE IF EXISTS t")
    project.write_revision(
        "002_two",
        "001_one",
        ["ALTER TABLE t DROP COLUMN IF EXISTS b", "ALTER TABLE t UPDATE a = 1 WHERE 1"],
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS b String",
    )
    return project


def test_findings_are_shown_where_they_are_and_end_with_3(offline: Project) -> None:
    done = offline.cli("lint")

    assert done.returncode == 3, done.output
    assert done.stdout == (
        "versions/002_two.py:10: error BM002 destructive\n"
        "  the upgrade drops the column b of t, and the file does not say that it may\n"
        '  fix: Say that it may go and why: destructive = "reason" beside revision = …; or keep it.\n'
        "versions/002_two.py:11: error BM005 mutation-of-key\n"
        "  a belongs to a key of t, and the server refuses to UPDATE it (420)\n"
        "  fix: Fill a table with the new values, then EXCHANGE TABLES.\n"
        "2 revisions: 2 errors\n"
    )
    assert done.stderr == ""


def test_a_file_restricts_what_is_reported_and_the_others_are_context(offline: Project) -> None:
    assert offline.cli("lint", "versions/001_one.py").stdout == "1 revision: nothing found\n"

    done = offline.cli("lint", "versions/002_two.py", "--select", "BM005")

    assert done.returncode == 3, done.output
    assert done.stdout.endswith("1 revision: 1 error\n")


def test_rules_are_chosen_and_left_out(offline: Project) -> None:
    done = offline.cli("lint", "--ignore", "bm002,BM005")

    assert (done.returncode, done.stdout) == (0, "2 revisions: nothing found\n")


def test_warnings_alone_end_with_0_and_quiet_leaves_them_out(offline: Project) -> None:
    offline.write_revision("003_three", "002_two", "OPTIMIZE TABLE t FINAL")

    done = offline.cli("lint", "versions/003_three.py")
    assert done.returncode == 0, done.output
    assert "versions/003_three.py:10: warning BM014 optimize-final\n" in done.stdout
    quiet = offline.cli("--quiet", "lint", "versions/003_three.py")
    assert (quiet.returncode, quiet.stdout) == (0, "")


def test_waived_findings_are_counted_and_shown_on_request(offline: Project) -> None:
    offline.write_revision(
        "002_two", "001_one", "DROP TABLE t -- lint: allow BM002: because it is empty", T
    )

    assert offline.cli("lint").stdout == "2 revisions: 1 waived\n"
    assert offline.cli("lint", "--verbose").stdout == (
        "versions/002_two.py:10: error (waived) BM002 destructive\n"
        "  the upgrade drops t, and the file does not say that it may\n"
        "  reason: because it is empty\n"
        "2 revisions: 1 waived\n"
    )


@pytest.mark.parametrize("args", [("--json", "lint"), ("lint", "--format", "json")])
def test_json_is_one_object_with_the_findings(offline: Project, args: tuple[str, ...]) -> None:
    done = offline.cli(*args)

    assert done.returncode == 3, done.output
    found = one_object(done)
    assert [(f["rule"], f["line"], f["statement"]) for f in found["findings"]] == [
        ("BM002", 10, 1),
        ("BM005", 11, 2),
    ]
    assert (found["ok"], found["counts"]["error"]) == (False, 2)


def test_github_and_sarif_name_file_and_line(offline: Project) -> None:
    done = offline.cli("lint", "--format", "github", "--select", "BM005")
    assert done.stdout == (
        "::error file=versions/002_two.py,line=11,title=BM005 mutation-of-key::a belongs to a key "
        "of t, and the server refuses to UPDATE it (420)%0AFill a table with the new values, then "
        "EXCHANGE TABLES.\n"
    )

    done = offline.cli("lint", "--format", "sarif", "--select", "BM005")
    [run] = json.loads(done.stdout)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "versions/002_two.py"},
        "region": {"startLine": 11},
    }


def test_the_rules_are_listed(offline: Project) -> None:
    done = offline.cli("lint", "--list")
    assert done.returncode == 0, done.output
    assert done.stdout.startswith("BM001  error    populate ")
    listed = one_object(offline.cli("--json", "lint", "--list"))["rules"]
    assert [rule["code"] for rule in listed] == [line[:5] for line in done.stdout.splitlines()]


def test_mistakes_are_sentences_with_a_hint(offline: Project) -> None:
    (offline.path / "notes.py").write_text("x = 1\n")

    refused(offline.cli("lint", "--select", "BM0002"), 2, "BM0002", hint="Did you mean BM002?")
    refused(offline.cli("lint", "--ignore", "populated"), 2, "populated", hint="BM001")
    refused(offline.cli("lint", "notes.py"), 2, "notes.py is no revision file")
    refused(offline.cli("lint", "versions"), 2, "versions is no revision file")
    refused(offline.cli("lint", "versions/002_tow.py"), 2, "no file", hint="versions/002_two.py")
    refused(offline.cli("lint", "--json", "--format", "sarif"), 2, "--json", error="ConfigError")
    refused(offline.cli("lint", "--list", "versions/001_one.py"), 2, "--list")
    done = offline.cli("lint", "--format", "xml")
    assert done.returncode == 2, done.output
    assert "'xml' is not one of" in done.stderr, done.output


def test_a_file_that_does_not_compile_is_an_error_with_its_line(offline: Project) -> None:
    offline.write_revision("003_three", "002_two", body="def upgrade():\n    op.execute(nothing)\n")

    refused(offline.cli("lint"), 3, "versions/003_three.py:10", "nothing")


def test_passwords_are_not_shown(offline: Project) -> None:
    offline.write_revision(
        "003_three",
        "002_two",
        "DROP TABLE a, b -- lint: allow BM002: see clickhouse://me:hunter2@host/db",
    )
    for args in (("lint", "--verbose"), ("lint", "--json"), ("lint", "--format", "sarif")):
        done = offline.cli(*args)
        no_traceback(done)
        assert "hunter2" not in done.stdout + done.stderr, done.output
        assert "[HIDDEN]" in done.stdout, done.output


def test_an_sql_file_that_a_revision_executes_may_be_named(offline: Project) -> None:
    (offline.versions / "fill.sql").write_text(
        "SELECT 1;\n\n-- lint: allow BM002: because it is empty\nDROP TABLE t;\nDROP TABLE u;\n"
    )
    body = 'def upgrade():\n    op.execute_file("fill.sql")\n\ndef downgrade():\n    op.execute("SELECT 1; DROP TABLE t")\n'
    offline.write_revision("003_three", "002_two", body=body)

    found = one_object(offline.cli("--json", "lint", "versions/fill.sql", "--select", "BM002"))

    assert [(f["file"], f["line"]) for f in found["findings"]] == [("versions/fill.sql", 5)]
    assert [(f["file"], f["line"]) for f in found["waived"]] == [("versions/fill.sql", 4)]


def test_what_a_dynamic_revision_does_is_not_known_and_that_is_said(offline: Project) -> None:
    offline.write_revision(
        "003_three", "002_two", body="def upgrade():\n    op.get_bind().execute('x')\n"
    )
    offline.write_revision("004_four", "003_three", "ALTER TABLE t UPDATE a = 1 WHERE 1", T)

    done = offline.cli("lint", "--select", "BM005")

    assert "note 003_three reads the database while it runs" in done.stdout
    assert "004_four" not in done.stdout


def test_two_branches_know_the_tables_of_both(offline: Project) -> None:
    offline.write_revision("003_left", "002_two", T.replace(" t ", " x "), T)
    offline.write_revision("003_right", "002_two", T.replace(" t ", " y "), T)
    offline.write_revision(
        "004_merge",
        ("003_left", "003_right"),
        [f"ALTER TABLE {name} UPDATE a = 1 WHERE 1" for name in "xyz"],
        T,
    )

    found = one_object(offline.cli("--json", "lint", "versions/004_merge.py", "--select", "BM005"))

    assert [f["statement"] for f in found["findings"]] == [1, 2]


def test_the_packages_of_the_database_need_not_be_there(offline: Project) -> None:
    offline.configure(url="clickhousedb://nobody@127.0.0.1:1/x")
    hidden = {"PYTHONPATH": f"{offline.path / 'hidden'}:{offline.environment()['PYTHONPATH']}"}
    for name in ("chdb", "chdb_sqlalchemy", "clickhouse_connect", "clickhouse_driver"):
        (offline.path / "hidden" / name).mkdir(parents=True)
        (offline.path / "hidden" / name / "__init__.py").write_text("raise ImportError\n")
    process = offline.start("budeval_migrations", "lint", "--select", "BM005", env=hidden)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    assert out.endswith("2 revisions: 1 error\n")


def test_the_function_takes_files_codes_and_settings(offline: Project) -> None:
    options = {"config": str(offline.ini)}

    report = budeval_migrations.lint(offline.revision_file("002_two"), select="BM005", **options)
    assert [finding.rule for finding in report.findings] == ["BM005"]
    again = budeval_migrations.lint(ignore=["BM002", "BM005"], **options)
    assert (again.ok, again.revisions) == (True, ("001_one", "002_two"))
    with pytest.raises(ConfigError):
        budeval_migrations.lint(select=["nonsense"], **options)
    offline.write_revision("003_three", "002_two", body="def upgrade():\n    1 / 0\n")
    with pytest.raises(RevisionCompileError):
        budeval_migrations.lint(**options)


def test_it_connects_to_nothing_and_creates_nothing(offline: Project) -> None:
    offline.configure(url="chdb:///./data")

    assert offline.cli("lint").returncode == 3
    assert not (offline.path / "data").exists()
