"""A holder that was stopped past its lease and goes on touches nothing more."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, refused
from tests.faults.processes import executed, started, states, tells_no_secret, works_on
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront
from tests.support.waiting import PATIENCE, wait_until

TABLE = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
INSERT = "INSERT INTO t /* 'it' */ VALUES (1), (2), (3)"
AFTER = "INSERT INTO t VALUES (4)"


@pytest.fixture
def shell(tmp_path: Path, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """A short lease on ClickHouse 26 over HTTP."""
    yield Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "5"})
    modern.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.mark.parametrize(
    ("match", "at"),
    [
        ('"position": 2,', "001_it"),
        ("/* 'it' */", "001_it"),
        ('"operation": "upgrade"', "002_after"),
    ],
    ids=["before a statement", "in a statement", "at its ledger row"],
)
def test_a_zombie_sends_nothing_more_and_says_that_it_lost_the_lock(
    shell: Shell, modern: ChdbFront, match: str, at: str
) -> None:
    shell.project.write_revision("001_it", None, [TABLE, INSERT])
    shell.project.write_revision("002_after", "001_it", AFTER)
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        held = proxy.add(Fault(How.HELD, match))
        with started(shell, "budeval_migrations", "--json", "--url", url, "up") as zombie:
            assert held.answered.wait(PATIENCE)
            zombie.send_signal(signal.SIGSTOP)
            successor = shell.ok("up")
            taken = modern.queries()[-1]["time"]
            held.release()
            proxy.clear()
            zombie.send_signal(signal.SIGCONT)
            stdout, stderr = zombie.communicate(timeout=PATIENCE)
        assert zombie.returncode == 5, stderr
        # A renewal may have been on its way when it was stopped: of a generation that is over.
        looks = ("SELECT", "INSERT INTO `schema_migrations_lock`")
        assert [q for q in proxy.queries if not q.startswith(looks)] == []
    said = json.loads(stdout)
    assert said["error"] == "LockLost"
    assert "The lock (generation 1) could not be renewed in time" in stderr
    assert (
        "Nothing more was sent." in stderr and "hint: Look with: budeval-migrate status" in stderr
    )
    late = [
        r["query"]
        for r in modern.queries()
        if r["time"] > taken and r["database"] == shell.database
    ]
    assert not [q for q in late if '"lock_generation": 1,' in q or q in (INSERT, AFTER)]
    assert [executed(shell, sql) for sql in (TABLE, INSERT, AFTER)] == [1, 1, 1]
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["4\t10"]
    assert states(shell) == ["applied", "applied"]
    finished = ["001_it\tupgrade\t1", "002_after\tupgrade\t1"]
    # And the attempt of the zombie, which could not write its row.
    assert shell.ledger() == sorted([*finished, f"{at}\tupgrade\t0"])
    last = "SELECT max(sequence) FROM schema_migrations_journal WHERE lock_generation = "
    assert int(*shell.rows(last + "1")) < int(*shell.rows(last + "2"))
    tells_no_secret(shell, stdout, stderr, successor.output)


VERSION_TABLE = (
    "CREATE TABLE alembic_version (version_num String) ENGINE = MergeTree ORDER BY tuple()"
)


@pytest.mark.parametrize(
    "match", ['"operation": "adopt"', "RENAME TABLE alembic_version"], ids=["rows", "rename"]
)
def test_an_adoption_that_arrives_after_another_one_changes_nothing(
    shell: Shell, modern: ChdbFront, match: str
) -> None:
    shell.project.write_revision("001_it", None, TABLE)
    shell.project.write_revision("002_after", "001_it", AFTER)
    modern.query(f"CREATE DATABASE {shell.database}")
    for sql in (TABLE, VERSION_TABLE, "INSERT INTO alembic_version VALUES ('001_it')"):
        modern.query(sql, database=shell.database)
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        held = proxy.add(Fault(How.KEPT_BACK, match))
        with started(shell, "budeval_migrations", "--json", "--url", url, "up") as zombie:
            assert held.arrived.wait(PATIENCE)
            zombie.send_signal(signal.SIGSTOP)
            shell.ok("up")
            held.release()
            assert held.answered.wait(PATIENCE)
            zombie.send_signal(signal.SIGCONT)
            _, stderr = zombie.communicate(timeout=PATIENCE)
        assert zombie.returncode in (5, 8), stderr
    assert shell.ledger() == ["001_it\tadopt\t1", "002_after\tupgrade\t1"]
    assert shell.rows("SELECT version_num FROM alembic_version") == ["002_after"]
    assert shell.rows(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() "
        "AND name LIKE 'alembic_version%' ORDER BY name"
    ) == ["View", "MergeTree"]
    assert shell.rows("SELECT a FROM t") == ["4"]


def test_a_person_cannot_answer_for_a_statement_that_still_runs(
    shell: Shell, modern: ChdbFront
) -> None:
    slow = (
        "INSERT INTO t SELECT number FROM numbers(6) WHERE NOT ignore(sleepEachRow(2)) "
        "SETTINGS max_block_size = 1"
    )
    shell.project.write_revision("001_it", None, [TABLE, slow])
    with started(shell, "budeval_migrations", "up") as killed:
        wait_until(lambda: works_on(shell, "INSERT INTO t SELECT"), "the statement does not run")
        killed.kill()
        killed.wait(PATIENCE)
    told = shell.run("repair", "--revision", "001_it", "--statement", "2", "--not-applied")
    refused(told, 3, "Statement 2 of 001_it still runs on the server", hint="KILL QUERY WHERE")
    wait_until(lambda: not works_on(shell, "INSERT INTO t SELECT"), "the statement goes on")
    shell.ok("repair", "--revision", "001_it", "--statement", "2", "--applied")
    shell.ok("up")
    assert shell.rows("SELECT count() FROM t") == ["6"]


@pytest.mark.parametrize("how", ["unlock", "drop"])
def test_a_zombie_whose_lock_was_taken_away_within_its_lease_sends_nothing_more(
    tmp_path: Path, modern: ChdbFront, database: str, how: str
) -> None:
    shell = Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "60"})
    shell.project.write_revision("001_it", None, [TABLE, INSERT])
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        held = proxy.add(Fault(How.HELD, '"position": 2,'))
        with started(shell, "budeval_migrations", "--url", url, "up") as zombie:
            assert held.answered.wait(PATIENCE)
            zombie.send_signal(signal.SIGSTOP)
            if how == "unlock":
                shell.ok("unlock", "--yes")
            else:
                modern.query("DROP TABLE schema_migrations_lock SYNC", database=database)
            shell.ok("up")
            held.release()
            zombie.send_signal(signal.SIGCONT)
            _, stderr = zombie.communicate(timeout=PATIENCE)
        assert zombie.returncode != 0
        assert "Nothing more was sent." in stderr or how == "drop"
    assert shell.rows("SELECT count(), sum(a) FROM t") == ["3\t6"]
    assert [executed(shell, sql) for sql in (TABLE, INSERT)] == [1, 1]
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def test_a_reset_that_is_held_past_its_lease_drops_nothing_of_a_successor(
    tmp_path: Path, modern: ChdbFront, database: str
) -> None:
    settings = {"lock_lease": "5", "environment": "development"}
    shell = Shell(Project(tmp_path / "project"), modern, database, settings)
    shell.project.write_revision("001_it", None, [TABLE, INSERT])
    shell.ok("up")
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        held = proxy.add(Fault(How.KEPT_BACK, "DROP TABLE IF EXISTS schema_migrations"))
        with started(shell, "budeval_migrations", "--url", url, "reset", "--yes") as zombie:
            assert held.arrived.wait(PATIENCE)
            zombie.send_signal(signal.SIGSTOP)
            shell.project.write_revision("002_after", "001_it", AFTER)
            shell.ok("up")
            held.release()
            assert held.answered.wait(PATIENCE)
            zombie.send_signal(signal.SIGCONT)
            zombie.communicate(timeout=PATIENCE)
        assert zombie.returncode != 0
    assert shell.ledger() == ["001_it\tupgrade\t1", "002_after\tupgrade\t1"]
    assert shell.ok("up").returncode == 0
    assert shell.rows("SELECT count() FROM t") == ["4"]
    modern.query(f"DROP DATABASE IF EXISTS {database}")


def test_a_mutation_that_still_runs_is_not_answered_for(shell: Shell, modern: ChdbFront) -> None:
    table = "CREATE TABLE t (a Int32, b Int32) ENGINE = MergeTree PARTITION BY a ORDER BY a"
    update = "ALTER TABLE t UPDATE b = b + 1 + sleepEachRow(2.5) WHERE 1"
    rows = "INSERT INTO t SELECT number, 0 FROM numbers(9)"
    shell.project.write_revision("001_it", None, [table, rows, update])
    made = f"SELECT count() FROM system.mutations WHERE database = '{shell.database}'"
    with started(shell, "budeval_migrations", "up") as killed:
        wait_until(lambda: modern.query(made).strip() == "1", "there is no mutation")
        killed.kill()
        killed.wait(PATIENCE)
    repair = ("repair", "--revision", "001_it", "--statement", "3", "--not-applied")
    refused(shell.run(*repair), 3, "Statement 3 of 001_it still runs", hint="KILL MUTATION WHERE")
    shell.ok("up")
    assert shell.rows("SELECT count(), sum(b) FROM t") == ["9\t9"]
