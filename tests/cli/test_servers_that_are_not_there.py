"""Servers that are absent, strange, strict or old: exit 8, a sentence, a hint."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest

from tests.cli.shell import Shell, all_of, failed_in_alembic, one_object, refused
from tests.support.project import REPOSITORY, Project
from tests.support.proxy import RecordingProxy
from tests.support.servers import ChdbFront, OldServer, free_port

DIALECTS = ("clickhouse+http", "clickhouse+native", "clickhousedb")


def test_a_refused_port_is_named_and_the_hint_says_what_to_look_at(project: Project) -> None:
    project.write_chain(1)
    port = free_port()

    def check(dialect: str, command: str) -> None:
        url = f"{dialect}://me:hunter2secret@127.0.0.1:{port}/mine"
        done = project.cli("--json", "--url", url, command)
        refused(done, 8, f"127.0.0.1:{port}", hint="host, port", error="ConnectionFailed")
        assert "hunter2secret" not in done.stdout + done.stderr
        assert len(done.stderr) < 700, f"too much noise: {done.output}"

    all_of(partial(check, dialect, c) for dialect in DIALECTS for c in ("up", "status"))
    project.configure(url=f"clickhouse+http://127.0.0.1:{port}/mine")
    for command in (("upgrade", "head"), ("current",)):
        failed_in_alembic(project.run(*command), f"127.0.0.1:{port}", hint="host, port")


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("dialect", ["clickhouse+http", "clickhousedb"])
def test_a_server_that_never_answers_is_told_of_and_given_up(
    project: Project, mute: int, dialect: str
) -> None:
    project.write_chain(1)
    project.configure(url=f"{dialect}://me:hunter2secret@127.0.0.1:{mute}/mine", read_timeout="4")

    def check(*command: str) -> None:
        done = project.cli("--json", *command)
        waits = f"{mute}/mine has not answered for 2 s. It is waited for, 4 s at most."
        assert waits in " ".join(done.stderr.split()), done.output
        said = f"127.0.0.1:{mute}/mine has not answered for 4 s."
        refused(done, 8, said, hint="read_timeout", error="ConnectionFailed")
        assert "hunter2secret" not in done.stdout + done.stderr

    commands = (["up"], ["status"], ["plan"], ["down", "base"], ["history"], ["validate"])
    all_of(partial(check, *command) for command in commands)
    for command in (("upgrade", "head"), ("current",)):
        failed_in_alembic(project.run(*command), "has not answered for 4 s", hint="read_timeout")


_HEAD = b"HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\n"
# The beginning of an answer, and what comes after it for ever.
DRIPS = {
    "head": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "body": (_HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "greeting": (b"\x00\xff\xff\x7f", b"x"),  # of the native protocol: a name of 2 MB
}


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server whose answer comes byte by byte, and never ends."""
    begin, rest = DRIPS[request.param]
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(1 << 16)
            client.sendall(begin)
            while not over.wait(0.2):
                client.sendall(rest)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],)).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


@pytest.mark.parametrize(
    ("dialect", "dripping"),
    [
        *((dialect, part) for dialect in DIALECTS[::2] for part in ("head", "body", "chunks")),
        (DIALECTS[1], "greeting"),
    ],
    indirect=["dripping"],
)
def test_a_server_that_answers_byte_by_byte_is_given_up_in_time(
    project: Project, dripping: int, dialect: str
) -> None:
    project.write_chain(1)
    project.configure(url=f"{dialect}://me@127.0.0.1:{dripping}/mine", read_timeout="2")

    def check(*command: str) -> None:
        done = project.cli("--json", *command)
        refused(done, 8, f"127.0.0.1:{dripping}/mine", error="ConnectionFailed")

    all_of(partial(check, command) for command in ("up", "status", "plan"))


def test_a_native_port_that_never_answers_is_given_up(project: Project, mute: int) -> None:
    project.write_chain(1)
    url = f"clickhouse+native://me@127.0.0.1:{mute}/mine?connect_timeout=3"
    done = project.cli("--json", "--url", url, "up")
    refused(done, 8, f"127.0.0.1:{mute}/mine", error="ConnectionFailed")


