"""Upgrade, downgrade, stamp: from words to a request that the runner carries out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    LedgerError,
    MissingRevision,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.events import Listener, ignore
from budeval_migrations.execution.answering import RepairAnswer, record_answer
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.problems import ON_THE_WAY_DOWN, RECORDS_ONLY
from budeval_migrations.execution.resume import repair_command
from budeval_migrations.execution.runner import Decide, Request, Runner
from budeval_migrations.model import Direction, Operation, Report, RevisionFile, Step
from budeval_migrations.model.previews import Plan
from budeval_migrations.observers.hooks import with_hooks
from budeval_migrations.observers.telemetry import traced
from budeval_migrations.revisions.script import (
    downgrade_path,
    open_directory,
    resolve_revision,
    upgrade_path,
)
from budeval_migrations.state.adopters import read_applied
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.ledger_state import LedgerState


def open_catalogue(session: Session, files: dict[str, RevisionFile]) -> Catalogue:
    """Return the revisions that the settings point at."""
    return Catalogue(open_directory(session.settings.versions), files, session)


def upgrade(
    session: Session,
    catalogue: Catalogue,
    target: str,
    emit: Listener,
    *,
    tolerate_ahead: bool = False,
) -> Report:
    """Apply what is between the current heads and the target.

    Args:
        target: ``heads``, ``head``, a revision, a part of its id, ``+1``, a label.
        tolerate_ahead: A database that is newer than the files is told, not refused.

    Raises:
        RevisionNotFound: No such target; nothing ran.
        MigrationError: See the runner.

    """
    return run(
        session,
        catalogue,
        "upgrade",
        lambda position: _upgrade_steps(catalogue, target, position),
        emit,
        tolerate=frozenset({"ahead"}) if tolerate_ahead else frozenset(),
    )


def plan(session: Session, catalogue: Catalogue, target: str) -> Plan:
    """Return what :func:`upgrade` would send; read-only.

    Raises:
        RevisionNotFound: No such target.
        MigrationError: See the runner.

    """
    request = _request(
        catalogue,
        "plan",
        lambda position: _upgrade_steps(catalogue, target, position),
        frozenset(),
    )
    return Runner(session, ignore).plan(request)


def _upgrade_steps(catalogue: Catalogue, target: str, position: Position) -> list[Step]:
    # Alembic knows only revisions that have a file.
    path = upgrade_path(catalogue.directory, target, _known_heads(position))
    names = [script.revision for script in path]
    return catalogue.upgrade_steps([name for name in names if name not in position.applied])


def downgrade(session: Session, catalogue: Catalogue, target: str, emit: Listener) -> Report:
    """Revert what is above the target; from the ledger, where there is no file.

    Args:
        target: ``base``, a revision that stays applied, or ``-1``.

    Raises:
        RevisionNotFound: No such target; nothing ran.
        MigrationError: See the runner.

    """

    def decide(position: Position) -> list[Step]:
        catalogue.admit_strangers(position)
        if target != "base" and not target.startswith("-"):
            name = resolve_revision(catalogue.directory, target)
            if name not in position.applied:
                shown = name if target == name else f"{target} ({name})"
                raise RevisionNotFound(
                    f"{shown} is not applied, so that nothing can be reverted to it.",
                    hint="budeval-migrate status shows what is applied.",
                    target=target,
                )
        path = downgrade_path(catalogue.directory, target, position.heads)
        names = [script.revision for script in path if script.revision in position.applied]
        return catalogue.downgrade_steps(names, position)

    return run(
        session,
        catalogue,
        "downgrade",
        decide,
        emit,
        tolerate=ON_THE_WAY_DOWN,
    )


def adopt(session: Session, catalogue: Catalogue, source: str, emit: Listener) -> Report:
    """Take over another tool's records and apply nothing.

    Args:
        source: The name of an installed adopter; empty for the tools that are known.

    Raises:
        MissingRevision: The other tool has applied what has no file.
        LedgerError: It has not applied what an applied revision builds on.

    """

    def decide(position: Position) -> list[Step]:
        names = read_applied(session, source) if source else ()
        for name in names:
            if name not in position.graph:
                raise MissingRevision(
                    f"{source} has applied {name}, and there is no such revision file.",
                    hint="Add the file, or correct the adopter.",
                    revision=name,
                )
        for name in position.ancestors(names):
            if name not in names and name not in position.applied:
                raise LedgerError(
                    f"{source} has not applied {name}, and has applied what builds on it.",
                    hint="Correct down_revision in the files, or the adopter.",
                )
        new = [name for name in position.graph if name in names and name not in position.applied]
        steps = (catalogue.step(name, Operation.ADOPT, Direction.UP) for name in new)
        # Nobody knows whether the file is what the other tool ran.
        return [replace(step, checksum="", statements_checksum="") for step in steps]

    return run(session, catalogue, "adopt", decide, emit)


def repair(
    session: Session,
    catalogue: Catalogue,
    accepted: tuple[str, ...],
    forgotten: tuple[str, ...],
    emit: Listener,
) -> Report:
    """Record checksums anew, and forget revisions; runs no statement of a revision.

    Args:
        accepted: Applied revisions whose files are right as they are; with
            nothing to forget either, none means every one whose file differs.
        forgotten: Revisions that shall no longer count as applied.

    Raises:
        RevisionError: A revision that is not applied, or has no file to hash.

    """

    def decide(position: Position) -> list[Step]:
        mend = [_applied(name, position) for name in accepted]
        gone = [_applied(name, position) for name in forgotten]
        if not (mend or gone):
            mend = _differing(catalogue, position)
        _check_repair(catalogue, position, mend, gone)
        return [
            *(catalogue.step(name, Operation.REPAIR, Direction.UP) for name in mend),
            *(catalogue.forget(position, name, Operation.REPAIR) for name in gone),
        ]

    return run(session, catalogue, "repair", decide, emit, tolerate=RECORDS_ONLY)


def answer(
    session: Session,
    catalogue: Catalogue,
    revision: str,
    statement: int,
    emit: Listener,
    *,
    applied: bool,
) -> Report:
    """Record what a person says of one statement of an unfinished revision.

    Args:
        statement: Its number, from 1.
        applied: Whether it took effect.

    Raises:
        RevisionError: The journal knows no such statement.

    """
    name = revision
    if revision not in {name for name, _ in Ledger(session).read_state().unfinished_runs}:
        name = resolve_revision(catalogue.directory, revision)
    answer = RepairAnswer(name, statement, applied, catalogue.statement)
    return record_answer(session, emit, answer, catalogue.files, catalogue.graph)


def run(
    session: Session,
    catalogue: Catalogue,
    operation: str,
    decide: Decide,
    emit: Listener,
    *,
    state: LedgerState | None = None,
    tolerate: frozenset[str] = frozenset(),
) -> Report:
    """Hand a decision to the runner; the hooks of the settings are called."""
    request = _request(catalogue, operation, decide, tolerate)
    emit = with_hooks(session.settings.hooks, emit, session.redact)
    with traced(operation, session.database, emit) as listener:
        return Runner(session, listener).run(request, state)


def _request(
    catalogue: Catalogue, operation: str, decide: Decide, tolerate: frozenset[str]
) -> Request:
    return Request(operation=operation, source=catalogue, decide=decide, tolerate=tolerate)


def _known_heads(position: Position) -> tuple[str, ...]:
    known = [name for name in position.applied if name in position.graph]
    covered = {parent for name in known for parent in position.parents(name)}
    return tuple(name for name in known if name not in covered)


def _applied(name: str, position: Position) -> str:
    """Return the one applied revision whose id begins so; else the name as it is."""
    found = [each for each in position.applied if each.startswith(name)]
    return found[0] if len(found) == 1 and name not in position.applied else name


def _check_repair(
    catalogue: Catalogue,
    position: Position,
    accepted: Sequence[str],
    forgotten: Sequence[str],
) -> None:
    both = sorted({*accepted} & {*forgotten})
    if both:
        raise RevisionError(
            f"{both[0]} cannot be accepted and forgotten at once.",
            hint="Name it with --revision or with --forget.",
            revision=both[0],
        )
    for name in forgotten:
        above = [
            each
            for each in position.applied
            if name in position.parents(each) and each not in forgotten
        ]
        if above:
            raise RevisionError(
                f"{name} cannot be forgotten: {above[0]} is applied and builds on it.",
                hint=f"Forget both: budeval-migrate repair --forget {above[0]} --forget {name}",
                revision=name,
            )
    doubtful = {e.revision: e.doubtful for e in position.half_applied if e.doubtful}
    for name in (*accepted, *forgotten):
        if name in doubtful:
            at = doubtful[name][0].last.position
            raise RevisionError(
                f"{name} is not applied: the outcome of its statement {at} is not known.",
                hint=f"{repair_command(name, at, '--applied')}; or --not-applied",
                revision=name,
                statement=at,
            )
        if name not in position.applied:
            known = [] if name in catalogue.files else position.applied
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise RevisionError(
                f"{name} is not applied, so there is nothing to repair.",
                hint=f"Did you mean {near[0]}?" if near else "See: budeval-migrate status",
                revision=name,
            )
    unfinished = {unfinished.revision for unfinished in position.half_reverted}
    for name in accepted:
        if name in unfinished:
            raise RevisionError(
                f"A downgrade of {name} was begun and not finished; accepting its file would "
                "hide that.",
                hint="Finish it with budeval-migrate down, to the revision below it.",
                revision=name,
            )
        if name not in catalogue.files:
            raise RevisionError(
                f"{name} has no file whose checksum could be recorded.",
                hint=f"To forget it: budeval-migrate repair --forget {name}",
                revision=name,
            )


def _differing(catalogue: Catalogue, position: Position) -> list[str]:
    return [
        name
        for name, row in position.applied.items()
        if row is not None
        and name in catalogue.files
        and row.checksum != catalogue.files[name].checksum
    ]
