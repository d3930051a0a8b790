"""Record what a person says of a statement whose outcome is unknown."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.queries import running_query
from budeval_migrations.counting import counted
from budeval_migrations.errors import RevisionError
from budeval_migrations.events import Listener, Notice, Notices
from budeval_migrations.execution.mutations import left_to_do
from budeval_migrations.execution.planner import Files, Graph, Position
from budeval_migrations.execution.task import statement_hash
from budeval_migrations.model import Direction, LedgerRow, Operation, Report, Statement
from budeval_migrations.sql import quote
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.lock.lease import holder_name
from budeval_migrations.state.lock.lock import make_lock
from budeval_migrations.state.unfinished import ANSWERED, JournalEntry, JournalEvent, Recorded


@dataclass(frozen=True)
class RepairAnswer:
    """What a person says of a statement.

    Attributes:
        position: The statement's number in its revision, from 1.
        applied: It took effect; otherwise it did not, or was reverted.
        now: Returns a statement as its file has it now.

    """

    revision: str
    position: int
    applied: bool
    now: Callable[[str, Direction, int], Statement | None]


def record_answer(
    session: Session, emit: Listener, answer: RepairAnswer, files: Files, graph: Graph
) -> Report:
    """Record what a person says of a statement of an unfinished revision.

    Raises:
        RevisionError: The journal knows no such statement, or it still runs.

    """
    began = time.monotonic()
    run_id = str(uuid.uuid4())
    notices = Notices(emit)
    ledger = Ledger(session)
    _recorded(ledger.read_state(), answer)
    lock = make_lock(session, notices)
    lock.acquire()
    try:
        state = ledger.read_state()
        recorded = _recorded(state, answer)
        last = recorded.last
        _check_not_running(session, recorded)
        told = last.outcome(
            JournalEvent.APPLIED if answer.applied else JournalEvent.FAILED,
            f"{ANSWERED}{holder_name()}",
            hash=_hash(session, answer, last),
            run_id=run_id,
            lock_generation=lock.generation,
        )
        Journal(session, state.next_entry, lock.fence).append([told])
        word = "took effect" if answer.applied else "did not take effect and will be sent again"
        ledger.append([Attempt(_row_of(told, word, state))], lock.fence)
        position = Position(ledger.read_state(), files, graph)
    finally:
        lock.release()
    notices(Notice(f"{last.revision} statement {last.position} {word}: recorded."))
    return Report(
        operation="repair",
        database=session.database,
        pending=position.pending,
        current=position.heads,
        elapsed_ms=int((time.monotonic() - began) * 1000),
        run_id=run_id,
        notices=tuple(notices.messages),
    )


def _hash(session: Session, answer: RepairAnswer, last: JournalEntry) -> str:
    """Return the hash of the statement that the answer is about: of what the person was shown.

    The file may have it with another secret by now, or another statement in its place.
    """
    now = answer.now(last.revision, last.direction, last.position)
    # What is shown of a cluster's statement has ON CLUSTER in it.
    same = now is not None and (
        bool(session.topology.hosts) or session.redact(now.sent) == last.statement
    )
    return statement_hash(now) if now is not None and same else last.hash


def _check_not_running(session: Session, recorded: Recorded) -> None:
    """Raise where a host still works on a statement.

    Raises:
        RevisionError: Its outcome is not decided yet.

    """
    entry = recorded.last
    if session.embedded or not entry.query_id:
        return
    with Hosts(session) as hosts:
        found = [*hosts.ask(lambda host: running_query(host, entry.query_id))]
        left = left_to_do(session, hosts, entry.statement, recorded.intent)
    for _, running in found:
        if running is not None:
            query = f"KILL QUERY WHERE query_id = {quote.string(entry.query_id)}"
            raise _runs(entry, f"for {running.elapsed:.0f} s now", "it has ended", query)
    for each in left:
        how = f"as the mutation {each.name} with {counted(each.parts, 'part')} to do"
        mutation = f"KILL MUTATION WHERE mutation_id = {quote.string(each.name)}"
        raise _runs(entry, how, "it is done", mutation)


def _runs(entry: JournalEntry, how: str, end: str, kill: str) -> RevisionError:
    return RevisionError(
        f"Statement {entry.position} of {entry.revision} still runs on the server, {how}. Nothing "
        "was recorded.",
        hint=f"Wait until {end}, then run: budeval-migrate up. To stop it: {kill}.",
        revision=entry.revision,
        statement=entry.position,
    )


def _recorded(state: LedgerState, answer: RepairAnswer) -> Recorded:
    """Return what is known of the statement that is asked about."""
    for (name, _), run in state.unfinished_runs.items():
        if name == answer.revision and answer.position in run.statements:
            return run.statements[answer.position]
    raise RevisionError(
        f"Statement {answer.position} of {answer.revision} needs no answer: its revision is not "
        "half applied, or it was never sent.",
        hint="See: budeval-migrate status",
        revision=answer.revision,
        statement=answer.position,
    )


def _row_of(told: JournalEntry, word: str, state: LedgerState) -> LedgerRow:
    """Return the ledger's row of what a person said; no attempt, and so not a success."""
    return LedgerRow(
        version=told.revision,
        checksum=told.checksum,
        executed_at=datetime.now(timezone.utc),
        execution_time_ms=0,
        success=False,
        error_message=f"Statement {told.position} {word}: a person said so.",
        operation=Operation.REPAIR,
        direction=told.direction,
        sequence=state.next_sequence,
        run_id=told.run_id,
        lock_generation=told.lock_generation,
    )
