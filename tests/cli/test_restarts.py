"""What an earlier run applied and a restart of the server has taken away."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, refused
from tests.support import targets
from tests.support.project import Finished, Project
from tests.support.server import Server
from tests.support.servers import OldServer
from tests.support.waiting import wait_until

TABLE = "CREATE TABLE {} (a Int32) ENGINE = MergeTree ORDER BY a"
MEMORY = "CREATE TABLE m (a Int32) ENGINE = Memory"
FILL = "INSERT INTO m VALUES (1), (2), (3)"
BROKEN = "INSERT INTO nowhere SELECT 1"
COPY = "INSERT INTO t SELECT a FROM m"
PROOF = "SELECT throwIf(count() != 3) FROM t"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OldServer]:
    """ClickHouse 18.16 that a test may restart."""
    targets.require_old_server()
    with OldServer(tmp_path / "server") as server:
        yield server


def stop_at(project: Project, position: int, *statements: str) -> None:
    """Run up to a statement that fails, and correct it."""
    broken = [*statements[: position - 1], BROKEN]
    project.write_revision("001_one", None, broken)
    refused(project.cli("up"), 6, f"001_one  statement {position} of {position}", "nowhere")
    project.write_revision("001_one", None, [*statements])


def until_a_second_tells(server: Server) -> None:
    """Wait, since starts are known to the second; in the same second, a person decides."""
    wait_until(lambda: int(server.query("SELECT uptime()")) > 1, "the server did not start")


def answer(project: Project, stopped: Finished, wanted: str) -> None:
    """Run the command that the refusal shows."""
    [command] = re.findall(rf"budeval-migrate (repair .* {wanted})", stopped.output)
    done = project.cli(*shlex.split(command))
    assert done.returncode == 0, done.output


def test_rows_in_memory_that_an_ended_process_has_taken_along_are_missed(embedded: Project) -> None:
    stop_at(embedded, 4, MEMORY, FILL, TABLE.format("t"), COPY, PROOF)
    stopped = embedded.cli("up")
    refused(
        stopped,
        4,
        "001_one  statement 2 of 5",
        "the rows of m are lost, which were in memory",
        FILL,
        "Nothing was sent.",
    )
    answer(embedded, stopped, "--not-applied")
    done = embedded.cli("up")
    assert done.returncode == 0, done.output


def test_a_table_that_a_new_process_attaches_again_is_told(embedded: Project) -> None:
    stop_at(embedded, 3, TABLE.format("t"), "DETACH TABLE t", "ATTACH TABLE t")
    stopped = embedded.cli("up")
    refused(stopped, 4, "001_one  statement 2 of 3", "what it detached is attached again")
    answer(embedded, stopped, "--not-applied")
    done = embedded.cli("up")
    assert done.returncode == 0, done.output


@pytest.mark.parametrize(
    ("before", "lost"),
    [
        (
            ["INSERT INTO m SELECT 1 PARALLEL WITH CREATE TABLE x (a Int8) ENGINE = Log"],
            "rows of m",
        ),
        (
            ["CREATE TABLE permanently (a Int8) ENGINE = Log", "DETACH TABLE permanently"],
            "attached",
        ),
        (["CREATE TABLE n ENGINE = Memory AS FROM numbers(3)"], "rows of n"),
        (
            [
                "CREATE DATABASE g2 ENGINE = Memory",
                "CREATE TABLE g2.g (a Int8) ENGINE = Memory",
                "INSERT INTO g2.g VALUES (1)",
            ],
            "there is no table g any more",
        ),
        (
            ["SET param_x = 'm'", "INSERT INTO {x:Identifier} VALUES (1)"],
            "rows may be lost with those of m, which were in memory",
        ),
        (
            [
                "CREATE TABLE j (a Int32, b Int8) ENGINE = Join(ANY, LEFT, a) SETTINGS persistent = 0",
                "INSERT INTO j VALUES (1, 2)",
            ],
            "rows of j",
        ),
        (
            [
                TABLE.format("s"),
                "CREATE MATERIALIZED VIEW v TO m AS SELECT a FROM s",
                "INSERT INTO s VALUES (1)",
            ],
            "rows may be lost with those of m",
        ),
        (
            ["CREATE TABLE b ENGINE = Alias('m')", "INSERT INTO b VALUES (1)"],
            "rows may be lost with those of m",
        ),
        (
            [
                "CREATE MATERIALIZED VIEW v (a Int32) ENGINE = Memory POPULATE AS SELECT 1 AS a "
                "FROM system.one",
            ],
            "rows may be lost with those of .inner",
        ),
    ],
)
def test_however_it_came_into_memory_it_is_missed(
    embedded: Project, before: list[str], lost: str
) -> None:
    stop_at(embedded, len(before) + 2, MEMORY, *before, "SELECT 1")
    refused(embedded.cli("up"), 4, f"001_one  statement {len(before) + 1} of", lost)


def test_a_table_that_has_another_name_by_now_is_missed(embedded: Project) -> None:
    stop_at(embedded, 5, MEMORY, FILL, "RENAME TABLE m TO n", TABLE.format("m"), "SELECT 1")
    lost = "rows may be lost with those of n, which were in memory"
    refused(embedded.cli("up"), 4, "001_one  statement 2 of 5", lost)


def test_what_is_on_disk_is_not_missed(embedded: Project) -> None:
    stop_at(
        embedded,
        5,
        TABLE.format("s"),
        "INSERT INTO s VALUES (1), (2), (3)",
        MEMORY,
        TABLE.format("t"),
        "INSERT INTO t SELECT a FROM s",
        PROOF,
    )
    done = embedded.cli("up")
    assert done.returncode == 0, done.output


def test_18_16_is_asked_when_it_started(project: Project, own_server: OldServer) -> None:
    shell = Shell(project, own_server, "restarts")
    stop_at(project, 4, MEMORY, FILL, TABLE.format("t"), COPY)
    own_server.restart()
    until_a_second_tells(own_server)
    stopped = shell.run("up")
    refused(stopped, 4, "statement 2 of 4", "the rows of m are lost, which were in memory")
    answer(project, stopped, "--applied")
    shell.ok("up")
    assert shell.rows("SELECT count() FROM t") == ["0"]


def test_without_a_restart_nothing_is_missed(shell: Shell) -> None:
    until_a_second_tells(shell.server)
    stop_at(shell.project, 4, MEMORY, FILL, TABLE.format("t"), COPY, PROOF)
    shell.ok("up")
    assert shell.rows("SELECT count() FROM t") == ["3"]
