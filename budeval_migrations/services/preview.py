"""What a program calls to look ahead: plan, lint, drift, verify. Read-only for the server.

What needs an embedded ClickHouse says how to get it where it is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from budeval_migrations.errors import ConfigError
from budeval_migrations.model.findings import LintReport
from budeval_migrations.model.previews import Drift, Plan, Verification
from budeval_migrations.settings import Given, load_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from budeval_migrations.alembic_ext.catalogue import Catalogue
    from budeval_migrations.clickhouse.connection import Session


def plan(
    target: str = "heads",
    *,
    stage: bool = True,
    rehearse: bool = False,
    sample: int = 0,
    **settings: Unpack[Given],
) -> Plan:
    """Return what :func:`upgrade` would do, statement by statement; read-only.

    On a cluster the statements are as its hosts would get them. What is known to be
    applied of an unfinished revision is left out.

    Args:
        target: As for :func:`upgrade`.
        stage: Try the statements on an embedded server that has the live schema, to
            tell what they make of it; left out, with a notice, where there is none.
        rehearse: There, take everything back again too; a server that cannot be had
            is an error.
        sample: How many rows of each table to try them with.
        **settings: As for :func:`upgrade`.

    Raises:
        MigrationError: What :func:`upgrade` would refuse before its first statement.
        Unsupported: A rehearsal is asked for, and chDB is not installed.

    """
    from budeval_migrations.services import rehearse as rehearsal

    if sample < 0:
        raise ConfigError(f"A sample cannot have {sample} rows.", hint="Such as sample=1000.")
    with _session(**settings) as session:
        return rehearsal.plan(
            session, _catalogue(session), target, shadow=stage, back=rehearse, sample=sample
        )


def lint(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    *,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    **settings: Unpack[Given],
) -> LintReport:
    """Return what is doubtful in the revision files; read-only, opens no connection.

    Args:
        files: The revision files to report, one or several; without one, all. The
            others are read as well, to know the tables.
        select: The codes of the rules to apply (``BM001,BM002``); without one, all.
        ignore: The codes of the rules to leave out.
        **settings: As for :func:`upgrade`; ``cluster`` tells that the revisions run on one.

    Raises:
        ConfigError: A file is no revision's, or a code no rule's.
        RevisionError: The files do not import, compile or form a graph.

    """
    from budeval_migrations.services.lint import lint_files

    given = [files] if isinstance(files, (str, os.PathLike)) else files
    paths = [os.fspath(file) for file in given]
    return lint_files(load_settings(**settings), paths, _codes(select), _codes(ignore))


def _codes(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return codes that were given one by one, or as one text."""
    texts = [given] if isinstance(given, str) else given
    return tuple(code for text in texts for code in text.replace(",", " ").split())


def drift(**settings: Unpack[Given]) -> Drift:
    """Return where a database is not what its applied revisions yield; read-only.

    Args:
        **settings: As for :func:`upgrade`.

    Raises:
        Unsupported: chDB is not installed.
        LedgerError: The files are not those that were applied.
        StatementFailed: An applied revision does not run on an embedded server.

    """
    from budeval_migrations.services.rehearse import find_drift

    with _session(**settings) as session:
        return find_drift(session, _catalogue(session))


def verify(**settings: Unpack[Given]) -> Verification:
    """Return how every revision goes up, down and up again on an empty embedded server.

    Opens no connection to the server of the settings.

    Args:
        **settings: As for :func:`upgrade`.

    Raises:
        Unsupported: chDB is not installed.
        RevisionError: A revision cannot be read or compiled.

    """
    from budeval_migrations.services.lint import lint_files
    from budeval_migrations.services.verify import verify

    with _session(**settings) as session:
        found = lint_files(session.settings, (), (), ()).findings
        return replace(verify(session, _catalogue(session)), findings=found)


def _session(**settings: Unpack[Given]) -> Session:
    from budeval_migrations.clickhouse.connection import Session

    return Session(load_settings(**settings))


def _catalogue(session: Session) -> Catalogue:
    from budeval_migrations.revisions.directory import read_files
    from budeval_migrations.services.migrate import open_catalogue

    return open_catalogue(session, read_files(session.settings))
