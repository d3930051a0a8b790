"""Names for new revision files: the next number and the message."""

from __future__ import annotations

from typing import Any

from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext

from budeval_migrations.scaffold.kinds import next_number, slug


def number_revision(
    context: MigrationContext, revision: Any, directives: list[MigrationScript]
) -> None:
    """Give a new revision the id ``007_what_it_does``, unless ``--rev-id`` named one.

    The id is the file's name, which is also what the ledger records.
    """
    environment = context.environment_context
    if environment is None or not directives:
        return
    revision_context = environment.context_opts.get("revision_context")
    if revision_context is None or revision_context.command_args.get("rev_id"):
        return
    message = revision_context.command_args.get("message") or "revision"
    known = [script.revision for script in environment.script.walk_revisions()]
    directives[0].rev_id = f"{next_number(known)}_{slug(message) or 'revision'}"
