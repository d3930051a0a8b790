"""docs/least-privilege.md: its GRANTs are enough, and none of them is too many.

The engine's access control is ClickHouse 26.9's own. chDB knows one user a process, whose GRANTs
are in a users.xml: to be somebody else, the front starts again on the same data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.cli.shell import one_object
from tests.support.project import Finished, Project
from tests.support.servers import ChdbFront, OldServer
from tests.support.targets import require_old_server, require_packages
from tests.support.waiting import PATIENCE, wait_until

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "least-privilege.md").read_text("utf-8")
RECORDS, OWN, READS, SYSTEM = re.findall(r"^```sql\n(.*?)^```", PAGE, re.M | re.S)
[OLD_USERS] = re.findall(r"^```xml\n(.*?)^```", PAGE, re.M | re.S)

# What https://clickhouse.com/docs says that everybody may read.
EVERYBODYS = {"databases", "tables", "columns", "settings", "functions"}
# The front says USE for the database of a request; a server's HTTP interface asks for no privilege.
FRONTS_OWN = ["GRANT SHOW DATABASES ON default.*"]


def single(block: str) -> list[str]:
    """A GRANT for each privilege of a block."""
    found = []
    for privileges, place in re.findall(r"^GRANT (.+) ON (\S+) TO .+;$", block, re.M):
        found += [f"GRANT {each} ON {place}" for each in privileges.split(", ")]
    assert len(re.findall("^GRANT", block, re.M)) == block.count("\n")
    return found


MIGRATES, ONLY_READS = single(RECORDS + OWN), single(READS)

USERS = """<clickhouse>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks>
    <profile>default</profile><quota>default</quota>{grants}
  </default></users>
