"""What each store of a lease promises: claimed by one, read by all, over when its time is.

The stores are a MergeTree with tokens and a KeeperMap on ClickHouse 26, and tables in Keeper on
a cluster of 18.16.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import pytest

from budeval_migrations.clickhouse.cluster.ddl_queue import ensure_database
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.fenced_insert import insert_fenced
from budeval_migrations.errors import ConnectionFailed, EngineError, LockError, LockLost
from budeval_migrations.settings import Settings
from budeval_migrations.state import schema
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.lock import lease
from budeval_migrations.state.lock.claims import ClaimStore, forget_claims
from budeval_migrations.state.lock.lease import (
    Claim,
    Holder,
    KeeperStore,
    LeaseStore,
    TokenStore,
    holder_name,
)
from budeval_migrations.state.stores import choose_store
from budeval_migrations.version import __version__
from tests.cluster.aim import drop_database
from tests.support import targets
from tests.support.cluster import Cluster
from tests.support.servers import ChdbFront
from tests.support.spy import spied
from tests.support.zookeeper import ZooKeeper

pytestmark = pytest.mark.timeout(300)

KINDS = {"tokens": TokenStore, "keeper": KeeperStore, "claims": ClaimStore}
MINUTE = 60_000
DOING = "008_y statement 1 of 'many' \\ 🙂"


@dataclass(frozen=True)
class Kept:
    """A store of leases that holds none yet."""

    kind: str
    store: LeaseStore
    session: Session
    settings: Settings

    @property
    def newest(self) -> Holder:
        found = self.store.read(self.session)
        assert found is not None
        return found

    def claim(self, generation: int, lease_ms: int = MINUTE, doing: str = "") -> Claim:
        """Claim a generation, which must be won."""
        made = Claim(generation, lease_ms)
        assert self.store.claim(self.session, made, doing) is True
        return made

    def holds(self, claim: Claim) -> bool:
        try:
            [[holds]] = self.session.query(f"SELECT {self.store.fence(self.session, claim)}")
        except EngineError as error:
            # 18.16 on a claim that is not in Keeper: whatever is fenced by it fails.
            assert self.kind == "claims" and "No node" in error.message
            return False
        return bool(int(holds))


@pytest.fixture(scope="module")
def front_with_keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbFront]:
    targets.require_packages("chdb")
    targets.require_zookeeper()
    directory = tmp_path_factory.mktemp("keeper")
    with (
        ZooKeeper(directory / "zookeeper") as keeper,
        ChdbFront(directory / "front", config_file=keeper.clickhouse_config()) as server,
    ):
        yield server


@pytest.fixture(
    params=[pytest.param(k, marks=pytest.mark.old) if k == "claims" else k for k in KINDS]
)
def kept(request: pytest.FixtureRequest, database: str) -> Iterator[Kept]:
    kind = request.param
    if kind == "claims":
        cluster: Cluster = request.getfixturevalue("pair")
        url, more = cluster.nodes[0].url(database=database), {"cluster": "crew"}
    else:
        front = request.getfixturevalue("modern" if kind == "tokens" else "front_with_keeper")
        url, more = front.url(database=database), {}
    settings = Settings(url=url, database=database, **more)  # type: ignore[arg-type]
    with Session(settings) as session:
        ensure_database(session)
        store = choose_store(session)
        assert type(store) is KINDS[kind]
        yield Kept(kind, store, session, settings)
        if kind == "claims":
            forget_claims(session)
    if kind == "claims":
        drop_database(cluster, database)
    else:
        front.query(f"DROP DATABASE IF EXISTS {database} SYNC")


only_tokens = pytest.mark.parametrize("kept", ["tokens"], indirect=True)
only_keeper = pytest.mark.parametrize("kept", ["keeper"], indirect=True)
only_claims = pytest.mark.parametrize(
    "kept", [pytest.param("claims", marks=pytest.mark.old)], indirect=True
)


# -- all of them ------------------------------------------------------------------------------


def test_nobody_holds_what_nobody_has_claimed(kept: Kept) -> None:
    assert kept.store.read(kept.session) is None
    assert not kept.holds(Claim(1, MINUTE)) and not kept.holds(Claim(0, MINUTE))


def test_whoever_claims_is_seen_by_everybody(kept: Kept) -> None:
    claim = kept.claim(1, doing=DOING)
    with Session(kept.settings) as other:
        found = kept.store.read(other)

    assert found is not None
    assert abs((found.since - datetime.now(timezone.utc)).total_seconds()) < 30
    assert found.since.tzinfo is timezone.utc
    assert found == Holder(
        generation=1,
        owner=claim.owner,
        name=holder_name(),
        since=found.since,
        alive=True,
        # Keeper's table says whose it is, and nothing else before the first renewal.
        doing="" if kept.kind == "claims" else DOING,
        store=schema.KEEPER_LOCK if kept.kind == "keeper" else schema.LOCK,
    )
    assert found.released is False


def test_a_generation_is_claimed_once(kept: Kept) -> None:
    first = kept.claim(5)
    for late in (Claim(5, MINUTE), Claim(4, MINUTE), Claim(1, MINUTE)):
        assert kept.store.claim(kept.session, late, "late") is False
        assert kept.newest.owner == first.owner
        assert kept.holds(first) and not kept.holds(late)
    assert kept.newest.doing == ""


def test_a_claim_that_arrives_twice_is_one(kept: Kept) -> None:
    claim = kept.claim(1)
    assert kept.store.claim(kept.session, claim, "") is True
    assert kept.newest.owner == claim.owner


def test_the_next_generation_ends_the_one_before(kept: Kept) -> None:
    first = kept.claim(1)
    second = kept.claim(2)

    assert (kept.newest.generation, kept.newest.owner) == (2, second.owner)
    assert (kept.holds(first), kept.holds(second)) == (False, True)
    assert not kept.holds(Claim(2, MINUTE, owner=first.owner))
    assert not kept.holds(Claim(3, MINUTE, owner=second.owner))


def test_a_renewal_says_what_the_holder_does_and_begins_the_lease_anew(kept: Kept) -> None:
    claim = kept.claim(1, lease_ms=5000)
    since = kept.newest.since
    deadline = time.monotonic() + 9
    while time.monotonic() < deadline:
        kept.store.renew(kept.session, claim, DOING)
        found = kept.newest
        assert (found.alive, found.doing, found.since) == (True, DOING, since)
        time.sleep(1)
    time.sleep(6.5)  # old servers know the time to a second
    found = kept.newest
    assert (found.alive, found.released, found.doing) == (False, False, DOING)
    assert kept.holds(claim)  # nobody else has claimed


def test_a_lease_lasts_as_long_as_it_says_and_no_longer(kept: Kept) -> None:
    kept.claim(1, lease_ms=4000)
    time.sleep(2)
    assert kept.newest.alive
    time.sleep(3.5)
    assert not kept.newest.alive
    kept.claim(2, lease_ms=MINUTE)
    assert kept.newest.alive


def test_a_lease_that_is_given_back_is_over_at_once(kept: Kept) -> None:
    claim = kept.claim(1)
    kept.store.release(kept.session, claim, "the end")

    found = kept.newest
    assert (found.alive, found.released, found.owner) == (False, True, claim.owner)
    assert found.doing == ("" if kept.kind == "keeper" else "the end")
    kept.claim(2)
    assert (kept.newest.alive, kept.newest.released) == (True, False)


def test_a_renewal_or_a_release_of_an_older_generation_changes_nothing(kept: Kept) -> None:
    first = kept.claim(1)
    second = kept.claim(2)
    kept.store.renew(kept.session, first, "still here")
    kept.store.release(kept.session, first, "gone")

    found = kept.newest
    assert (found.owner, found.alive, found.doing) == (second.owner, True, "")


def test_an_owner_can_be_told_from_another_that_began_again(kept: Kept) -> None:
    """After a DROP of the lock's tables the generations begin at 1 again."""
    before = kept.claim(1)
    if kept.kind == "claims":
        forget_claims(kept.session)
    else:
        kept.session.execute(f"TRUNCATE TABLE {kept.store.table}")
    assert kept.store.read(kept.session) is None
    after = kept.claim(1)

    assert (kept.holds(before), kept.holds(after)) == (False, True)


