"""Servers for tests, each a process of its own on loopback; usable without pytest.

Every server is a context manager: ``with ChdbFront(directory) as server: server.url()``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.support.server import (
    HOST,
    QueryError,
    Server,
    ServerStartError,
    free_port,
    hostile_password,
)
from tests.support.waiting import PATIENCE

__all__ = [
    "HOST",
    "ChdbFront",
    "OldServer",
    "QueryError",
    "Server",
    "ServerStartError",
    "free_port",
    "hostile_password",
]

APOSTROPHE = "'"
REPOSITORY = Path(__file__).resolve().parents[2]


class ChdbFront(Server):
    """ClickHouse 26 over HTTP: :mod:`tests.support.chdb_front` as a process."""

    def __init__(
        self,
        directory: Path,
        *,
        user: str = "default",
        password: str | None = None,
        readonly_user: str = "reader",
        config_file: Path | None = None,
    ) -> None:
        super().__init__(directory)
        self.user = user
        self.users = {
            user: hostile_password() if password is None else password,
            readonly_user: hostile_password(),
        }
        self.readonly_user = readonly_user
        self.config_file = config_file
        self.data = directory / "data"
        self.log = directory / "queries.jsonl"
        self.errors = directory / "stderr.txt"

    def start(self) -> None:
        """Start, on the port of the last time if there was one."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.support.chdb_front"]
        command += ["--path", str(self.data), "--port", str(self.http_port), "--log", str(self.log)]
        command += [f"--user={self.user}", f"--password={self.users[self.user]}"]
        command += [f"--readonly-user={self.readonly_user}"]
        command += [f"--readonly-password={self.users[self.readonly_user]}", "--exit-with-parent"]
        if self.config_file is not None:
            command += ["--config-file", str(self.config_file)]
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        line = _first_line(self._process, timeout=PATIENCE)
        if not line.startswith("listening "):
            self.kill()
            raise ServerStartError(f"chdb_front did not start: {self.errors.read_text()[-2000:]}")
        self.http_port = int(line.split()[1])

    def queries(self) -> list[dict[str, Any]]:
        """The finished requests, in the order in which they ended (``--log`` of the front)."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def set_profile(self, database: str, settings: dict[str, str]) -> None:
        """Let whoever works in a database have these settings (SQL literals) by default."""
        body = json.dumps({"database": database, "settings": settings}).encode()
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}/profile", data=body):
            pass

    def running(self) -> list[dict[str, Any]]:
        """The requests that the server works on now."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}/running") as response:
            records: list[dict[str, Any]] = json.loads(response.read())
            return records


class OldServer(Server):
    """Debian's ClickHouse 18.16.1: a real server over HTTP and the native protocol."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.users = {name: hostile_password() for name in ("default", "reader", "operator")}
        self.readonly_user = "reader"
        self.tcp_port = 0
        self.interserver_port = 0
        self.more_config = ""
        self.more_users = ""
        self.profile: dict[str, str] = {}

    @staticmethod
    def is_installed() -> bool:
        """Whether the binary is there."""
        return shutil.which("clickhouse-server") is not None

    def start(self) -> None:
        """Start; when a port was taken meanwhile, try others."""
        attempts_left = 0 if self.http_port else 3
        while attempts_left:
            attempts_left -= 1
            self.http_port, self.tcp_port = free_port(), free_port()
            self.interserver_port = free_port()
            try:
                self._start_once()
            except ServerStartError:
                if not attempts_left:
                    raise
            else:
                return
        self._start_once()

    def stop(self, timeout: float = 3) -> None:
        """End the process; it would wait ten seconds for clients that keep connections alive."""
        super().stop(timeout)

    def write_config(self) -> None:
        """Write the configuration; a server that runs reads parts of it again."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "config.xml").write_text(self._config())
        (self.directory / "users.xml").write_text(self._users_config())

    def set_profile(self, database: str, settings: dict[str, str]) -> None:
        """Let the default user have these settings (SQL literals), in whatever database."""
        self.profile = settings
        self.write_config()
        self.query("SYSTEM RELOAD CONFIG", user="operator")

    def _start_once(self) -> None:
        self.write_config()
        with (self.directory / "stdout.txt").open("a") as output:
            self._process = subprocess.Popen(
                ["clickhouse-server", f"--config-file={self.directory / 'config.xml'}"],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.query("SELECT 1")
                return
            time.sleep(0.05)
        self.kill()
        log = self.directory / "error.log"
        raise ServerStartError(log.read_text()[-2000:] if log.exists() else "no error log")

    def port(self, dialect: str) -> int:
        """The native protocol has a port of its own."""
        return self.tcp_port if "native" in dialect else self.http_port

    def _config(self) -> str:
        here = escape(str(self.directory))
        return f"""<yandex>
  <logger>
    <level>warning</level><log>{here}/server.log</log><errorlog>{here}/error.log</errorlog>
  </logger>
  <http_port>{self.http_port}</http_port>
  <tcp_port>{self.tcp_port}</tcp_port>
  <interserver_http_port>{self.interserver_port}</interserver_http_port>
  <interserver_http_host>{HOST}</interserver_http_host>
  <listen_host>{HOST}</listen_host>
  <path>{here}/data/</path>
  <tmp_path>{here}/data/tmp/</tmp_path>
  <user_files_path>{here}/data/user_files/</user_files_path>
  <mark_cache_size>67108864</mark_cache_size>
  <timezone>UTC</timezone>
  <users_config>{here}/users.xml</users_config>
  <default_profile>operator</default_profile>
  <default_database>default</default_database>
  <query_log>
    <database>system</database><table>query_log</table>
    <flush_interval_milliseconds>500</flush_interval_milliseconds>
  </query_log>{self.more_config}
</yandex>
"""

    def _users_config(self) -> str:
        users = "".join(
            f"<{name}><password>{escape(password)}</password>"
            f"<networks><ip>127.0.0.1</ip></networks>"
            f"<profile>{profile}</profile><quota>default</quota></{name}>"
            for (name, password), profile in zip(
                self.users.items(), ("default", "readonly", "operator"), strict=False
            )
        )
        more = "".join(
            f"<{name}>{escape(value.strip(APOSTROPHE))}</{name}>"
            for name, value in self.profile.items()
        )
        return f"""<yandex>
  <profiles>
    <default><log_queries>1</log_queries>{more}</default>
    <operator/>
    <readonly><log_queries>1</log_queries><readonly>1</readonly></readonly>
  </profiles>
  <quotas><default/></quotas>
  <users>{users}{self.more_users}</users>
</yandex>
"""


def _first_line(process: subprocess.Popen[str], timeout: float) -> str:
    """The first line of a process's output; empty when there is none in time."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(_read_line(process)), daemon=True).start()
    try:
        return lines.get(timeout=timeout).strip()
    except queue.Empty:
        return ""


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):
        return process.stdout.readline()
    return ""