</clickhouse>
"""


class Guarded:
    """A server that knows one user at a time, and a project."""

    def __init__(self, place: Path) -> None:
        self._users = place / "users.xml"
        config = place / "config.xml"
        path = escape(str(self._users))
        config.write_text(f"<clickhouse><users_config>{path}</users_config></clickhouse>")
        self.server = ChdbFront(place / "server", config_file=config)
        self.project = Project(place / "project")

    def become(self, grants: Sequence[str] | None) -> None:
        """Start again with these GRANTs; with every privilege when there are none."""
        lines = "".join(f"<query>{each}</query>" for each in grants or ())
        inner = "" if grants is None else f"<grants>{lines}</grants>"
        self._users.write_text(USERS.format(grants=inner))
        self.server.restart()

    def forget(self) -> None:
        """Be allowed everything, and begin with nothing."""
        self.become(None)
        self.server.query("DROP DATABASE IF EXISTS shop SYNC")
        url = self.server.url("clickhouse+http")
        self.project.configure(url=url, database="shop", lock_lease="600")

    def reads(self) -> set[str]:
        """The system tables that were named so far."""
        queries = [each["query"] for each in self.server.queries()]
        return {name for query in queries for name in re.findall(r"\bsystem\.`?(\w+)", query)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    require_packages("chdb", "chdb_sqlalchemy")
    found = Guarded(tmp_path_factory.mktemp("guarded"))
    write(found.project)
    try:
        yield found
    finally:
        found.server.stop()


def write(project: Project) -> None:
    """Write what the page says of its second block."""
    project.write_revision(
        "001_events",
        None,
        [
            "CREATE TABLE events (id UInt64, amount Int32) ENGINE = MergeTree ORDER BY id",
            "INSERT INTO events SELECT number, 1 FROM numbers(5)",
        ],
        "DROP TABLE events",
    )
    project.write_revision(
        "002_note",
        "001_events",
        [
            "ALTER TABLE events ADD COLUMN IF NOT EXISTS note String",
            "ALTER TABLE events UPDATE amount = amount + 1 WHERE 1",
        ],
        "ALTER TABLE events DROP COLUMN IF EXISTS note",
    )


LOOKS = [("status",), ("plan", "--rehearse"), ("drift",), ("history",), ("validate",)]
COMMANDS = [
    ("status",),
    ("plan", "--rehearse"),
    ("up",),
    *LOOKS,
    ("down", "001_events"),
    ("alembic", "upgrade", "head"),
    ("alembic", "current"),
    ("down", "base"),
]


def done(project: Project, command: tuple[str, ...]) -> Finished:
    if command[0] == "alembic":
        return project.run(*command[1:])
    return project.cli(*command)


def first_failure(project: Project) -> Finished | None:
    """Run the commands, up to the first that fails."""
    for command in COMMANDS:
        found = done(project, command)
        if found.returncode:
            return found
    return None


def test_the_page_has_the_privileges_that_it_had() -> None:
    assert (len(MIGRATES), len(ONLY_READS), len(single(SYSTEM))) == (18, 4, 7)


def test_with_the_grants_of_the_page_every_command_works(guarded: Guarded) -> None:
    guarded.forget()
    guarded.become([*FRONTS_OWN, *MIGRATES])
    failure = first_failure(guarded.project)
    assert failure is None, failure.output
    assert not [each for each in guarded.server.queries() if each["code"] == 497]
    named = {each.rpartition(".")[2] for each in single(SYSTEM)}
    # What became of a statement after a kill is asked of these two; nobody is killed here.
    assert guarded.reads() - EVERYBODYS - {"query_log", "processes"} == named - {"processes"}


@pytest.mark.parametrize("missing", MIGRATES)
def test_without_one_of_them_a_command_is_refused_and_names_it(
    guarded: Guarded, missing: str
) -> None:
    guarded.forget()
    guarded.become([*FRONTS_OWN, *(each for each in MIGRATES if each != missing)])
    failure = first_failure(guarded.project)
    assert failure is not None
    privilege, _, place = missing.removeprefix("GRANT ").partition(" ON ")
    said = " ".join(failure.output.split())
    assert "ClickHouse 497: " in said
    assert re.search(rf"the grant {privilege}(\([^)]*\))? ON {re.escape(place)}", said), said
    assert failure.returncode in (6, 8, 255)

    # What was missing is granted, and it goes on.
    guarded.become([*FRONTS_OWN, *MIGRATES])
    again = guarded.project.cli("up")
    assert again.returncode == 0, again.output


def test_what_is_asked_to_stop_are_the_users_own_queries(guarded: Guarded) -> None:
    guarded.forget()
    guarded.become([*FRONTS_OWN, *MIGRATES])
    slow = (
        "INSERT INTO events (id, amount) SELECT number, 1 FROM numbers(300) "
        "WHERE NOT ignore(sleepEachRow(0.2)) SETTINGS max_block_size = 1"
    )
    try:
        guarded.project.write_revision("003_slow", "002_note", slow)
        process = guarded.project.start("budeval_migrations", "up")
        try:
            running = guarded.server.running
            wait_until(lambda: slow in [each["query"] for each in running()])
            process.terminate()
            _, stderr = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        assert process.returncode == 143, stderr
        killed = [e for e in guarded.server.queries() if e["query"].startswith("KILL QUERY")]
        assert {each["code"] for each in killed} == {0}
        assert slow not in [each["query"] for each in running()]
    finally:
        guarded.project.revision_file("003_slow").unlink()


def test_a_reader_reads_and_changes_nothing(guarded: Guarded) -> None:
    guarded.forget()
    assert guarded.project.cli("up", "001_events").returncode == 0
    guarded.become([*FRONTS_OWN, *ONLY_READS])
    for command in [*LOOKS, ("alembic", "current")]:
        found = done(guarded.project, command)
        assert found.returncode == 0, found.output
    assert guarded.project.cli("status", "--exit-code").returncode == 9
    assert guarded.project.cli("up").returncode == 8
    assert one_object(guarded.project.cli("status", "--json"))["current"] == ["001_events"]


@pytest.mark.parametrize("table", ["schema_migrations", "schema_migrations_journal"])
def test_a_reader_without_the_records_is_refused(guarded: Guarded, table: str) -> None:
    guarded.forget()
    assert guarded.project.cli("up").returncode == 0
    missing = f"GRANT SELECT ON shop.{table}"
    assert missing in ONLY_READS
    guarded.become([*FRONTS_OWN, *(each for each in ONLY_READS if each != missing)])
    found = guarded.project.cli("status")
    assert found.returncode == 8, found.output
    assert f"grant SELECT ON shop.{table}." in found.stderr.replace("(sequence)", "")


def test_a_reader_who_is_not_shown_the_tables_takes_them_for_missing(guarded: Guarded) -> None:
    guarded.forget()
    assert guarded.project.cli("up").returncode == 0
    assert ONLY_READS[-1] == "GRANT SHOW TABLES ON shop.*"
    guarded.become([*FRONTS_OWN, *ONLY_READS[:-1]])
    found = guarded.project.cli("drift")
    assert (found.returncode, found.stdout.splitlines()[0]) == (7, "  - table events")


def test_a_reader_of_the_lock_sees_who_holds_it(guarded: Guarded) -> None:
    guarded.forget()
    slow = "ALTER TABLE events UPDATE amount = 3 WHERE NOT ignore(sleepEachRow(0.5))"
    guarded.project.write_revision("003_slow", "002_note", slow)
    process = guarded.project.start("budeval_migrations", "up")
    try:
        sql = "SELECT command FROM system.mutations WHERE database = 'shop' AND NOT is_done"
        wait_until(lambda: "sleepEachRow" in guarded.server.query(sql))
    finally:
        guarded.project.revision_file("003_slow").unlink()
        process.kill()
        process.communicate()
    lock = "GRANT SELECT ON shop.schema_migrations_lock"
    said = []
    for grants in (ONLY_READS, [each for each in ONLY_READS if each != lock]):
        guarded.become([*FRONTS_OWN, *grants])
        found = guarded.project.cli("unlock")
        said.append((found.returncode, found.output))
    assert said[0][0] == 2
    assert f" pid {process.pid} since " in said[0][1]
    assert said[1][0] == 8
    assert "ON shop.schema_migrations_lock." in " ".join(said[1][1].split())
    status = one_object(guarded.project.cli("status", "--json"))
    assert {each["holder"] for each in status["revisions"]} == {None}


@pytest.mark.parametrize("wire", ["http", "native"])
def test_users_of_an_old_server_need_their_database_and_default(tmp_path: Path, wire: str) -> None:
    require_old_server()
    server = OldServer(tmp_path / "old")
    server.more_users = re.sub("<!--.*?-->", "", OLD_USERS).replace("…", "secret")
    # The server of the tests has a reader already: the page's is called otherwise here.
    server.more_users = re.sub("(</?)reader>", r"\1looker>", server.more_users)
    project = Project(tmp_path / "project")
    project.write_revision(
        "001_a",
        None,
        "CREATE TABLE events (id UInt64) ENGINE = MergeTree ORDER BY id",
        "DROP TABLE events",
    )

    def ends(user: str, *command: str) -> int:
        url = server.url(f"clickhouse+{wire}", user=user, password="secret")
        project.configure(url=url, database="shop", lock="off")
        return project.cli(*command).returncode

    with server:
        assert ends("looker", "status", "--exit-code") == 9
        assert ends("migrator", "up") == 0
        for command in LOOKS:
            assert ends("migrator", *command) == 0
            assert ends("looker", *command) == 0
        assert ends("looker", "status", "--exit-code") == 0
        assert ends("migrator", "down", "base") == 0
        assert ends("looker", "up") == 8
        assert server.query("SHOW TABLES FROM shop LIKE 'events'") == ""
        server.more_users = server.more_users.replace("<database>default</database>", "")
        server.query("DROP DATABASE shop")
        server.restart()
        assert ends("migrator", "up") == 8