def test_a_host_that_has_no_address_is_named(project: Project) -> None:
    project.write_chain(1)

    def check(dialect: str) -> None:
        done = project.cli("--json", "--url", f"{dialect}://no-such-host.invalid/mine", "up")
        refused(done, 8, "no-such-host.invalid", hint="host", error="ConnectionFailed")

    all_of(partial(check, dialect) for dialect in DIALECTS)


def test_a_wrong_password_is_refused_and_neither_password_is_shown(
    shell: Shell, old_shell: Shell
) -> None:
    wrong = "wr%40ng:@/?#&+ secret"

    def check(each: Shell, dialect: str, codes: tuple[str, ...], command: str) -> None:
        url = each.server.url(dialect, each.database, password=wrong)
        done = each.run("--json", "--url", url, command)
        refused(done, 8, "password", hint="password", error="AccessDenied")
        assert any(f"ClickHouse {code}" in done.stderr for code in codes), done.output
        for text in (wrong, quote(wrong, safe=""), each.server.users["default"]):
            assert text not in done.stdout + done.stderr, done.output

    shell.write(1)
    old_shell.write(1)
    cases = [
        (shell, "clickhouse+http", ("516",)),
        (shell, "clickhousedb", ("516",)),
        (old_shell, "clickhouse+http", ("193", "194")),
        (old_shell, "clickhouse+native", ("193", "194")),
    ]
    all_of(partial(check, *case, command) for case in cases for command in ("up", "status"))
    assert not shell.exists() and not old_shell.exists()


def test_an_unknown_user_is_refused(shell: Shell, old_shell: Shell) -> None:
    for each, code in ((shell, "516"), (old_shell, "192")):
        each.write(1)
        url = each.url(user="nobody", password="x")
        done = each.run("--json", "--url", url, "up")
        refused(done, 8, f"ClickHouse {code}", "user", error="AccessDenied")
        assert not each.exists()


def test_a_user_who_may_only_read_cannot_upgrade_and_is_told_why(
    shell: Shell, old_shell: Shell
) -> None:
    def check(each: Shell) -> None:
        each.write(1)
        reader = each.url(user="reader")
        done = each.run("--json", "--url", reader, "up")
        refused(done, 8, "ClickHouse 164", "only read", hint="may write", error="AccessDenied")
        assert not each.exists()
        each.ok("up")
        each.write(2)
        done = each.run("--json", "--url", reader, "up")
        refused(done, 8, "ClickHouse 164", "only read", hint="may write", error="AccessDenied")
        assert each.ledger() == ["001_step\tupgrade\t1"]
        assert "t2" not in each.tables()
        for command in ("down", "reset", "repair"):
            args = {"down": ["base"], "reset": ["--yes"], "repair": ["--forget", "001_step"]}
            done = each.project.cli(
                "--url",
                reader,
                command,
                *args[command],
                env={"BUDEVAL_MIGRATIONS_ENVIRONMENT": "development"},
            )
            refused(done, 8, "ClickHouse 164")
        assert each.ledger() == ["001_step\tupgrade\t1"]
        status = one_object(each.run("--json", "--url", reader, "status"))
        assert (status["current"], status["pending"]) == (["001_step"], ["002_step"])

    all_of(partial(check, each) for each in (shell, old_shell))


def test_alembic_tells_a_reader_the_same(shell: Shell) -> None:
    shell.write(1)
    shell.configure(url=shell.url(user="reader"))
    done = shell.project.run("upgrade", "head")
    failed_in_alembic(done, "ClickHouse 164", "only read", hint="may write")
    assert not shell.exists()


def test_readers_find_nothing_where_the_database_is_missing_and_make_nothing(
    shell: Shell, old_shell: Shell, embedded: Project
) -> None:
    shell.write(1)
    old_shell.write(1)

    def check(each: Shell, command: str) -> None:
        done = each.run("--json", command)
        assert done.returncode == 0, done.output
        one_object(done)

    commands = ("status", "history", "validate")
    all_of(partial(check, each, c) for each in (shell, old_shell) for c in commands)
    assert not shell.exists() and not old_shell.exists()
    done = shell.run("status", "--exit-code")
    assert done.returncode == 9, done.output


