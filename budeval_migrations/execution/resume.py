"""Compare what was applied of a revision with what its file says now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from budeval_migrations import clock
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import ChecksumMismatch
from budeval_migrations.execution.task import Task, tasks_of
from budeval_migrations.model import Step
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.unfinished import JournalEntry, Recorded, UnfinishedRun

_SHOWN = 400


def check_steps(session: Session, state: LedgerState, steps: Iterable[Step]) -> None:
    """Raise when a statement that an earlier run applied was edited since.

    Raises:
        ChecksumMismatch: Names the statement, with both texts.

    """
    for step in steps:
        unfinished = state.unfinished_runs.get(step.key)
        if unfinished is not None:
            check_resumable(step, unfinished, tasks_of(session, state, step))


def check_resumable(step: Step, unfinished: UnfinishedRun, tasks: Iterable[Task]) -> None:
    """Raise when a statement that is known to be applied was edited afterwards.

    What failed, and what was never sent, may be edited as one likes.

    Raises:
        ChecksumMismatch: Names the statement, with both texts.

    """
    if step.work is None or step.dynamic:
        return
    now = {task.position: task for task in tasks}
    for position, recorded in sorted(unfinished.statements.items()):
        task = now.get(position)
        if recorded.applied and (task is None or task.hash != recorded.last.hash):
            raise edited(step, recorded, task)
        filled = None if recorded.applied else recorded.filled
        if filled is not None and (task is None or task.hash != filled.hash):
            raise edited(step, recorded, task, "It has moved rows")


def edited(
    step: Step, recorded: Recorded, task: Task | None, took: str = "It took effect"
) -> ChecksumMismatch:
    """Return the refusal for a statement that was edited after it took effect, or a part of it."""
    last = recorded.last
    statement = task.statement if task else None
    where = f"  ({statement.file}:{statement.line})" if statement and statement.file else ""
    when = clock.shown(last.at) if last.at else "before"
    found = short(task.shown) if task else "(there is no such statement any more)"
    if task is not None and task.shown == last.statement:
        return _not_shown(step, last, task, f"{step.revision}  statement {last.position}{where}")
    removed = "remove the rows that it has moved, then: " if recorded.filled else ""
    return ChecksumMismatch(
        f"{step.revision}  statement {last.position}{where}\n"
        f"  {took} on {when} and was edited afterwards; nothing was sent.\n"
        f"  applied: {short(last.statement)}\n"
        f"  file:    {found}",
        hint="Restore the statement as it was and write the change as a statement after it. "
        f"To have it run again as it is now: {removed}"
        + repair_command(step.revision, last.position, "--not-applied"),
        revision=step.revision,
        statement=last.position,
        applied=last.statement,
        now=task.shown if task else None,
    )


def _not_shown(step: Step, last: JournalEntry, task: Task, named: str) -> ChecksumMismatch:
    """Return the refusal where nothing differs but what nobody is shown."""
    hides = task.shown != task.statement.sent
    what = "secret" if hides else "probe or option of its directive"
    if hides and task.statement.unless:
        what = "secret or probe"
    kept = (
        "the server knows the new secret, or shall keep the old one"
        if hides
        else "it is not to run again"
    )
    return ChecksumMismatch(
        f"{named}\n"
        f"  It took effect with another {what} than it has now, and is the same otherwise; "
        "nothing was sent.\n"
        f"  applied: {short(last.statement)}",
        hint=f"If {kept}: "
        + repair_command(step.revision, last.position, "--applied")
        + ". To have it run again with the new one: "
        + repair_command(step.revision, last.position, "--not-applied"),
        revision=step.revision,
        statement=last.position,
        applied=last.statement,
        now=task.shown,
    )


def repair_command(revision: str, position: int, answer: str) -> str:
    """Return the command that says what became of a statement."""
    return f"budeval-migrate repair --revision {revision} --statement {position} {answer}"


class Applied:
    """What a dynamic revision has applied already, whatever the order it comes in now.

    Its statements depend on what it reads, and that changes as it goes; so they are
    known again by their text, as often as they were applied.
    """

    def __init__(self, statements: Iterable[Recorded]) -> None:
        self._left = Counter(s.last.hash for s in statements if s.applied)

    def take(self, task: Task) -> bool:
        """Return whether the statement is one of them; each counts once."""
        if self._left[task.hash] < 1:
            return False
        self._left[task.hash] -= 1
        return True


def short(text: str) -> str:
    """Return a statement on one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"
