"""Tell that there is nothing to do, without reading the ledger or the files as a whole.

May not import Alembic: a start-up at head comes through here.
"""

from __future__ import annotations

from budeval_migrations.engine.session import Session
from budeval_migrations.history.glance import glance
from budeval_migrations.revisions.versions import Versions


def heads_if_applied(
    session: Session, versions: Versions, target: str = "heads"
) -> tuple[str, ...] | None:
    """Return the heads of a database that has everything; None where that is not so plain.

    Without any revision it is not: the directory may be a wrong one, and that has to be told.

    One query, and the files' names, sizes and times; read-only.

    Args:
        target: ``heads`` or ``head``; any other is never plain.

    Raises:
        EngineError: The server cannot be asked.
        RevisionError: The files cannot be read.

    """
    if target not in ("head", "heads"):
        return None
    with versions.summed_beside():
        seen = glance(session)
    if not seen or not seen.heads or seen.summary != versions.summary(seen.adopted):
        return None
    # ``head`` means one of several heads, and has to be refused.
    return seen.heads if target == "heads" or len(seen.heads) == 1 else None
