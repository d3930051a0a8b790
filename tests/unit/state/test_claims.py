"""What a claim in Keeper says, without a Keeper."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from budeval_migrations.errors import ConnectionFailed, LockError
from budeval_migrations.state.lock import claims
from budeval_migrations.state.lock.lease import Claim, Holder
from budeval_migrations.version import __version__

_MINE = "columns format version: 1\n1 columns:\n`me 30000 root@host pid 7` UInt8\n"


class _Session:
    database = "shop"

    def execute(self, sql: str, **_: Any) -> None:
        pass


def _read(
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[Any, ...]],
    columns: str = _MINE,
    since: int = 1000,
    now: int = 1010,
) -> Holder | None:
    monkeypatch.setattr(claims, "_numbers", lambda _: ["0000000003"])
    monkeypatch.setattr(
        claims.keeper, "read_children", lambda *_: [(columns, str(since), str(now))]
    )
    monkeypatch.setattr(claims.quorum, "read", lambda *_: rows)
    session: Any = _Session()
    return claims.ClaimStore().read(session)


def test_who_has_claimed_and_said_no_more_holds_it_for_one_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _read(monkeypatch, []) == Holder(
        generation=3,
        owner="me",
        name="root@host pid 7",
        since=datetime.fromtimestamp(1000, timezone.utc),
        alive=True,
        released=False,
        doing="",
        store="schema_migrations_lock",
    )
    ends = [_read(monkeypatch, [], now=1000 + age) for age in (29, 30, 31)]
    assert [holder is not None and holder.alive for holder in ends] == [True, False, False]


@pytest.mark.parametrize("since", [0, 1000])
def test_a_lease_of_one_second_is_over_after_it(
    monkeypatch: pytest.MonkeyPatch, since: int
) -> None:
    columns = _MINE.replace("30000", "1001")
    found = [_read(monkeypatch, [], columns, since, since + age) for age in (0, 1, 2)]
    assert [holder is not None and holder.alive for holder in found] == [True, True, False]


def test_rows_of_the_lock_that_nobody_knows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LockError) as caught:
        _read(monkeypatch, [(1000, 0, "", "explode")])
    assert caught.value.message == (
        "The table shop.schema_migrations_lock holds rows that this package "
        f"({__version__}) does not know. Nothing was changed."
    )


@pytest.mark.parametrize("columns", ["", "columns format version: 2", "x" * 100])
def test_a_claim_without_a_holder_is_refused_and_quoted_in_part(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    with pytest.raises(LockError) as caught:
        _read(monkeypatch, [], columns)
    assert caught.value.message == (
        f"A claim of the lock in Keeper reads {columns[:80]!r}, which this package "
        f"({__version__}) does not know. Nothing was changed."
    )


def test_a_claim_is_won_though_an_old_one_cannot_be_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dropped = []

    def drop(_: Any, table: str, **options: Any) -> None:
        dropped.append((table, options))
        raise ConnectionFailed("gone")

    monkeypatch.setattr(claims, "is_won", lambda *_: True)
    monkeypatch.setattr(claims.replication, "drop", drop)
    monkeypatch.setattr(claims.schema, "keeper_path", lambda database: f"/clickhouse/{database}")
    session: Any = _Session()
    won = [
        claims.ClaimStore().claim(session, Claim(generation, 30000, "me"), "")
        for generation in (3, 4, 5)
    ]
    assert won == [True, True, True]
    assert dropped == [(f"{claims.schema.CLAIM}0000000001", {"patient": False})]