def test_a_line_that_breaks_in_the_middle_is_told_and_the_run_goes_on(
    shell: Shell, modern: ChdbFront
) -> None:
    shell.write(3)
    # The quotes are written differently where the statement is only asked about.
    slow = "CREATE TABLE IF NOT EXISTS t2 (a Int32 COMMENT 'cut') ENGINE = MergeTree ORDER BY a"
    shell.project.write_revision("002_step", "001_step", slow)
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        proxy.cut_answers(1, "COMMENT 'cut'")
        done = shell.run("--json", "--url", url, "up")
        assert "t2" in shell.tables(), done.output
    assert done.returncode == 0, done.output
    answer = one_object(done)
    assert answer["applied"] == ["001_step", "002_step", "003_step"]
    assert any("002_step statement 1" in notice for notice in answer["notices"]), answer
    assert shell.tables() >= {"t1", "t2", "t3"}


def test_a_line_that_breaks_for_good_still_says_how_far_it_came(
    shell: Shell, modern: ChdbFront
) -> None:
    """The failed attempt cannot be recorded any more; the report is still there."""
    shell.write(3)
    slow = "CREATE TABLE IF NOT EXISTS t2 (a Int32 COMMENT 'cut') ENGINE = MergeTree ORDER BY a"
    shell.project.write_revision("002_step", "001_step", slow)
    with RecordingProxy(modern.http_port) as proxy:
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        proxy.cut_answers(1000, "COMMENT 'cut'")
        proxy.drop_next(1000, "INSERT INTO schema_migrations (version, checksum")
        done = shell.run("--json", "--url", url, "up")
    assert done.returncode in (6, 8), done.output
    refused(done, done.returncode, "broke")


def test_a_line_that_breaks_before_the_first_statement_leaves_nothing(
    shell: Shell, modern: ChdbFront
) -> None:
    shell.write(1)
    with RecordingProxy(modern.http_port) as proxy:
        proxy.refuse = True
        url = shell.url().replace(f":{modern.http_port}/", f":{proxy.port}/")
        done = shell.run("--json", "--url", url, "up")
        refused(done, 8, str(proxy.port), error="ConnectionFailed")
        done = shell.run("--json", "--url", url, "status")
        refused(done, 8, str(proxy.port), error="ConnectionFailed")
        assert "may have run" not in done.stderr, f"status runs no statement: {done.output}"
    assert not shell.exists()


@pytest.fixture
def not_clickhouse() -> Iterator[int]:
    """The port of an HTTP server that answers everything with a web page."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b"<html><body>Welcome to nginx!</body></html>"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_an_http_server_that_is_not_clickhouse_is_recognised(
    project: Project, not_clickhouse: int
) -> None:
    project.write_chain(1)

    def check(dialect: str, command: str) -> None:
        done = project.cli(
            "--json", "--url", f"{dialect}://127.0.0.1:{not_clickhouse}/mine", command
        )
        refused(done, 8, f"127.0.0.1:{not_clickhouse}")

    dialects = ("clickhouse+http", "clickhousedb")
    all_of(partial(check, dialect, c) for dialect in dialects for c in ("up", "status"))


def test_the_wrong_protocol_for_a_port_is_a_sentence(shell: Shell, old_server: OldServer) -> None:
    shell.write(1)

    def check(dialect: str, port: int) -> None:
        url = f"{dialect}://default:x@127.0.0.1:{port}/mine"
        try:
            done = shell.run("--json", "--url", url, "up", timeout=15)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{url} hangs for more than 15 s") from None
        refused(done, 8, f"127.0.0.1:{port}")

    native, http = old_server.tcp_port, old_server.http_port
    cases = [("clickhouse+http", native), ("clickhousedb", native), ("clickhouse+native", http)]
    all_of(partial(check, *case) for case in cases)


def test_a_server_without_a_correct_lock_is_refused_and_nothing_is_made(old_shell: Shell) -> None:
    old_shell.configure(lock="auto")
    old_shell.write(1)
    done = old_shell.run("--json", "up")
    refused(done, 8, "18.16", "lock", hint="lock = off", error="Unsupported")
    assert not old_shell.exists()
    failed_in_alembic(old_shell.project.run("upgrade", "head"), "18.16", hint="lock = off")
    assert not old_shell.exists()


def test_budevals_own_revisions_say_what_an_old_server_lacks(old_shell: Shell) -> None:
    old_shell.configure(versions=str(REPOSITORY / "versions"))
    done = old_shell.run("--json", "up")
    assert done.returncode in (6, 8), done.output
    refused(done, done.returncode, "18.16", "22.8")
    assert old_shell.tables() <= {"schema_migrations", "alembic_version"}
