"""Where a lease is kept, and how a generation of it is claimed.

Two stores behind one protocol: :class:`KeeperStore` (a KeeperMap table, which
every server on the same Keeper shares) and :class:`TokenStore` (a MergeTree
table whose inserts are compared by their deduplication token). The highest
generation is the lock. A claim inserts the next one and is won only when it is
then read back as the highest, and as ours: a claim that was delayed, answered
twice or never answered is judged by what is there, not by what was said.

https://clickhouse.com/docs/guides/developer/deduplicating-inserts-on-retries
https://clickhouse.com/docs/engines/table-engines/special/keeper-map
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import KEEPER_EXCEPTION
from budeval_migrations.clickhouse.transports.base import NOTHING
from budeval_migrations.errors import EngineError, LockError, MigrationError
from budeval_migrations.sql import quote
from budeval_migrations.state import quorum, schema
from budeval_migrations.version import __version__

# Seconds between two heartbeats of a holder, at most.
BEAT = 2.0
# Generations that stay in Keeper for people to look at; older ones are deleted.
_KEPT = 16
_STRICT = {"keeper_map_strict_mode": "1"}
# SQL for an event that this package does not know; empty where it knows all.
ODD_EVENT = "maxIf(event, event NOT IN ('claim', 'renew', 'release', 'moved'))"
_COMPARED = {"async_insert": "0", "insert_deduplicate": "1"}
# 26.x: supersedes insert_deduplicate, so that a profile can switch tokens off (tried).
_NEWER_SWITCH = "deduplicate_insert"


@dataclass(frozen=True)
class Holder:
    """Who has the lock, or had it last.

    Attributes:
        generation: Grows with every holder.
        owner: One claimant's own mark; empty where two claims of a generation were kept, which
            makes it nobody's.
        name: ``user@host pid N``.
        since: When it was taken, UTC, by the server's clock.
        alive: Not released, and its lease has not run out.
        released: It gave the lock back, and sends nothing more.
        doing: The revision and statement it was at when it last renewed.
        store: The table that holds the lease.

    """

    generation: int
    owner: str
    name: str
    since: datetime
    alive: bool
    released: bool = False
    doing: str = ""
    store: str = schema.LOCK


@dataclass(frozen=True)
class Claim:
    """One claimant's wish to hold one generation."""

    generation: int
    lease_ms: int
    owner: str = field(default_factory=lambda: str(uuid.uuid4()))


class LeaseStore(Protocol):
    """A table of generations. Each call takes the connection that it shall use."""

    table: str

    def claim(self, session: Session, claim: Claim, doing: str) -> bool:
        """Try to become the holder of a generation that nobody has; False when it is another's.

        Raises:
            EngineError: It was not claimed, as far as can be seen. An insert that
                still arrives leaves a lease that runs out by itself.

        """

    def renew(self, session: Session, claim: Claim, doing: str) -> None:
        """Begin the lease anew; does not tell whether it is still ours: read it back."""

    def release(self, session: Session, claim: Claim, doing: str) -> None:
        """Let the next one in at once."""

    def read(self, session: Session) -> Holder | None:
        """Return the highest generation's holder; read-only, judged by the server's clock."""

    def fence(self, session: Session, claim: Claim) -> str:
        """Return SQL that is true exactly while the claim is the highest, and the only one."""


