"""Find out what became of a statement whose outcome is not known.

The rungs of the ladder, each tried only when those above it say nothing: the
server still works on it, the server's log knows how it ended, it may be run
again without harm, the catalogue shows its effect or that there is none.
Otherwise nobody can know, and a person is asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from budeval_migrations.engine import watch
from budeval_migrations.engine.fingerprint import Fingerprint, key, take
from budeval_migrations.engine.session import Session
from budeval_migrations.errors import EngineError, StatementOutcomeUnknown
from budeval_migrations.events import Listener, StatementWaiting
from budeval_migrations.history.effort import Entry
from budeval_migrations.history.lock import Lock
from budeval_migrations.model import Statement
from budeval_migrations.run.interrupts import interrupts
from budeval_migrations.run.patience import PATIENCE, patiently
from budeval_migrations.run.resume import repair_command, short
from budeval_migrations.run.verdict import Outcome, Verdict, judge
from budeval_migrations.sql.effects import Watch, effect

REPEATABLE = "repeatable"
BACKFILL = "backfill"

_POLL = 0.25
# Seconds between two events that say that the server still works.
_TELL = 2.0
# A request that was cut off may reach the server a moment after we look for it.
_LOOKS = 3


@dataclass(frozen=True)
class Settled:
    """What became of a statement.

    Attributes:
        error: The server's words when it refused it; empty otherwise.
        code: ClickHouse's code of that error.

    """

    outcome: Outcome
    why: str
    error: str = ""
    code: int = 0
    elapsed_ms: int = 0
    rows_read: int = 0
    rows_written: int = 0


class Settler:
    """Climbs the ladder for one statement at a time; read-only.

    Args:
        patience: Seconds to wait for a server that does not answer.

    """

    def __init__(
        self, session: Session, lock: Lock, tell: Listener, patience: float = PATIENCE
    ) -> None:
        self._session = session
        self._lock = lock
        self._tell = tell
        self._patience = patience

    def settle(self, intent: Entry) -> Settled:
        """Return what became of the statement of an intent.

        Waits for as long as the server works on it.

        Raises:
            LockLost: Somebody else has taken over meanwhile.

        """
        try:
            for rung in (self._running, self._logged, self._harmless, self._shown):
                found = patiently(partial(rung, intent), self._lock, self._patience)
                if found is not None:
                    return found
        except EngineError as error:
            why = f"the server cannot be asked, and the next run asks again ({error.message})"
            return Settled(Outcome.UNKNOWN, why)
        return Settled(Outcome.UNKNOWN, "nothing tells whether it ran")

    def compare(self, intent: Entry) -> Verdict:
        """Return what the catalogue shows, beside what it showed before the intent."""
        changes = effect(intent.statement)
        [now] = take(self._session, [changes])
        before = Fingerprint.from_json(intent.before)
        keys = [key(name, self._session) for name in changes.targets]
        verdict = judge(changes, keys, before, now)
        if verdict.outcome is Outcome.APPLIED and Watch.MUTATIONS in changes.watches:
            return self._own_mutation(intent, keys[0], before, verdict)
        return verdict

    def _running(self, intent: Entry) -> Settled | None:
        """Wait until the server does not work on it any more; says nothing by itself."""
        looks, told = 0, 0.0
        while looks < _LOOKS and not self._session.embedded:
            running = watch.running_query(self._session, intent.query_id)
            if running is None:
                looks += 1
            else:
                looks = 0
                self._lock.check()
                if time.monotonic() - told >= _TELL:
                    told = time.monotonic()
                    self._tell(
                        StatementWaiting(
                            intent.revision,
                            intent.position,
                            "the server still works on it",
                            int(running.elapsed * 1000),
                            running.done,
                            running.total,
                        )
                    )
            with interrupts.window():
                time.sleep(_POLL if running else _POLL / 5)
        return None

    def _logged(self, intent: Entry) -> Settled | None:
        """Take the outcome from ``system.query_log``."""
        if self._session.embedded:
            return None  # chDB has none
        logged = watch.logged_query(self._session, intent.query_id)
        if logged is None:
            return None
        if logged.finished:
            return Settled(
                Outcome.APPLIED,
                "the server's query log says that it finished",
                elapsed_ms=logged.elapsed_ms,
                rows_read=logged.rows_read,
                rows_written=logged.rows_written,
            )
        refused = Settled(
            Outcome.NOT_APPLIED, "the server refused it", self._session.redact(logged.error),
            logged.code,
        )  # fmt: skip
        if not logged.started or effect(intent.statement).atomic:
            return refused
        shown = self.compare(intent)
        if shown.outcome is Outcome.NOT_APPLIED:
            return refused
        return Settled(
            Outcome.UNKNOWN, f"the server stopped it halfway, and {shown.why}", refused.error,
            logged.code,
        )  # fmt: skip

    def _harmless(self, intent: Entry) -> Settled | None:
        """Run it again, where twice is the same as once."""
        if intent.note == BACKFILL:
            return Settled(Outcome.NOT_APPLIED, "it goes on after its last finished chunk")
        if intent.note == REPEATABLE or effect(intent.statement).repeatable:
            return Settled(Outcome.NOT_APPLIED, "it may be run twice")
        return None

    def _shown(self, intent: Entry) -> Settled | None:
        """Compare the catalogue with what it was before the statement was sent."""
        if not intent.before:
            return None
        verdict = self.compare(intent)
        return Settled(verdict.outcome, verdict.why)

    def _own_mutation(
        self, intent: Entry, table: str, before: Fingerprint, verdict: Verdict
    ) -> Verdict:
        """Make sure that the new mutation is this statement's and nobody else's."""
        name = effect(intent.statement).targets[0]
        database = name.database or self._session.database
        known = before.mutations.get(table, ())
        made = watch.mutations(self._session, database, name.name, known)
        if made and all(_says(intent.statement, mutation.command) for mutation in made):
            return verdict
        return Verdict(Outcome.UNKNOWN, f"{table} has a new mutation, which is not surely its own")


def unknown(
    intent: Entry, total: int | None, settled: Settled, statement: Statement | None
) -> StatementOutcomeUnknown:
    """Return the error that asks a person, with the commands that answer it."""
    applied, not_applied = (
        repair_command(intent.revision, intent.position, answer)
        for answer in ("--applied", "--not-applied")
    )
    return StatementOutcomeUnknown(
        revision=intent.revision,
        index=intent.position,
        total=total,
        reason=f"it cannot be known whether this took effect: {settled.why}\n"
        f"  {short(intent.statement)}",
        code=settled.code,
        file=statement.file if statement else None,
        line=statement.line if statement else None,
        outcome=f"Nothing was sent for it again. If it took effect: {applied}\n"
        f"  if it did not, or you have taken it back: {not_applied}",
        hint="Look at the data, then run one of these two commands and the upgrade again.",
    )


def _says(statement: str, command: str) -> bool:
    """Return whether a statement may have made a mutation with this command.

    The server writes a command in its own way (brackets, spaces, ``_row_exists = 0``
    for DELETE FROM), so letters and digits of its last part are compared.
    """
    tail = command.rsplit(" WHERE ", 1)[-1] if " WHERE " in command else command
    return _letters(tail) in _letters(statement)


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
