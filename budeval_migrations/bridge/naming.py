"""Names for new revision files: the next number and the message."""

from __future__ import annotations

import re
from typing import Any

from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext

_NUMBER = re.compile(r"^(\d+)_")


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
    numbers = [match for match in map(_NUMBER.match, known) if match]
    width = max((len(match[1]) for match in numbers), default=3)
    following = 1 + max((int(match[1]) for match in numbers), default=0)
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower())[:60].strip("_") or "revision"
    directives[0].rev_id = f"{following:0{width}d}_{slug}"
