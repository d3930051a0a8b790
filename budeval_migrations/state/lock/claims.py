"""A lease on a cluster whose servers know no deduplication tokens.

A generation is claimed by making a replicated table at a path in Keeper that bears
its number: Keeper lets one make it, and what that one is called stands there as the
name of the table's only column. So the claim itself is compared and set by Keeper,
and whose it is can be read from every host. What changes while it is held (renewals,
what the holder is at) are rows of ``schema_migrations_lock``.

Tested on 18.16, where two servers that claim at once get 253 or 122.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from datetime import datetime, timezone

from budeval_migrations.clickhouse.cluster import keeper
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError, LockError, MigrationError
from budeval_migrations.sql import quote
from budeval_migrations.state import quorum, replication, schema
from budeval_migrations.state.lock.lease import (
    ODD_EVENT,
    Claim,
    Holder,
    check_known,
    holder_name,
    is_won,
    lease_row,
)
from budeval_migrations.version import __version__

# Claims that stay for people to look at; older ones are dropped.
_KEPT = 4
# TABLE_ALREADY_EXISTS, INCOMPATIBLE_COLUMNS, REPLICA_IS_ALREADY_EXIST.
_MADE_ALREADY = frozenset({57, 122, 253})
_COLUMN = re.compile(r"`((?:[^`\\]|\\.)*)` UInt8")


class ClaimStore:
    """A path in Keeper for each generation, and ``schema_migrations_lock``."""

    table = schema.LOCK

    def claim(self, session: Session, claim: Claim, doing: str) -> bool:
        """Make the generation's table, and read back whose it is."""
        name = quote.identifier(f"{claim.owner} {claim.lease_ms} {holder_name()}")
        place = quote.string(f"{_path(session)}/{_number(claim.generation)}")
        refusal = None
        try:
            session.execute(
                f"CREATE TABLE {schema.CLAIM}{_number(claim.generation)} ({name} UInt8) "
                f"ENGINE = ReplicatedMergeTree({place}, 'holder') ORDER BY tuple()"
            )
        except EngineError as error:
            refusal = None if error.code in _MADE_ALREADY else error
        won = is_won(self, session, claim, refusal)
        if won:
            with suppress(MigrationError):  # the next claim does it
                self._forget(session, claim.generation - _KEPT)
        return won

    def renew(self, session: Session, claim: Claim, doing: str) -> None:
        """Append a row."""
        self._append(session, claim, "renew", doing)

    def release(self, session: Session, claim: Claim, doing: str) -> None:
        """Append a row."""
        self._append(session, claim, "release", doing)

    def read(self, session: Session) -> Holder | None:
        """Return the highest generation's holder.

        Whoever has claimed and not yet said more holds it for one lease from the
        moment of the claim, by Keeper's clock.
        """
        newest = max(_numbers(session), default="")
        if not newest:
            return None
        claimed = keeper.read_children(
            session,
            f"{_path(session)}/{newest}",
            "value, toUInt64(ctime), toUInt64(now())",
            "name = 'columns'",
        )
        rows = quorum.read(
            session,
            f"SELECT toUInt64(max(at)), countIf(event = 'release'), argMax(doing, at), {ODD_EVENT} "
            f"FROM {self.table} WHERE generation = {int(newest)} GROUP BY generation",
        )
        if not claimed:
            return None  # it was dropped at this very moment
        value, since, now = claimed[0]
        owner, lease, name = _said(str(value))
        renewed, released, doing, odd = rows[0] if rows else (0, 0, "", "")
        check_known(session, self.table, odd)
        age = int(now) - max(int(since), int(renewed))
        return Holder(
            generation=int(newest),
            owner=owner,
            name=name,
            since=datetime.fromtimestamp(int(since), timezone.utc),
            alive=not int(released) and age * 1000 < lease,
            released=bool(int(released)),
            doing=str(doing),
            store=self.table,
        )

    def fence(self, session: Session, claim: Claim) -> str:
        """Return SQL that is true exactly while the claim is the highest."""
        path, number = _path(session), _number(claim.generation)
        newest = f"SELECT max(name) FROM system.zookeeper WHERE path = {quote.string(path)}"
        # The owner too: after a reset, generations begin at 1 again.
        owned = (
            "SELECT count() FROM system.zookeeper "
            f"WHERE path = {quote.string(f'{path}/{number}')} AND name = 'columns' "
            f"AND position(value, {quote.string(claim.owner)}) > 0"
        )
        return f"({newest}) = {quote.string(number)} AND ({owned}) = 1"

    def _append(self, session: Session, claim: Claim, event: str, doing: str) -> None:
        quorum.insert(session, self.table, [lease_row(claim, event, doing)])

    def _forget(self, session: Session, generation: int) -> None:
        """Drop an old claim, on whichever host it is."""
        if generation > 0:
            replication.drop(session, f"{schema.CLAIM}{_number(generation)}", patient=False)


def forget_claims(session: Session) -> None:
    """Drop every claim, on whichever host it is; idempotent."""
    if session.topology.on_cluster:
        for number in _numbers(session):
            replication.drop(session, f"{schema.CLAIM}{number}")


def _numbers(session: Session) -> list[str]:
    """Return the generations that Keeper has, as they stand there."""
    return [str(name) for (name,) in keeper.read_children(session, _path(session))]


def _path(session: Session) -> str:
    return f"{schema.keeper_path(session.database)}/claims"


def _number(generation: int) -> str:
    return f"{generation:010}"


def _said(columns: str) -> tuple[str, int, str]:
    """Return owner, lease in ms and name from the columns of a claim.

    Raises:
        LockError: Something else made it, or a newer version of this package.

    """
    found = _COLUMN.search(columns)
    text = ast.literal_eval(f"'{found[1]}'") if found else ""
    owner, _, rest = str(text).partition(" ")
    lease, _, name = rest.partition(" ")
    if not lease.isdigit():
        raise LockError(
            f"A claim of the lock in Keeper reads {columns[:80]!r}, which this package "
            f"({__version__}) does not know. Nothing was changed.",
            hint="Use the newer version of budeval-migrations that made it.",
        )
    return owner, int(lease), name
