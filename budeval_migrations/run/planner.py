"""Compare what the ledger says with what the files want. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from budeval_migrations.errors import ChecksumMismatch, LedgerError, MissingRevision
from budeval_migrations.history.effort import Effort
from budeval_migrations.history.lock import Holder
from budeval_migrations.history.state import Ground, LedgerState
from budeval_migrations.model import (
    ChecksumState,
    Direction,
    LedgerRow,
    Operation,
    Problem,
    RevisionFile,
    RevisionNode,
    RevisionState,
    RevisionStatus,
)

Files = Mapping[str, RevisionFile]
Graph = Mapping[str, RevisionNode]


def is_settled(files: Files, state: LedgerState, *, tolerate_ahead: bool = False) -> bool:
    """Return whether there is nothing to do, told by hashes alone.

    True only when every file is applied with the checksum that it has now, and
    nothing is applied that has no file. Needs no graph and no import.

    Args:
        tolerate_ahead: Allow applied revisions without a file, as long as no
            known revision builds on them.

    """
    recorded = state.recorded
    strangers = recorded.keys() - files.keys()
    needed = {p for name, row in recorded.items() if name in files for p in row.parents}
    return (
        state.ground is Ground.READY
        and state.foreign_heads is None
        and files.keys() <= recorded.keys()
        and (not strangers or (tolerate_ahead and not strangers & needed))
        and not any(row.legacy for row in recorded.values())
        and not any(
            effort.begun and name in recorded for (name, _), effort in state.efforts.items()
        )
        and all(
            row.operation is Operation.ADOPT or row.checksum == files[name].checksum
            for name, row in recorded.items()
            if name in files
        )
    )


@dataclass(frozen=True)
class Position:
    """Where a database stands in the graph.

    Attributes:
        files: The revision files, by id.
        graph: The revisions by id, parents before children.

    """

    state: LedgerState
    files: Files
    graph: Graph

    @cached_property
    def applied(self) -> Mapping[str, LedgerRow | None]:
        """The applied revisions, parents first; None where another tool recorded only a head."""
        recorded = self.state.recorded
        names = dict.fromkeys((*recorded, *self.ancestors(self.state.foreign_heads or ())))
        known = [name for name in self.graph if name in names]
        strangers = [name for name in names if name not in self.graph]
        return {name: recorded.get(name) for name in (*known, *strangers)}

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Applied revisions that are no parent of an applied revision."""
        covered = {parent for name in self.applied for parent in self.parents(name)}
        return tuple(name for name in self.applied if name not in covered)

    @cached_property
    def pending(self) -> tuple[str, ...]:
        """Revisions that are not applied, parents before children."""
        return tuple(name for name in self.graph if name not in self.applied)

    @cached_property
    def ahead(self) -> tuple[str, ...]:
        """Applied revisions without a file, on which no known revision builds.

        This is what a database looks like to an older image.
        """
        todo = [name for name in self.applied if name in self.files]
        needed: set[str] = set()
        while todo:
            for parent in self.parents(todo.pop()):
                if parent not in needed:
                    needed.add(parent)
                    todo.append(parent)
        return tuple(n for n in self.applied if n not in self.files and n not in needed)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Applied revisions without a file that known revisions build on."""
        unknown = [name for name in self.applied if name not in self.files]
        return tuple(name for name in unknown if name not in self.ahead)

    @cached_property
    def half_taken_back(self) -> tuple[Effort, ...]:
        """Downgrades of applied revisions that were begun and not finished."""
        return tuple(
            e for e in self.state.efforts.values() if e.begun and e.revision in self.applied
        )

    @cached_property
    def half_applied(self) -> tuple[Effort, ...]:
        """Upgrades that were begun and not finished."""
        return tuple(
            effort
            for effort in self.state.efforts.values()
            if effort.begun
            and effort.direction is Direction.UP
            and effort.revision not in self.applied
        )

    @cached_property
    def target_heads(self) -> tuple[str, ...]:
        """The heads of the files' graph."""
        covered = {parent for node in self.graph.values() for parent in node.parents}
        return tuple(name for name in self.graph if name not in covered)

    def parents(self, revision: str) -> tuple[str, ...]:
        """Return the parents as recorded; as the files say where nothing is."""
        row = self.applied.get(revision)
        if row is not None and not row.legacy:
            return row.parents
        node = self.graph.get(revision)
        return node.parents if node else ()

    def ancestors(self, revisions: Iterable[str]) -> tuple[str, ...]:
        """Return the revisions and everything below them, parents first."""
        named = tuple(dict.fromkeys(revisions))
        wanted: set[str] = set()
        todo = list(named)
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                node = self.graph.get(name)
                todo.extend(node.parents if node else ())
        strangers = [name for name in named if name not in self.graph]
        return (*(name for name in self.graph if name in wanted), *strangers)


