"""A statement ON CLUSTER is followed by its entry in the queue, whoever is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from budeval_migrations.clickhouse.cluster.ddl_queue import (
    START,
    SUBMIT,
    HostAnswer,
    find_entry,
    newest_entry,
    read_answers,
)
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.settings import Settings
from tests.cluster.aim import drop_database
from tests.support import targets
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.old

TABLE = (
    "CREATE TABLE t ON CLUSTER crew (a Int8, `say \"it\"` String DEFAULT 'it''s\n\\\\x') "
    "ENGINE = ReplicatedMergeTree('/tables/{shard}/%s/t', '{replica}') ORDER BY a"
)


@pytest.fixture
def session(pair: Cluster, database: str) -> Iterator[Session]:
    """A connection to the first node, in a database that both have."""
    node = pair.nodes[0]
    node.query(f"CREATE DATABASE {database} ON CLUSTER crew")
    with Session(Settings(url=node.url(database=database), database=database)) as opened:
        yield opened
    drop_database(pair, database)


def _hosts(cluster: Cluster) -> list[str]:
    return sorted(f"127.0.0.1:{node.tcp_port}" for node in cluster.nodes)


def _answers(session: Session, statement: str, after: str, count: int) -> list[HostAnswer]:
    entry = find_entry(session, statement, after)
    assert entry is not None
    wait_until(lambda: len(read_answers(session, entry)) >= count)
    return read_answers(session, entry)


def test_every_host_answers(pair: Cluster, session: Session, database: str) -> None:
    statement = TABLE % database
    before = newest_entry(session)
    assert before > START
    session.execute(statement, settings=SUBMIT)
    entry = find_entry(session, statement, before)
    assert entry is not None
    assert entry.name > before
    assert sorted(entry.hosts) == _hosts(pair)
    assert "it\\'s\\n\\\\x" in entry.query
    answers = _answers(session, statement, before, 2)
    assert sorted(a.host for a in answers) == _hosts(pair)
    assert [(a.code, a.error) for a in answers] == [(0, ""), (0, "")]
    for node in pair.nodes:
        assert node.query("SHOW TABLES", database=database) == "t\n"


def test_what_a_host_refuses_is_told_with_its_code(
    pair: Cluster, session: Session, database: str
) -> None:
    session.execute(TABLE % database)
    statement = "ALTER TABLE t ON CLUSTER crew ADD COLUMN a Int8"
    before = newest_entry(session)
    session.execute(statement, settings=SUBMIT)
    # The leader of the replicas does it for the others, which may say that all is well.
    entry = find_entry(session, statement, before)
    assert entry is not None
    wait_until(lambda: any(answer.code for answer in read_answers(session, entry)))
    refused = [answer for answer in read_answers(session, entry) if answer.code]
    assert refused[0].code == 44
    assert "column with this name already exists" in refused[0].error


def test_an_entry_of_somebody_else_is_not_taken_for_ours(
    pair: Cluster, session: Session, database: str
) -> None:
    before = newest_entry(session)
    other = pair.nodes[1]
    other.query("CREATE TABLE other ON CLUSTER crew (a Int8) ENGINE = Log", database=database)
    statement = "CREATE TABLE mine ON CLUSTER crew (a Int8) ENGINE = Log"
    assert find_entry(session, statement, before) is None
    session.execute(statement, settings=SUBMIT)
    other.query("DROP TABLE other ON CLUSTER crew", database=database)
    found = find_entry(session, statement, before)
    assert found is not None
    assert "mine" in found.query
    _answers(session, statement, before, 2)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ALTER TABLE t ON CLUSTER crew ADD COLUMN b String", "ADD COLUMN b Nullable(UInt8)"),
        (
            "ALTER TABLE t ON CLUSTER crew ADD COLUMN b String, ADD COLUMN c Int8",
            "ADD COLUMN b FixedString( 3 ), ADD COLUMN c Int8",
        ),
        ("CREATE TABLE u ON CLUSTER crew (b Int16) ENGINE = Log", ""),
    ],
)
def test_a_column_of_another_type_is_not_taken_for_ours(
    pair: Cluster, session: Session, database: str, theirs: str, ours: str
) -> None:
    session.execute(TABLE % database)
    before = newest_entry(session)
    pair.nodes[1].query(theirs, database=database)
    statement = f"ALTER TABLE t ON CLUSTER crew {ours}"
    if not ours:
        statement = "create table u on cluster crew (`b` Array ( String ) DEFAULT []) engine = Log"
    assert find_entry(session, statement, before) is None
    session.execute(statement, settings=SUBMIT)
    found = find_entry(session, statement, before)
    assert found is not None and found.name > before, found
    assert ("Array" if not ours else ours.split()[3].split("(")[0]) in found.query


def test_another_change_of_the_same_table_is_not_taken_for_ours(
    pair: Cluster, session: Session, database: str
) -> None:
    session.execute(TABLE % database)
    before = newest_entry(session)
    other = pair.nodes[1]
    other.query("ALTER TABLE t ON CLUSTER crew ADD COLUMN theirs Int8", database=database)
    statement = "ALTER TABLE t ON CLUSTER crew ADD COLUMN ours Int8"
    assert find_entry(session, statement, before) is None
    session.execute(statement, settings=SUBMIT)
    found = find_entry(session, statement, before)
    assert found is not None
    assert "ours" in found.query


def test_a_host_that_is_away_answers_when_it_is_back(tmp_path: Path) -> None:
    targets.require_old_server()
    targets.require_zookeeper()
    with Cluster(tmp_path) as cluster:
        here, away = cluster.nodes
        here.query("CREATE DATABASE d ON CLUSTER crew")
        statement = TABLE % "d"
        with Session(Settings(url=here.url(database="d"), database="d")) as session:
            before = newest_entry(session)
            away.stop()
            session.execute(statement, settings=SUBMIT)
            [answer] = _answers(session, statement, before, 1)
            assert answer == HostAnswer(f"127.0.0.1:{here.tcp_port}", 0)
            away.start()
            answers = _answers(session, statement, before, 2)
            assert {(a.host, a.code) for a in answers} == {(host, 0) for host in _hosts(cluster)}
        assert away.query("SHOW TABLES", database="d") == "t\n"


_REPLICATED = (
    "CREATE TABLE u ON CLUSTER crew (a Int8, b Int8) "
    "ENGINE = ReplicatedMergeTree('/tables/%s/u', '{replica}') ORDER BY a"
)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE w ON CLUSTER crew (a Int8) ENGINE = Log",
        "CREATE VIEW v ON CLUSTER crew AS SELECT 1 AS a",
        "ALTER TABLE u ON CLUSTER crew ADD COLUMN c UInt8",
        "ALTER TABLE u ON CLUSTER crew DROP COLUMN b",
        "ALTER TABLE u ON CLUSTER crew MODIFY COLUMN b Int16",
        "ALTER TABLE u ON CLUSTER crew DELETE WHERE a = 1",
        "RENAME TABLE u TO w ON CLUSTER crew",
        "TRUNCATE TABLE u ON CLUSTER crew",
        "DROP TABLE IF EXISTS u ON CLUSTER crew",
        "OPTIMIZE TABLE u ON CLUSTER crew FINAL",
    ],
)
def test_the_same_statement_in_another_database_is_not_taken_for_ours(
    pair: Cluster, session: Session, database: str, statement: str
) -> None:
    node, another = pair.nodes[0], f"{database}_2"
    try:
        node.query(f"CREATE DATABASE {another} ON CLUSTER crew")
        for name in (database, another):
            node.query(_REPLICATED % name, database=name)
        before = newest_entry(session)
        pair.nodes[1].query(statement, database=another, **SUBMIT)
        assert newest_entry(session) > before
        assert find_entry(session, statement, before) is None
        session.execute(statement, settings=SUBMIT)
        found = find_entry(session, statement, before)
        assert found is not None and f"{database}." in found.query
    finally:
        drop_database(pair, another)
