"""What env.py calls: Alembic's commands, led to the runner.

Alembic hands its command over as a function ``fn(heads, context)`` that
returns steps. It is given the heads that the ledger knows; the steps it returns
are carried out by our runner, and Alembic's own loop gets none.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import HeadMaintainer, MigrationContext, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData

from budeval_migrations.bridge import autogenerate, migrate
from budeval_migrations.bridge.catalogue import Catalogue
from budeval_migrations.bridge.naming import number_revision
from budeval_migrations.bridge.offline import write_script
from budeval_migrations.bridge.standing import heads_if_applied
from budeval_migrations.engine.failures import UNKNOWN_DATABASE
from budeval_migrations.engine.session import Session
from budeval_migrations.errors import EngineError, MigrationError, MissingRevision
from budeval_migrations.history.ledger import Ledger
from budeval_migrations.history.state import Ground, LedgerState
from budeval_migrations.model import Statement, Step
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.revisions.versions import Versions
from budeval_migrations.run.interrupts import Terminated
from budeval_migrations.run.logs import log_event
from budeval_migrations.run.planner import Position
from budeval_migrations.run.problems import ON_THE_WAY_DOWN, RECORDS_ONLY
from budeval_migrations.settings import Settings, load_settings


def run_env(context: Any, target_metadata: MetaData | None = None) -> None:
    """Carry out the Alembic command that is running; the whole of env.py.

    Args:
        context: The module ``alembic.context``.
        target_metadata: The wanted schema as models, for ``--autogenerate`` and ``check``.

    Raises:
        CommandError: Every error of ours, as Alembic's command line prints it.

    """
    proxy: EnvironmentContext = context._proxy
    _configure_logging(proxy)
    try:
        _Environment(proxy, target_metadata).run()
    except MigrationError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        raise CommandError(f"{error.message}{hint}") from error
    except KeyboardInterrupt as stop:
        if proxy.config.cmd_opts is None:
            raise  # an application's own business
        print("Interrupted. See: budeval-migrate status", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)


_TOLERATED = {"stamp": RECORDS_ONLY, "downgrade": ON_THE_WAY_DOWN}


class _Environment:
    """One Alembic command."""

    def __init__(self, proxy: EnvironmentContext, metadata: MetaData | None) -> None:
        self._proxy = proxy
        self._options = proxy.context_opts
        self._command = self._options["fn"]
        self._metadata = metadata
        x = proxy.get_x_argument(as_dictionary=True)
        self._destructive = x.pop("destructive", "")
        self._settings = _settings(proxy, x)
        self._directory: ScriptDirectory = proxy.script
        # Alembic names a destination for the commands that move the database.
        self._moves = "destination_rev" in self._options
        self._purge = bool(self._options.get("purge"))

    def run(self) -> None:
        """Do it."""
        if self._proxy.is_offline_mode():
            self._run_offline()
        elif self._generates():
            with Session(self._settings) as session:
                self._configure(session, partial(self._generate, session), heads=())
                self._proxy.run_migrations()
        elif self._writes_a_file_only():
            with Session(self._settings) as session:
                self._configure(session, self._command, heads=())
                self._proxy.run_migrations()
        else:
            with Session(self._settings) as session:
                self._run_online(session)

    @property
    def _compares(self) -> bool:
        revision = self._options.get("revision_context")
        return revision is not None and bool(revision.command_args.get("autogenerate"))

    def _generates(self) -> bool:
        """``revision --autogenerate``; a program may ask though nothing is wanted."""
        asked = self._compares and self._command.__qualname__.startswith("revision.")
        said = self._metadata is not None or bool(self._settings.schema)
        return asked and (said or self._proxy.config.cmd_opts is not None)

    def _generate(
        self, session: Session, heads: tuple[str, ...], context: MigrationContext
    ) -> Sequence[Any]:
        revision = self._options["revision_context"]
        autogenerate.generate(session, self._wanted(), context, revision, self._destructive)
        return []

    def _wanted(self) -> Sequence[Statement] | None:
        return autogenerate.wanted_of(self._metadata, self._settings)

    def _run_online(self, session: Session) -> None:
        versions = Versions(self._settings)
        target = self._options.get("destination_rev") if self._operation() == "upgrade" else ""
        if heads_if_applied(session, versions, str(target)) is not None:
            return  # Alembic would import every file to find out
        files = versions.files
        catalogue = Catalogue(self._directory, files, session)
        state = Ledger(session).read_state()
        position = Position(state, files, catalogue.graph)

        def carry_out(heads: tuple[str, ...], context: MigrationContext) -> Sequence[Any]:
            if not self._moves:
                return self._read(session, catalogue, position, context)
            migrate.run(
                session,
                catalogue,
                self._operation(),
                lambda now: self._decide(catalogue, now, context),
                log_event,
                state=state,
                tolerate=_TOLERATED.get(self._operation(), frozenset()),
            )
            return []

        self._configure(session, carry_out, heads=position.heads, connect=True)
        self._proxy.run_migrations()

    def _read(
        self, session: Session, catalogue: Catalogue, position: Position, context: MigrationContext
    ) -> Sequence[Any]:
        if not self._compares:
            steps: Sequence[Any] = self._command(position.heads, context)
            return steps
        _check_at_head(position)
        wanted = self._wanted()
        if wanted is not None:
            autogenerate.check(session, catalogue, wanted)
        self._options["revision_context"].run_no_autogenerate(position.heads, context)
        return []

    def _decide(
        self, catalogue: Catalogue, position: Position, context: MigrationContext
    ) -> list[Step]:
        heads = () if self._purge else position.heads
        if self._operation() == "stamp":
            _check_heads_have_files(position, heads)
            stamped = _stamped_heads(context, heads, self._command(heads, context))
            return catalogue.stamp_steps(position, stamped, purge=self._purge)
        names = [step.revision.revision for step in self._command(heads, context)]
        if self._operation() == "downgrade":
            return catalogue.downgrade_steps([n for n in names if n in position.applied])
        return catalogue.upgrade_steps([n for n in names if n not in position.applied])

    def _operation(self) -> str:
        return {"do_stamp": "stamp", "downgrade": "downgrade"}.get(
            self._command.__name__, "upgrade"
        )

    def _run_offline(self) -> None:
        files = read_files(self._settings)
        with Session(self._settings) as session:
            catalogue = Catalogue(self._directory, files, session)

            def write(heads: tuple[str, ...], context: MigrationContext) -> Sequence[Any]:
                asked = list(self._command(heads, context))
                steps = self._offline_steps(catalogue, asked, heads, context)
                write_script(session, context.impl.static_output, steps)
                return []

            self._configure(session, write)
            self._proxy.run_migrations()

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
        session: Session,
        command: Callable[[tuple[str, ...], MigrationContext], Sequence[Any]],
        *,
        heads: tuple[str, ...] | None = None,
        connect: bool = False,
    ) -> None:
        wanted: dict[str, Any] = {"dialect_name": session.engine.dialect.name}
        if connect and _has_database(session):
            wanted = {"connection": session.connection}
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
            context.connection = _Nowhere(session)  # type: ignore[assignment]
        if heads is not None:
            # Alembic would ask the version table; the ledger knows more: rows that
            # an older tool wrote, and tables of other tools.
            context.get_current_heads = lambda: heads  # type: ignore[method-assign]


class _Nowhere:
    """Stands for a connection where reading may not make a database directory."""

    def __init__(self, session: Session) -> None:
        self.engine = session.engine


def _settings(proxy: EnvironmentContext, x: dict[str, str]) -> Settings:
    given = proxy.config.attributes.get("budeval_migrations", {})
    locations = proxy.script.version_locations or [proxy.script.versions]
    return load_settings(
        config=proxy.config.config_file_name, x=x, **{"versions": locations, **given}
    )


def _configure_logging(proxy: EnvironmentContext) -> None:
    """Follow alembic.ini's logging, for Alembic's command line alone.

    An application that calls Alembic has set up its own.
    """
    path = proxy.config.config_file_name
    if proxy.config.cmd_opts is None or path is None:
        return
    if proxy.config.file_config.has_section("loggers"):
        logging.config.fileConfig(path, disable_existing_loggers=False)
    # The driver logs a traceback for every failed connection; the sentence is ours.
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


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
