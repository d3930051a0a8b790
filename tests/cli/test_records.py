"""Mistakes around what was applied: exit 4, and repair, reset, locks."""

from __future__ import annotations

import json
import os
import socket
import time
from functools import partial

from tests.cli.shell import TABLE, Shell, all_of, asked, failed_in_alembic, one_object, refused

DEVELOPMENT = {"BUDEVAL_MIGRATIONS_ENVIRONMENT": "development"}
COLUMNS = "version, checksum, success, operation, sequence, ledger_format"


def test_an_edited_revision_is_refused_told_by_readers_and_accepted_by_repair(
    shell: Shell, old_shell: Shell
) -> None:
    def check(each: Shell) -> None:
        each.write(2)
        each.ok("up")
        each.write(3)
        each.project.write_revision("001_step", None, TABLE.format(name="other"))
        ledger = each.ledger()
        done = each.run("--json", "up")
        refused(
            done,
            4,
            "001_step",
            "changed afterwards",
            hint="repair --revision 001_step",
            error="ChecksumMismatch",
        )
        for command in (("up", "001_step"), ("down", "001_step"), ("down", "base")):
            refused(each.run(*command), 4, "001_step", "changed afterwards", hint="repair")
        assert each.ledger() == ledger and "t3" not in each.tables()
        found = one_object(each.run("--json", "status"))
        assert [r["checksum"] for r in found["revisions"]] == ["mismatch", "ok", "none"]
        done = each.run("--json", "validate")
        problems = one_object(done)
        assert (done.returncode, problems["ok"]) == (4, False)
        [problem] = problems["problems"]
        assert (problem["revision"], problem["kind"]) == ("001_step", "checksum_mismatch")
        assert "repair --revision 001_step" in problem["hint"]
        each.ok("repair", "--revision", "001_step")
        each.ok("up")
        assert "other" not in each.tables() and "t3" in each.tables()

    all_of(partial(check, each) for each in (shell, old_shell))