def test_a_server_that_refuses_the_claim_is_heard(kept: Kept) -> None:
    refused = EngineError("Not enough space", code=243)

    def refuse(text: str, *_: Any, **__: Any) -> None:
        if text == kept.store.table or "CREATE TABLE" in text:
            raise refused

    method = "execute" if kept.kind == "claims" else "insert"
    with spied(kept.session, method, refuse), pytest.raises(EngineError) as caught:
        kept.store.claim(kept.session, Claim(1, MINUTE), "")
    assert caught.value is refused
    assert kept.store.read(kept.session) is None


def test_a_claim_that_cannot_be_read_back_is_not_claimed(kept: Kept) -> None:
    lost = ConnectionFailed("the line broke", sent=True)

    def cut(*_: Any, **__: Any) -> None:
        raise lost

    with spied(kept.session, "query", cut), pytest.raises(EngineError) as caught:
        kept.store.claim(kept.session, Claim(1, MINUTE), "")
    assert caught.value is lost


# -- one of them ------------------------------------------------------------------------------


@only_tokens
def test_rows_that_nobody_knows_are_refused(kept: Kept) -> None:
    kept.claim(1)
    kept.session.execute(f"INSERT INTO {schema.LOCK} (generation, event) VALUES (1, 'share')")
    with pytest.raises(LockError) as caught:
        kept.store.read(kept.session)
    assert caught.value.message == (
        f"The table {kept.session.database}.{kept.store.table} holds rows that this package "
        f"({__version__}) does not know. Nothing was changed."
    )
    assert caught.value.hint == "Use the newer version of budeval-migrations that wrote them."