class TokenStore:
    """``schema_migrations_lock``: append-only, one insert for each token."""

    table = schema.LOCK
    _newer_switch: dict[str, bool] = {}  # noqa: RUF012  what a server's version has

    def claim(self, session: Session, claim: Claim, doing: str) -> bool:
        """Insert the claim with its generation's token, and read back whose it is.

        Where a server keeps two claims of a generation (its window of tokens was
        passed, or deduplication is off), neither claimant sees itself alone, and
        both lose.
        """
        more = {_NEWER_SWITCH: "enable"} if self._has_newer_switch(session) else NOTHING
        refusal = None
        try:
            self._append(session, claim, "claim", doing, f"generation-{claim.generation}", more)
        except EngineError as error:
            refusal = error
        return is_won(self, session, claim, refusal)

    def renew(self, session: Session, claim: Claim, doing: str) -> None:
        """Append a row."""
        self._append(session, claim, "renew", doing, str(uuid.uuid4()))

    def release(self, session: Session, claim: Claim, doing: str) -> None:
        """Append a row."""
        self._append(session, claim, "release", doing, str(uuid.uuid4()))

    def move(self, session: Session, claim: Claim) -> None:
        """Release for good: from here on the lock is in Keeper."""
        self._append(session, claim, "moved", "", str(uuid.uuid4()))

    def is_moved(self, session: Session) -> bool:
        """Return whether the lock was moved to Keeper; read-only."""
        [[moved]] = quorum.read(
            session,
            f"SELECT countIf(event = 'moved') FROM {self.table} "
            f"WHERE generation = (SELECT max(generation) FROM {self.table})",
        )
        return bool(int(moved))

    def read(self, session: Session) -> Holder | None:
        """Return the highest generation's holder."""
        return _holder(
            session,
            self.table,
            "SELECT generation, "
            "if(countIf(event = 'claim') = 1, anyIf(owner, event = 'claim'), ''), "
            "argMin(holder, (event != 'claim', at, owner)), toFloat64(min(at)), "
            "countIf(event IN ('release', 'moved')) > 0, "
            "toFloat64(now64(3)) - toFloat64(max(at)) < max(lease_ms) / 1000, "
            f"argMax(doing, at), {ODD_EVENT} "
            f"FROM {self.table} WHERE generation = (SELECT max(generation) FROM {self.table}) "
            "GROUP BY generation",
        )

    def fence(self, session: Session, claim: Claim) -> str:
        """Return SQL that is true exactly while the claim is the highest, and the only one."""
        return _highest(session, self.table, claim)

    def _append(
        self,
        session: Session,
        claim: Claim,
        event: str,
        doing: str,
        token: str,
        more: Mapping[str, str] = NOTHING,
    ) -> None:
        compared = {**_COMPARED, "insert_deduplication_token": token, **more}
        quorum.insert(session, self.table, [lease_row(claim, event, doing)], compared)

    def _has_newer_switch(self, session: Session) -> bool:
        version = session.server_version
        if not version or version not in self._newer_switch:
            found = session.query(f"SELECT 1 FROM system.settings WHERE name = '{_NEWER_SWITCH}'")
            self._newer_switch[version] = bool(found)
        return self._newer_switch[version]


class KeeperStore:
    """``schema_migrations_keeper_lock``: a key for each generation, in Keeper.

    Strict mode makes a claim fail where the key exists, and an update fail where
    the row was changed meanwhile. Only its holder updates a row, so UPDATE loses
    nothing, adds no keys, and cannot bring back a generation that was deleted,
    as a row inserted for each renewal could. Unlike a MergeTree's, this UPDATE is
    done when it returns.
    """

    table = schema.KEEPER_LOCK

    def claim(self, session: Session, claim: Claim, doing: str) -> bool:
        """Insert the key of the generation, and read back whose it is."""
        row = {
            "generation": claim.generation,
            "owner": claim.owner,
            "holder": holder_name(),
            "lease_ms": claim.lease_ms,
            "doing": doing,
        }
        refusal = None
        try:
            session.insert(self.table, [row], settings=_STRICT)
        except EngineError as error:
            refusal = error
        if refusal is not None and _key_exists(refusal):
            refusal = None
        won = is_won(self, session, claim, refusal)
        if won:
            with suppress(MigrationError):  # the next claim does it
                session.execute(
                    f"ALTER TABLE {self.table} DELETE WHERE generation + {_KEPT} <= "
                    f"{claim.generation}",
                    settings={"keeper_map_strict_mode": "0"},
                )
        return won

    def renew(self, session: Session, claim: Claim, doing: str) -> None:
        """Update our own row."""
        self._update(session, claim, f"at = now64(3), doing = {quote.string(doing)}")

    def release(self, session: Session, claim: Claim, doing: str) -> None:
        """Update our own row; once more if a last renewal got in between."""
        try:
            self._update(session, claim, "released = 1")
        except EngineError as error:
            if error.code != KEEPER_EXCEPTION:
                raise
            self._update(session, claim, "released = 1")

    def read(self, session: Session) -> Holder | None:
        """Return the highest generation's holder."""
        return _holder(
            session,
            self.table,
            "SELECT generation, owner, holder, toFloat64(since), released, "
            "toFloat64(now64(3)) - toFloat64(at) < lease_ms / 1000, doing, "
            "if(released > 1, concat('released/', toString(released)), '') "
            f"FROM {self.table} ORDER BY generation DESC LIMIT 1",
        )

    def fence(self, session: Session, claim: Claim) -> str:
        """Return SQL that is true exactly while the claim is the highest, and the only one."""
        return _highest(session, self.table, claim)

    def _update(self, session: Session, claim: Claim, what: str) -> None:
        session.execute(
            f"ALTER TABLE {self.table} UPDATE {what} WHERE generation = {claim.generation} "
            f"AND owner = {quote.string(claim.owner)}",
            settings=_STRICT,
        )


