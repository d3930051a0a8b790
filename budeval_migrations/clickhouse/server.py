"""Who answers a session: version, user, and the settings that the user's profile changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budeval_migrations.clickhouse import own_settings
from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.clickhouse.failures import UNKNOWN_FUNCTION
from budeval_migrations.clickhouse.transports.base import NOTHING, Row
from budeval_migrations.errors import EngineError
from budeval_migrations.sql import quote

if TYPE_CHECKING:
    from budeval_migrations.clickhouse.connection import Session


@dataclass(frozen=True)
class Server:
    """What a server says of itself.

    Attributes:
        user: Whom the session is to it.
        changed_settings: The settings of the user's profile that can change what a request
            means.

    """

    version: str
    user: str
    changed_settings: tuple[str, ...]

    @property
    def features(self) -> Features:
        """What the server can do."""
        return Features(parse_version(self.version))

    @property
    def own(self) -> Mapping[str, str]:
        """The settings that go with each request of ours."""
        return own_settings.meant(self.changed_settings)

    @property
    def for_statements(self) -> Mapping[str, str]:
        """The settings that go with a revision's statements."""
        return own_settings.meant_for_statements(self.changed_settings)


def read_server(session: Session) -> Server:
    """Ask a server who it is, in one query.

    Raises:
        EngineError: It refused, or its profile changes how many rows a query gives.

    """
    rows = _ask(session)
    if len(rows) != 1:
        raise EngineError(
            f"{session.shown} answered a query for one row with {len(rows)}.",
            hint="Look at the user's settings: limit, offset, extremes and "
            "additional_result_filter change what a query gives.",
        )
    [[version, user, changed]] = rows
    return Server(str(version), str(user), tuple(map(str, changed)))


def _ask(session: Session) -> list[Row]:
    rest = f", {own_settings.CHANGED} FROM system.settings"
    user, settings = "currentUser()", NOTHING
    while True:
        try:
            return session.ask(f"SELECT version(), {user}{rest}", settings=settings, own=False)
        except EngineError as error:
            refusing = own_settings.meant(own_settings.REFUSE.get(error.code, ()))
            if error.code == UNKNOWN_FUNCTION:
                # Before 20.1 a session cannot be asked who it is.
                user = quote.string(session.url.username or "default")
            elif refusing.keys() - settings.keys():
                settings = {**settings, **refusing}
            else:
                raise
