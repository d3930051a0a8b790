"""``budeval-migrate``: the commands and their options."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from budeval_migrations.cli import preview, records
from budeval_migrations.cli.app import App, Commands
from budeval_migrations.cli.completion import completion, revision_ids
from budeval_migrations.cli.diff import diff
from budeval_migrations.cli.init import init
from budeval_migrations.cli.json_schema import schema
from budeval_migrations.cli.lint import lint
from budeval_migrations.cli.new import new
from budeval_migrations.cli.output import Output
from budeval_migrations.cli.report import report
from budeval_migrations.cli.screen import escape_unencodable, lose
from budeval_migrations.errors import ConfigError, PendingRevisions
from budeval_migrations.interrupts import exit_code
from budeval_migrations.services import api
from budeval_migrations.version import __version__

_EXIT_CODES = """\b
Exit codes:
  0  done               5  another process holds the lock
  1  unexpected error   6  a statement failed
  2  settings, options  7  drift
  3  revision files     8  server: connection, access
  4  ledger, checksums  9  pending (status --exit-code)
                       10  some hosts of a cluster have not run it yet
"""


_JOBS = click.option("--jobs", type=int, help="How many independent statements may run at once.")


@click.group(
    cls=Commands,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--url", help="SQLAlchemy URL of the server.", metavar="URL")
@click.option("--database", help="Target database.", metavar="NAME")
@click.option("--config", help="Path of alembic.ini.", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="Print nothing where all is well.")
@click.option("--verbose", is_flag=True, help="Print every statement.")
@click.option("--debug", is_flag=True, help="Show Python tracebacks.")
@click.version_option(__version__, prog_name="budeval-migrate")
@click.pass_context
def cli(
    ctx: click.Context,
    *,
    url: str | None,
    database: str | None,
    config: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
) -> None:
    """Migrations for ClickHouse that tell the truth about what ran.

    Settings come from these options, BUDEVAL_MIGRATIONS_* in the environment
    (or what env_prefix in alembic.ini says), or [budeval_migrations] in
    alembic.ini; the first found wins.
    """
    ctx.obj = App(
        Output(as_json=as_json, quiet=quiet, verbose=verbose),
        {"url": url, "database": database, "config": config},
        debug,
    )


@cli.command()
@click.option("--exit-code", is_flag=True, help="Exit 9 when revisions are pending.")
@click.pass_obj
def status(app: App, exit_code: bool) -> None:
    """Show where every revision stands. Writes nothing.

    Example: budeval-migrate status --exit-code
    """

    def work() -> int:
        found = api.status(**app.settings)
        app.output.status(found)
        return PendingRevisions.exit_code if exit_code and found.pending else 0

    app.run(work)


@cli.command()
@click.argument("revision", default="heads", shell_complete=revision_ids)
@click.option("--lock-timeout", type=float, help="Seconds to wait for another runner.")
@click.option("--allow-inactive", is_flag=True, help="Go on without unreachable hosts.")
@click.option(
    "--on-ahead",
    type=click.Choice(["error", "warn"]),
    default="error",
    show_default=True,
    help="What to do with a database that is newer than the files.",
)
@_JOBS
@click.pass_obj
def up(
    app: App,
    revision: str,
    lock_timeout: float | None,
    allow_inactive: bool,
    on_ahead: str,
    jobs: int | None,
) -> None:
    """Apply what is pending, up to REVISION (default: all).

    A database that is newer than the files is refused, exit 4. With --on-ahead warn, up
    prints a warning and applies only what these files still have pending, usually nothing:
    for old pods that restart during a release.

    \b
    REVISION may be an id, the start of one, +1, head or heads.
    Example: budeval-migrate up 003_add_status
    """
    given: dict[str, Any] = {
        "on_ahead": on_ahead,
        "lock_timeout": lock_timeout,
        "allow_inactive": allow_inactive or None,
        "jobs": jobs,
    }
    app.run(lambda: app.report(lambda **kw: api.upgrade(revision, **given, **kw)))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision", shell_complete=revision_ids)
@click.option("--allow-inactive", is_flag=True, help="Go on without unreachable hosts.")
@_JOBS
@click.pass_obj
def down(app: App, revision: str, allow_inactive: bool, jobs: int | None) -> None:
    """Undo every revision after REVISION, newest first. REVISION itself stays applied.

    \b
    REVISION may be an id, the start of one, -1 or base.
    Example: budeval-migrate down 002_add_experiment_id
    """

    def work() -> int:
        if revision.startswith("--"):
            raise ConfigError(f"down has no option {revision}.", hint="See: down --help")
        inactive = allow_inactive or None
        given: dict[str, Any] = {"allow_inactive": inactive, "jobs": jobs}
        return app.report(lambda **kw: api.downgrade(revision, **given, **kw))

    app.run(work)


@cli.command()
@click.pass_obj
def validate(app: App) -> None:
    """Check files and ledger for problems. Writes nothing.

    Example: budeval-migrate validate --json
    """

    def work() -> int:
        found = api.validate(**app.settings)
        app.output.validation(found)
        return found.exit_code

    app.run(work)


@cli.command()
@click.pass_obj
def history(app: App) -> None:
    """Show every attempt that the ledger holds, oldest first. Writes nothing.

    Example: budeval-migrate history
    """

    def work() -> int:
        app.output.history(api.history(**app.settings))
        return 0

    app.run(work)


@cli.command()
@click.option("--yes", is_flag=True, help="Really do it.")
@click.pass_obj
def reset(app: App, yes: bool) -> None:
    """Drop the ledger, the journal and the lock. Your tables stay.

    It needs environment = development.

    Example: budeval-migrate reset --yes
    """

    def work() -> int:
        if not yes:
            raise ConfigError(
                "reset forgets what was applied, and --yes was not given.",
                hint="budeval-migrate reset --yes, where environment = development is set.",
            )
        return app.report(api.reset)

    app.run(work)


_RECORDS = (records.repair, records.unlock, records.adopt)
_PREVIEWS = (preview.plan, preview.drift, preview.verify)
for _command in (*_RECORDS, *_PREVIEWS, completion, lint, init, new, diff):
    cli.add_command(_command)
cli.add_command(report)
cli.add_command(schema)


def main() -> None:
    """Run the command line; a mistake in its words exits with 2."""
    escape_unencodable()
    try:
        code = cli.main(prog_name="budeval-migrate", standalone_mode=False)
    except click.UsageError as error:
        if "--json" in sys.argv:
            hint = "See: budeval-migrate --help"
            wrong = ConfigError(error.format_message(), hint=hint)
            Output(as_json=True, quiet=False, verbose=False).error(wrong)
        else:
            error.show()
        code = error.exit_code
    except click.Abort:
        code = exit_code(signal.SIGINT)
    except OSError as error:  # of click's own words, such as --help
        code = 0 if isinstance(error, BrokenPipeError) else 1
        lose(sys.stdout, error)
    sys.exit(code)