def lease_row(claim: Claim, event: str, doing: str) -> dict[str, Any]:
    """Return the row of ``schema_migrations_lock`` that says what became of a claim."""
    return {
        "generation": claim.generation,
        "event": event,
        "owner": claim.owner,
        "holder": holder_name(),
        "lease_ms": claim.lease_ms,
        "doing": doing,
    }


def holder_name() -> str:
    """Return who we are, for the people who wait for us."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


def _highest(session: Session, table: str, claim: Claim) -> str:
    # The owner too: after DROP TABLE of the lock, generations begin at 1 again.
    place = f"{quote.identifier(session.database)}.{table}"
    newest = f"(SELECT max(generation) FROM {place})"
    owners = f"(SELECT groupUniqArray(owner) FROM {place} WHERE generation = {newest})"
    return f"{newest} = {claim.generation} AND {owners} = [{quote.string(claim.owner)}]"


def _key_exists(error: EngineError) -> bool:
    return error.code == KEEPER_EXCEPTION and "Node exists" in error.message


def is_won(store: LeaseStore, session: Session, claim: Claim, refusal: EngineError | None) -> bool:
    """Return whether a claim is read back as the highest, and as ours.

    Args:
        refusal: What the server said to the claim, if it did not take it.

    Raises:
        EngineError: The refusal, when the claim is nobody else's either.

    """
    try:
        newest = store.read(session)
    except EngineError as error:
        raise (refusal or error) from None
    if newest is not None and (newest.generation, newest.owner) == (claim.generation, claim.owner):
        return True
    if refusal is not None:
        raise refusal
    return False


def _holder(session: Session, table: str, sql: str) -> Holder | None:
    rows = quorum.read(session, sql)
    if not rows:
        return None
    number, owner, name, since, released, fresh, doing, odd = rows[0]
    check_known(session, table, odd)
    return Holder(
        generation=int(number),
        owner=str(owner),
        name=str(name),
        since=datetime.fromtimestamp(float(since), timezone.utc),
        alive=not int(released) and bool(int(fresh)),
        released=bool(int(released)),
        doing=str(doing),
        store=table,
    )


def check_known(session: Session, table: str, odd: str | None) -> None:
    """Refuse what a newer version of this package, or something else, has put into a lock.

    Args:
        odd: What this version does not know; empty where it knows all, or None where the
            user's profile lets aggregates of nothing be NULL.

    Raises:
        LockError: It does not; ``lock_format`` is the format that it names.

    """
    _, _, number = (odd or "").partition("/")
    if number.isdigit():
        raise LockError(
            schema.has_format("lock", session.database, int(number), schema.LOCK_FORMAT)
            + " Nothing was changed.",
            hint=schema.USE_THE_NEWER,
            lock_format=int(number),
        )
    if odd:
        raise LockError(
            f"The table {session.database}.{table} holds rows that this package ({__version__}) "
            "does not know. Nothing was changed.",
            hint="Use the newer version of budeval-migrations that wrote them.",
        )
