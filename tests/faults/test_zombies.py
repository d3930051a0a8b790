"""A holder that was stopped past its lease and goes on touches nothing more."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.faults.processes import executed, started, states, tells_no_secret
from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront
from tests.support.waiting import PATIENCE

TABLE = "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a"
INSERT = "INSERT INTO t /* 'it' */ VALUES (1), (2), (3)"
AFTER = "INSERT INTO t VALUES (4)"


@pytest.fixture
def shell(tmp_path: Path, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """A short lease on ClickHouse 26 over HTTP."""
    yield Shell(Project(tmp_path / "project"), modern, database, {"lock_lease": "5"})
    modern.query(f"DROP DATABASE IF EXISTS {database}")


@pytest.mark.parametrize(
    "match",
    ['"position": 2,', "/* 'it' */", '"operation": "upgrade"'],
    ids=["before a statement", "in a statement", "at its ledger row"],
)
def test_a_zombie_sends_nothing_more_and_says_that_it_lost_the_lock(
    shell: Shell, modern: ChdbFront, match: str
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
    assert shell.ledger() == ["001_it\tupgrade\t1", "002_after\tupgrade\t1"]
    last = "SELECT max(sequence) FROM schema_migrations_journal WHERE lock_generation = "
    assert int(*shell.rows(last + "1")) < int(*shell.rows(last + "2"))
    tells_no_secret(shell, stdout, stderr, successor.output)
