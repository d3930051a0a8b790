"""A transport: a way to send SQL to the byte, through a driver's own connection.

It wraps the DBAPI connection that SQLAlchemy made, so that hosts, users, TLS and
time-outs stay the driver's business, and sends text past the driver's parameter
substitution. Nothing is ever sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from budeval_migrations.errors import LockLost
from budeval_migrations.sql import quote

Row = Sequence[Any]
Check = Callable[[], None]
Settings = Mapping[str, str]
NOTHING: Settings = {}
# Seconds that a write of ours may take beside a read: a majority of a cluster needs some.
_WRITE = 30.0


@dataclass(frozen=True)
class Counts:
    """What the server said about a statement that it ran."""

    rows_read: int = 0
    rows_written: int = 0


class Transport(Protocol):
    """A way to send SQL to the byte.

    Attributes:
        late: Seconds after which what was sent with a ``check`` can no longer reach
            the server, if it has not.
        reads_rows: The server reads rows that stand in the text of a statement.

    """

    reads_rows: bool

    @property
    def late(self) -> float:
        """See the class."""

    def query(self, sql: str, settings: Settings = NOTHING, *, patient: bool = False) -> list[Row]:
        """Return the rows of a SELECT; numbers of 64 bits may come as text.

        Args:
            patient: Wait for the answer as long as it takes, or as the URL says.

        """

    def execute(
        self,
        sql: str,
        *,
        query_id: str,
        settings: Settings = NOTHING,
        check: Check | None = None,
        fence: str = "",
        patient: bool = False,
    ) -> Counts:
        """Run a statement and return when the server has answered.

        Args:
            check: Called right before the statement is sent, and may raise.
            fence: A condition without which it is not sent; empty for none.
            patient: As of :meth:`query`.

        """

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], settings: Settings) -> None:
        """Append rows that have the same keys."""

    def may_arrive(self, query_id: str) -> bool:
        """Return whether the server still waits for a part of what was sent with a ``check``.

        To be asked once ``late`` seconds have passed.
        """


def hold(rows: list[Row]) -> None:
    """Raise unless the one value of an answer is true: that of a fence.

    Raises:
        LockLost: It is not.

    """
    if not int(rows[0][0]):
        raise taken_over()


def taken_over() -> LockLost:
    """Return the error where a fence does not hold."""
    return LockLost(
        "Another runner has taken the lock over. Nothing more was sent.",
        hint="Look with: budeval-migrate status. Then run the upgrade again.",
    )


@dataclass
class Context:
    """What a transport needs to know.

    Attributes:
        shown: The URL as people may see it.
        read_timeout: Seconds that the answer to a question may take.
        own_timeout: Seconds that the URL gives a driver for any answer; None for none.

    """

    shown: str
    redact: Callable[[str], str]
    read_timeout: float
    own_timeout: float | None = None

    @property
    def reading(self) -> float:
        """Seconds for the answer to a question of ours."""
        return min(self.read_timeout, self.own_timeout or self.read_timeout)

    def answering(self, patient: bool) -> float | None:
        """Return the seconds for the answer to a question; None for no limit."""
        return self.own_timeout if patient else self.reading

    def changing(self, patient: bool) -> float | None:
        """Return the seconds for the answer to a statement; None for no limit."""
        return self.own_timeout if patient else self.reading + _WRITE


def insert_text(table: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an INSERT with its rows as JSONEachRow, which every version reads."""
    columns = ", ".join(quote.identifier(name) for name in rows[0])
    data = "\n".join(json.dumps(row, default=json_value, ensure_ascii=False) for row in rows)
    return f"INSERT INTO {quote.identifier(table)} ({columns}) FORMAT JSONEachRow\n{data}"


def rows_of(body: bytes) -> list[Row]:
    """Return the rows of a body in the format JSONCompact."""
    rows: list[Row] = json.loads(body)["data"] if body else []
    return rows


def json_value(value: Any) -> Any:
    """Return what JSON has no form for as JSONEachRow reads it."""
    # An epoch is the same moment in every server's time zone; a text is not.
    # DateTime of old servers takes whole seconds only.
    if isinstance(value, datetime):
        return f"{value.timestamp():.3f}" if value.microsecond else int(value.timestamp())
    raise TypeError(f"no JSON form for {type(value).__name__}")
