"""Many real processes that start together."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from budeval_migrations.state import schema
from tests.support import targets
from tests.support.project import Project
from tests.support.servers import ChdbFront
from tests.support.zookeeper import ZooKeeper

PROCESSES = 32
REVISIONS = 4
DATABASE = "race"


@pytest.fixture(params=[schema.LOCK, schema.KEEPER_LOCK], ids=["tokens", "keeper"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChdbFront]:
    """A modern server of its own, whose query log holds nothing else."""
    targets.require_packages("chdb")
    with ExitStack() as stack:
        config = None
        if request.param == schema.KEEPER_LOCK:
            targets.require_zookeeper()
            config = stack.enter_context(ZooKeeper(tmp_path / "zookeeper")).clickhouse_config()
        front = stack.enter_context(ChdbFront(tmp_path / "front", config_file=config))
        yield front
        tables = front.query(f"SELECT name FROM system.tables WHERE database = '{DATABASE}'")
        other = {schema.LOCK, schema.KEEPER_LOCK} - {request.param}
        assert request.param in tables.split() and not other & set(tables.split())


def write_revisions(project: Project) -> list[str]:
    """Write revisions that fail when they are run twice, and return their statements."""
    statements = []
    for n in range(1, REVISIONS + 1):
        pair = [
            f"CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a",
            f"INSERT INTO t{n} SELECT {n}",
        ]
        project.write_revision(f"{n:03}_r", f"{n - 1:03}_r" if n > 1 else None, pair)
        statements += pair
    return statements


def run_together(project: Project) -> list[tuple[int, str, str]]:
    """Start ``up`` in every process at once; their exit codes and outputs."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(PROCESSES):
            processes.append(project.start("budeval_migrations", "--json", "up"))
        outputs = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]


def test_of_processes_that_start_together_one_does_everything_once(
    server: ChdbFront, project: Project
) -> None:
    project.configure(url=server.url(database=DATABASE), database=DATABASE)
    statements = write_revisions(project)

    outcomes = run_together(project)

    assert [code for code, *_ in outcomes] == [0] * PROCESSES, outcomes
    applied = Counter(len(json.loads(stdout)["applied"]) for _, stdout, _ in outcomes)
    assert applied == {REVISIONS: 1, 0: PROCESSES - 1}
    sent = Counter(
        entry["query"] for entry in server.queries() if entry["query"].endswith(tuple(statements))
    )
    assert sent == dict.fromkeys(statements, 1)
    for n in range(1, REVISIONS + 1):
        assert server.query(f"SELECT * FROM {DATABASE}.t{n}").split() == [str(n)]
    rows = server.query(
        f"SELECT version, success, lock_generation FROM {DATABASE}.schema_migrations "
        "ORDER BY sequence"
    )
    generations = {line.split()[2] for line in rows.splitlines()}
    assert [line.split()[0] for line in rows.splitlines()] == [
        f"{n:03}_r" for n in range(1, REVISIONS + 1)
    ]
    assert len(generations) == 1 and generations != {"0"}
