"""Compare what the ledger says with what the files want. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from budeval_migrations.errors import ChecksumMismatch, LedgerError, MissingRevision
from budeval_migrations.history.lock import Holder
from budeval_migrations.history.state import Ground, LedgerState
from budeval_migrations.model import (
    ChecksumState,
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
    names = [*position.graph, *(n for n in position.applied if n not in position.graph)]
    running = holder.doing if holder is not None and holder.alive else ""
    return tuple(_status(position, name, statements_checksum, running) for name in names)


def _status(
    position: Position, name: str, statements_checksum: StatementsChecksum, running: str
) -> RevisionStatus:
    attempt = position.state.attempts.get(name)
    if name in position.applied:
        row = position.applied[name]
        checksum = checksum_state(row, position.files.get(name), statements_checksum)
        state, shown = RevisionState.APPLIED, row
    else:
        checksum, state, shown = ChecksumState.NONE, RevisionState.PENDING, None
        if attempt is not None and not attempt.success:
            state, shown = RevisionState.FAILED, attempt
    if name == running:
        state = RevisionState.RUNNING
    error = attempt.error_message if attempt is not None and not attempt.success else None
    return RevisionStatus(
        revision=name,
        state=state,
        checksum=checksum,
        executed_at=shown.executed_at if shown else None,
        execution_time_ms=shown.execution_time_ms if shown else None,
        statements_applied=shown.statements_applied if shown and not shown.legacy else None,
        statements_total=shown.statements_total if shown and not shown.legacy else None,
        error=error,
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


_REFUSALS: dict[str, type[LedgerError]] = {
    "checksum_mismatch": ChecksumMismatch,
    "missing_revision": MissingRevision,
    "ahead": MissingRevision,
}


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
