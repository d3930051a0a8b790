"""What the servers of :mod:`tests.support.servers` have in common: a process and an HTTP port."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.support.process import HOST, Process, ServerStartError, free_port

__all__ = [
    "HOST",
    "QueryError",
    "Server",
    "ServerStartError",
    "free_port",
    "hostile_password",
]

#: Characters that break a URL or a format string when they are not quoted.
HOSTILE = "p%40@:/?#&+ %s{x}"


def hostile_password() -> str:
    """A random password full of characters that URLs and format strings care about."""
    return HOSTILE + secrets.token_hex(4)


@dataclass(eq=False)
class QueryError(Exception):
    """A server's refusal, as it came over HTTP."""

    status: int
    code: int
    text: str

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.text.strip()}"


class Server(Process):
    """A process that speaks ClickHouse's HTTP protocol on :attr:`http_port`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.http_port = 0
        self.users: dict[str, str] = {}
        self.user = "default"

    def query(self, sql: str, user: str | None = None, **params: str) -> str:
        """Run one statement over plain HTTP and return the answer; raises :class:`QueryError`."""
        user = self.user if user is None else user
        request = urllib.request.Request(
            f"http://{HOST}:{self.http_port}/?{urlencode(params)}",
            data=sql.encode(),
            headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": self.users.get(user, "")},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            raise QueryError(error.code, _error_code(text), text) from None

    def url(
        self,
        dialect: str = "clickhouse+http",
        database: str | None = None,
        user: str | None = None,
        password: str | None = None,
    ) -> str:
        """A SQLAlchemy URL; the password is the user's own unless another is given."""
        user = self.user if user is None else user
        password = self.users.get(user, "") if password is None else password
        port = self.port(dialect)
        return (
            f"{dialect}://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{port}"
            f"/{quote(database or '', safe='')}"
        )

    def port(self, dialect: str) -> int:
        """The port that speaks a dialect's protocol."""
        if "native" in dialect:
            raise ValueError(f"{type(self).__name__} does not speak the native protocol")
        return self.http_port


def _error_code(text: str) -> int:
    """The server's error code in ``Code: 60. …`` or, from before 22, ``Code: 60, e.…``."""
    digits = text.partition("Code: ")[2][:5].replace(",", ".").partition(".")[0]
    return int(digits) if digits.isdigit() else 0
