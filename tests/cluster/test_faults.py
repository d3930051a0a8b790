"""Hosts and Keeper go away, lag and come back; it ends level, or says which host to look at."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import DistributedDDLPending, HostsNotReady, MigrationError
from budeval_migrations.events import Event, RevisionFinished, StatementStarted
from tests.cluster.aim import aim, catch_up, count, heads, ledger, tables
from tests.support import targets
from tests.support.cluster import Cluster
from tests.support.project import Project
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.old, pytest.mark.timeout(600)]

DATABASE = "shop"
CREATES = "CREATE TABLE t{n} (a UInt32) ENGINE = MergeTree ORDER BY a"


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Cluster]:
    """Two replicas of one shard that a test may stop."""
    targets.require_old_server()
    targets.require_zookeeper()
    with Cluster(tmp_path, session_timeout=10) as cluster:
        yield cluster


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    """Three replicas of one shard: two of them are a majority."""
    targets.require_old_server()
    targets.require_zookeeper()
    with Cluster(tmp_path, shards=(3,), session_timeout=10) as cluster:
        yield cluster


def write(project: Project, revisions: int = 3) -> list[str]:
    """Write revisions that make a table and put a row into it."""
    names = [f"{n:03}_step" for n in range(1, revisions + 1)]
    for n, name in enumerate(names, start=1):
        below = names[n - 2] if n > 1 else None
        create = CREATES.format(n=n)
        project.write_revision(
            name, below, [create, f"INSERT INTO t{n} SELECT {n}"], [f"DROP TABLE t{n}"]
        )
    return names


def check_sync(cluster: Cluster, names: list[str]) -> None:
    """Every table once with its row on every host, and each revision recorded once."""
    catch_up(cluster.nodes, DATABASE, *(f"t{n}" for n in range(1, len(names) + 1)))
    for n in range(1, len(names) + 1):
        assert count(cluster.nodes, DATABASE, f"t{n}") == [1] * len(cluster.nodes)
    assert heads(cluster, DATABASE) == [[names[-1]]] * len(cluster.nodes)
    for node in cluster.nodes:
        assert [version for version, _ in ledger(node, DATABASE)] == names


def settings(
    cluster: Cluster, project: Project, node: int = 0, **more: object
) -> dict[str, object]:
    return {
        "url": cluster.nodes[node].url(database=DATABASE),
        "database": DATABASE,
        "cluster": "crew",
        "versions": [str(project.versions)],
        **more,
    }


def after(revision: str, act: object) -> object:
    """Return a listener that acts when a revision is done."""

    def listen(event: Event) -> None:
        if isinstance(event, RevisionFinished) and event.revision == revision:
            act()  # type: ignore[operator]

    return listen


def before(revision: str, act: object) -> object:
    """Return a listener that acts when a revision's first statement is about to be sent."""

    def listen(event: Event) -> None:
        if isinstance(event, StatementStarted) and (event.revision, event.index) == (revision, 1):
            act()  # type: ignore[operator]

    return listen


def up_until_level(cluster: Cluster, project: Project, **more: object) -> list[str]:
    """Run upgrades until one has nothing to complain about; return what the others said."""
    said = []
    for _ in range(5):
        try:
            bm.upgrade(**settings(cluster, project, **more))  # type: ignore[arg-type]
        except MigrationError as error:
            said.append(str(error))
            time.sleep(2)
        else:
            return said
    raise AssertionError(said)


def test_a_host_that_is_away_is_named_before_anything_runs(crew: Cluster, project: Project) -> None:
    write(project)
    crew.nodes[1].stop()
    with pytest.raises(HostsNotReady) as refused:
        bm.upgrade(**settings(crew, project))  # type: ignore[arg-type]
    assert refused.value.hosts == (f"127.0.0.1:{crew.nodes[1].tcp_port}",)
    assert "what runs is recorded on a majority, 2" in refused.value.message
    assert DATABASE not in crew.nodes[0].query("SHOW DATABASES")