def test_a_newer_format_of_the_lock_is_refused(kept: Kept) -> None:
    kept.claim(1)
    row = f"{schema.LOCK} (generation, event) VALUES (1, 'renew/2')"
    if kept.store.table == schema.KEEPER_LOCK:
        row = f"{schema.KEEPER_LOCK} (generation, released) VALUES (2, 2)"
    kept.session.execute(f"INSERT INTO {row}")
    with pytest.raises(LockError) as caught:
        kept.store.read(kept.session)
    assert caught.value.message == (
        f"The lock in {kept.session.database} has format 2; this package ({__version__}) knows "
        "formats up to 1. Nothing was changed."
    )
    assert caught.value.details["lock_format"] == 2
    assert caught.value.hint == "Use the newer version of budeval-migrations that wrote it."


@only_claims
def test_a_claim_of_a_newer_package_is_refused(kept: Kept) -> None:
    kept.claim(1)
    path = f"{schema.keeper_path(kept.session.database)}/claims/0000000002"
    kept.session.execute(
        f"CREATE TABLE {schema.CLAIM}0000000002 (`shared by 2` UInt8) "
        f"ENGINE = ReplicatedMergeTree('{path}', 'holder') ORDER BY tuple()"
    )
    with pytest.raises(LockError) as caught:
        kept.store.read(kept.session)
    assert caught.value.message == (
        "A claim of the lock in Keeper reads 'columns format version: 1\\n1 columns:\\n`shared by "
        f"2` UInt8\\n', which this package ({__version__}) does not know. Nothing was changed."
    )
    assert caught.value.hint == "Use the newer version of budeval-migrations that made it."


