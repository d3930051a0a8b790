"""A modern ClickHouse over HTTP: chDB behind a small front, in a process of its own.

``python -m tests.support.chdb_front --path DIR --port 0`` prints ``listening PORT`` once it
serves. The data is on disk: kill the process with SIGKILL, start it again on the same directory.
Each request has a chDB connection to itself, so its database and settings are its own.

Where it differs from a real server: sessions (``session_id``) keep no temporary tables, response
compression is ignored, results are not streamed, ``currentUser()`` is ``default`` whoever asks, there is no
``system.query_log``, and a request's ``query_id`` is chDB's ``log_comment``, put back wherever
a SELECT reads ``system.processes`` or a statement says ``KILL QUERY``.

``POST /fault`` arms a SIGKILL at an exact place: see :mod:`tests.support.kill_switch`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import clickhouse_http as ch
from tests.support.chdb_engine import Answer, Engine, HttpSessions, Request, ServerError
from tests.support.kill_switch import Kill, KillSwitch


class Journal:
    """Appends one JSON line for each request that has finished, and knows those that have not."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None
        self._lock = threading.Lock()
        self._running: dict[str, dict[str, Any]] = {}

    def began(self, key: str, record: dict[str, Any]) -> None:
        """Remember a request that runs."""
        with self._lock:
            self._running[key] = {**record, "finished": None}

    def ended(self, key: str, record: dict[str, Any]) -> None:
        """Write a request's line; it is in the file before the client has its answer."""
        with self._lock:
            self._running.pop(key, None)
            if self._file:
                self._file.write(json.dumps(record) + "\n")
                self._file.flush()

    def running(self) -> list[dict[str, Any]]:
        """The requests that run now."""
        with self._lock:
            return list(self._running.values())


class Handler(BaseHTTPRequestHandler):
    """ClickHouse's HTTP protocol."""

    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Front

    def do_GET(self) -> None:
        """``/ping``, ``/``, ``/running`` (ours: the requests that run), or a query to read."""
        path = self.path.partition("?")[0]
        if path == "/running":
            self._reply("", Answer(json.dumps(self.server.journal.running()).encode()))
        elif path in ("/ping", "/replicas_status") or "query=" not in self.path:
            body = self._read_body()
            if path == "/" and body:
                self._serve(body)
            else:
                self._reply("", Answer(b"Ok.\n"))
        else:
            self._serve(self._read_body())

    def do_POST(self) -> None:
        """Run a query; ``/fault`` (ours) arms a kill, ``/profile`` (ours) sets a user's settings."""
        body = self._read_body()
        if self.path == "/profile":
            profile = json.loads(body)
            self.server.engine.profiles[profile["database"]] = profile["settings"]
            self._reply("", Answer(b"Ok.\n"))
            return
        if self.path == "/fault":
            self.server.kills.arm(json.loads(body))
            self._reply("", Answer(b"Ok.\n"))
        else:
            self._serve(body)

    def _serve(self, raw: bytes) -> None:
        params = ch.parameters(self.path)
        headers = self.headers
        who = ch.credentials(dict(headers.items()), params)
        key = str(uuid.uuid4())
        request = Request(
            query_id=params.get("query_id") or key,
            user=who.user,
            database=params.get("database") or headers["X-ClickHouse-Database"] or "default",
            query=b"",
            settings={n: v for n, v in params.items() if n not in ch.TRANSPORT_PARAMETERS},
            default_format=params.get("default_format")
            or headers["X-ClickHouse-Format"]
            or "TabSeparated",
            method=self.command,
        )
        try:
            body = ch.decode_body(raw, self.headers.get("Content-Encoding", ""))
            request.query = ch.query_text(params, body)
            self.server.engine.authenticate(who)
            self.server.journal.began(key, request.log_record(0, 0))
            kill = self.server.kills.at(request.database, request.query)
            if kill is not None:
                self._serve_and_kill(key, request, kill)
                return
            with self.server.sessions.enter(who.user, params) as request.session:
                answer = self.server.engine.run(request)
        except ServerError as error:
            text = f"{error} (version {self.server.engine.version} (official build))\n"
            answer = Answer(text.encode(), status=ch.http_status(error.code), code=error.code)
        except Exception as error:
            text = f"Code: 1001. DB::Exception: {type(error).__name__}: {error} (STD_EXCEPTION)\n"
            answer = Answer(text.encode(), status=500, code=1001)
        self.server.journal.ended(key, request.log_record(answer.status, answer.code))
        self._reply(request.query_id, answer)

    def _serve_and_kill(self, key: str, request: Request, kill: Kill) -> None:
        """Run a request as far as the kill lets it; no answer leaves."""
        self.close_connection = True
        code = 0
        try:
            if kill.phase == "before":
                kill.strike()
                return
            killers: list[threading.Thread] = []
            during = kill.phase == "during"
            try:
                began = (lambda: killers.append(kill.strike_later())) if during else None
                params = ch.parameters(self.path)
                with self.server.sessions.enter(request.user, params) as request.session:
                    self.server.engine.run(request, began)
            except ServerError as error:
                code = error.code
            for killer in killers:
                killer.join()
            if not killers:
                kill.strike()
        finally:
            self.server.journal.ended(key, request.log_record(0, code))

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _reply(self, query_id: str, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("X-ClickHouse-Server-Display-Name", "chdb")
        if query_id:
            self.send_header("X-ClickHouse-Query-Id", query_id)
            self.send_header("X-ClickHouse-Timezone", self.server.engine.timezone)
            self.send_header("X-ClickHouse-Summary", json.dumps(answer.summary))
        if answer.format:
            self.send_header("X-ClickHouse-Format", answer.format)
        if answer.code:
            self.send_header("X-ClickHouse-Exception-Code", str(answer.code))
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr: there is ``--log``."""


class Front(ThreadingHTTPServer):
    """The listening socket."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine, journal: Journal) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        self.journal = journal
        self.sessions = HttpSessions()
        self.kills = KillSwitch()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _exit_with_parent() -> None:
    """End when the process that holds the other end of stdin does."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.chdb_front")
    parser.add_argument("--path", required=True, help="data directory")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="")
    parser.add_argument("--readonly-user", help="a user with readonly = 1")
    parser.add_argument("--readonly-password", help="by default that of --user")
    parser.add_argument("--log", type=Path, help="append one JSON line for each request")
    parser.add_argument("--config-file", help="server configuration for chDB (XML)")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin closes")
    options = parser.parse_args(argv)

    users = {options.user: options.password}
    readonly_users: frozenset[str] = frozenset()
    if options.readonly_user:
        password = options.readonly_password
        users[options.readonly_user] = options.password if password is None else password
        readonly_users = frozenset({options.readonly_user})
    path = options.path
    if options.config_file:
        path += f"?config-file={options.config_file}"

    engine = Engine(path, users, readonly_users)
    front = Front(options.port, engine, Journal(options.log))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if options.exit_with_parent:
        _exit_with_parent()
    threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
    print(f"listening {front.server_port}", flush=True)
    stop.wait()
    front.shutdown()
    front.server_close()
    if not front.journal.running():
        engine.close()
    sys.stdout.flush()
    os._exit(0)  # requests that still run do not hold us back


if __name__ == "__main__":
    sys.exit(main())
