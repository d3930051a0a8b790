"""The revisions of a directory, ready to be planned and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from alembic.script import Script, ScriptDirectory

from budeval_migrations.alembic_ext.compile import ONE_AT_A_TIME, Compiler, has_downgrade, run_live
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import MissingRevision, RevisionError
from budeval_migrations.execution.planner import Position
from budeval_migrations.model import (
    CompiledRevision,
    Direction,
    LedgerRow,
    Operation,
    Reach,
    RevisionFile,
    RevisionNode,
    Statement,
    Step,
)
from budeval_migrations.revisions.directory import shown_path
from budeval_migrations.revisions.script import add_strangers, load_graph
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.checksum import statements_checksum
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.stored_statements import read_stored_downgrades


class Catalogue:
    """Files, graph and compiled statements of one versions directory.

    Args:
        directory: Alembic's view of the files.
        files: The same files, hashed.

    """

    def __init__(
        self, directory: ScriptDirectory, files: dict[str, RevisionFile], session: Session
    ) -> None:
        self.directory = directory
        self.files = files
        self._session = session
        self._compiler = Compiler(session.engine.dialect, session.redact)
        self._compiled: dict[tuple[str, Direction], CompiledRevision] = {}

    @cached_property
    def graph(self) -> dict[str, RevisionNode]:
        """The revisions, parents before children; imports the files."""
        with ONE_AT_A_TIME:
            return load_graph(self.directory, self.files, self._session.redact)

    def compiled(self, revision: str, direction: Direction) -> CompiledRevision:
        """Return one direction of a revision, compiled once."""
        key = (revision, direction)
        if key not in self._compiled:
            self._compiled[key] = self._compiler.compile(self.script(revision), direction)
        return self._compiled[key]

    def statements_checksum(self, revision: str) -> str:
        """Return the hash of the upgrade's statements; empty for a dynamic revision."""
        compiled = self.compiled(revision, Direction.UP)
        if compiled.dynamic:
            return ""
        return statements_checksum(part for s in compiled.statements for part in s.parts())

    def statement(self, revision: str, direction: Direction, position: int) -> Statement | None:
        """Return a statement as its file has it now; None where it has none."""
        if revision not in self.graph:
            return None
        if direction is Direction.DOWN and not has_downgrade(self.script(revision)):
            return None
        statements = self.compiled(revision, direction).statements
        return statements[position - 1] if position <= len(statements) else None

    @cached_property
    def reaches(self) -> dict[str, Reach]:
        """What revisions want of the tables that they change; the last one counts."""
        return {
            name.name: statement.reach
            for revision in self.graph
            for statement in self.compiled(revision, Direction.UP).statements
            if (found := parse(statement.text).effect).kind is not Kind.INSERT
            for name in found.targets
        }

    def script(self, revision: str) -> Script:
        """Return Alembic's object for a revision that has a file."""
        found = self.directory.get_revision(revision)
        assert found is not None, revision
        return found

    def step(self, revision: str, operation: Operation, direction: Direction) -> Step:
        """Return a step with everything compiled that the ledger keeps.

        Raises:
            RevisionError: A downgrade is asked for and there is none.

        """
        node = self.graph[revision]
        up = self.compiled(revision, Direction.UP)
        down = None
        if has_downgrade(self.script(revision)):
            down = self.compiled(revision, Direction.DOWN)
        elif operation is Operation.DOWNGRADE:
            raise RevisionError(
                f"{revision} has no downgrade ({shown_path(self.files[revision].path)}).",
                hint="Write def downgrade(), or restore a backup.",
                revision=revision,
            )
        return Step(
            revision=revision,
            operation=operation,
            direction=direction,
            parents=node.parents,
            checksum=self.files[revision].checksum,
            statements_checksum=self.statements_checksum(revision),
            doc=node.doc,
            needs=str(getattr(self.script(revision).module, "requires_clickhouse", "")),
            up=up,
            down=down,
        )

    def upgrade_steps(self, revisions: Sequence[str]) -> list[Step]:
        """Return the steps that apply revisions, in the order given."""
        return [self.step(name, Operation.UPGRADE, Direction.UP) for name in revisions]

    def downgrade_steps(
        self, revisions: Sequence[str], position: Position | None = None
    ) -> list[Step]:
        """Return the steps that take revisions back, in the order given.

        Args:
            position: Where the database stands; of a revision that has no file, the
                statements that the ledger keeps are taken. Without it all must have one.

        Raises:
            RevisionError: A revision has no downgrade.
            MissingRevision: It has no file, and the ledger keeps no statements of it.

        """
        rows = position.applied if position else {}
        lost = [row for name in revisions if name not in self.graph and (row := rows.get(name))]
        stored = {
            row.version: _stored_step(row, down)
            for row, down in zip(lost, read_stored_downgrades(self._session, lost), strict=True)
        }
        return [
            stored.get(name) or self.step(name, Operation.DOWNGRADE, Direction.DOWN)
            for name in revisions
        ]

    def admit_strangers(self, position: Position) -> None:
        """Let Alembic find its way down from applied revisions that have no file.

        Raises:
            MissingRevision: Nobody has recorded what one of them builds on.

        """
        strangers = {n: row for n, row in position.applied.items() if n not in self.graph}
        for name, row in strangers.items():
            if row is None or row.legacy or row.operation is Operation.ADOPT:
                raise MissingRevision(
                    f"{name} is applied and has no file, and an older tool recorded it: what it "
                    "builds on is not known.",
                    hint="Restore the file, or use the image that has it. To forget the record: "
                    f"budeval-migrate repair --forget {name}",
                    revision=name,
                )
        add_strangers(self.directory, {n: row.parents for n, row in strangers.items() if row})

    def stamp_steps(self, position: Position, heads: Sequence[str], *, purge: bool) -> list[Step]:
        """Return the steps that make ``heads`` the current heads, without running anything.

        Args:
            purge: Also write a row for what is applied already, so that the
                record starts anew.

        """
        wanted = position.ancestors(heads)
        gone = [name for name in reversed(list(position.applied)) if name not in wanted]
        new = [name for name in wanted if purge or name not in position.applied]
        return [
            *(self.forget(position, name, Operation.STAMP) for name in gone),
            *(self.step(name, Operation.STAMP, Direction.UP) for name in new),
        ]

    def forget(self, position: Position, name: str, operation: Operation) -> Step:
        """Return a step that makes a revision count as not applied, without running anything."""
        row = position.applied[name]
        checksum = row.checksum if row else ""
        return Step(name, operation, Direction.DOWN, position.parents(name), checksum)

    def run_dynamic(self, step: Step, emit: Callable[[Statement], None]) -> None:
        """Run a dynamic revision over the session's own connection."""
        connection = self._session.initialised_connection()
        run_live(self.script(step.revision), step.direction, connection, emit, self._session.redact)


def _stored_step(row: LedgerRow, down: CompiledRevision) -> Step:
    return Step(
        row.version,
        Operation.DOWNGRADE,
        Direction.DOWN,
        row.parents,
        row.checksum,
        row.statements_checksum,
        down=down,
    )
