"""What env.py calls: Alembic's command, unless there is nothing to do.

A start-up at head comes through here, so that what carries a command out
(:mod:`budeval_migrations.alembic_env.command`) is imported when there is something to do.
"""

from __future__ import annotations

import logging
import logging.config
import signal
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from alembic.util import CommandError

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import MigrationError
from budeval_migrations.revisions.directory import shown_path
from budeval_migrations.revisions.versions import Versions
from budeval_migrations.services.fast_check import heads_if_applied
from budeval_migrations.settings import Settings, load_settings
from budeval_migrations.visible import printable

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext
    from sqlalchemy import MetaData


def run_env(context: Any, target_metadata: MetaData | None = None) -> None:
    """Carry out the Alembic command that is running; the whole of env.py.

    Args:
        context: The module ``alembic.context``.
        target_metadata: The target schema as models, for ``--autogenerate`` and ``check``.

    Raises:
        CommandError: Every error of ours, as Alembic's command line prints it.

    """
    proxy: EnvironmentContext = context._proxy
    _configure_logging(proxy)
    try:
        _run(proxy, target_metadata)
    except MigrationError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        raise CommandError(printable(f"{error.message}{hint}")) from error
    except AttributeError as error:
        # Alembic asks a file for downgrade() without looking whether there is one.
        if error.name not in ("upgrade", "downgrade") or not isinstance(error.obj, ModuleType):
            raise
        raise CommandError(
            f"{error.obj.__name__} has no {error.name}.\n"
            f"  hint: Write def {error.name}() in {shown_path(error.obj.__file__ or '')}."
        ) from error
    except KeyboardInterrupt as stop:
        if proxy.config.cmd_opts is None:
            raise  # an application's own business
        from budeval_migrations.interrupts import exit_code

        print(
            f"{str(stop) or 'Interrupted.'}\n  hint: See: budeval-migrate status", file=sys.stderr
        )
        sys.exit(exit_code(getattr(stop, "number", signal.SIGINT)))


def _run(proxy: EnvironmentContext, metadata: MetaData | None) -> None:
    x = proxy.get_x_argument(as_dictionary=True)
    destructive = x.pop("destructive", "")
    with Session(_settings(proxy, x)) as session:
        if _has_nothing_to_do(proxy, session):
            return  # Alembic would import every file to find out
        from budeval_migrations.alembic_env.command import Command

        Command(proxy, session, metadata, destructive).run()


def _has_nothing_to_do(proxy: EnvironmentContext, session: Session) -> bool:
    """Whether the command is an upgrade, and to where the database is."""
    options = proxy.context_opts
    if proxy.is_offline_mode() or options["fn"].__name__ != "upgrade":
        return False
    target = str(options.get("destination_rev"))
    return heads_if_applied(session, Versions(session.settings), target) is not None


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
    known = [each for each in logging.root.manager.loggerDict.values() if hasattr(each, "handlers")]
    handlers = [each for logger in (logging.root, *known) for each in logger.handlers]
    for handler in filter(None, (*handlers, logging.lastResort)):
        handler.addFilter(_show_controls)
    # The driver logs a traceback for every failed connection; the sentence is ours.
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


def _show_controls(record: logging.LogRecord) -> bool:
    """Let a terminal interpret nothing of a docstring, or of what a server says."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True
