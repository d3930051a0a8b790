"""Try on a shadow engine what a run would do, and replay what runs have done.

The functions that begin with ``on_shadow_`` run in a process of their own, which has
the embedded server; what they are given and return is plain data.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.alembic_ext.compile import has_downgrade
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import StatementError, Unsupported
from budeval_migrations.events import (
    Event,
    Listener,
    RevisionFinished,
    RevisionStarted,
    ignore,
)
from budeval_migrations.execution.adoption import adopted_rows
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.problems import refuse
from budeval_migrations.model import Direction, Failure, LedgerRow, RevisionFile
from budeval_migrations.model.previews import Difference, Drift, Plan, Rehearsal
from budeval_migrations.services import migrate
from budeval_migrations.services.lint import lint_files
from budeval_migrations.settings import Settings
from budeval_migrations.shadow.apart import Apart
from budeval_migrations.shadow.compare import compare
from budeval_migrations.shadow.engine import ShadowEngine
from budeval_migrations.shadow.replay_cache import remembered
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.shadow.source import Source, read_source
from budeval_migrations.sql.stand_in import stand_in
from budeval_migrations.sql.statement import parse
from budeval_migrations.state.journal import Journal
from budeval_migrations.state.ledger import Attempt, Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState
from budeval_migrations.state.unfinished import JournalEntry


@dataclass(frozen=True)
class RehearsalInput:
    """What a shadow engine is set with: the server, and the records of what ran on it."""

    settings: Settings
    files: dict[str, RevisionFile]
    source: Source
    rows: tuple[LedgerRow, ...]
    entries: tuple[JournalEntry, ...] = ()
    half_applied: frozenset[str] = frozenset()


def plan(
    session: Session,
    catalogue: Catalogue,
    target: str,
    *,
    shadow: bool = True,
    back: bool = False,
    sample: int = 0,
) -> Plan:
    """Return what an upgrade would do, and what it does to a copy of the live schema.

    Read-only for the server.

    Args:
        shadow: Try it; without chDB and without ``back``, a notice says what is missing.
        back: Take it back again, and see whether the schema is what it was.
        sample: How many rows of each table to try it with.

    Raises:
        Unsupported: It shall be reverted, and chDB is not installed.
        MigrationError: What an upgrade would refuse before its first statement.

    """
    if not (shadow or back):
        return _linted(session, migrate.plan(session, catalogue, target))
    try:
        apart = Apart(on_shadow_rehearse)
    except Unsupported as error:
        if back:
            raise
        planned = _linted(session, migrate.plan(session, catalogue, target))
        missing = f"What it makes of the schema is not known: {error.message} {error.hint}"
        return replace(planned, notices=(*planned.notices, missing))
    with apart:
        planned = migrate.plan(session, catalogue, target)
        if not planned.revisions:
            return planned
        apart.begin(_input(session, catalogue, sample), target, back)
        planned = _linted(session, planned)  # while the shadow engine is at work
        return replace(planned, rehearsal=apart.result())


def _linted(session: Session, planned: Plan) -> Plan:
    names = {revision.revision for revision in planned.revisions}
    found = lint_files(session.settings, (), (), ()).findings if names else ()
    return replace(planned, findings=tuple(each for each in found if each.revision in names))


def find_drift(session: Session, catalogue: Catalogue) -> Drift:
    """Compare a live database with what its applied revisions yield; read-only for it.

    Raises:
        Unsupported: chDB is not installed.
        LedgerError: The files are not those that were applied.

    """
    position = _position(session, catalogue)
    notes = refuse(position, catalogue.statements_checksum, frozenset())
    applied = tuple(position.applied)
    with Apart(on_shadow_compare) as apart:
        given = _input(session, catalogue)
        expected, found, more = apart.call(given, applied)
    differences = compare(expected, found)
    return Drift(session.database, applied, differences, (*notes, *more))


def on_shadow_rehearse(directory: str, given: RehearsalInput, target: str, back: bool) -> Rehearsal:
    """Load the source, upgrade, compare; and, if asked, take it back and compare."""
    began = time.monotonic()
    with ShadowEngine(directory, given.settings, given.source) as shadow:
        session = shadow.session
        notes = list(shadow.load())
        _copy_records(session, given)
        before = shadow.schema()
        shadow.imitate()
        catalogue = migrate.open_catalogue(session, given.files)
        back_failed = ""
        back_error: Failure | None = None
        steps = _Steps(shadow, given.half_applied)
        reverted = False
        try:
            report = migrate.upgrade(session, catalogue, target, steps.up if back else ignore)
        except StatementError as error:
            assert error.report is not None
            report = error.report
        failed = report.failed
        changes = compare(before, shadow.schema())
        applied = report.applied
        notes += stand_ins(catalogue, applied)
        if back and failed is None:
            back_failed = _no_way_back(catalogue, applied)
        if back and failed is None and not back_failed:
            try:
                revert(session, catalogue, applied, steps.down)
                reverted = True
            except StatementError as error:
                back_error = error.report.failed if error.report else None
        return Rehearsal(
            engine=session.version(),
            server=given.source.version,
            applied=applied,
            failed=failed,
            changes=changes,
            taken_back=reverted,
            back=steps.left,
            back_at=steps.left_by,
            back_failed=back_failed,
            back_error=back_error,
            notes=tuple(dict.fromkeys(notes)),
            elapsed_ms=int((time.monotonic() - began) * 1000),
        )


class _Steps:
    """What the schema was before each revision, and which downgrade does not bring it back.

    Attributes:
        left: What the first such downgrade leaves different.
        left_by: Its revision; empty where every downgrade does.

    """

    def __init__(self, shadow: ShadowEngine, half_applied: frozenset[str]) -> None:
        self._shadow = shadow
        self._before: dict[str, Schema] = {}
        # Of those only the schema in the middle is known, and the downgrade goes to the start.
        self._unknown = half_applied
        self.left: tuple[Difference, ...] = ()
        self.left_by = ""

    def up(self, event: Event) -> None:
        if isinstance(event, RevisionStarted) and event.revision not in self._unknown:
            self._before[event.revision] = self._shadow.schema()

    def down(self, event: Event) -> None:
        if not isinstance(event, RevisionFinished) or self.left:
            return
        before = self._before.get(event.revision)
        self.left = compare(before, self._shadow.schema()) if before is not None else ()
        self.left_by = event.revision if self.left else ""


def on_shadow_compare(
    directory: str, given: RehearsalInput, applied: Sequence[str]
) -> tuple[Schema, Schema, tuple[str, ...]]:
    """Return what the revisions yield, what the source has, and notes."""
    with ShadowEngine(directory, given.settings, given.source) as shadow:
        catalogue = migrate.open_catalogue(shadow.session, given.files)

        def yielded() -> Schema:
            shadow.load_others(without=_made_elsewhere(catalogue, applied))
            apply_on(shadow.session, catalogue, applied)
            found = shadow.schema()
            shadow.clear()
            return found

        checksums = (f"{name} {given.files[name].checksum}" for name in applied)
        expected = remembered((given.source.fingerprint(), *checksums), yielded)
        found, notes = shadow.read_source(expected)
        return expected, found, (*notes, *stand_ins(catalogue, applied))


def _made_elsewhere(catalogue: Catalogue, revisions: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return what the revisions change in other databases, as pairs of names."""
    return frozenset(
        (name.database, name.name)
        for revision in revisions
        for statement in catalogue.compiled(revision, Direction.UP).statements
        for name in parse(statement.text).effect.targets
        if name.database
    )


