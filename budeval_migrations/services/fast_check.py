"""Tell that there is nothing to do, without reading the ledger or the files as a whole.

May not import Alembic: a start-up at head comes through here.
"""

from __future__ import annotations

import time

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.model import Report
from budeval_migrations.revisions.versions import Versions
from budeval_migrations.state.fast_check import fast_check


def heads_if_applied(
    session: Session, versions: Versions, target: str = "heads"
) -> tuple[str, ...] | None:
    """Return the heads of a database that has everything; None where that is not so plain.

    Without any revision it is not: the directory may be a wrong one, and that has to be told.

    One query, and the files' names, sizes and times; read-only. With ``cluster``, three
    more, since nothing else would tell of a cluster that is not there.

    Args:
        target: ``heads`` or ``head``; any other is never plain.

    Raises:
        ConfigError: The server knows no such cluster.
        EngineError: The server cannot be asked.
        RevisionError: The files cannot be read.

    """
    if target not in ("head", "heads"):
        return None
    with versions.summed_beside():
        seen = fast_check(session)
    if not seen or not seen.heads or seen.summary != versions.summary(seen.adopted):
        return None
    if session.settings.cluster:
        session.topology  # noqa: B018  refuses a cluster that is not there
    # ``head`` means one of several heads, and has to be refused.
    return seen.heads if target == "heads" or len(seen.heads) == 1 else None


def report_at_head(
    operation: str, session: Session, versions: Versions, target: str, began: float
) -> Report | None:
    """Return the report of a run that had nothing to do; None where there may be something.

    Args:
        began: When the run began, by ``time.monotonic``.

    """
    heads = heads_if_applied(session, versions, target)
    if heads is None:
        return None
    elapsed = int((time.monotonic() - began) * 1000)
    return Report(operation, session.database, current=heads, elapsed_ms=elapsed)
