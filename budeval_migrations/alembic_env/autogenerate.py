"""``alembic revision --autogenerate`` and ``alembic check``, by way of the shadow engine.

Alembic compares models with what it can reflect of a database, column by column;
here the target schema and the one that the revisions yield are both made by
ClickHouse, and compared whole.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from alembic.operations.ops import ExecuteSQLOp, MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import MetaData

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.model import Statement
from budeval_migrations.revisions.directory import read_files, shown_path
from budeval_migrations.scaffold.evolution import statements_of
from budeval_migrations.scaffold.kinds import next_number
from budeval_migrations.services.diff import find_difference, make_revision
from budeval_migrations.services.migrate import open_catalogue
from budeval_migrations.services.target_schema import metadata_statements, read_target_schema
from budeval_migrations.settings import Settings

# Options of ``alembic revision`` that say what only a person can know.
_BY_HAND = ("splice", "branch_label", "depends_on", "version_path")


def target_of(metadata: MetaData | None, settings: Settings) -> tuple[Statement, ...] | None:
    """Return the statements of the target schema; None where nobody names the target schema.

    Args:
        metadata: What env.py gives; it counts before the setting ``schema``.

    """
    if metadata is not None:
        return metadata_statements(metadata, "target_metadata")
    return read_target_schema(settings.schema) if settings.schema else None


def generate(
    session: Session,
    target: Sequence[Statement] | None,
    context: MigrationContext,
    revision_context: Any,
    destructive: str,
) -> None:
    """Write the revision that ``alembic revision --autogenerate`` asks for.

    A hook of the program that asks (``process_revision_directives``) sees the upgrade's
    statements first; what it takes out of the list is not written.

    Raises:
        CommandError: Nobody names the target schema, or an option does not go with it.
        MigrationError: See :func:`make_revision`.

    """
    if target is None:
        raise CommandError(
            "--autogenerate needs to know the target schema.\n"
            "  hint: set schema = schema.sql in [budeval_migrations], or pass models: "
            "run_env(context, target_metadata)"
        )
    given = revision_context.command_args
    for name in _BY_HAND:
        if given.get(name):
            raise CommandError(f"--{name.replace('_', '-')} does not go with --autogenerate.")
    directives: list[MigrationScript] = revision_context.generated_revisions
    hook = revision_context.process_revision_directives
    if hook is not None:
        catalogue = open_catalogue(session, read_files(session.settings))
        found = find_difference(session, catalogue, target, next_number(catalogue.files))
        calls = found.draft.upgrade if found.draft else ()
        operations = directives[-1].upgrade_ops
        assert operations is not None
        operations.ops = [ExecuteSQLOp(sql) for sql in statements_of(calls)]
        hook(context, (), directives)
        if not directives:
            return
    # Ours is the file that is written; Alembic has none to write.
    directives.clear()
    head = given.get("head") or ""
    made = make_revision(
        session,
        target,
        message=given.get("message") or "",
        name=given.get("rev_id") or "",
        head="" if head in ("head", "heads") else head,
        destructive=destructive,
    )
    said = f"Generated {shown_path(made.file)}" if made else "The revisions yield the target schema"
    logging.getLogger("alembic.autogenerate").info(said)


def check(session: Session, catalogue: Catalogue, target: Sequence[Statement]) -> None:
    """Refuse revisions that do not yield the target schema; read-only.

    Raises:
        CommandError: They do not; it names the differences.

    """
    found = find_difference(session, catalogue, target, next_number(catalogue.files))
    if found.changes:
        listed = ", ".join(f"{c.kind} {c.name} {c.part}".strip() for c in found.changes)
        raise CommandError(
            f"The revisions do not yield the target schema: {listed}\n"
            "  hint: alembic revision --autogenerate"
        )
