"""The same files migrate one node and a cluster."""

from __future__ import annotations

import json
import re

import pytest

from tests.cluster.aim import (
    BOOKKEEPING,
    aim,
    attempts,
    count,
    heads,
    ledger,
    patiently,
    tables,
)
from tests.support.cluster import Cluster
from tests.support.project import Project
from tests.support.servers import OldServer

pytestmark = [pytest.mark.old, pytest.mark.usefixtures("dropped")]


def shop(project: Project) -> None:
    """Write revisions that make, change, fill, rename and drop."""
    project.write_revision(
        "001_tables",
        None,
        [
            "CREATE TABLE events (id UInt64, day Date, kind String) "
            "ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id",
            "CREATE TABLE latest (id UInt64, version UInt32) "
            "ENGINE = ReplacingMergeTree(version) ORDER BY id",
            "CREATE TABLE settings (name String, value String) ENGINE = MergeTree ORDER BY name",
        ],
        ["DROP TABLE settings", "DROP TABLE latest", "DROP TABLE events"],
    )
    project.write_revision(
        "002_rows",
        "001_tables",
        [
            "INSERT INTO events SELECT number, toDate('2026-01-01') + number, 'a' "
            "FROM system.numbers LIMIT 100",
            "INSERT INTO latest SELECT id, 1 FROM events",
            "ALTER TABLE events ADD COLUMN note String DEFAULT 'none'",
        ],
        [
            "ALTER TABLE events DROP COLUMN note",
            "TRUNCATE TABLE latest",
            "TRUNCATE TABLE events",
        ],
    )
    project.write_revision(
        "003_renamed",
        "002_rows",
        [
            "RENAME TABLE settings TO options",
            "CREATE TABLE settings (name String) ENGINE = MergeTree ORDER BY name",
            "DROP TABLE options",
        ],
        [
            "DROP TABLE settings",
            "CREATE TABLE settings (name String, value String) ENGINE = MergeTree ORDER BY name",
        ],
    )


def schema_of(node: OldServer, database: str) -> list[tuple[str, str]]:
    """Tables of the user with their DDL; a replicated engine is written as its plain twin."""
    rows = node.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() "
        "AND name NOT LIKE 'schema_migrations%' AND name != 'alembic_version' ORDER BY name",
        database=database,
    ).splitlines()
    plain = [
        re.sub(r"Replicated(\w*MergeTree)\([^,]*, [^,)]*(, )?", r"\1(", row).replace("()", "")
        for row in rows
    ]
    return [tuple(row.replace(f"{database}.", "").split("\t")) for row in plain]  # type: ignore[misc]


def test_the_same_files_go_up_and_down_on_one_node_and_on_a_cluster(
    pair: Cluster, old_server: OldServer, project: Project, database: str
) -> None:
    shop(project)
    found = {}
    for name in ("single", "cluster"):
        node = old_server if name == "single" else pair.nodes[0]
        more = {"cluster": "", "lock": "off"} if name == "single" else {}
        seen = []
        for words in (["up"], ["down", "002_rows"], ["up"], ["down", "base"], ["up"]):
            aim(project, node, database, **more)
            done = patiently(project, pair, *words)
            assert done.returncode == 0, done.output
            seen.append((schema_of(node, database), ledger(node, database)))
            if name == "cluster":
                assert seen[-1] == (
                    schema_of(pair.nodes[1], database),
                    ledger(pair.nodes[1], database),
                )
        found[name] = seen
    old_server.query(f"DROP DATABASE {database}")
    assert found["cluster"] == found["single"]
    assert [name for name, _ in found["cluster"][-1][0]] == ["events", "latest", "settings"]


