"""Revisions: their files, their places in the graph, and the steps of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from budeval_migrations.model.statement import Statement


class Direction(Enum):
    """Whether a row or a step leaves its revision applied (UP) or not (DOWN)."""

    UP = "up"
    DOWN = "down"


class Operation(Enum):
    """What was done to a revision."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    STAMP = "stamp"
    ADOPT = "adopt"
    REPAIR = "repair"


@dataclass(frozen=True)
class RevisionFile:
    """A file of ``versions/`` that was hashed and not imported.

    Attributes:
        revision: The revision's id, which is the file's name without ``.py``.
        path: Absolute path.
        checksum: SHA-256 of its text with line endings normalised, and of the
            ``.sql`` files that belong to it.
        included: The paths of those files.

    """

    revision: str
    path: str
    checksum: str
    included: tuple[str, ...] = ()


@dataclass(frozen=True)
class RevisionNode:
    """A revision in the graph.

    Attributes:
        parents: ``down_revision`` and ``depends_on``, by full id.
        doc: First line of the file's docstring.

    """

    revision: str
    parents: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class CompiledRevision:
    """What one direction of a revision will do, known before anything is sent.

    Attributes:
        file: Where it is written; empty for what the ledger keeps of a revision without one.
        statements: In order; empty for a dynamic revision.
        dynamic: The revision reads the database while it runs, so its
            statements are known only then.

    """

    revision: str
    direction: Direction
    file: str
    statements: tuple[Statement, ...] = ()
    dynamic: bool = False


@dataclass(frozen=True)
class Step:
    """One movement of a plan.

    Attributes:
        parents: Direct parents of the revision: ``down_revision`` and ``depends_on``.
        checksum: The file's checksum; the recorded one where there is no file.
        statements_checksum: That of the upgrade's statements.
        doc: First line of the file's docstring.
        needs: The oldest server version that the revision runs on; empty for any.
        up: The compiled upgrade, kept in the ledger.
        down: The compiled downgrade, kept in the ledger; None where there is none.

    """

    revision: str
    operation: Operation
    direction: Direction
    parents: tuple[str, ...] = ()
    checksum: str = ""
    statements_checksum: str = ""
    doc: str = ""
    needs: str = ""
    up: CompiledRevision | None = None
    down: CompiledRevision | None = None

    @property
    def key(self) -> tuple[str, Direction]:
        """What is moved, and which way."""
        return self.revision, self.direction

    @property
    def work(self) -> CompiledRevision | None:
        """The statements to send; None when only the ledger changes."""
        if self.operation is Operation.UPGRADE:
            return self.up
        if self.operation is Operation.DOWNGRADE:
            return self.down
        return None

    @property
    def dynamic(self) -> bool:
        """Whether its statements are known only while it runs."""
        return self.work is not None and self.work.dynamic
