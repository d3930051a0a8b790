"""One Alembic command, led to the runner.

Alembic hands its command over as a function ``fn(heads, context)`` that
returns steps. It is given the heads that the ledger knows; the steps it returns
are carried out by our runner, and Alembic's own loop gets none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import HeadMaintainer, MigrationContext, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData

from budeval_migrations.alembic_env import autogenerate
from budeval_migrations.alembic_env.offline import write_script
from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.alembic_ext.naming import number_revision
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import UNKNOWN_DATABASE
from budeval_migrations.errors import EngineError, MissingRevision
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.problems import ON_THE_WAY_DOWN, RECORDS_ONLY
from budeval_migrations.model import Statement, Step
from budeval_migrations.observers.logs import log_as_alembic
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.revisions.versions import Versions
from budeval_migrations.services import migrate
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.ledger_state import Ground, LedgerState

_TOLERATED = {"stamp": RECORDS_ONLY, "downgrade": ON_THE_WAY_DOWN}


class Command:
    """One Alembic command.

    Args:
        session: To the database; connects when it is first asked.
        metadata: The target schema as models; None where env.py gives none.
        destructive: What ``-x destructive=`` says.

    """

    def __init__(
        self,
        proxy: EnvironmentContext,
        session: Session,
        metadata: MetaData | None,
        destructive: str,
    ) -> None:
        self._proxy = proxy
        self._session = session
        self._metadata = metadata
        self._destructive = destructive
        self._options = proxy.context_opts
        self._command = self._options["fn"]
        self._settings = session.settings
        self._directory: ScriptDirectory = proxy.script
        # Alembic names a destination for the commands that move the database.
        self._moves = "destination_rev" in self._options
        self._purge = bool(self._options.get("purge"))

    def run(self) -> None:
        """Do it."""
        if self._proxy.is_offline_mode():
            self._run_offline()
        elif self._generates():
            self._configure(self._generate, heads=())
        elif self._writes_a_file_only():
            self._configure(self._command, heads=())
        else:
            self._run_online()
        self._proxy.run_migrations()

    @property
    def _compares(self) -> bool:
        revision = self._options.get("revision_context")
        return revision is not None and bool(revision.command_args.get("autogenerate"))

    def _generates(self) -> bool:
        """``revision --autogenerate``; a program may ask without a target schema."""
        asked = self._compares and self._command.__qualname__.startswith("revision.")
        said = self._metadata is not None or bool(self._settings.schema)
        return asked and (said or self._proxy.config.cmd_opts is not None)

    def _generate(self, heads: tuple[str, ...], context: MigrationContext) -> Sequence[Any]:
        autogenerate.generate(
            self._session,
            self._target(),
            context,
            self._options["revision_context"],
            self._destructive,
        )
        return []

    def _target(self) -> Sequence[Statement] | None:
        return autogenerate.target_of(self._metadata, self._settings)

    def _run_online(self) -> None:
        files = Versions(self._settings).files
        catalogue = Catalogue(self._directory, files, self._session)
        state = Ledger(self._session).read_state()
        position = Position(state, files, catalogue.graph)

        def carry_out(heads: tuple[str, ...], context: MigrationContext) -> Sequence[Any]:
            if not self._moves:
                return self._read(catalogue, position, context)
            migrate.run(
                self._session,
                catalogue,
                self._operation(),
                lambda now: self._decide(catalogue, now, context),
                log_as_alembic,
                state=state,
                tolerate=_TOLERATED.get(self._operation(), frozenset()),
            )
            return []

        self._configure(carry_out, heads=position.heads, connect=True)

    def _read(
        self, catalogue: Catalogue, position: Position, context: MigrationContext
    ) -> Sequence[Any]:
        if not self._compares:
            steps: Sequence[Any] = self._command(position.heads, context)
            return steps
        _check_at_head(position)
        target = self._target()
        if target is not None:
            autogenerate.check(self._session, catalogue, target)
        self._options["revision_context"].run_no_autogenerate(position.heads, context)
        return []

    def _decide(
        self, catalogue: Catalogue, position: Position, context: MigrationContext
    ) -> list[Step]:
        heads = () if self._purge else position.heads
        if self._operation() == "downgrade":
            catalogue.admit_strangers(position)
            names = [step.revision.revision for step in self._command(heads, context)]
            return catalogue.downgrade_steps([n for n in names if n in position.applied], position)
        if self._operation() == "stamp":
            _check_heads_have_files(position, heads)
            stamped = _stamped_heads(context, heads, self._command(heads, context))
            return catalogue.stamp_steps(position, stamped, purge=self._purge)
        names = [step.revision.revision for step in self._command(heads, context)]
        return catalogue.upgrade_steps([n for n in names if n not in position.applied])

    def _operation(self) -> str:
        return {"do_stamp": "stamp", "downgrade": "downgrade"}.get(
            self._command.__name__, "upgrade"
        )

    def _run_offline(self) -> None:
        catalogue = Catalogue(self._directory, read_files(self._settings), self._session)

        def write(heads: tuple[str, ...], context: MigrationContext) -> Sequence[Any]:
            asked = list(self._command(heads, context))
            steps = self._offline_steps(catalogue, asked, heads, context)
            write_script(self._session, context.impl.static_output, steps)
            return []

        self._configure(write)

    def _offline_steps(
        self,
        catalogue: Catalogue,
        asked: list[RevisionStep | StampStep],
        heads: tuple[str, ...],
        context: MigrationContext,
    ) -> list[Step]:
        if asked and isinstance(asked[0], RevisionStep):
            names = [step.revision.revision for step in asked if isinstance(step, RevisionStep)]
            if asked[0].is_upgrade:
                return catalogue.upgrade_steps(names)
            return catalogue.downgrade_steps(names)
        assumed = LedgerState(Ground.EMPTY, foreign_heads=heads)
        position = Position(assumed, catalogue.files, catalogue.graph)
        return catalogue.stamp_steps(position, _stamped_heads(context, heads, asked), purge=False)

    def _writes_a_file_only(self) -> bool:
        """``revision`` and ``merge`` need no database."""
        return "template_args" in self._options and not self._compares

    def _configure(
        self,
        command: Callable[[tuple[str, ...], MigrationContext], Sequence[Any]],
        *,
        heads: tuple[str, ...] | None = None,
        connect: bool = False,
    ) -> None:
        wanted: dict[str, Any] = {"dialect_name": self._session.engine.dialect.name}
        if connect and _has_database(self._session):
            wanted = {"connection": self._session.connection}
        self._proxy.configure(
            fn=command,
            target_metadata=self._metadata,
            process_revision_directives=number_revision,
            dont_mutate=True,  # the version table is a view, and the runner makes it
            purge=False,
            **wanted,
        )
        context = self._proxy.get_context()
        if connect and context.connection is None:
            context.connection = _Nowhere(self._session)  # type: ignore[assignment]
        if heads is not None:
            # Alembic would ask the version table; the ledger knows more: rows that
            # an older tool wrote, and tables of other tools.
            context.get_current_heads = lambda: heads  # type: ignore[method-assign]


class _Nowhere:
    """Stands for a connection where reading may not make a database directory."""

    def __init__(self, session: Session) -> None:
        self.engine = session.engine


def _has_database(session: Session) -> bool:
    try:
        return session.connection is not None
    except EngineError as error:
        if error.code == UNKNOWN_DATABASE:
            return False  # readers make none, and the runner will
        raise


def _stamped_heads(context: MigrationContext, heads: Any, asked: Sequence[Any]) -> tuple[str, ...]:
    """Return the heads after Alembic's stamp steps, computed by Alembic itself."""
    maintainer = _HeadsOnly(context, heads)
    for step in asked:
        maintainer.update_to_step(step)
    return tuple(sorted(maintainer.heads))


class _HeadsOnly(HeadMaintainer):
    """Alembic's arithmetic of heads, without the version table."""

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)

    def _delete_version(self, version: str) -> None:
        self.heads.discard(version)

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.discard(from_)
        self.heads.add(to_)


def _check_heads_have_files(position: Position, heads: Sequence[str]) -> None:
    """Say it before Alembic does, whose sentence does not tell what to do."""
    lost = [name for name in heads if name not in position.graph]
    if lost:
        raise MissingRevision(
            f"{', '.join(lost)} is applied and has no file, so there is no way from there to "
            "the revision that is to be stamped. Nothing was recorded.",
            hint="Restore the file, or leave out what is recorded now: "
            "alembic stamp --purge REVISION",
        )


def _check_at_head(position: Position) -> None:
    if position.pending:
        raise CommandError(
            "Target database is not up to date.\n  pending: " + ", ".join(position.pending)
        )
