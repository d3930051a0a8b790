"""What all the parts of one run share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.events import Listener
from budeval_migrations.execution.source import RevisionSource
from budeval_migrations.model import Step
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.lock.lock import Lock


@dataclass(frozen=True)
class Run:
    """One run that holds the lock.

    Attributes:
        session: The connection over which statements are sent.
        hosts: The hosts of the cluster, asked for this connection.
        run_id: By which ledger and journal know the run.
        source: Runs dynamic revisions.
        state: What the ledger said once the lock was taken.
        steps: Everything that the run does, in order.

    """

    session: Session
    lock: Lock
    emit: Listener
    hosts: Hosts
    run_id: str
    source: RevisionSource
    state: LedgerState
    steps: Sequence[Step]

    def over(self, session: Session) -> Run:
        """Return the run as a worker with a connection of its own sees it."""
        return replace(self, session=session, hosts=Hosts(session))