def test_two_of_three_hosts_go_on_when_asked_to_and_the_third_follows(
    three: Cluster, project: Project
) -> None:
    names = write(project)
    away = three.nodes[2]
    away.stop()
    aim(project, three.nodes[0], DATABASE)
    refused = project.cli("up")
    assert refused.returncode == 8, refused.output
    assert f"Host 127.0.0.1:{away.tcp_port}" in refused.stderr
    assert "--allow-inactive" in refused.stderr
    done = project.cli("up", "--allow-inactive")
    assert done.returncode == 0, done.output
    assert f"Going on without a host. Host 127.0.0.1:{away.tcp_port}" in done.stderr
    status = project.cli("status")
    assert f"Host 127.0.0.1:{away.tcp_port}: is unreachable" in status.stdout
    away.start()
    wait_until(lambda: "t3" in tables_of(away), pause=0.2)
    check_sync(three, names)
    assert project.cli("validate").returncode == 0


def tables_of(node: object) -> set[str]:
    """Tables of a host that may not have the database yet."""
    found = node.query(f"SELECT name FROM system.tables WHERE database = '{DATABASE}'")  # type: ignore[attr-defined]
    return set(found.split())


def test_a_host_that_is_stopped_for_30_s_in_the_middle_of_a_run(
    crew: Cluster, project: Project
) -> None:
    names = write(project)
    node = crew.nodes[1]

    def stop() -> None:
        node.kill()
        timer.start()

    timer = threading.Timer(30, node.start)
    said: list[str] = []
    try:
        bm.upgrade(on_event=after(names[0], stop), **settings(crew, project))  # type: ignore[arg-type]
    except MigrationError as error:
        said.append(str(error))
    finally:
        timer.join()
    said += up_until_level(crew, project)
    # A host that is back just as the time is up is not away, and is no longer named.
    names_it = re.compile(rf":{node.tcp_port}|2 of the 2 hosts of crew")
    assert [sentence for sentence in said if not names_it.search(sentence)] == []
    check_sync(crew, names)


def test_a_statement_that_is_pending_on_a_host_is_waited_for_by_the_next_run_and_not_sent_twice(
    three: Cluster, project: Project
) -> None:
    names = write(project)
    project.write_revision(names[1], names[0], CREATES.format(n=2), "DROP TABLE t2")
    # Our own tables are there, so that they do not meet the short time-out.
    bm.upgrade(names[0], **settings(three, project))  # type: ignore[arg-type]
    node = three.nodes[2]
    with pytest.raises(DistributedDDLPending) as pending:
        bm.upgrade(
            on_event=before(names[2], node.pause),  # type: ignore[arg-type]
            **settings(three, project, ddl_timeout=20),  # type: ignore[arg-type]
        )
    error = pending.value
    assert error.hosts == (f"127.0.0.1:{node.tcp_port}",)
    assert error.exit_code == 10
    assert (error.revision, error.index) == (names[2], 1)
    assert f"pending on 127.0.0.1:{node.tcp_port}" in error.message
    assert error.report is not None
    assert error.report.applied == (names[1],)
    recorded = three.nodes[0].query(
        "SELECT error_message FROM schema_migrations WHERE success = 0", database=DATABASE
    )
    assert f"pending on 127.0.0.1:{node.tcp_port}" in recorded
    aim(project, three.nodes[1], DATABASE, ddl_timeout="20")
    still = project.cli("up")
    assert still.returncode == 8, still.output
    # A host that was fetching from the one that hangs cannot answer for the ledger.
    behind = "cannot tell for 30 s whether it has all rows of the ledger"
    assert f"Host 127.0.0.1:{node.tcp_port}" in still.stderr or behind in still.stderr
    node.resume()
    # Its session with Keeper ran out, and its queue goes on with a new one some seconds later.
    aim(project, three.nodes[1], DATABASE, ddl_timeout="240")
    again = project.cli("up")
    assert again.returncode == 0, again.output
    three.nodes[0].query("INSERT INTO t2 SELECT 1", database=DATABASE)
    check_sync(three, names)
    assert creates_of(three, "t3") == 1


