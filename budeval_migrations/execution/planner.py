"""Compare what the ledger says with what the files want. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from budeval_migrations.errors import LedgerError
from budeval_migrations.model import (
    ChecksumState,
    Direction,
    LedgerRow,
    Operation,
    RevisionFile,
    RevisionNode,
)
from budeval_migrations.state.ledger_state import LedgerState
from budeval_migrations.state.unfinished import UnfinishedRun

Files = Mapping[str, RevisionFile]
Graph = Mapping[str, RevisionNode]


def _parents_first(strangers: Iterable[str], recorded: Mapping[str, LedgerRow]) -> Iterable[str]:
    """Sort revisions without a file; a repair writes a parent's row after its child's."""
    above = {n: recorded[n].parents if n in recorded else () for n in strangers}
    try:
        ordered = tuple(TopologicalSorter(above).static_order())
    except CycleError as error:
        circle = ", ".join(error.args[1][:-1])
        raise LedgerError(
            f"By the rows of the ledger, these revisions build on each other: {circle}.",
            hint="Correct the column parents of their newest rows, or restore their files.",
        ) from error
    return [name for name in ordered if name in above]


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
        """The applied revisions, parents first; None where another tool recorded only a head.

        Raises:
            LedgerError: By the rows, revisions without a file build on each other in a circle.

        """
        recorded = self.state.recorded
        names = dict.fromkeys((*recorded, *self.ancestors(self.state.foreign_heads or ())))
        known = [name for name in self.graph if name in names]
        strangers = [name for name in names if name not in self.graph]
        return {name: recorded.get(name) for name in (*known, *_parents_first(strangers, recorded))}

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
    def overtaken(self) -> Mapping[str, str]:
        """Pending revisions that an applied one builds on by its file, with that one."""
        found: dict[str, str] = {}
        waiting = set(self.pending)
        for name, node in self.graph.items() if waiting else ():
            row = self.applied.get(name)
            if row is not None and not row.legacy:
                found.update({parent: name for parent in node.parents if parent in waiting})
        return found

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
    def half_reverted(self) -> tuple[UnfinishedRun, ...]:
        """Downgrades of applied revisions that were begun and not finished."""
        return tuple(
            e for e in self.state.unfinished_runs.values() if e.begun and e.revision in self.applied
        )

    @cached_property
    def half_applied(self) -> tuple[UnfinishedRun, ...]:
        """Upgrades that were begun and not finished."""
        return tuple(
            unfinished
            for unfinished in self.state.unfinished_runs.values()
            if unfinished.begun
            and unfinished.direction is Direction.UP
            and unfinished.revision not in self.applied
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
        if node is not None:
            return node.parents
        tried = self.state.attempts.get(revision)
        return tried.parents if tried else ()

    def lineage(self, revision: str) -> frozenset[str] | None:
        """Return a revision and all that it builds on; None where nobody has recorded it."""
        tried = self.state.attempts.get(revision)
        if revision not in self.graph and (tried is None or tried.legacy):
            return None
        found: set[str] = set()
        todo = [revision]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(self.parents(name))
        return frozenset(found)

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