StatementsChecksum = Callable[[str], str]


def checksum_state(
    row: LedgerRow | None, file: RevisionFile | None, statements_checksum: StatementsChecksum
) -> ChecksumState:
    """Compare an applied revision's record with its file.

    Args:
        row: The last good row; None where another tool recorded only a head.
        statements_checksum: Compiles a revision's upgrade and hashes its
            statements; called only when the file differs.

    """
    if file is None:
        return ChecksumState.MISSING
    if row is None or not row.checksum:
        return ChecksumState.NONE
    if row.legacy or row.operation is Operation.ADOPT:
        return ChecksumState.LEGACY
    if row.checksum == file.checksum:
        return ChecksumState.OK
    recorded = row.statements_checksum
    if recorded and statements_checksum(file.revision) == recorded:
        return ChecksumState.REFORMATTED
    return ChecksumState.MISMATCH


def revision_statuses(
    position: Position, statements_checksum: StatementsChecksum, holder: Holder | None
) -> tuple[RevisionStatus, ...]:
    """Return a line for every revision: those with files, then those without."""
    known = dict.fromkeys((*position.graph, *position.applied))
    known.update((effort.revision, None) for effort in position.half_applied)
    running = holder if holder is not None and holder.alive and holder.doing else None
    return tuple(_status(position, name, statements_checksum, running) for name in known)


def _status(
    position: Position, name: str, statements_checksum: StatementsChecksum, holder: Holder | None
) -> RevisionStatus:
    attempt = position.state.attempts.get(name)
    efforts = [e for e in position.state.efforts.values() if e.revision == name and e.begun]
    effort = efforts[-1] if efforts else None
    if name in position.applied:
        row = position.applied[name]
        checksum = checksum_state(row, position.files.get(name), statements_checksum)
        state, shown = RevisionState.APPLIED, row
    else:
        checksum, state, shown = ChecksumState.NONE, RevisionState.PENDING, None
        if attempt is not None and not attempt.success:
            state, shown = RevisionState.FAILED, attempt
    at: int | None = None
    if effort is not None:
        # A kill leaves no row in the ledger; the journal tells.
        state = RevisionState.FAILED
        if effort.doubtful:
            state, at = RevisionState.UNKNOWN, effort.doubtful[0].last.position
    running = holder is not None and holder.doing.split(" statement ")[0] == name
    if running and holder is not None:
        state = RevisionState.RUNNING
        number = re.search(r" statement (\d+)", holder.doing)
        at = int(number[1]) if number else at
    applied = effort.applied if effort else shown.statements_applied if shown else None
    error = attempt.error_message if attempt is not None and not attempt.success else None
    return RevisionStatus(
        revision=name,
        state=state,
        checksum=checksum,
        executed_at=shown.executed_at if shown else None,
        execution_time_ms=shown.execution_time_ms if shown else None,
        statements_applied=applied if effort or (shown and not shown.legacy) else None,
        statements_total=shown.statements_total if shown and not shown.legacy else None,
        error=error,
        statement=at,
        holder=holder.name if running and holder is not None else None,
        since=holder.since if running and holder is not None else None,
    )


