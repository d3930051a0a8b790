"""What a run wants of the revisions: the one thing that it knows of their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from budeval_migrations.execution.planner import Files, Graph
from budeval_migrations.model import Reach, Statement, Step


class RevisionSource(Protocol):
    """The revisions that the settings point at."""

    @property
    def files(self) -> Files:
        """The files, hashed, by the ids of their revisions."""

    @property
    def graph(self) -> Graph:
        """The revisions by id, parents before children."""

    @property
    def reaches(self) -> Mapping[str, Reach]:
        """Which hosts a table's last revision wants to have it, by the table's name."""

    def statements_checksum(self, revision: str) -> str:
        """Return the hash of an upgrade's statements; empty for a dynamic revision."""

    def run_dynamic(self, step: Step, emit: Callable[[Statement], None]) -> None:
        """Run the Python of a dynamic revision.

        Args:
            emit: Gets each statement, and returns when it is done. What it raises goes through
                the revision, which may catch it.

        """