def apply_on(session: Session, catalogue: Catalogue, revisions: Sequence[str]) -> None:
    """Apply these revisions, in this order, to a shadow engine.

    Raises:
        StatementFailed: One of them does not run there.

    """
    migrate.run(
        session,
        catalogue,
        "replay",
        lambda position: catalogue.upgrade_steps(
            [name for name in revisions if name not in position.applied]
        ),
        ignore,
    )


def revert(
    session: Session,
    catalogue: Catalogue,
    revisions: Sequence[str],
    on_event: Listener = ignore,
) -> None:
    """Take these revisions back from a shadow engine, the last one first.

    Raises:
        StatementFailed: One of them does not run there.

    """
    migrate.run(
        session,
        catalogue,
        "downgrade",
        lambda position: catalogue.downgrade_steps(
            [name for name in reversed(revisions) if name in position.applied]
        ),
        on_event,
    )


def _position(session: Session, catalogue: Catalogue) -> Position:
    return Position(Ledger(session).read_state(), catalogue.files, catalogue.graph)


def _input(session: Session, catalogue: Catalogue, sample: int = 0) -> RehearsalInput:
    position = _position(session, catalogue)
    old = [row for row in position.state.rows if not row.legacy]
    rows = (*old, *adopted_rows(position, run_id=""))
    return RehearsalInput(
        session.settings,
        catalogue.files,
        read_source(session, sample),
        rows,
        position.state.entries,
        frozenset(unfinished.revision for unfinished in position.half_applied),
    )


def _copy_records(session: Session, given: RehearsalInput) -> None:
    ledger = Ledger(session)
    ledger.ensure(LedgerState(Ground.EMPTY))
    ledger.append([Attempt(row) for row in given.rows])
    if given.entries:
        Journal(session, 1).append(given.entries)
    ledger.ensure_view()


def stand_ins(catalogue: Catalogue, revisions: Sequence[str]) -> list[str]:
    """Return a sentence for each statement that a shadow engine runs otherwise than a server."""
    found = []
    for name in revisions:
        for at, statement in enumerate(catalogue.compiled(name, Direction.UP).statements, start=1):
            note = stand_in(statement.text).note
            if note:
                found.append(f"{name} statement {at}: {note}")
    return found


def _no_way_back(catalogue: Catalogue, revisions: Sequence[str]) -> str:
    lacking = [name for name in revisions if not has_downgrade(catalogue.script(name))]
    return f"{', '.join(lacking)} has no downgrade" if lacking else ""