def creates_of(cluster: Cluster, table: str) -> int:
    """How many statements in the cluster's queue make a table."""
    return int(
        cluster.nodes[0].query(
            "SELECT count() FROM system.zookeeper WHERE path = '/clickhouse/task_queue/ddl' "
            f"AND value LIKE '%CREATE TABLE%{table} %'"
        )
    )


def test_what_a_killed_runner_had_put_into_the_queue_is_not_put_there_again(
    three: Cluster, project: Project
) -> None:
    names = write(project)
    aim(project, three.nodes[0], DATABASE, lock_lease="10")
    assert project.cli("up", names[0]).returncode == 0
    runner = project.start("budeval_migrations", "up", names[1])
    wait_until(lambda: creates_of(three, "t2"), pause=0)
    assert runner.poll() is None
    runner.kill()
    runner.communicate()
    aim(project, three.nodes[1], DATABASE, lock_lease="10")
    done = project.cli("up")
    assert done.returncode == 0, done.output
    check_sync(three, names)
    assert [creates_of(three, f"t{n}") for n in (1, 2, 3)] == [1, 1, 1]


def test_keeper_is_stopped_and_started_in_the_middle_of_a_run(
    crew: Cluster, project: Project
) -> None:
    names = write(project)

    def stop() -> None:
        crew.zookeeper.kill()
        timer.start()

    timer = threading.Timer(8, crew.zookeeper.start)
    said: list[str] = []
    try:
        bm.upgrade(on_event=after(names[0], stop), **settings(crew, project))  # type: ignore[arg-type]
    except MigrationError as error:
        said.append(str(error))
    finally:
        timer.join()
    up_until_level(crew, project)
    check_sync(crew, names)


def test_a_replica_that_lags_is_named_before_anything_runs(crew: Cluster, project: Project) -> None:
    names = write(project, 1)
    bm.upgrade(**settings(crew, project))  # type: ignore[arg-type]
    names = write(project, 2)
    late = crew.nodes[1]
    late.query(f"SYSTEM STOP FETCHES {DATABASE}.t1")
    crew.nodes[0].query("INSERT INTO t1 SELECT 7", database=DATABASE)
    delay = "SELECT absolute_delay FROM system.replicas WHERE table = 't1'"
    wait_until(lambda: int(late.query(delay)) >= 3, pause=0.2)
    with pytest.raises(HostsNotReady) as refused:
        bm.upgrade(**settings(crew, project, max_lag=1))  # type: ignore[arg-type]
    assert f"Host 127.0.0.1:{late.tcp_port}: t1 is " in refused.value.message
    assert "s behind" in refused.value.message
    [difference] = bm.compare_hosts(**settings(crew, project, max_lag=1))  # type: ignore[arg-type]
    assert difference.statements == (f"SYSTEM SYNC REPLICA `{DATABASE}`.`t1`",)
    late.query(f"SYSTEM START FETCHES {DATABASE}.t1")
    late.query(f"SYSTEM SYNC REPLICA {DATABASE}.t1")
    bm.upgrade(**settings(crew, project, max_lag=1))  # type: ignore[arg-type]
    assert count(crew.nodes, DATABASE, "t1") == [2, 2]
    assert heads(crew, DATABASE) == [[names[-1]]] * 2