def test_alembic_refuses_an_edited_revision_too(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    shell.write(2)
    shell.project.write_revision("001_step", None, TABLE.format(name="other"))
    for command in (("upgrade", "head"), ("downgrade", "base")):
        done = shell.project.run(*command)
        failed_in_alembic(done, "001_step", "changed afterwards", hint="repair")
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_a_reformatted_revision_is_told_and_stops_nothing(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    path = shell.project.revision_file("001_step")
    path.write_text(path.read_text() + "\n# a remark\n")
    done = shell.ok("up")
    assert "001_step was edited" in done.stderr and "statements are the same" in done.stderr
    assert "nothing to do" in done.stdout
    done = shell.ok("validate")
    assert "reformatted" in done.stdout and "repair --revision 001_step" in done.stdout
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_a_deleted_applied_revision_is_refused_and_can_be_forgotten(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up")
    ledger = shell.ledger()
    shell.project.revision_file("003_step").unlink()
    refused(
        shell.run("--json", "up"),
        4,
        "003_step",
        "no file",
        hint="--forget 003_step",
        error="MissingRevision",
    )
    assert shell.ledger() == ledger and "t3" in shell.tables()
    found = one_object(shell.run("--json", "status"))
    assert {r["revision"]: r["checksum"] for r in found["revisions"]}["003_step"] == "missing"
    assert found["at_head"] is False
    shell.ok("repair", "--forget", "003_step")
    assert one_object(shell.run("--json", "status"))["at_head"] is True
    assert "t3" in shell.tables()


def test_an_older_image_takes_back_what_a_newer_one_applied(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up")
    for gone in ("002_step", "003_step"):
        shell.project.revision_file(gone).unlink()
    done = shell.ok("down", "001_step")
    assert "reverted 003_step" in done.stderr
    assert "Run from what the ledger keeps, without a file: 003_step, 002_step." in done.stderr
    assert done.stdout.startswith(f"{shell.database}: 2 reverted in ")
    assert {"t1", "t2", "t3"} & shell.tables() == {"t1"}
    assert one_object(shell.ok("--json", "status"))["at_head"] is True


def test_a_deleted_revision_in_the_middle_is_refused(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up")
    shell.project.revision_file("002_step").unlink()
    for command in ("up", "status"):
        done = shell.run("--json", command)
        assert done.returncode in (3, 4), done.output
        refused(done, done.returncode, "002_step", "no file", hint="Restore")
    failed_in_alembic(shell.project.run("upgrade", "head"), "002_step", hint=None)
    assert len(shell.ledger()) == 3


def test_repair_of_what_is_not_applied_is_refused(shell: Shell) -> None:
    shell.write(2)
    shell.ok("up", "001_step")
    for option in ("--revision", "--forget"):
        for name in ("002_step", "no_such"):
            done = shell.run("--json", "repair", option, name)
            refused(done, 3, name, "not applied", hint="status")
    assert shell.ledger() == ["001_step\tupgrade\t1"]
    done = shell.ok("repair")
    assert "nothing to do" in done.stdout
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_repair_of_all_lists_them_and_asks(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up")
    for name in ("001_step", "003_step"):
        file = shell.project.revision_file(name)
        file.write_text(file.read_text().replace("Int32", "Int64"))
    done = shell.run("repair")
    refused(
        done, 2, "Nothing was recorded: nobody confirmed 2 files.",
        hint="Name them (budeval-migrate repair --revision ID), or accept all: "
        "budeval-migrate repair --yes",
    )  # fmt: skip
    assert done.stderr.startswith("001_step  mismatch\n003_step  mismatch\n")
    for answer, code in (("n", 2), ("y", 0)):
        assert [line for line in shell.ledger() if "repair" in line] == []
        with asked(shell, "Record these files as they are now? [y/N]: ", "repair") as told:
            process, terminal = told
            os.write(terminal, f"{answer}\n".encode())
            process.communicate(timeout=60)
        assert process.returncode == code
    assert [line for line in shell.ledger() if "repair" in line] == [
        "001_step\trepair\t1",
        "003_step\trepair\t1",
    ]
    file.write_text(file.read_text().replace("Int64", "Int16"))
    done = shell.ok("repair", "--yes")
    assert "1 repaired" in done.stdout
    assert "changed afterwards" not in done.output  # not any more


def test_repair_takes_the_beginning_of_an_id_and_no_two_meanings(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up")
    both = shell.run("repair", "--revision", "003_step", "--forget", "003")
    refused(both, 3, "003_step cannot be accepted and forgotten at once.", hint="--forget.")
    below = shell.run("repair", "--forget", "002")
    refused(
        below, 3, "002_step cannot be forgotten: 003_step is applied and builds on it.",
        hint="budeval-migrate repair --forget 003_step --forget 002_step",
    )  # fmt: skip
    assert len(shell.ledger()) == 3
    shell.ok("repair", "--revision", "001")
    assert shell.ledger()[-1] == "001_step\trepair\t1"
    shell.ok("repair", "--forget", "003", "--forget", "002_step")
    assert one_object(shell.ok("--json", "status"))["current"] == ["001_step"]


def test_repair_of_an_unknown_revision_makes_no_database(shell: Shell) -> None:
    shell.write(1)
    refused(shell.run("repair", "--revision", "no_such"), 3, "no_such")
    assert not shell.exists()


def test_a_ledger_of_a_newer_format_is_left_alone(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    shell.server.query(
        f"INSERT INTO schema_migrations ({COLUMNS}) "
        "VALUES ('002_future', 'x', 1, 'teleport', 2, 999)",
        database=shell.database,
    )
    shell.write(2)
    rows = len(shell.ledger())

    def check(command: tuple[str, ...]) -> None:
        done = shell.run("--json", *command)
        refused(done, 4, "format 999", hint="newer version", error="LedgerError")

    commands = [("up",), ("down", "base"), ("status",), ("history",), ("repair",), ("adopt",)]
    all_of(partial(check, command) for command in commands)
    done = shell.run("validate")
    assert done.returncode == 4 and "format 999" in done.stdout, done.output
    failed_in_alembic(shell.project.run("upgrade", "head"), "format 999", hint="newer version")
    assert len(shell.ledger()) == rows
    assert "t2" not in shell.tables()


def test_an_unknown_operation_in_the_ledger_is_not_guessed_at(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    shell.server.query(
        f"INSERT INTO schema_migrations ({COLUMNS}) "
        "VALUES ('002_future', 'x', 1, 'teleport', 2, 1)",
        database=shell.database,
    )
    shell.write(2)
    for command in ("up", "status"):
        done = shell.run("--json", command)
        refused(done, 4, "teleport", "operation", hint="version", error="LedgerError")
    assert "t2" not in shell.tables()


def test_a_table_of_that_name_that_is_something_else_is_left_alone(
    shell: Shell, old_shell: Shell
) -> None:
    def check(each: Shell) -> None:
        each.write(1)
        each.server.query(f"CREATE DATABASE {each.database}")
        each.server.query(
            "CREATE TABLE schema_migrations (id Int32, name String) ENGINE = MergeTree ORDER BY id",
            database=each.database,
        )
        for command in ("up", "status", "history"):
            done = each.run("--json", command)
            refused(
                done, 4, "schema_migrations", "not a ledger", hint="Rename", error="LedgerError"
            )
            assert len(done.stderr) < 700, f"too long: {done.output}"
        assert each.tables() == {"schema_migrations"}

    all_of(partial(check, each) for each in (shell, old_shell))


def test_rails_table_of_that_name_is_left_alone(shell: Shell) -> None:
    shell.write(1)
    shell.server.query(f"CREATE DATABASE {shell.database}")
    shell.server.query(
        "CREATE TABLE schema_migrations (version String) ENGINE = MergeTree ORDER BY version",
        database=shell.database,
    )
    done = shell.run("--json", "up")
    refused(done, 4, "schema_migrations", "not a ledger", hint="Rename", error="LedgerError")
    assert shell.tables() == {"schema_migrations"}


def test_reset_is_refused_without_yes_and_outside_development(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    before = shell.tables()
    refused(shell.run("--json", "reset"), 2, "--yes", hint="--yes", error="ConfigError")
    done = shell.run("--json", "reset", "--yes")
    refused(done, 2, "production", hint="environment = development", error="ConfigError")
    done = shell.run("reset", env=DEVELOPMENT)
    refused(done, 2, "--yes", hint="--yes")
    done = shell.run("reset", "--yes", env={"BUDEVAL_MIGRATIONS_ENVIRONMENT": "Development "})
    assert done.returncode == 2, done.output
    assert shell.tables() == before
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_reset_in_development_forgets_the_bookkeeping_and_keeps_the_data(
    shell: Shell, old_shell: Shell
) -> None:
    def check(each: Shell) -> None:
        each.write(1)
        each.ok("up")
        each.server.query("INSERT INTO t1 SELECT 1, 'kept'", database=each.database)
        done = each.run("reset", "--yes", env=DEVELOPMENT)
        assert done.returncode == 0, done.output
        assert "schema_migrations" in done.stdout + done.stderr, "it says what it dropped"
        assert each.tables() == {"t1"}
        assert each.rows("SELECT s FROM t1") == ["kept"]
        done = each.run("--json", "reset", "--yes", env=DEVELOPMENT)
        assert done.returncode == 0 and one_object(done)["ok"] is True, done.output
        assert one_object(each.run("--json", "status"))["pending"] == ["001_step"]
        each.ok("up")

    all_of(partial(check, each) for each in (shell, old_shell))


def test_reset_where_there_is_no_database_makes_none(shell: Shell) -> None:
    done = shell.run("reset", "--yes", env=DEVELOPMENT)
    assert done.returncode == 0, done.output
    assert not shell.exists()


def test_down_where_nothing_is_applied_makes_no_database(shell: Shell) -> None:
    shell.write(1)
    done = shell.run("down", "base")
    assert done.returncode == 0, done.output
    assert not shell.exists()


def test_a_lock_that_somebody_holds_is_named_and_exit_is_5(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    shell.write(2)
    shell.server.query(
        "INSERT INTO schema_migrations_lock (generation, event, owner, holder, lease_ms, doing)"
        " VALUES (99, 'claim', 'x', 'ann@elsewhere pid 7', 60000, '002_step')",
        database=shell.database,
    )
    done = shell.run("--json", "up", "--lock-timeout", "0.5")
    refused(done, 5, "ann@elsewhere pid 7", hint="lock_timeout", error="LockTimeout")
    assert done.stderr.count("waiting") == 1, done.output
    assert shell.ledger() == ["001_step\tupgrade\t1"]
    states = {
        r["revision"]: r["state"] for r in one_object(shell.run("--json", "status"))["revisions"]
    }
    assert states == {"001_step": "applied", "002_step": "running"}


def test_a_newer_database_is_refused_or_told_and_is_not_behind(shell: Shell) -> None:
    shell.write(2)
    assert shell.run("status", "--exit-code").returncode == 9
    shell.ok("up")
    newer = shell.project.revision_file("002_step")
    newer.unlink()
    refused(shell.run("up"), 4, "002_step is applied and has no file")
    told = shell.ok("up", "--on-ahead", "warn")
    assert "note 002_step is applied and has no file" in told.stderr, told.output
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t1"]
    found = one_object(shell.ok("--json", "status", "--exit-code"))
    assert (found["at_head"], found["pending"]) == (False, [])
    shell.project.write_revision("002_own", "001_step", TABLE.format(name="own"))
    assert shell.run("status", "--exit-code").returncode == 9


def test_a_failed_revision_is_pending(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    shell.project.write_revision("002_step", "001_step", "DROP TABLE missing")
    assert shell.run("up").returncode == 6
    assert shell.run("status", "--exit-code").returncode == 9


def test_history_says_with_verbose_who_it_was_and_where(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    by = f"default@{socket.gethostname()}"
    assert by in shell.ok("history", "--verbose").stdout
    assert by not in shell.ok("history").stdout
    [row] = json.loads(shell.ok("--json", "history").stdout)["attempts"]
    assert (row["server_user"], row["host"]) == ("default", socket.gethostname())


def test_after_a_repair_status_still_says_when_the_revision_was_applied(shell: Shell) -> None:
    shell.write(1)
    shell.ok("up")
    before = json.loads(shell.ok("--json", "status").stdout)["revisions"][0]
    file = shell.project.revision_file("001_step")
    file.write_text(file.read_text() + "# a word more\n")
    time.sleep(0.01)
    shell.ok("repair", "--revision", "001_step")
    after = json.loads(shell.ok("--json", "status").stdout)["revisions"][0]
    assert after["checksum"] == "ok"
    for name in ("executed_at", "execution_time_ms", "statements_applied"):
        assert after[name] == before[name]