@only_tokens
def test_two_claims_that_a_server_keeps_are_nobodys(kept: Kept) -> None:
    claim = kept.claim(1)
    row = lease.lease_row(Claim(1, MINUTE), "claim", "")
    kept.session.insert(schema.LOCK, [row], settings={"insert_deduplication_token": "another"})

    assert kept.newest.owner == ""
    assert kept.newest.alive
    assert not kept.holds(claim)


@only_tokens
def test_every_row_is_compared_by_a_token_of_its_own(kept: Kept) -> None:
    seen: list[dict[str, str]] = []
    with spied(kept.session, "insert", lambda *_, settings: seen.append(dict(settings))):
        claim = kept.claim(7)
        kept.store.renew(kept.session, claim, "")
        kept.store.renew(kept.session, claim, "")
        kept.store.release(kept.session, claim, "")
        kept.store.release(kept.session, claim, "")
        assert isinstance(kept.store, TokenStore)
        kept.store.move(kept.session, claim)

    tokens = [settings.pop("insert_deduplication_token") for settings in seen]
    assert tokens[0] == "generation-7"
    assert len({uuid.UUID(token) for token in tokens[1:]}) == 5
    compared = {"async_insert": "0", "insert_deduplicate": "1"}
    assert seen == [{**compared, "deduplicate_insert": "enable"}, *[compared] * 5]


@only_tokens
def test_an_older_server_is_not_given_a_setting_that_it_does_not_know(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenStore, "_newer_switch", {kept.session.server_version: False})
    seen: list[str] = []
    with spied(kept.session, "insert", lambda *_, settings: seen.extend(settings)):
        kept.claim(1)
    assert "deduplicate_insert" not in seen

    monkeypatch.setattr(TokenStore, "_newer_switch", {"another": False})
    with spied(kept.session, "insert", lambda *_, settings: seen.extend(settings)):
        kept.claim(2)
    assert "deduplicate_insert" in seen
    assert TokenStore._newer_switch == {"another": False, kept.session.server_version: True}


@only_tokens
def test_a_lock_that_is_moved_to_keeper_is_released_for_good(kept: Kept) -> None:
    store = kept.store
    assert isinstance(store, TokenStore)
    first = kept.claim(1)
    assert store.is_moved(kept.session) is False
    store.move(kept.session, first)

    assert store.is_moved(kept.session) is True
    found = kept.newest
    assert (found.alive, found.released, found.doing) == (False, True, "")
    kept.claim(2)
    assert store.is_moved(kept.session) is False


@only_keeper
def test_keeper_keeps_the_last_sixteen_generations(kept: Kept) -> None:
    for generation in range(1, 20):
        kept.claim(generation)
    rows = kept.session.query(f"SELECT generation FROM {schema.KEEPER_LOCK} ORDER BY generation")
    assert [int(number) for (number,) in rows] == list(range(4, 20))


@only_keeper
def test_a_claim_is_won_though_the_old_ones_stay(kept: Kept) -> None:
    seen: list[str] = []

    def refuse(text: str, **settings: Any) -> None:
        seen.append(text)
        raise EngineError("Not enough privileges", code=497)

    with spied(kept.session, "execute", refuse):
        kept.claim(17)
    assert len(seen) == 1 and "DELETE WHERE generation + 16 <= 17" in seen[0]


@only_keeper
def test_what_is_claimed_in_keeper_is_compared_whatever_the_users_profile_says(kept: Kept) -> None:
    with spied(kept.session, "insert", lambda *_, settings: seen.append(settings)):
        seen: list[Any] = []
        claim = kept.claim(1)
    assert seen == [{"keeper_map_strict_mode": "1"}]
    seen.clear()
    with spied(kept.session, "execute", lambda *_, settings: seen.append(settings)):
        kept.store.renew(kept.session, claim, "")
        kept.store.release(kept.session, claim, "")
    assert seen == [{"keeper_map_strict_mode": "1"}] * 2


