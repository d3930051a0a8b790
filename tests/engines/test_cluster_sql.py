"""What is sent on a modern cluster only, held against a modern server's own analysis.

No cluster of modern servers is at hand: here it is made sure that the queries name
tables, columns, functions and settings that there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.clickhouse.cluster import ddl_queue
from budeval_migrations.clickhouse.cluster.topology import Arrangement, Host, Topology
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.transports.base import Row
from budeval_migrations.execution import barrier as cluster
from budeval_migrations.execution import host_comparison as comparison
from budeval_migrations.execution.placement import Placement
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.revisions.script import open_directory
from budeval_migrations.settings import Settings
from budeval_migrations.sql.on_cluster import put_on_cluster, put_uuid
from budeval_migrations.sql.replicated import engine_of, replicate
from budeval_migrations.state import quorum, schema
from tests.support.chdb_engine import connect

pytestmark = pytest.mark.embedded

VERSIONS = Path(__file__).resolve().parents[2] / "versions"
NEW = Features(parse_version("26.9.2.1"))
CREW = Topology(
    Arrangement.ON_CLUSTER,
    "crew",
    (Host(1, 1, "a", 9000), Host(1, 2, "b", 9000), Host(1, 3, "c", 9000)),
    replica="{shard}-{replica}",
    uuids=True,
)


class Analysed:
    """Stands for a session of a modern cluster: lets the engine analyse, and answers nothing."""

    embedded = False
    database = "default"
    shown = "nowhere"
    features = NEW
    topology = CREW
    absent: frozenset[str] = frozenset()
    settings = Settings(cluster="crew")

    def __init__(self, directory: Path) -> None:
        self.engine = connect(str(directory))
        self.asked: list[str] = []

    def query(self, sql: str, **_: object) -> list[Row]:
        """Analyse a SELECT and return no rows."""
        self.asked.append(sql)
        self.engine.query(f"DESCRIBE TABLE ({sql})", "CSV")
        return []

    ask = query


@pytest.fixture
def session(embedded_directory: Path) -> Iterator[Analysed]:
    """A session whose queries are analysed by ClickHouse 26.9."""
    made = Analysed(embedded_directory)
    yield made
    made.engine.close()


def test_the_queue_of_a_modern_cluster_is_asked_by_names_that_there_are(session: Analysed) -> None:
    fake: Session = session  # type: ignore[assignment]
    assert ddl_queue.newest_entry(fake) == ddl_queue.START
    assert ddl_queue.find_entry(fake, "CREATE TABLE t (a Int8) ENGINE = Log", "query-1") is None
    assert ddl_queue.is_forgotten(fake, "query-1")
    assert ddl_queue.read_answers(fake, ddl_queue.QueueEntry("query-1", "", ())) == []
    assert len(session.asked) == 4
    assert all("distributed_ddl_queue" in sql for sql in session.asked)


def test_hosts_are_looked_at_by_names_that_there_are(session: Analysed) -> None:
    fake: Session = session  # type: ignore[assignment]
    with pytest.raises(IndexError):  # the last of them must have an answer
        comparison._look(fake)
    cluster._check_ledger(fake)
    assert len(session.asked) == 4


def test_the_settings_that_are_sent_are_settings(session: Analysed) -> None:
    fake: Session = session  # type: ignore[assignment]
    names = {*quorum.writing(fake), *ddl_queue.SUBMIT}
    assert names == {
        "distributed_ddl_task_timeout",
        "insert_quorum",
        "insert_quorum_parallel",
        "insert_quorum_timeout",
        "select_sequential_consistency",
    }
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    found = session.engine.query(
        f"SELECT count() FROM system.settings WHERE name IN ({listed})", "CSV"
    )
    assert str(found).strip() == "5"


def test_quorums_are_a_majority_and_not_parallel(session: Analysed) -> None:
    fake: Session = session  # type: ignore[assignment]
    assert quorum.writing(fake) == {
        "select_sequential_consistency": "1",
        "insert_quorum": "2",
        "insert_quorum_timeout": "30000",
        "insert_quorum_parallel": "0",
    }


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (schema.LEDGER, schema.create_ledger(NEW)),
        (schema.JOURNAL, schema.create_journal(NEW)),
        (schema.LOCK, schema.create_lock(NEW, replicated=True)),
        (schema.KEEPER_LOCK, schema.create_keeper_lock("d")),
        (schema.VERSION_VIEW, schema.create_version_view("d")),
    ],
)
def test_the_bookkeeping_on_a_cluster_parses(session: Analysed, table: str, text: str) -> None:
    path = f"{schema.keeper_path('d')}/{table}"
    placed = put_on_cluster(replicate(text, path, CREW.replica), "crew")
    assert "ON CLUSTER `crew`" in placed
    assert "{shard}" not in path
    if "MergeTree" in text:
        assert f"ReplicatedMergeTree('{path}', '{{shard}}-{{replica}}')" in placed
    quoted = placed.replace("\\", "\\\\").replace("'", "\\'")
    session.engine.query(f"SELECT formatQuery('{quoted}')", "CSV")


def test_a_table_that_is_proposed_to_a_host_keeps_its_uuid(session: Analysed) -> None:
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    text = (
        "CREATE TABLE d.t (`a` Int8) ENGINE = ReplicatedMergeTree('/t/{uuid}/{shard}') ORDER BY a"
    )
    placed = put_uuid(text, uuid)
    assert placed.startswith(f"CREATE TABLE d.t UUID '{uuid}' (")
    quoted = placed.replace("'", "\\'")
    session.engine.query(f"SELECT formatQuery('{quoted}')", "CSV")


def test_every_statement_of_budeval_has_its_place_on_a_cluster(session: Analysed) -> None:
    catalogue = Catalogue(
        open_directory((str(VERSIONS),)),
        read_files(Settings(versions=(str(VERSIONS),))),
        Session(Settings(url="clickhouse+http://nowhere.invalid/d")),
    )
    placement = Placement(CREW, "d", lambda database, table: "")
    steps = [
        *catalogue.upgrade_steps(list(catalogue.graph)),
        *catalogue.downgrade_steps(list(reversed(catalogue.graph))),
    ]
    seen = 0
    for step in placement.place(steps):
        assert step.work is not None
        for statement in step.work.statements:
            seen += 1
            quoted = statement.sent.replace("\\", "\\\\").replace("'", "\\'")
            session.engine.query(f"SELECT formatQuery('{quoted}')", "CSV")
            engine = engine_of(statement.sent)
            assert "MergeTree" not in engine or engine.startswith("Replicated"), statement.sent
    assert seen > 40