def test_every_host_has_the_tables_the_rows_and_the_bookkeeping(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    for node in pair.nodes:
        assert tables(node, database) == BOOKKEEPING | {"events", "latest", "settings"}
    assert count(pair.nodes, database, "events") == [100, 100]
    assert count(pair.nodes, database, "latest") == [100, 100]
    assert heads(pair, database) == [["003_renamed"], ["003_renamed"]]
    rows = [(name, "upgrade") for name in ("001_tables", "002_rows", "003_renamed")]
    assert [ledger(node, database) for node in pair.nodes] == [rows, rows]


@pytest.mark.parametrize("command", [["current"], ["upgrade", "head"]])
def test_alembic_itself_sees_on_one_host_what_was_run_on_the_other(
    pair: Cluster, project: Project, database: str, command: list[str]
) -> None:
    shop(project)
    aim(project, pair.nodes[0], database)
    first = patiently(project, pair, "up")
    assert first.returncode == 0, first.output
    aim(project, pair.nodes[1], database)
    done = project.run(*command)
    assert done.returncode == 0, done.output
    if command == ["current"]:
        assert "003_renamed (head)" in done.stdout
    assert len(ledger(pair.nodes[1], database)) == 3


def test_verbose_shows_the_statements_as_they_are_sent(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    aim(project, pair.nodes[0], database)
    # A host that had to be revived makes two attempts of it.
    shown = "".join(done.stderr for done in attempts(project, pair, "up", "--verbose"))
    assert (
        "CREATE TABLE latest ON CLUSTER `crew` (id UInt64, version UInt32) ENGINE = "
        f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{database}/latest/001_tables-2', "
        "'{shard}-{replica}', version) ORDER BY id"
    ) in shown
    assert "INSERT INTO latest SELECT id, 1 FROM events\n" in shown


def test_plan_shows_the_statements_as_they_would_be_sent(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    aim(project, pair.nodes[1], database)
    done = project.cli("plan")
    assert done.returncode == 0, done.output
    assert "RENAME TABLE settings TO options ON CLUSTER `crew`\n" in done.stdout
    assert "  2  versions/002_rows.py:11  data movement  sent to one host\n" in done.stdout
    assert done.stdout.endswith(
        f"{database}: 3 revisions to apply on cluster crew: 2 hosts in 1 shard\n"
    )
    assert database not in pair.nodes[1].query("SHOW DATABASES")


def test_a_script_cannot_wait_for_hosts_and_is_refused(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    aim(project, pair.nodes[1], database)
    done = project.run("upgrade", "head", "--sql")
    assert done.returncode == 255, done.output
    assert "A script cannot wait until every host of a cluster" in done.output


def test_a_statement_that_the_hosts_refuse_stops_the_run_and_the_next_goes_on_there(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    broken = ["CREATE TABLE more (a Int8) ENGINE = Log", "ALTER TABLE events ADD COLUMN id Int8"]
    project.write_revision("004_broken", "003_renamed", broken, ["DROP TABLE more"])
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 6, done.output
    assert "FAILED 004_broken  statement 2 of 2  (versions/004_broken.py:" in done.stderr
    assert "ClickHouse 44" in done.stderr
    assert f"127.0.0.1:{pair.nodes[0].tcp_port}" in done.stderr or (
        f"127.0.0.1:{pair.nodes[1].tcp_port}" in done.stderr
    )
    assert "1 statement of this revision took effect; the next run goes on at statement 2" in (
        done.stderr
    )
    broken[1] = "ALTER TABLE events ADD COLUMN more Int8"
    project.write_revision("004_broken", "003_renamed", broken, ["DROP TABLE more"])
    aim(project, pair.nodes[1], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    assert heads(pair, database) == [["004_broken"], ["004_broken"]]


def test_a_dynamic_revision_is_placed_statement_by_statement(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision(
        "001_live",
        None,
        body="""
        def upgrade():
            from sqlalchemy import text
            [[number]] = op.get_bind().execute(text("SELECT toUInt8(7)"))
            op.execute(f"CREATE TABLE live_{number} (a Int8) ENGINE = MergeTree ORDER BY a")
            op.execute(f"INSERT INTO live_{number} SELECT 1")
        """,
    )
    aim(project, pair.nodes[1], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    assert count(pair.nodes, database, "live_7") == [1, 1]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE TABLE t ENGINE = Log AS SELECT 1 AS a", "each host would fill the new table"),
        ("SYSTEM SHUTDOWN", "no place known for ON CLUSTER"),
        ("INSERT INTO kept VALUES (1)", "The rows would be on one host only: the table is a Log"),
    ],
)
def test_what_would_be_done_on_one_host_in_silence_is_refused_before_anything_runs(
    pair: Cluster, project: Project, database: str, statement: str, says: str
) -> None:
    kept = "CREATE TABLE kept (a Int8) ENGINE = Log"
    project.write_revision("001_a", None, [kept, statement])
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 3, done.output
    assert says in done.stderr
    assert "001_a  statement 2 (versions/001_a.py:" in done.stderr
    assert database not in pair.nodes[0].query("SHOW DATABASES")


def test_a_revision_can_say_that_one_host_or_every_host_by_itself_is_meant(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision(
        "001_own",
        None,
        body="""
        def upgrade():
            op.execute_unreplicated("CREATE TABLE own (a Int8) ENGINE = MergeTree ORDER BY a")
            op.execute_here("INSERT INTO own SELECT 1")
            op.execute_here("CREATE TABLE alone (a Int8) ENGINE = MergeTree ORDER BY a")
        """,
    )
    aim(project, pair.nodes[1], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    assert count(pair.nodes, database, "own") == [0, 1]
    assert [("alone" in tables(node, database)) for node in pair.nodes] == [False, True]
    assert "Replicated" not in pair.nodes[0].query("SHOW CREATE TABLE own", database=database)


def test_the_bookkeeping_of_a_single_server_is_not_taken_for_that_of_the_cluster(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision("001_a", None, "CREATE TABLE t (a Int8) ENGINE = Log")
    aim(project, pair.nodes[1], database, cluster="", lock="off")
    assert patiently(project, pair, "up").returncode == 0
    project.write_revision("002_b", "001_a", "CREATE TABLE u (a Int8) ENGINE = Log")
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 4, done.output
    assert "are tables of a single server, which no other host sees" in done.stderr
    assert "docs/cluster.md" in done.stderr


def test_a_backfill_passes_where_no_host_has_rows_and_is_refused_where_one_has(
    pair: Cluster, project: Project, database: str
) -> None:
    body = """
        def upgrade():
            op.execute("CREATE TABLE {new} (a Int8) ENGINE = MergeTree ORDER BY a")
            op.backfill("{new}", "SELECT a FROM s WHERE {{chunk}}", source="s")
        """
    project.write_revision("001_s", None, "CREATE TABLE s (a Int8) ENGINE = MergeTree ORDER BY a")
    project.write_revision("002_t", "001_s", body=body.format(new="t"))
    aim(project, pair.nodes[0], database)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    pair.nodes[1].query("INSERT INTO s SELECT 1", database=database)
    project.write_revision("003_u", "002_t", body=body.format(new="u"))
    refused = patiently(project, pair, "up")
    assert refused.returncode == 6, refused.output
    assert "FAILED 003_u  statement 2 of 2" in refused.stderr
    assert "not made for clusters yet; s has 1 rows on 127.0.0.1:" in refused.stderr
    assert count(pair.nodes, database, "u") == [0, 0]


def test_a_table_that_somebody_made_on_one_host_is_told_and_stops_nothing(
    pair: Cluster, project: Project, database: str
) -> None:
    # No ALTER, on which 18.16 may have to be run twice: a run that resumes does not compare.
    project.write_revision("001_a", None, "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a")
    project.write_revision("002_b", "001_a", "CREATE TABLE u (a Int8) ENGINE = Log")
    aim(project, pair.nodes[0], database)
    assert patiently(project, pair, "up", "001").returncode == 0
    pair.nodes[1].query("CREATE TABLE mine (a Int8) ENGINE = Log", database=database)
    validated = project.cli("validate", "--json")
    assert validated.returncode == 0, validated.output
    host = f"127.0.0.1:{pair.nodes[0].tcp_port}"
    [warning] = json.loads(validated.stdout)["warnings"]
    assert warning["message"] == f"Host {host}: mine is missing"
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output
    assert f"Going on all the same. Host {host}: mine is missing" in done.stderr


def test_a_view_that_one_host_lacks_stops_the_next_run_and_is_proposed(
    pair: Cluster, project: Project, database: str
) -> None:
    view = f"CREATE VIEW v AS SELECT a FROM {database}.t"
    project.write_revision(
        "001_a", None, ["CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a", view]
    )
    project.write_revision("002_b", "001_a", "CREATE TABLE u (a Int8) ENGINE = Log")
    aim(project, pair.nodes[0], database)
    assert patiently(project, pair, "up", "001").returncode == 0
    pair.nodes[1].query("DROP TABLE v", database=database)
    refused = project.cli("up")
    assert refused.returncode == 8, refused.output
    assert f"Host 127.0.0.1:{pair.nodes[1].tcp_port}: v is missing" in refused.stderr
    pair.nodes[1].query("CREATE VIEW v AS SELECT toInt8(7) AS a", database=database)
    proposed = project.cli("repair", "--cluster")
    assert "v differs: CREATE VIEW" in proposed.stdout
    statements = [line.strip(" ;") for line in proposed.stdout.splitlines() if line[0] == " "]
    assert len(statements) == 2
    # Of two hosts neither is the majority: the first is taken for right.
    for statement in statements:
        pair.nodes[1].query(statement)
    done = patiently(project, pair, "up")
    assert done.returncode == 0, done.output


def test_a_single_servers_ledger_is_moved_to_the_cluster_as_the_page_says(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision("001_a", None, "CREATE TABLE t (a Int8) ENGINE = Log", "DROP TABLE t")
    aim(project, pair.nodes[0], database, cluster="", lock="off")
    assert project.cli("up").returncode == 0
    pair.nodes[0].query("DROP TABLE alembic_version", database=database)
    pair.nodes[0].query(
        "RENAME TABLE schema_migrations TO schema_migrations_single, "
        "schema_migrations_journal TO schema_migrations_journal_single",
        database=database,
    )
    pair.nodes[1].query(f"CREATE DATABASE {database}")
    pair.nodes[1].query("CREATE TABLE t (a Int8) ENGINE = Log", database=database)
    aim(project, pair.nodes[0], database)
    stamped = project.run("stamp", "001_a")
    assert stamped.returncode == 0, stamped.output
    assert heads(pair, database) == [["001_a"], ["001_a"]]
    assert ledger(pair.nodes[1], database) == [("001_a", "stamp")]
    validated = project.cli("validate")
    assert validated.returncode == 0, validated.output


def test_another_tools_version_table_is_not_taken_over_on_a_cluster(
    pair: Cluster, project: Project, database: str
) -> None:
    project.write_revision("001_a", None, "CREATE TABLE t (a Int8) ENGINE = Log")
    pair.nodes[1].query(f"CREATE DATABASE {database}")
    pair.nodes[1].query(
        "CREATE TABLE alembic_version (version_num String) ENGINE = Log", database=database
    )
    aim(project, pair.nodes[0], database)
    done = project.cli("up")
    assert done.returncode == 4, done.output
    assert "alembic_version on 127.0.0.1:" in done.stderr


def test_reset_forgets_on_every_host(pair: Cluster, project: Project, database: str) -> None:
    shop(project)
    aim(project, pair.nodes[0], database, environment="development")
    assert patiently(project, pair, "up").returncode == 0
    aim(project, pair.nodes[1], database, environment="development")
    done = project.cli("reset", "--yes")
    assert done.returncode == 0, done.output
    for node in pair.nodes:
        assert node.query("SHOW TABLES", database=database).split() == [
            "events",
            "latest",
            "settings",
        ]
    keeper = "SELECT name FROM system.zookeeper WHERE path = '/clickhouse/budeval_migrations/%s'"
    assert pair.nodes[0].query(keeper % database).split() in ([], ["claims"])


def test_a_user_who_may_only_read_reads_on_every_host(
    pair: Cluster, project: Project, database: str
) -> None:
    shop(project)
    aim(project, pair.nodes[0], database)
    assert patiently(project, pair, "up").returncode == 0
    node = pair.nodes[1]
    url = node.url(database=database, user="reader")
    project.configure(url=url, database=database, cluster="crew")
    for words in (["status"], ["validate"], ["history"]):
        done = project.cli(*words)
        assert done.returncode == 0, done.output
