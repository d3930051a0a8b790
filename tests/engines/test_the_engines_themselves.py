"""The test engines are what the tests take them for. Nothing of the package is used here."""

from __future__ import annotations

import ast
import gzip
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa

from tests.support import targets
from tests.support.project import Project
from tests.support.proxy import RecordingProxy
from tests.support.servers import HOST, ChdbFront, OldServer, QueryError
from tests.support.targets import Target
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.every_engine, pytest.mark.filterwarnings("ignore:The 'clickhouse:")]


SERVERS = [name for name in targets.ENGINES if name != "embedded"]


@pytest.fixture
def engine(engine_url: Target) -> Iterator[sa.Engine]:
    """SQLAlchemy on the target's engine, in the database ``default``, which exists everywhere."""
    engine = sa.create_engine(in_default(engine_url))
    yield engine
    engine.dispose()


@pytest.fixture
def own_front(tmp_path: Path) -> Iterator[ChdbFront]:
    """A modern server that the test may kill."""
    with ChdbFront(tmp_path / "front") as server:
        yield server


def in_default(target: Target) -> str:
    """The target's URL in the database ``default``."""
    if target.name == "embedded":
        return target.url
    return target.url.removesuffix(target.database) + "default"


def rows(engine: sa.Engine, sql: str) -> list[Any]:
    """The rows of one query."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql))]


def failure(url: str, sql: str = "SELECT 1") -> str:
    """The text of the error that a query ends in."""
    engine = sa.create_engine(url)
    try:
        with pytest.raises(Exception, match="Code: ") as caught, engine.connect() as connection:
            connection.execute(sa.text(sql)).fetchall()
        return str(caught.value)
    finally:
        engine.dispose()


class TestEveryEngine:
    def test_answers_with_its_version(self, engine: sa.Engine, engine_url: Target) -> None:
        (version,) = rows(engine, "SELECT version()")[0]
        assert re.match(r"2\d\.\d+\." if engine_url.modern else r"18\.16\.1$", version)

    def test_runs_ddl_and_inserts(self, engine: sa.Engine, engine_url: Target) -> None:
        table = f"{engine_url.database}.t"
        with engine.connect() as connection:
            for sql in (
                f"CREATE DATABASE {engine_url.database}",
                f"CREATE TABLE {table} (a Int32, b String) ENGINE = MergeTree ORDER BY a",
                f"INSERT INTO {table} SELECT toInt32(number), 'é;--' FROM system.numbers LIMIT 3",
            ):
                connection.execute(sa.text(sql))
        assert rows(engine, f"SELECT a, b FROM {table} ORDER BY a") == [
            (0, "é;--"),
            (1, "é;--"),
            (2, "é;--"),
        ]

    def test_has_no_database_of_that_name_yet(self, engine: sa.Engine, engine_url: Target) -> None:
        names = [name for (name,) in rows(engine, "SELECT name FROM system.databases")]
        assert "default" in names
        assert engine_url.database not in names
        if engine_url.name != "embedded":
            assert re.search(
                rf"Code: 81\b.*{engine_url.database}", failure(engine_url.url), re.DOTALL
            )

    @pytest.mark.parametrize("engine_url", targets.engine_parameters(*SERVERS), indirect=True)
    def test_refuses_a_wrong_password(self, engine_url: Target) -> None:
        password = urlsplit(engine_url.url).password
        assert password
        url = in_default(engine_url).replace(password, "wrong")
        assert f"Code: {516 if engine_url.modern else 193}" in failure(url)

    def test_has_a_user_who_may_only_read(self, engine: sa.Engine, engine_url: Target) -> None:
        rows(engine, "SELECT 1")  # chDB's directory is there now
        engine.dispose()
        url = engine_url.reader_url.replace(f"/{engine_url.database}", "/default")
        text = failure(url, f"CREATE DATABASE {engine_url.database}")
        assert re.search(r"Code: 164\b", text)
        reader = sa.create_engine(url)
        assert rows(reader, "SELECT 1") == [(1,)]
        reader.dispose()

    @pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM no_such_table"])
    def test_says_what_is_wrong(self, engine_url: Target, sql: str) -> None:
        code = 62 if sql.startswith("SELEC ") else 60
        assert re.search(rf"Code: {code}\b", failure(in_default(engine_url), sql))


@pytest.mark.modern
class TestModernServer:
    def test_keeps_its_data_when_killed(self, own_front: ChdbFront) -> None:
        own_front.query("CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a")
        own_front.query("INSERT INTO kept VALUES (1), (2)")
        pid, port = own_front.pid, own_front.http_port
        own_front.kill()
        assert not own_front.is_running
        own_front.start()
        assert own_front.pid != pid
        assert own_front.http_port == port
        assert own_front.query("SELECT count() FROM kept") == "2\n"

    def test_is_killed_in_the_middle_of_a_query(self, own_front: ChdbFront) -> None:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(own_front.query, "SELECT sleep(3)")
            wait_until(lambda: any("sleep" in each["query"] for each in own_front.running()))
            own_front.kill()
            assert isinstance(future.exception(), OSError)
        own_front.start()
        assert not any("sleep" in each["query"] for each in own_front.queries())

    def test_runs_queries_side_by_side(self, modern: ChdbFront) -> None:
        def ask(number: int) -> str:
            return modern.query(f"SELECT {number}, sleep(0.5), currentDatabase()")

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8)))
        assert answers == [f"{number}\t0\tdefault\n" for number in range(8)]

    def test_logs_each_query_once(self, modern: ChdbFront, database: str) -> None:
        marker = f"SELECT '{database}'"
        engine = sa.create_engine(modern.url(database="default"))
        for _ in range(3):
            assert rows(engine, marker) == [(database,)]
        engine.dispose()
        logged = [each for each in modern.queries() if each["query"] == marker]
        assert len(logged) == 3
        assert {(e["user"], e["database"], e["status"], e["code"]) for e in logged} == {
            ("default", "default", 200, 0)
        }
        assert all(each["finished"] >= each["time"] for each in logged)
        assert len({each["query_id"] for each in logged}) == 3

    def test_logs_failures_with_their_code(self, modern: ChdbFront, database: str) -> None:
        with pytest.raises(QueryError) as caught:
            modern.query(f"SELECT * FROM {database}")
        assert (caught.value.status, caught.value.code) == (404, 60)
        last = [each for each in modern.queries() if database in each["query"]][-1]
        assert (last["status"], last["code"]) == (404, 60)

    @pytest.mark.parametrize(
        ("sql", "params", "status", "code"),
        [
            ("SELEC 1", {}, 400, 62),
            ("SELECT 1; SELECT 2", {}, 400, 62),
            ("SELECT 1", {"database": "no-such"}, 404, 81),
            ("SELECT 1", {"no_such_setting": "1"}, 404, 115),
            ("SELECT throwIf(1)", {}, 500, 395),
            ("SELECT * FROM system.users", {}, 403, 497),
        ],
    )
    def test_answers_errors_as_clickhouse_does(
        self, modern: ChdbFront, sql: str, params: dict[str, str], status: int, code: int
    ) -> None:
        with pytest.raises(QueryError) as caught:
            modern.query(sql, **params)
        assert (caught.value.status, caught.value.code) == (status, code)
        assert re.match(rf"Code: {code}\. DB::Exception: .*\(version 2", caught.value.text)

    def test_settings_are_those_of_one_request(self, modern: ChdbFront) -> None:
        sql = "SELECT getSetting('max_block_size'), {x:String}"
        answer = modern.query(sql, max_block_size="77", param_x="it's", query_id="q-1")
        assert answer == "77\tit\\'s\n"
        assert modern.query("SELECT getSetting('max_block_size') = 77") == "0\n"

    def test_shows_running_queries_under_the_id_of_the_request(self, modern: ChdbFront) -> None:
        ask = "SELECT count() FROM system.processes WHERE query_id = 'long-one'"
        with ThreadPoolExecutor(1) as pool:
            # sleeps 0.2 s for each of 20 blocks
            long = "SELECT sleepEachRow(0.2) FROM numbers(20) SETTINGS max_block_size = 1"
            future = pool.submit(modern.query, long, query_id="long-one")
            wait_until(lambda: modern.query(ask) == "1\n")
            modern.query("KILL QUERY WHERE query_id = 'long-one' SYNC")
            error = future.exception()
        assert isinstance(error, QueryError)
        assert error.code == 394
        assert modern.query(ask) == "0\n"

    def test_changes_no_text_that_is_data(self, modern: ChdbFront, database: str) -> None:
        sql = "SELECT 1 FROM system.processes; KILL QUERY WHERE query_id = 'x'"
        table = f"default.{database}"
        modern.query(f"CREATE TABLE {table} (s String) ENGINE = MergeTree ORDER BY s")
        literal = "'" + sql.replace("'", "\\'") + "'"
        modern.query(f"INSERT INTO {table} VALUES ({literal})")
        assert modern.query(f"SELECT s = {literal} FROM {table}") == "1\n"
        modern.query(f"DROP TABLE {table}")

    def test_headers(self, modern: ChdbFront) -> None:
        request = urllib.request.Request(
            f"http://{HOST}:{modern.http_port}/?query_id=with-headers",
            data=gzip.compress(b"SELECT number FROM numbers(3) FORMAT JSONEachRow"),
            headers={
                "X-ClickHouse-User": "default",
                "X-ClickHouse-Key": modern.users["default"],
                "Content-Encoding": "gzip",
            },
        )
        with urllib.request.urlopen(request) as response:
            assert response.read().count(b"\n") == 3
            assert response.headers["X-ClickHouse-Query-Id"] == "with-headers"
            assert response.headers["X-ClickHouse-Format"] == "JSONEachRow"
            assert '"read_rows": "3"' in response.headers["X-ClickHouse-Summary"]

    def test_answers_pings_to_anyone(self, modern: ChdbFront) -> None:
        for path in ("/", "/ping"):
            with urllib.request.urlopen(f"http://{HOST}:{modern.http_port}{path}") as response:
                assert response.read() == b"Ok.\n"

    @pytest.mark.connect
    def test_takes_rows_in_native_format(self, modern: ChdbFront, database: str) -> None:
        targets.require_packages("clickhouse_connect")
        engine = sa.create_engine(modern.url("clickhousedb", database="default"))
        table = sa.Table(
            database, sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", sa.String)
        )
        many = [{"a": n, "b": f"\0\n;é{n}"} for n in range(2000)]
        with engine.connect() as connection:
            connection.execute(
                sa.text(
                    f"CREATE TABLE {database} (a Int32, b String) ENGINE = MergeTree ORDER BY a"
                )
            )
            connection.execute(table.insert(), many)
            found = connection.execute(sa.select(table).order_by(table.c.a)).fetchall()
            connection.execute(sa.text(f"DROP TABLE {database}"))
        engine.dispose()
        assert [row._asdict() for row in found] == many


@pytest.mark.old
class TestOldServer:
    def test_keeps_its_data_when_killed(self, tmp_path: Path) -> None:
        targets.require_old_server()
        with OldServer(tmp_path / "old") as server:
            server.query("CREATE TABLE default.kept (a Int32) ENGINE = MergeTree ORDER BY a")
            server.query("INSERT INTO default.kept VALUES (1), (2)")
            server.kill()
            server.start()
            assert server.query("SELECT count() FROM default.kept") == "2\n"

    def test_logs_queries(self, old_server: OldServer, database: str) -> None:
        old_server.query(f"SELECT '{database}'", query_id=database)
        ask = f"SELECT count() FROM system.query_log WHERE query_id = '{database}' AND type = 2"
        wait_until(
            lambda: table_exists(old_server) and old_server.query(ask) == "1\n",
        )

    @pytest.mark.parametrize("dialect", ["clickhouse+http", "clickhouse+native"])
    def test_url_carries_the_password_whole(self, old_server: OldServer, dialect: str) -> None:
        url = old_server.url(dialect, "default", "reader")
        assert unquote(urlsplit(url).password or "") == old_server.users["reader"]
        engine = sa.create_engine(url)
        assert rows(engine, "SELECT 1") == [(1,)]
        engine.dispose()


@pytest.mark.modern
class TestProxy:
    def test_counts_requests_and_keeps_their_queries(self, modern: ChdbFront) -> None:
        with RecordingProxy(modern.http_port) as proxy:
            engine = through(modern, proxy)
            assert rows(engine, "SELECT 'via proxy'") == [("via proxy",)]
            engine.dispose()
            assert proxy.queries[-1] == "SELECT 'via proxy'"
            assert proxy.queries[:-1] == ["select version()", "select currentDatabase()"]
            assert proxy.requests[-1].parameters["database"] == "default"
            assert proxy.connections == 1

    def test_drops_a_request_before_the_server_sees_it(
        self, modern: ChdbFront, database: str
    ) -> None:
        with RecordingProxy(modern.http_port) as proxy:
            engine = through(modern, proxy)
            proxy.drop_next(match=database)
            with pytest.raises(Exception, match=r"(?i)connection"):
                rows(engine, f"SELECT '{database}'")
            engine.dispose()
        assert not any(database in each["query"] for each in modern.queries())

    def test_cuts_the_answer_of_a_query_that_ran(self, modern: ChdbFront, database: str) -> None:
        with RecordingProxy(modern.http_port) as proxy:
            engine = through(modern, proxy)
            proxy.cut_answers(match="CREATE")
            with pytest.raises(Exception, match=r"(?i)connection"):
                rows(engine, f"CREATE DATABASE {database}")
            assert rows(engine, "SELECT 1") == [(1,)]
            engine.dispose()
        wait_until(lambda: database in modern.query("SHOW DATABASES").split())
        modern.query(f"DROP DATABASE {database}")

    def test_cuts_the_line_after_some_bytes(self, modern: ChdbFront) -> None:
        with RecordingProxy(modern.http_port) as proxy:
            engine = through(modern, proxy)
            rows(engine, "SELECT 1")
            proxy.cut_after_bytes = 20_000
            with pytest.raises(Exception):  # noqa: B017 - drivers differ
                rows(engine, "SELECT toString(number) FROM numbers(100000)")
            engine.dispose()

    def test_refuses_connections(self, modern: ChdbFront) -> None:
        with RecordingProxy(modern.http_port) as proxy:
            proxy.refuse = True
            engine = through(modern, proxy)
            with pytest.raises(Exception, match=r"(?i)connection"):
                rows(engine, "SELECT 1")
            engine.dispose()


class TestProject:
    def test_writes_a_project_that_alembic_reads(self, project: Project) -> None:
        project.configure(url="chdb:////data?x=%2F", database="budeval")
        project.write_chain(3, "CREATE TABLE t{n} (a Int8) ENGINE = Memory")
        done = project.run("history")
        assert done.returncode == 0, done.output
        assert "002_step -> 003_step (head)" in done.stdout
        assert "url = chdb:////data?x=%%2F\n" in project.ini.read_text()
        assert len((project.path / "env.py").read_text().splitlines()) == 3

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1",
            "SELECT\n  'it''s', \"x\"",
            "SELECT '\\n', $a$;$a$, '%s', '{\"k\":1}'",
            'SELECT """',
            'SELECT "a"',
            '"a"',
            "SELECT '\t\r\0é\u2028'",
        ],
    )
    def test_statements_arrive_as_written(self, project: Project, sql: str) -> None:
        path = project.write_revision("001", None, [sql, sql], downgrade=None)
        tree = ast.parse(path.read_bytes())
        (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert function.name == "upgrade"
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        assert [ast.literal_eval(call.args[0]) for call in calls] == [sql, sql]

    def test_writes_branches_and_bodies(self, project: Project) -> None:
        project.write_revision("a", branch_labels="left", upgrade="SELECT 1")
        project.write_revision("b", body="def upgrade() -> None:\n    op.execute('SELECT 2')\n")
        project.write_revision("c", ["a", "b"], depends_on="a")
        done = project.run("heads")
        assert done.stdout.strip() == "c (left) (head)"


def through(server: ChdbFront, proxy: RecordingProxy) -> sa.Engine:
    """An engine that reaches the server by way of the proxy."""
    url = server.url(database="default").replace(f":{server.http_port}/", f":{proxy.port}/")
    return sa.create_engine(url)


def table_exists(server: OldServer) -> bool:
    """Whether the query log's table has been made yet."""
    return server.query("EXISTS TABLE system.query_log") == "1\n"