def find_problems(
    position: Position, statements_checksum: StatementsChecksum
) -> tuple[list[Problem], list[Problem]]:
    """Return what is refused and what is only told, from the ledger's side."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, row in position.applied.items():
        found = checksum_state(row, position.files.get(name), statements_checksum)
        if found is ChecksumState.MISMATCH:
            when = f"{row.executed_at:%Y-%m-%d %H:%M} UTC" if row else "some time"
            problems.append(
                Problem(
                    name,
                    "checksum_mismatch",
                    f"{name} was applied on {when}, and its statements were changed afterwards.",
                    "Restore the file, or accept it as it is now with: "
                    f"budeval-migrate repair --revision {name}",
                )
            )
        elif found is ChecksumState.REFORMATTED:
            warnings.append(
                Problem(
                    name,
                    "reformatted",
                    f"{name} was edited after it was applied; its statements are the same.",
                    f"Nothing has to be done; budeval-migrate repair --revision {name} "
                    "records the new text.",
                )
            )
    for effort in position.half_taken_back:
        problems.append(
            Problem(
                effort.revision,
                "half_taken_back",
                f"A downgrade of {effort.revision} was begun and not finished: {_done(effort)}.",
                "Finish it with budeval-migrate down, to the revision below it; then upgrade.",
            )
        )
    for effort in position.half_applied:
        if effort.revision not in position.graph:
            warnings.append(
                Problem(
                    effort.revision,
                    "half_applied",
                    f"{effort.revision} was begun and not finished ({_done(effort)}), and its "
                    "file is gone.",
                    "Restore the file and run the upgrade, or take back by hand what it did.",
                )
            )
    for name in position.missing:
        problems.append(
            Problem(
                name,
                "missing_revision",
                f"{name} is applied, other revisions build on it, and it has no file.",
                "Restore the file from version control.",
            )
        )
    for name in position.ahead:
        problems.append(
            Problem(
                name,
                "ahead",
                f"{name} is applied and has no file: the file was deleted, or the database "
                "is newer than these files.",
                "Restore the file, or use the image that has it. To forget the record: "
                f"budeval-migrate repair --forget {name}",
            )
        )
    for sequence in position.state.conflicts:
        warnings.append(
            Problem(
                None,
                "conflict",
                f"Two runs appended ledger row {sequence} at the same time, without a lock.",
                "Check that both did the same; set lock = auto where the server allows it.",
            )
        )
    return problems, warnings


def check_downgrade(position: Position, revisions: Iterable[str]) -> None:
    """Raise when a revision that is half applied builds on one that is to be taken back.

    What it did would be taken away below it, while its record says that it is there.

    Raises:
        LedgerError: Names the revision, and the ways out.

    """
    leaving = set(revisions)
    for effort in position.half_applied:
        if leaving & set(position.ancestors([effort.revision])):
            first = min(n for n, s in effort.statements.items() if s.applied or s.doubtful)
            raise LedgerError(
                f"{effort.revision} is half applied ({_done(effort)}) and builds on what would "
                "be taken back.",
                hint="Finish it with budeval-migrate up. Or take back by hand what it did and "
                f"say so: budeval-migrate repair --revision {effort.revision} --statement "
                f"{first} --not-applied, and so for each statement.",
                revision=effort.revision,
            )


def _done(effort: Effort) -> str:
    count = effort.applied
    doubt = [str(s.last.position) for s in effort.doubtful]
    unknown = f", the outcome of statement {', '.join(doubt)} is not known" if doubt else ""
    return f"{count} statement{'s' if count != 1 else ''} took effect{unknown}"


_REFUSALS: dict[str, type[LedgerError]] = {
    "checksum_mismatch": ChecksumMismatch,
    "missing_revision": MissingRevision,
    "ahead": MissingRevision,
    "half_taken_back": LedgerError,
}
# What a command that mends or rewrites the records must live with.
RECORDS_ONLY = frozenset(_REFUSALS)
# What a downgrade must live with: it is how a downgrade is finished.
ON_THE_WAY_DOWN = frozenset({"half_taken_back"})


def refuse(
    position: Position,
    statements_checksum: StatementsChecksum,
    tolerate: frozenset[str] = frozenset(),
) -> list[str]:
    """Raise for the first problem that is not tolerated; return the others as sentences.

    Args:
        tolerate: Kinds of problem that are only told.

    Raises:
        LedgerError: ChecksumMismatch or MissingRevision.

    """
    problems, warnings = find_problems(position, statements_checksum)
    for problem in problems:
        if problem.kind not in tolerate:
            kind = _REFUSALS.get(problem.kind, LedgerError)
            raise kind(
                problem.message, hint=problem.hint, revision=problem.revision, kind=problem.kind
            )
    return [problem.message for problem in (*problems, *warnings)]
