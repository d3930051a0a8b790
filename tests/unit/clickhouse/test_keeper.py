"""Which answers say that a server has no Keeper for the moment."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.errors import EngineError


@pytest.mark.parametrize(
    ("code", "message", "away"),
    [
        (999, "Session expired", True),
        (999, "Coordination::Exception: No node, path: /clickhouse/x", False),
        (225, "Can't get ZooKeeper", True),
        # What SYSTEM SYNC REPLICA says while a replica opens a new session with Keeper.
        (236, "Shutdown is called for table", True),
        (236, "Cancelled merging parts", False),
        (60, "Table shop.t doesn't exist", False),
    ],
)
def test_a_server_that_lost_keeper_for_a_moment_is_told_from_one_that_refuses(
    code: int, message: str, away: bool
) -> None:
    assert keeper.is_away(EngineError(message, code=code)) is away


def test_what_needs_keeper_is_asked_again_until_the_replica_has_its_session_back() -> None:
    answers = iter([EngineError("Shutdown is called for table", code=236), None])

    def ask() -> str:
        error = next(answers)
        if error is not None:
            raise error
        return "level"

    assert keeper.patiently(ask) == "level"