def test_a_replica_that_does_not_fetch_the_ledger_gives_no_stale_answer(
    crew: Cluster, project: Project
) -> None:
    names = write(project, 1)
    bm.upgrade(**settings(crew, project))  # type: ignore[arg-type]
    write(project, 2)
    late = crew.nodes[1]
    late.query(f"SYSTEM STOP FETCHES {DATABASE}.schema_migrations")
    timer = threading.Timer(5, late.query, (f"SYSTEM START FETCHES {DATABASE}.schema_migrations",))
    timer.start()
    try:
        report = bm.upgrade(**settings(crew, project))  # type: ignore[arg-type]
    finally:
        timer.join()
    assert report.applied == ("002_step",)
    for node in (0, 1):
        assert bm.status(**settings(crew, project, node)).current == ("002_step",)  # type: ignore[arg-type]
    assert names == ["001_step"]


def test_a_host_that_was_made_anew_is_brought_level_by_what_is_proposed(
    crew: Cluster, project: Project
) -> None:
    names = write(project, 2)
    aim(project, crew.nodes[0], DATABASE)
    assert project.cli("up").returncode == 0
    lost = crew.nodes[1]
    host = f"127.0.0.1:{lost.tcp_port}"
    lost.kill()
    shutil.rmtree(lost.directory / "data")
    time.sleep(12)  # Keeper forgets its session
    lost.start()
    differences = bm.compare_hosts(**settings(crew, project))  # type: ignore[arg-type]
    assert {difference.host for difference in differences} == {host}
    left = [re.search(r"first delete (\S+)$", each.what) for each in differences if each.table]
    shared = {"t1", "t2", "schema_migrations", "schema_migrations_journal"}
    found = {each.table for each, there in zip(differences[1:], left, strict=True) if there}
    assert shared <= found
    shown = project.cli("repair", "--cluster")
    assert f"Host {host}: t1 is missing, and Keeper still has its replica 1-1-2" in " ".join(
        shown.stdout.split()
    )
    for each in left:
        if each is not None:
            crew.zookeeper.delete(each[1])
    for difference in differences:
        for statement in difference.statements:
            lost.query(statement)
    assert project.cli("repair", "--cluster").stdout == "The hosts are in sync.\n"
    names = write(project, 3)
    done = project.cli("up")
    assert done.returncode == 0, done.output
    check_sync(crew, names)


def test_at_head_a_cluster_that_is_not_there_is_told(crew: Cluster, project: Project) -> None:
    write(project, 1)
    aim(project, crew.nodes[0], DATABASE)
    assert project.cli("up").returncode == 0
    aim(project, crew.nodes[0], DATABASE, cluster="crow")
    for command in (("up",), ("status",)):
        done = project.cli(*command)
        assert done.returncode == 2, done.output
        assert "The server knows no cluster crow." in done.stderr
        assert "Did you mean crew?" in done.stderr


def test_a_host_that_was_added_empty_is_named_and_brought_level_by_what_is_proposed(
    crew: Cluster, project: Project
) -> None:
    names = write(project, 2)
    aim(project, crew.nodes[0], DATABASE)
    assert project.cli("up").returncode == 0
    added = crew.add()
    hosts = "SELECT count() FROM system.clusters"
    wait_until(lambda: crew.nodes[0].query(hosts).strip() == "3", pause=0.2)
    host = f"127.0.0.1:{added.tcp_port}"
    validated = project.cli("validate")
    assert validated.returncode == 4, validated.output
    assert f"Host {host}: lacks the database" in validated.output
    names = write(project, 3)
    refused = project.cli("up")
    assert refused.returncode == 8, refused.output
    assert "budeval-migrate repair --cluster" in refused.stderr
    proposed = project.cli("repair", "--cluster")
    assert proposed.returncode == 0, proposed.output
    assert f"Host {host}: t1 is missing" in proposed.stdout
    differences = bm.compare_hosts(**settings(crew, project))  # type: ignore[arg-type]
    assert {difference.host for difference in differences} == {host}
    for difference in differences:
        for statement in difference.statements:
            added.query(statement)
    assert project.cli("repair", "--cluster").stdout == "The hosts are in sync.\n"
    done = project.cli("up")
    assert done.returncode == 0, done.output
    check_sync(crew, names)
    assert tables(added, DATABASE) == tables(crew.nodes[0], DATABASE)
