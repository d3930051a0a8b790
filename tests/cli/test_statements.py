"""Mistakes in SQL: found before anything runs where they can be, recorded where they cannot."""

from __future__ import annotations

from functools import partial

from tests.cli.shell import TABLE, Shell, all_of, failed_in_alembic, one_object, refused

UNCLOSED = "CREATE TABLE a (x Int32)\nENGINE = Memory\nCOMMENT 'it never ends"
WRONG = """
CREATE TABLE IF NOT EXISTS t2 (a Int32)
ENGINE = MergeTree ORDRE BY a
"""


def test_sql_that_does_not_lex_is_refused_with_file_line_and_column(
    shell: Shell, old_shell: Shell
) -> None:
    for each in (shell, old_shell):
        each.write(1)
        path = each.project.write_revision("002_step", "001_step", ["SELECT 1", UNCLOSED])
        line = path.read_text().splitlines().index('COMMENT \'it never ends""")') + 1
        done = each.run("--json", "up")
        refused(done, 3, f"versions/002_step.py:{line}:9:", error="StatementSyntaxError")
        answer = one_object(done)
        assert (answer["revision"], answer["line"], answer["column"]) == ("002_step", line, 9)
        assert not each.exists()
    failed_in_alembic(shell.project.run("upgrade", "head"), f"versions/002_step.py:{line}:9:")
    assert not shell.exists()


def test_sql_that_does_not_parse_is_found_before_an_earlier_revision_runs(shell: Shell) -> None:
    shell.write(1)
    path = shell.project.write_revision("002_step", "001_step", ["SELECT 1", WRONG])
    lines = path.read_text().splitlines()
    line = lines.index("ENGINE = MergeTree ORDRE BY a") + 1
    done = shell.run("--json", "up")
    refused(
        done,
        3,
        f"versions/002_step.py:{line}:20:",
        "ORDRE",
        hint="nothing was run",
        error="StatementSyntaxError",
    )
    answer = one_object(done)
    assert (answer["revision"], answer["line"], answer["column"]) == ("002_step", line, 20)
    assert "formatQuery" not in done.stderr, done.output
    assert not shell.exists() or shell.tables() == set()
    done = shell.project.run("upgrade", "head")
    failed_in_alembic(done, f"versions/002_step.py:{line}:20:", "ORDRE")
    assert not shell.exists() or shell.tables() == set()


def test_nothing_at_all_is_made_for_sql_that_does_not_parse(shell: Shell) -> None:
    shell.write(1)
    shell.project.write_revision("002_step", "001_step", WRONG)
    refused(shell.run("up"), 3, "ORDRE")
    assert not shell.exists()


def test_a_mistake_in_an_sql_file_is_placed_in_that_file(shell: Shell) -> None:
    shell.write(1)
    (shell.project.versions / "two.sql").write_text(
        "-- first\nSELECT 1;\n\n  SELECT 'é', FROMM t2 WHERE;\n"
    )
    shell.project.write_revision(
        "002_step", "001_step", body="def upgrade() -> None:\n    op.execute_file('two.sql')\n"
    )
    done = shell.run("--json", "up")
    refused(done, 3, "versions/two.sql:4:", error="StatementSyntaxError")
    (shell.project.versions / "two.sql").write_text("SELECT 1;\n/* no end\n")
    done = shell.run("--json", "up")
    refused(done, 3, "versions/two.sql:2:1:", error="StatementSyntaxError")
    assert not shell.exists() or shell.tables() == set()


def test_old_servers_that_cannot_be_asked_record_the_failure(old_shell: Shell) -> None:
    old_shell.write(1)
    old_shell.project.write_revision("002_step", "001_step", ["SELECT 1", WRONG])
    done = old_shell.run("--json", "up")
    refused(done, 6, "002_step", "statement 2 of 2", "versions/002_step.py:", "ClickHouse 62:")
    assert old_shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t0"]
    assert "t1" in old_shell.tables()


def test_a_failed_statement_says_everything_a_person_needs(shell: Shell, old_shell: Shell) -> None:
    def check(each: Shell) -> None:
        each.write(3)
        path = each.project.write_revision(
            "002_step",
            "001_step",
            [TABLE.format(name="t2"), "ALTER TABLE no_such\nADD COLUMN x Int32"],
        )
        line = next(n for n, x in enumerate(path.read_text().splitlines(), 1) if "no_such" in x)
        done = each.run("--json", "up")
        refused(
            done,
            6,
            f"FAILED 002_step  statement 2 of 2  (versions/002_step.py:{line})",
            "ClickHouse 60: ",
            "no_such",
            "1 applied before the failure",
        )
        answer = one_object(done)
        assert answer["applied"] == ["001_step"]
        assert answer["pending"] == ["002_step", "003_step"]
        failed = answer["failed"]
        assert (failed["revision"], failed["statement"], failed["statements_total"]) == (
            "002_step",
            2,
            2,
        )
        assert (failed["code"], failed["line"]) == (60, line)
        assert "next run" not in failed["error"], f"not the server's words: {failed}"
        assert each.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t0"]
        status = one_object(each.run("--json", "status"))
        states = [r["state"] for r in status["revisions"]]
        assert states == ["applied", "failed", "pending"]
        assert "no_such" in status["revisions"][1]["error"]

    all_of(partial(check, each) for each in (shell, old_shell))


def test_a_failure_in_words_says_what_was_applied_and_what_the_next_run_does(
    shell: Shell,
) -> None:
    shell.write(1)
    shell.project.write_revision(
        "002_step", "001_step", [TABLE.format(name="t2"), "ALTER TABLE t2 ADD COLUMN a Int32"]
    )
    done = shell.run("up")
    refused(
        done,
        6,
        "FAILED 002_step  statement 2 of 2",
        "ClickHouse 15: ",
        "1 statement",
        "the next run",
        hint="IF NOT EXISTS",
    )
    assert "official build" not in done.stderr, f"the version is noise: {done.output}"
    assert "1 applied before the failure" in done.stderr


def test_alembic_prints_a_failed_statement_without_a_traceback(shell: Shell) -> None:
    shell.write(1)
    shell.project.write_revision("002_step", "001_step", "ALTER TABLE no_such DROP COLUMN x")
    done = shell.project.run("upgrade", "head")
    failed_in_alembic(done, "002_step  statement 1 of 1", "ClickHouse 60: ")
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t0"]


def test_a_dynamic_revision_that_raises_is_recorded_and_no_traceback(shell: Shell) -> None:
    shell.write(1)
    shell.project.write_revision(
        "002_step",
        "001_step",
        body="""
        from sqlalchemy import text

        def upgrade() -> None:
            found = op.get_bind().execute(text("SELECT count() FROM t1")).scalar()
            op.execute("INSERT INTO t1 SELECT 1, 'x'")
            raise RuntimeError(f"found {found} rows")
        """,
    )
    done = shell.run("--json", "up")
    assert done.returncode in (3, 6), done.output
    refused(done, done.returncode, "002_step", "RuntimeError: found 0 rows")
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t0"]