@only_keeper
def test_a_release_that_meets_a_renewal_is_tried_again(kept: Kept) -> None:
    claim = kept.claim(1)
    errors = [EngineError("Coordination error: Bad version", code=999)]

    def refuse(text: str, **_: Any) -> None:
        if errors:
            raise errors.pop()

    with spied(kept.session, "execute", refuse):
        kept.store.release(kept.session, claim, "")
    assert kept.newest.released

    denied = EngineError("Not enough privileges", code=497)
    again = kept.claim(2)
    errors.append(denied)
    with spied(kept.session, "execute", refuse), pytest.raises(EngineError) as caught:
        kept.store.release(kept.session, again, "")
    assert caught.value is denied
    assert not kept.newest.released


@only_keeper
@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (EngineError("Coordination error: Node exists", code=999), False),
        (EngineError("Coordination error: Session expired", code=999), True),
        (EngineError("Node exists", code=1000), True),
    ],
)
def test_only_a_key_that_exists_says_that_another_has_claimed(
    kept: Kept, error: EngineError, heard: bool
) -> None:
    kept.claim(1)

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    with spied(kept.session, "insert", refuse):
        if heard:
            with pytest.raises(EngineError) as caught:
                kept.store.claim(kept.session, Claim(1, MINUTE), "")
            assert caught.value is error
        else:
            assert kept.store.claim(kept.session, Claim(1, MINUTE), "") is False


@only_claims
def test_keeper_keeps_the_last_four_claims(kept: Kept) -> None:
    for generation in range(1, 8):
        kept.claim(generation)

    def left() -> list[str]:
        rows = kept.session.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() "
            f"AND name LIKE '{schema.CLAIM}%' ORDER BY name"
        )
        return [str(name).removeprefix(schema.CLAIM) for (name,) in rows]

    until = time.monotonic() + 60
    while len(left()) > 4 and time.monotonic() < until:
        time.sleep(0.5)  # they are dropped in the background
    assert left() == [f"{number:010}" for number in (4, 5, 6, 7)]
    forget_claims(kept.session)
    assert left() == []
    assert kept.store.read(kept.session) is None


@only_claims
def test_a_claim_on_another_host_is_seen_and_cannot_be_made_again(
    kept: Kept, pair: Cluster
) -> None:
    url = pair.nodes[1].url(database=kept.settings.database)
    with Session(replace(kept.settings, url=url)) as other:
        first = kept.claim(1)
        found = kept.store.read(other)
        assert found is not None and found.owner == first.owner
        assert kept.store.claim(other, Claim(1, MINUTE), "") is False
        second = Claim(2, MINUTE)
        assert kept.store.claim(other, second, "") is True
    assert (kept.holds(first), kept.holds(second)) == (False, True)


@only_claims
def test_nothing_is_written_under_a_claim_that_is_gone(kept: Kept) -> None:
    ensured = Ledger(kept.session)
    ensured.ensure(ensured.read_state())
    claim = kept.claim(1)
    fence = kept.store.fence(kept.session, claim)
    forget_claims(kept.session)
    row = {"version": "001_a", "checksum": "", "executed_at": "2026-01-02 03:04:05"}
    types = {column.name: column.type for column in schema.LEDGER_COLUMNS}

    assert insert_fenced(kept.session, schema.LEDGER, [row], types, fence) is False
    with pytest.raises(LockLost, match="Another runner has taken the lock over"):
        kept.session.execute(
            "CREATE TABLE late (a UInt8) ENGINE = Log", check=lambda: None, fence=fence
        )
    assert ensured.read_state().rows == ()


# -- who we are -------------------------------------------------------------------------------


def test_a_holder_says_who_and_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{socket.gethostname()} pid {os.getpid()}"
    monkeypatch.setattr(getpass, "getuser", lambda: "deploy")
    assert holder_name() == f"deploy@{place}"

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert holder_name() == f"{os.getuid()}@{place}"
    monkeypatch.delattr(os, "getuid")
    assert holder_name() == f"unknown@{place}"
