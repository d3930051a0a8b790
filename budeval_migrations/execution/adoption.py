"""Take over what another tool left: legacy rows, and ``alembic_version`` tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.counting import counted
from budeval_migrations.errors import MissingRevision
from budeval_migrations.execution.planner import Position
from budeval_migrations.model import Direction, LedgerRow, Operation
from budeval_migrations.state import schema
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.lock.lock import Lock


def needs_adoption(state: LedgerState) -> bool:
    """Return whether the database holds records that the ledger has not taken over."""
    return (
        state.ground is Ground.LEGACY
        or state.foreign_heads is not None
        or any(row.legacy for row in state.recorded.values())
    )


def check_foreign_heads(position: Position) -> None:
    """Raise when another tool's heads are not revisions of these files.

    Raises:
        MissingRevision: Nothing was changed.

    """
    for head in position.state.foreign_heads or ():
        if head not in position.graph:
            raise MissingRevision(
                f"The table {schema.VERSION_VIEW} says {head}, and there is no such revision file.",
                hint="Restore the file, or use the versions directory that this database "
                "was migrated with.",
                revision=head,
            )


def adopt(
    session: Session, ledger: Ledger, position: Position, *, run_id: str, lock: Lock
) -> Iterator[str]:
    """Record what counts as applied, move a foreign table aside; yield notices.

    Idempotent: a kill at any point leaves a database that the next call
    completes, because rows come first, the rename second and the view last. A
    RENAME that arrives late fails, because it names the table that whoever
    adopted meanwhile has made.

    Raises:
        LockLost: Another runner holds the lock; nothing more was changed.

    """
    state = position.state
    kept = _free_name(session) if state.foreign_heads is not None else ""
    rows = adopted_rows(position, run_id=run_id, generation=lock.generation)
    lock.check()
    ledger.append([Attempt(row) for row in rows], lock.fence)
    if rows:
        source = "the old schema_migrations" if not state.foreign_heads else schema.VERSION_VIEW
        count = counted(len(rows), "revision")
        yield f"Adopted {count} from {source}: {', '.join(r.version for r in rows)}."
    if kept:
        session.execute(
            f"RENAME TABLE {schema.VERSION_VIEW} TO {kept}", check=lock.check, fence=lock.fence
        )
        yield f"The old table {schema.VERSION_VIEW} is kept as {kept}."


def adopted_rows(position: Position, *, run_id: str, generation: int = 0) -> list[LedgerRow]:
    """Return a row for each revision that only another tool's records say is applied."""
    now = datetime.now(timezone.utc)
    rows: list[LedgerRow] = []
    for name, old in position.applied.items():
        if old is not None and not old.legacy:
            continue
        row = old or LedgerRow(name, "", now, 0, success=True)
        rows.append(
            replace(
                row,
                operation=Operation.ADOPT,
                direction=Direction.UP,
                parents=position.parents(name),
                sequence=position.state.next_sequence + len(rows),
                run_id=run_id,
                lock_generation=generation,
            )
        )
    return rows


def _free_name(session: Session) -> str:
    taken = {
        str(row[0])
        for row in session.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase()"
        )
    }
    name, number = schema.KEPT_VERSION_TABLE, 2
    while name in taken:
        name, number = f"{schema.KEPT_VERSION_TABLE}_{number}", number + 1
    return name
