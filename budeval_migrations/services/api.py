"""What a program calls: upgrade, downgrade, status, validate, and the rest.

A database at head is told from one query and the hashes of the files; Alembic
is imported only when there is more to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from budeval_migrations.errors import ConfigError
from budeval_migrations.observers.listener import heard
from budeval_migrations.settings import DEFAULT_URL, Given, Settings, check_on_ahead, load_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from budeval_migrations.alembic_ext.catalogue import Catalogue
    from budeval_migrations.clickhouse.connection import Session
    from budeval_migrations.events import Listener
    from budeval_migrations.model import HostDifference, LedgerRow, Report, Status, Validation
    from budeval_migrations.page.overview import Overview
    from budeval_migrations.revisions.versions import Versions
    from budeval_migrations.state.lock.lease import Holder


def upgrade(
    target: str = "heads",
    *,
    on_event: Listener | None = None,
    on_ahead: str = "error",
    **settings: Unpack[Given],
) -> Report:
    """Apply what is pending, and return what was done.

    At head this is one query, takes no lock and writes nothing. Killed in
    between, it leaves a journal of the unfinished revision, and the next call
    goes on at the first statement whose outcome is not known to be good.

    Args:
        target: ``heads`` (all there is), a revision, a part of its id, ``+1``.
        on_event: Called with every event of the run, one after the other; with ``jobs``
            of more than one, on the thread of the statement.
        on_ahead: ``error`` refuses a database that is newer than the files,
            ``warn`` tells so in the report and goes on.
        **settings: ``url``, ``database``, ``config``, ``versions``, ``lock``,
            ``lock_timeout``, ``lock_lease``, ``read_timeout`` (seconds), ``environment``, ``jobs``;
            for clusters ``cluster``, ``ddl_timeout`` (seconds), ``max_lag`` (seconds)
            and ``allow_inactive``.

    Raises:
        StatementFailed: A statement failed; ``error.report`` says how far it came.
        MigrationError: See :mod:`budeval_migrations.errors`.

    """
    from budeval_migrations.services.fast_check import report_at_head

    check_on_ahead(on_ahead)
    began = time.monotonic()
    with _session(load_settings(**settings)) as session, heard(on_event) as emit:
        versions = _versions(session)
        report = report_at_head("upgrade", session, versions, target, began)
        if report is not None:
            return report
        from budeval_migrations.services import migrate

        return migrate.upgrade(
            session,
            migrate.open_catalogue(session, versions.files),
            target,
            emit,
            tolerate_ahead=on_ahead == "warn",
        )


def downgrade(
    target: str, *, on_event: Listener | None = None, **settings: Unpack[Given]
) -> Report:
    """Revert what is above the target, newest first.

    Args:
        target: The revision that stays, ``base``, or ``-1``.
        on_event: Called with every event of the run.
        **settings: As for :func:`upgrade`.

    Raises:
        MigrationError: See :mod:`budeval_migrations.errors`.

    """
    from budeval_migrations.services import migrate

    with _session(load_settings(**settings)) as session, heard(on_event) as emit:
        return migrate.downgrade(session, _catalogue(session), target, emit)


def adopt(
    source: str = "", *, on_event: Listener | None = None, **settings: Unpack[Given]
) -> Report:
    """Take over the records of an older tool, and apply nothing.

    Args:
        source: The name of an installed adopter; empty for the tools that are known.
        on_event: Called with every event of the run.
        **settings: As for :func:`upgrade`.

    """
    from budeval_migrations.services import migrate

    with _session(load_settings(**settings)) as session, heard(on_event) as emit:
        return migrate.adopt(session, _catalogue(session), source, emit)


def status(**settings: Unpack[Given]) -> Status:
    """Return what a database has beside what the files want; read-only.

    Works for a user with ``readonly = 1`` and creates nothing, not even chDB's
    directory.

    Args:
        **settings: As for :func:`upgrade`.

    """
    from budeval_migrations.services.inspect import review_status

    with _session(load_settings(**settings)) as session:
        return review_status(session, _versions(session).files)


def validate(**settings: Unpack[Given]) -> Validation:
    """Return everything that is wrong with the files and the ledger; read-only.

    Args:
        **settings: As for :func:`upgrade`.

    Raises:
        EngineError: The server cannot be asked; what is wrong is returned, not raised.

    """
    from budeval_migrations.services.inspect import review_everything

    with _session(load_settings(**settings)) as session:
        return review_everything(session)


def repair(
    revisions: Iterable[str] = (),
    *,
    forget: Iterable[str] = (),
    on_event: Listener | None = None,
    **settings: Unpack[Given],
) -> Report:
    """Correct the records; never change the schema.

    Args:
        revisions: Applied revisions whose files are right as they are now;
            their checksums are recorded anew. Empty with nothing to forget: all
            whose files differ.
        forget: Revisions that the ledger shall no longer count as applied.
        on_event: Called with every event of the run.
        **settings: As for :func:`upgrade`.

    Raises:
        RevisionError: A name that is not applied.

    """
    from budeval_migrations.services import migrate

    with _session(load_settings(**settings)) as session, heard(on_event) as emit:
        return migrate.repair(session, _catalogue(session), tuple(revisions), tuple(forget), emit)


def repair_statement(
    revision: str,
    statement: int,
    *,
    applied: bool,
    on_event: Listener | None = None,
    **settings: Unpack[Given],
) -> Report:
    """Say whether a statement of an unfinished revision took effect; runs nothing.

    For what the tool cannot find out by itself (``StatementOutcomeUnknown``).

    Args:
        revision: The revision's id.
        statement: The statement's number in it, from 1.
        applied: True: it took effect, and is not sent again. False: it did not,
            or was reverted, and the next upgrade sends it.
        on_event: Called with every event of the run.
        **settings: As for :func:`upgrade`.

    Raises:
        RevisionError: The journal knows no such statement.

    """
    from budeval_migrations.services import migrate

    with _session(load_settings(**settings)) as session, heard(on_event) as emit:
        return migrate.answer(
            session, _catalogue(session), revision, statement, emit, applied=applied
        )


def compare_hosts(**settings: Unpack[Given]) -> tuple[HostDifference, ...]:
    """Return where the hosts of a cluster differ, and what brings them in sync; read-only.

    Args:
        **settings: As for :func:`upgrade`; ``cluster`` must be set.

    Raises:
        ConfigError: The settings name no cluster.

    """
    from budeval_migrations.services.inspect import review_hosts

    with _session(load_settings(**settings)) as session:
        return review_hosts(session)


def lock_holder(**settings: Unpack[Given]) -> Holder | None:
    """Return who holds the lock; None when nobody does; read-only.

    Args:
        **settings: As for :func:`upgrade`.

    """
    from budeval_migrations.state.lock.lock import read_holder

    with _session(load_settings(**settings)) as session:
        holder = read_holder(session)
        return holder if holder is not None and holder.alive else None


def unlock(holder: Holder, **settings: Unpack[Given]) -> None:
    """Take the lock from its holder, who then sends nothing more.

    A statement that the holder has sent already goes on; the next run finds it
    and waits for it.

    Args:
        holder: What :func:`lock_holder` returned.
        **settings: As for :func:`upgrade`.

    Raises:
        LockError: Somebody else has the lock by now, or nobody.

    """
    from budeval_migrations.state.lock.lock import break_lock

    with _session(load_settings(**settings)) as session:
        break_lock(session, holder)


def reset(*, on_event: Listener | None = None, **settings: Unpack[Given]) -> Report:
    """Forget the bookkeeping, never the data; for development only.

    Args:
        on_event: Called with every event, as waiting for the lock is one.
        **settings: As for :func:`upgrade`; ``environment`` must be ``development``.

    Raises:
        ConfigError: This is not a development environment.
        LockTimeout: A runner held the lock for too long.

    """
    resolved = load_settings(**settings)
    if resolved.environment != "development":
        raise ConfigError(
            f"reset forgets the bookkeeping, and the environment is {resolved.environment}.",
            hint="It works only where environment = development is set: in alembic.ini, or as an "
            "environment variable.",
        )
    from budeval_migrations.model import Report
    from budeval_migrations.state.reset import forget_everything

    with _session(resolved) as session, heard(on_event) as emit:
        dropped = forget_everything(session, emit)
        notices = (f"Dropped {', '.join(dropped)}; every other table is as it was.",)
        nothing = ("There was no bookkeeping.",)
        return Report("reset", session.database, notices=notices if dropped else nothing)


async def upgrade_async(
    target: str = "heads",
    *,
    on_event: Listener | None = None,
    on_ahead: str = "error",
    **settings: Unpack[Given],
) -> Report:
    """Do :func:`upgrade` on a thread, so that the event loop goes on."""
    return await asyncio.to_thread(
        partial(upgrade, target, on_event=on_event, on_ahead=on_ahead, **settings)
    )


async def downgrade_async(
    target: str, *, on_event: Listener | None = None, **settings: Unpack[Given]
) -> Report:
    """Do :func:`downgrade` on a thread, so that the event loop goes on."""
    return await asyncio.to_thread(partial(downgrade, target, on_event=on_event, **settings))


async def status_async(**settings: Unpack[Given]) -> Status:
    """Do :func:`status` on a thread, so that the event loop goes on."""
    return await asyncio.to_thread(partial(status, **settings))


async def validate_async(**settings: Unpack[Given]) -> Validation:
    """Do :func:`validate` on a thread, so that the event loop goes on."""
    return await asyncio.to_thread(partial(validate, **settings))


def history(**settings: Unpack[Given]) -> tuple[LedgerRow, ...]:
    """Return every attempt that the ledger holds, oldest first; read-only.

    Args:
        **settings: As for :func:`upgrade`.

    """
    from budeval_migrations.state.ledger import Ledger

    with _session(load_settings(**settings)) as session:
        return Ledger(session).read_state().rows


def overview(*, drift: bool = False, **settings: Unpack[Given]) -> Overview:
    """Return everything that ``report`` shows of a database; read-only.

    Args:
        drift: Compare the live schema with what the applied revisions yield, too.
        **settings: As for :func:`upgrade`.

    Raises:
        RevisionError: The files do not form a graph.
        Unsupported: Drift is asked for, and chDB is not installed.
        LedgerError: Drift is asked for, and the files are not those that were applied.

    """
    from budeval_migrations.services.inspect import review_overview

    with _session(load_settings(**settings)) as session:
        return review_overview(session, drift=drift)


def check(*, on_ahead: str = "warn", **settings: Unpack[Given]) -> Report:
    """Return a report of what is pending, and apply nothing; read-only.

    At head this is one query, and no revision file is imported.

    Args:
        on_ahead: As for :func:`upgrade`.
        **settings: As for :func:`upgrade`.

    Raises:
        LedgerError: An applied revision was changed, or the database is newer
            and that was not to be tolerated.
        ConfigError: ``on_ahead`` is neither of the two.

    """
    from budeval_migrations.services.fast_check import report_at_head

    check_on_ahead(on_ahead)
    began = time.monotonic()
    with _session(load_settings(**settings)) as session:
        versions = _versions(session)
        report = report_at_head("check", session, versions, "heads", began)
        if report is not None:
            return report
        from budeval_migrations.services.inspect import review_pending

        return review_pending(session, versions.files, tolerate_ahead=on_ahead == "warn")


def _session(settings: Settings) -> Session:
    from budeval_migrations.clickhouse.connection import Session

    if not settings.versions and settings.url == DEFAULT_URL:
        # Nobody has named a server: an answer would be about one that is not meant.
        from budeval_migrations.revisions.directory import not_known

        raise not_known()
    return Session(settings)


def _versions(session: Session) -> Versions:
    from budeval_migrations.revisions.versions import Versions

    return Versions(session.settings)


def _catalogue(session: Session) -> Catalogue:
    from budeval_migrations.revisions.directory import read_files
    from budeval_migrations.services.migrate import open_catalogue

    return open_catalogue(session, read_files(session.settings))
