"""Killed or stopped with several statements on their way, the next run still knows of each."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.faults.processes import outcomes, started, states, works_on
from tests.support.project import Project
from tests.support.servers import ChdbFront
from tests.support.waiting import PATIENCE, wait_until

TABLES = ("a", "b", "c", "s")
TABLE = "CREATE TABLE {} (k UInt64, v UInt64) ENGINE = MergeTree ORDER BY k"
FILL = f"INSERT INTO {{}} VALUES {', '.join(f'({n}, 0)' for n in range(8))}"
# A row more, or a one more: what runs twice is seen.
ONE = "INSERT INTO {} VALUES ({}, 100)"
SLOW = "ALTER TABLE {} UPDATE v = v + 1 + sleepEachRow(0.03) WHERE 1"
# Long enough for the test to see both at once, however busy the machine is.
SLOWER = SLOW.replace("0.03", "0.3")
BACKFILL = (
    'op.backfill("{}", "SELECT k + 50, v + sleepEachRow(0.03) FROM s WHERE {{chunk}}", '
    'source="s", by="k", chunk_rows=2)'
)
SLOW_INSERT = (
    "INSERT INTO {} SELECT number + 1, 0 FROM numbers(300) "
    "WHERE NOT ignore(sleepEachRow(0.2)) SETTINGS max_block_size = 1"
)


@pytest.fixture
def shell(tmp_path: Path, modern: ChdbFront, database: str) -> Iterator[Shell]:
    """ClickHouse 26 over HTTP; whoever is killed leaves no lock behind."""
    yield Shell(Project(tmp_path / "project"), modern, database, {"lock": "off"})
    for name in (database, f"{database}_once"):
        modern.query(f"DROP DATABASE IF EXISTS {name}")


def _write(project: Project) -> list[str]:
    """Write two branches from one root, and the revision in which they meet."""

    def write(name: str, below: object, *calls: str) -> None:
        lines = [c if c.startswith("op.") else f'op.execute("""{c}""")' for c in calls]
        body = "def upgrade():\n" + "".join(f"    {line}\n" for line in lines)
        project.write_revision(name, below, body=body + "def downgrade():\n    pass\n")  # type: ignore[arg-type]

    write("000_root", None, *map(TABLE.format, TABLES), *map(FILL.format, "abcs"))
    write("001_a", "000_root", SLOWER.format("a"), ONE.format("b", 70), SLOW.format("a"))
    write("001_c", "000_root", SLOWER.format("c"), BACKFILL.format("c"), ONE.format("c", 71))
    write("002_a", "001_a", BACKFILL.format("b"), "ALTER TABLE a ADD COLUMN w UInt8")
    write("002_c", "001_c", SLOW.format("c"))
    write("003_met", ("002_a", "002_c"), SLOW.format("s"), SLOW.format("b"))
    return ["000_root", "001_a", "001_c", "002_a", "002_c", "003_met"]


def _content(shell: Shell, database: str) -> list[list[str]]:
    query = "SELECT * FROM {} ORDER BY ALL"
    return [shell.server.query(query.format(f"{database}.{t}")).splitlines() for t in TABLES]


def _entries(shell: Shell) -> int:
    found = f"database = '{shell.database}' AND name = 'schema_migrations_journal'"
    there = shell.server.query(f"SELECT count() FROM system.tables WHERE {found}")
    return int(shell.rows("SELECT count() FROM schema_migrations_journal")[0]) if int(there) else 0


def _in_doubt(shell: Shell) -> int:
    if not _entries(shell):
        return 0
    last = (
        "SELECT argMax(event, sequence) FROM schema_migrations_journal GROUP BY revision, position"
    )
    return shell.rows(last).count("intent")


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 20))]
)
def test_killed_again_and_again_it_ends_as_if_it_had_run_once(shell: Shell, seed: int) -> None:
    names = _write(shell.project)
    once = f"{shell.database}_once"
    shell.ok("--url", shell.server.url("clickhouse+http", once), "--database", once, "up")
    chance, most = random.Random(seed), 0
    for kill in range(6):
        aim = _entries(shell) + chance.randint(2, 12)
        with started(shell, "budeval_migrations", "up", "--jobs", "3") as process:
            # The first kill meets two on their way, the others whatever there is.
            while process.poll() is None:
                if _in_doubt(shell) > 1 if kill == 0 else _entries(shell) >= aim:
                    break
                time.sleep(0.02)
            process.kill()
            process.wait()
            most = max(most, _in_doubt(shell))
    assert most > 1, "never were two on their way"
    shell.ok("up", "--jobs", "3")
    assert _content(shell, shell.database) == _content(shell, once)
    assert states(shell) == ["applied"] * 6
    good = [line.split("\t")[0] for line in shell.ledger() if line.endswith("\t1")]
    assert sorted(good) == names
    last_words = {event for name in names for event in outcomes(shell, name)}
    assert last_words <= {"applied"}
    left = shell.rows("SELECT name FROM system.tables WHERE database = currentDatabase() "
                      "AND name LIKE 'budeval_backfill%'")  # fmt: skip
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_all_that_is_on_its_way_is_stopped_on_the_server_and_recorded(
    shell: Shell, number: signal.Signals
) -> None:
    shell.configure(lock="auto", lock_lease="600")
    shell.project.write_revision("000_root", None, [*map(TABLE.format, "ab")])
    shell.project.write_revision("001_a", "000_root", SLOW_INSERT.format("a"))
    shell.project.write_revision("001_b", "000_root", SLOW_INSERT.format("b"))
    with started(shell, "budeval_migrations", "--json", "up", "--jobs", "2") as process:
        for name in "ab":
            wait_until(
                lambda name=name: works_on(shell, f"INSERT INTO {name} "), "it did not start"
            )  # type: ignore[misc]
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr, stderr
    assert json.loads(stdout)["exit_code"] == 128 + number
    assert not works_on(shell, "INSERT INTO a ") and not works_on(shell, "INSERT INTO b ")
    assert outcomes(shell, "001_a") == outcomes(shell, "001_b") == ["failed"]
    assert states(shell) == ["applied", "failed", "failed"]
    assert sorted(shell.ledger()[1:]) == ["001_a\tupgrade\t0", "001_b\tupgrade\t0"]
    last = "SELECT argMax(event, at) FROM schema_migrations_lock GROUP BY generation"
    assert set(shell.rows(last)) == {"release"}
    for name in "ab":
        quick = SLOW_INSERT.format(name).replace("sleepEachRow(0.2)", "0")
        shell.project.write_revision(f"001_{name}", "000_root", quick)
    shell.ok("up", "--jobs", "2")
    assert shell.rows("SELECT count() FROM a") == shell.rows("SELECT count() FROM b") == ["300"]
