"""What a person is shown and asked when only a person knows: ``repair --statement``, ``unlock``."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

import pytest

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import LockLost
from budeval_migrations.events import ignore
from budeval_migrations.settings import Settings
from budeval_migrations.state.lock.lock import LeaseLock
from tests.cli.shell import Shell, all_of, asked, one_object, refused
from tests.support.project import Finished, Project
from tests.support.proxy import RecordingProxy
from tests.support.servers import ChdbFront

TABLE = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
MARK = "/* 'it' */"  # not to the letter wherever the statement is only spoken about
FILL = f"INSERT INTO t SELECT toInt32(number + 1) FROM numbers(3) {MARK}"
UNLOCK = "Take the lock from them? [y/N]: "
REPAIR = "repair --revision 002_fill --statement 2"


def _silent(shell: Shell, *runs: Finished) -> None:
    tables = ("schema_migrations", "schema_migrations_journal")
    kept = [line for table in tables for line in shell.rows(f"SELECT * FROM {table}")]
    text = "\n".join([*(run.stdout + run.stderr for run in runs), *kept])
    for password in shell.server.users.values():
        for form in (password, quote(password, safe=""), password[-8:]):
            assert form not in text


def _records(shell: Shell) -> list[str]:
    return [
        *shell.rows("SELECT * FROM schema_migrations ORDER BY sequence"),
        *shell.rows("SELECT * FROM schema_migrations_journal ORDER BY sequence"),
    ]


@pytest.fixture
def doubt(shell: Shell, modern: ChdbFront) -> Finished:
    """A run that stopped at an INSERT … SELECT whose answer was lost."""
    shell.project.write_revision("001_one", None, TABLE)
    shell.project.write_revision("002_fill", "001_one", ["SELECT 1", FILL])
    shell.project.write_revision(
        "003_after", "002_fill", "CREATE TABLE IF NOT EXISTS u (a Int32) ENGINE = Log"
    )
    with RecordingProxy(modern.http_port) as proxy:
        proxy.cut_answers(1, MARK)
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        return shell.run("--url", url, "up")


def test_a_statement_in_doubt_is_shown_with_both_commands(shell: Shell, doubt: Finished) -> None:
    refused(doubt, 4)
    shown = doubt.stderr[doubt.stderr.index("FAILED") :]
    assert shown == (
        f"FAILED 002_fill  statement 2 of 2  (versions/002_fill.py:11)\n"
        f"  it cannot be known whether this took effect: {shell.database}.t has got 3 "
        "rows more than before, and whether that is all that it inserts is not known\n"
        f"  {FILL}\n"
        f"  Nothing was sent for it again. If it took effect: budeval-migrate {REPAIR} --applied\n"
        f"  if it did not, or you have reverted it: budeval-migrate {REPAIR} --not-applied\n"
        "  hint: Look at the data, run one of these two commands, then run again what stopped here.\n"
    )
    status = shell.ok("status")
    assert re.search(r"^002_fill +unknown ", status.stdout, re.MULTILINE), status.output
    assert "002_fill: statement 2 may have taken effect, or may yet;" in status.stdout
    told = {r["revision"]: r for r in one_object(shell.ok("--json", "status"))["revisions"]}
    assert (told["002_fill"]["state"], told["002_fill"]["statement"]) == ("unknown", 2)
    assert told["002_fill"]["statements_applied"] == 1
    said = (
        "002_fill was begun and not finished: 1 statement took effect, the outcome of "
        "statement 2 is not known."
    )
    assert shell.ok("validate").stdout == (
        f"half_applied {said}\n  hint: budeval-migrate up goes on with it.\n"
        "files and ledger are in order, with 1 note\n"
    )
    assert said in shell.ok("plan", "--quick").output
    again = shell.run("up")
    refused(again, 4, *shown.splitlines()[1:5])
    assert shell.rows("SELECT count() FROM t") == ["3"]
    both = shell.run(*REPAIR.split(), "--applied", "--not-applied")
    refused(both, 2, "--applied and --not-applied cannot be given together.")
    _silent(shell, doubt, status, again)


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_the_command_that_is_shown_is_the_command_that_mends_it(
    shell: Shell, doubt: Finished, applied: bool
) -> None:
    commands = re.findall(r"budeval-migrate (repair .*)", doubt.stderr)
    assert len(commands) == 2
    if not applied:
        shell.server.query("TRUNCATE TABLE t", database=shell.database)
    done = shell.ok(*shlex.split(commands[0 if applied else 1]))
    word = "took effect" if applied else "did not take effect and will be sent again"
    assert done.stderr == f"note 002_fill statement 2 {word}: recorded.\n"
    assert done.stdout.startswith(f"{shell.database}: "), done.output
    assert done.stdout.endswith("at 001_one; 2 pending\n"), done.output
    assert "cannot be known" not in shell.ok("status").output
    up = shell.ok("--verbose", "up")
    assert (f"    2 of 2  {FILL}" in up.stderr) is not applied, up.output
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["3\t6"]
    assert shell.ledger()[-3:] == [
        "002_fill\trepair\t0",
        "002_fill\tupgrade\t1",
        "003_after\tupgrade\t1",
    ]
    history = shell.ok("history").stdout.splitlines()
    assert [line.split()[3:6] for line in history[1:]] == [
        ["upgrade", "001_one", "ok"],
        ["upgrade", "002_fill", "failed"],
        ["repair", "002_fill", "noted"],
        ["upgrade", "002_fill", "ok"],
        ["upgrade", "003_after", "ok"],
    ]
    attempts = one_object(shell.ok("--json", "history"))["attempts"]
    [said] = [row for row in attempts if row["operation"] == "repair"]
    assert said["error"] == f"Statement 2 {word}: a person said so."
    assert said["host"] == socket.gethostname()
    note = "SELECT note, event FROM schema_migrations_journal WHERE startsWith(note, 'repair by ')"
    [recorded] = shell.rows(note)
    assert recorded.endswith("\tapplied" if applied else "\tfailed")
    _silent(shell, doubt, done, up)


def test_a_repair_without_a_statement_names_the_one_in_doubt(shell: Shell, doubt: Finished) -> None:
    bare = shell.ok("repair")
    assert (
        "The outcome of statement 2 of 002_fill is not known. Say what became of it: "
        f"budeval-migrate {REPAIR} --applied; or --not-applied"
    ) in bare.stderr
    named = shell.run("repair", "--revision", "002_fill")
    refused(
        named, 3, "002_fill is not applied: the outcome of its statement 2 is not known.",
        hint=f"budeval-migrate {REPAIR} --applied; or --not-applied",
    )  # fmt: skip


def test_a_script_says_of_which_statement_nobody_knows(shell: Shell, doubt: Finished) -> None:
    script = shell.ok("plan", "--sql").stdout
    assert script.startswith(
        "-- note: 002_fill was begun and not finished: 1 statement took effect, the outcome of "
        "statement 2 is not known.\n"
    )


def test_what_took_effect_behind_is_counted_where_an_earlier_statement_is_sent_again(
    shell: Shell, doubt: Finished
) -> None:
    shell.ok(*shlex.split("repair --revision 002_fill --statement 1 --not-applied"))
    shell.ok(*shlex.split(f"{REPAIR} --applied"))
    file = shell.project.revision_file("002_fill")
    file.write_text(file.read_text().replace("SELECT 1", "SELECT nothing"))
    failed = shell.run("up")
    assert "1 statement of this revision took effect; the next run goes on at statement 1" in (
        failed.stderr
    )
    assert shell.ledger() == [
        "001_one\tupgrade\t1",
        "002_fill\tupgrade\t0",
        "002_fill\trepair\t0",
        "002_fill\trepair\t0",
        "002_fill\tupgrade\t0",
    ]


def test_validate_finds_the_edit_that_keeps_a_revision_from_going_on(
    shell: Shell, doubt: Finished
) -> None:
    file = shell.project.revision_file("002_fill")
    file.write_text(file.read_text().replace("SELECT 1", "SELECT 7"))
    up = shell.run("up")
    refused(up, 4, "002_fill  statement 1", "edited afterwards", hint="--not-applied")
    validated = shell.run("validate")
    assert validated.returncode == 4
    assert "checksum_mismatch 002_fill  statement 1" in validated.stdout
    assert "1 problem" in validated.stdout


def test_repair_with_json_is_one_object(shell: Shell, doubt: Finished) -> None:
    told = one_object(shell.ok("--json", *shlex.split(f"{REPAIR} --applied")))
    assert told["operation"] == "repair"
    assert told["notices"] == ["002_fill statement 2 took effect: recorded."]
    assert told["pending"] == ["002_fill", "003_after"]


_WORDS = "--statement needs one --revision, and either --applied or --not-applied."
_HOW = "budeval-migrate repair --revision R --statement N --applied"
BAD = [
    ("--revision 002_fill --statement 2", 2, _WORDS, _HOW),
    ("--revision 002_fill --applied", 2, _WORDS, _HOW),
    ("--statement 2 --applied", 2, _WORDS, _HOW),
    ("--revision 001_one --revision 002_fill --statement 2 --applied", 2, _WORDS, _HOW),
    ("--revision 002_fill --statement 2 --applied --forget 001_one", 2, _WORDS, _HOW),
    ("--revision 002_fill --statement two --applied", 2, "'two' is not a valid integer", None),
    ("--revision 002_fill --statement 0 --applied", 3, "Statement 0 of 002_fill", "status"),
    ("--revision 002_fill --statement -1 --applied", 3, "Statement -1 of 002_fill", "status"),
    ("--revision 002_fill --statement 3 --applied", 3, "Statement 3 of 002_fill", "status"),
    ("--revision 001_one --statement 1 --not-applied", 3, "Statement 1 of 001_one", "status"),
    ("--revision 003_after --statement 1 --applied", 3, "Statement 1 of 003_after", "status"),
    ("--revision no_such --statement 1 --applied", 3, "no_such", ""),
    ("--revision 001_oen", 3, "001_oen is not applied", "Did you mean 001_one?"),
    ("--forget 001_oen", 3, "001_oen is not applied", "Did you mean 001_one?"),
]


def test_answers_that_make_no_sense_are_refused_and_change_nothing(
    shell: Shell, doubt: Finished
) -> None:
    before = _records(shell)

    def check(words: str, code: int, says: str, hint: str | None) -> None:
        done = shell.run("repair", *shlex.split(words))
        refused(done, code, says, hint=hint)
        if code == 3 and "no_such" not in words and "oen" not in words:
            assert "half applied, or it was never sent." in done.stderr
        _silent(shell, done)

    all_of(partial(check, *bad) for bad in BAD)
    assert _records(shell) == before


def test_a_statement_of_a_database_that_is_not_there_cannot_be_settled(shell: Shell) -> None:
    shell.write(1)
    done = shell.run("repair", *shlex.split("--revision 001_step --statement 1 --applied"))
    refused(done, 3, "Statement 1 of 001_step needs no answer", hint="status")
    assert not shell.exists()


def test_repair_waits_for_the_lock(shell: Shell, doubt: Finished) -> None:
    shell.configure(lock_timeout="0.1")
    before = _records(shell)
    with _held(shell):
        refused(
            shell.run(*shlex.split(f"{REPAIR} --applied")), 5, "The lock is held by", hint="unlock"
        )
    assert _records(shell) == before


def test_a_statement_that_was_edited_after_it_took_effect_is_refused_with_both_texts(
    shell: Shell,
) -> None:
    wrong = "ALTER TABLE t ADD COLUMN a Int32"
    shell.project.write_revision("001_one", None, [TABLE, wrong])
    refused(shell.run("up"), 6, "001_one  statement 2 of 2", "ClickHouse 15")
    status = shell.ok("status").stdout
    assert re.search(r"^001_one +failed .* 1/2$", status, re.MULTILINE), status
    assert "001_one: statement 2 (" in status
    edited = TABLE.replace("Int32", "Int64")
    shell.project.write_revision("001_one", None, [edited, "SELECT 1"])
    done = shell.run("up")
    refused(done, 4, hint="budeval-migrate repair --revision 001_one --statement 1 --not-applied")
    assert re.search(
        r"FAILED 001_one  statement 1  \(versions/001_one\.py:10\)\n"
        r"  It took effect on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC and was edited afterwards; "
        r"nothing was sent\.\n"
        rf"  applied: {re.escape(TABLE)}\n"
        rf"  file:    {re.escape(edited)}\n",
        done.stderr,
    ), done.output
    shell.project.write_revision("001_one", None, [TABLE, "SELECT 1"])
    up = shell.ok("up")
    assert shell.ledger() == ["001_one\tupgrade\t0", "001_one\tupgrade\t1"]
    _silent(shell, done, up)


def test_an_edited_statement_runs_again_where_a_person_says_that_it_was_taken_back(
    shell: Shell,
) -> None:
    shell.project.write_revision("001_one", None, [TABLE, "ALTER TABLE t ADD COLUMN a Int32"])
    refused(shell.run("up"), 6)
    edited = TABLE.replace("Int32", "Int64")
    shell.project.write_revision("001_one", None, [edited, "SELECT 1"])
    done = shell.run("up")
    [command] = re.findall(r"budeval-migrate (repair .*)", done.stderr)
    shell.server.query("DROP TABLE t", database=shell.database)
    shell.ok(*shlex.split(command))
    shell.ok("up")
    assert shell.rows(
        "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = 't'"
    ) == ["Int64"]


@contextmanager
def _held(shell: Shell, doing: str = "") -> Iterator[LeaseLock]:
    """Somebody who holds the lock, in this process."""
    with Session(Settings(url=shell.url(), database=shell.database)) as session:
        session.ensure_database()
        lock = LeaseLock(session, ignore)
        lock.doing = doing
        lock.acquire()
        try:
            yield lock
        finally:
            lock.release()


def _held_line(lock: LeaseLock, doing: str = "") -> str:
    at = f", at {doing}" if doing else ""
    return rf"held by \S+@\S+ pid {os.getpid()} since \S+ \S+ UTC{at} \(generation {lock.generation}\)\n"


def test_there_is_nothing_to_unlock_where_nobody_holds_the_lock(
    shell: Shell, old_shell: Shell, embedded: Project
) -> None:
    def check(run: Callable[..., Finished]) -> None:
        done = run("unlock", "--yes")
        assert (done.returncode, done.stdout, done.stderr) == (0, "nobody holds the lock\n", "")

    shell.write(1)
    old_shell.write(1)
    embedded.write_chain(1)
    runs = (shell.run, old_shell.run, embedded.cli)
    all_of(partial(check, run) for run in runs)
    assert not shell.exists() and not old_shell.exists()
    shell.ok("up")
    check(shell.run)
    shell.configure(lock="off")
    check(shell.run)


def test_unlock_says_who_has_the_directory_of_an_engine_in_the_process(embedded: Project) -> None:
    embedded.write_revision(
        "001_slow", None, "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1"
    )
    with embedded.start("budeval_migrations", "up", "--verbose") as process:
        assert process.stderr is not None
        try:
            while "sleepEachRow" not in process.stderr.readline():
                assert process.poll() is None
            done = embedded.cli("unlock", "--yes")
        finally:
            process.kill()
    refused(done, 8, f"is in use by another process (pid {process.pid}).")


def test_unlock_shows_the_holder_and_leaves_the_lock_where_nobody_can_be_asked(
    shell: Shell,
) -> None:
    shell.write(1)
    with _held(shell, "001_step statement 1 of 7") as lock:
        done = shell.run("unlock")
        refused(
            done,
            2,
            "The lock was not taken: nobody confirmed it.",
            hint="Take it with: budeval-migrate unlock --yes",
        )
        line = _held_line(lock, "001_step statement 1 of 7")
        assert re.match(line, done.stderr), done.output
        refused(shell.run("--json", "unlock"), 2, error="ConfigError", hint="unlock --yes")
        status = shell.ok("status")
        shown = rf"^001_step statement 1: \S+ pid {os.getpid()}, since \S+ UTC$"
        assert re.search(shown, status.stdout, re.MULTILINE), status.output
        told = one_object(shell.ok("--json", "status"))["revisions"][0]
        assert (told["state"], told["statement"]) == ("running", 1)
        lock.check()


def test_unlock_yes_takes_the_lock_and_the_holder_has_lost_it(shell: Shell) -> None:
    with _held(shell) as lock:
        done = shell.ok("unlock", "--yes")
        assert re.fullmatch(_held_line(lock), done.stderr), done.output
        assert re.fullmatch(rf"the lock was taken from \S+ pid {os.getpid()}\n", done.stdout)
        assert shell.rows(f"SELECT {lock.fence}") == ["0"]
        for _ in range(100):
            try:
                lock.check()
            except LockLost as lost:
                assert "was taken away (generation 2" in lost.message
                break
            lock._stop.wait(0.1)
        else:
            raise AssertionError("the holder did not notice")
    assert shell.run("unlock").stdout == "nobody holds the lock\n"


def test_unlock_with_json_is_one_object(shell: Shell) -> None:
    with _held(shell) as lock:
        told = one_object(shell.ok("--json", "unlock", "--yes"))
    assert (told["unlocked"], told["generation"]) == (True, lock.generation)
    assert told["holder"].endswith(f"pid {os.getpid()}")


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_unlock_asks_a_person_at_a_terminal(shell: Shell, answer: str) -> None:
    with _held(shell) as lock, asked(shell, UNLOCK, "unlock") as (process, terminal):
        os.write(terminal, f"{answer}\n".encode())
        stdout, stderr = process.communicate(timeout=60)
        free = shell.rows(f"SELECT {lock.fence}") == ["0"]
    assert free is (answer == "y")
    if answer == "y":
        assert process.returncode == 0, stderr
        assert stdout.startswith("the lock was taken from ")
    else:
        assert process.returncode == 2, stderr
        assert "The lock was not taken: nobody confirmed it." in stderr


@pytest.mark.parametrize("taken", [True, False], ids=["another has it", "it is free"])
def test_a_yes_that_comes_too_late_takes_the_lock_from_nobody(shell: Shell, taken: bool) -> None:
    with _held(shell) as lock, asked(shell, UNLOCK, "unlock") as (process, terminal):
        lock.release()
        with _held(shell) if taken else _nobody() as other:
            os.write(terminal, b"y\n")
            stdout, stderr = process.communicate(timeout=60)
            if other is not None:
                other.check()
                assert shell.rows(f"SELECT {other.fence}") == ["1"]
    assert (process.returncode, stdout) == (5, ""), stderr
    who = rf"held by \S+ pid {os.getpid()}" if taken else "free"
    said = rf"FAILED The lock is not \S+ pid {os.getpid()}'s any more \(generation 1\); it is {who} now\. "
    assert re.search(
        rf"{said}Nothing was changed\.\n  hint: Look with: budeval-migrate status\.", stderr
    ), stderr


@contextmanager
def _nobody() -> Iterator[None]:
    yield
