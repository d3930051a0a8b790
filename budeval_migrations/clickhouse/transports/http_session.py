"""HTTP sessions, in each of which one statement is sent.

A server refuses a request that names a session which is not there (372). So a request that is
held on its way until its session is closed, or a copy of it, does nothing.

https://clickhouse.com/docs/interfaces/http
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property

from budeval_migrations.clickhouse.failures import (
    KEEPER_IS_GONE,
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    is_without_node,
)
from budeval_migrations.clickhouse.transports.base import Row, Settings, hold, taken_over
from budeval_migrations.errors import ConnectionFailed, EngineError

# A session closes within two seconds after its timeout (18.16: a request was accepted
# for 2.75 s with a timeout of 1 s, 96 tries).
_TIMEOUT = {"session_timeout": "1"}
_LATE = 3.5
# Without sessions nothing but time tells that a request will not arrive any more.
_LATE_WITHOUT = 30.0
_CHECK = {"session_check": "1"}
# Newer servers close a session at the end of such a request; older ones know no such setting.
_CLOSE = {"close_session": "1"}
# Requests that must all find a session before it is relied upon.
_PROBES = 3


class HttpSessions:
    """The sessions of a transport.

    Args:
        query: Returns the rows of a SELECT that is sent with parameters.

    """

    def __init__(self, query: Callable[[str, Settings], list[Row]]) -> None:
        self._query = query

    @property
    def late(self) -> float:
        """How long a request can be on its way: as long as its session lives."""
        return _LATE if self._exist else _LATE_WITHOUT

    def open(self, statement: str, fence: str) -> dict[str, str]:
        """Open the session of a statement and return the parameters to send it with.

        Args:
            statement: Its query id.
            fence: A condition without which it is not opened; empty for none.

        Raises:
            LockLost: The condition does not hold.

        """
        session = _of(statement) if self._exist else {}
        try:
            if session or fence:
                hold(self._query(f"SELECT {fence or 1}", session))
        except EngineError as error:
            if not fence or error.code not in KEEPER_IS_GONE:
                raise
            if is_without_node(error):
                raise taken_over() from error  # 18.16 of a claim that is not in Keeper any more
            self._query("SELECT 1", session)  # as long as the lease lasts, it is ours
        if not session:
            return {}
        return {**session, **_CHECK, **(_CLOSE if self._close else {})}

    def is_open(self, statement: str) -> bool:
        """Return whether a statement's session is there, which an incomplete request keeps."""
        # Without sessions, nothing but time tells.
        return self._exist and self._finds(_of(statement))

    @cached_property
    def _exist(self) -> bool:
        """Whether requests of one session reach one server, and not others behind a balancer."""
        session = _of(str(uuid.uuid4()))
        self._query("SELECT 1", session)
        return all(self._finds(session) for _ in range(_PROBES))

    @cached_property
    def _close(self) -> bool:
        """Whether the server closes a session when it is asked to, so that a copy is refused."""
        session = _of(str(uuid.uuid4()))
        try:
            self._query("SELECT 1", {**session, **_CLOSE})
        except ConnectionFailed:
            raise
        except EngineError:
            return False
        return not self._finds(session)

    def _finds(self, session: Settings) -> bool:
        try:
            self._query("SELECT 1", {**session, **_CHECK})
        except EngineError as error:
            if error.code not in (SESSION_NOT_FOUND, SESSION_IS_LOCKED):
                raise
            return error.code == SESSION_IS_LOCKED  # it is there, and busy
        return True


def _of(statement: str) -> dict[str, str]:
    return {"session_id": f"budeval-{statement}", **_TIMEOUT}
