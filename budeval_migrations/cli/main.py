"""``budeval-migrate``: the commands and their options."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from budeval_migrations.cli import preview
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
from budeval_migrations.counting import counted
from budeval_migrations.errors import ConfigError, MigrationError, PendingRevisions
from budeval_migrations.interrupts import exit_code
from budeval_migrations.model import Report, RevisionState
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
    app.run(lambda: _run(app, lambda **kw: api.upgrade(revision, **given, **kw)))


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
        return _run(app, lambda **kw: api.downgrade(revision, **given, **kw))

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
        return _run(app, api.reset)

    app.run(work)


@cli.command()
@click.option(
    "--revision",
    "revisions",
    multiple=True,
    metavar="ID",
    shell_complete=revision_ids,
    help="Accept this file as it is now.",
)
@click.option(
    "--forget",
    multiple=True,
    metavar="ID",
    shell_complete=revision_ids,
    help="No longer count this revision as applied.",
)
@click.option(
    "--statement",
    type=int,
    metavar="N",
    help="With --revision: which statement, from 1.",
)
@click.option("--applied", is_flag=True, help="It took effect.")
@click.option("--not-applied", is_flag=True, help="It did not, or was reverted.")
@click.option("--cluster", is_flag=True, help="Propose what brings the hosts in sync.")
@click.option("--yes", is_flag=True, help="Accept every file that differs without asking.")
@click.pass_obj
def repair(
    app: App,
    *,
    revisions: tuple[str, ...],
    forget: tuple[str, ...],
    statement: int | None,
    applied: bool,
    not_applied: bool,
    cluster: bool,
    yes: bool,
) -> None:
    """Correct the records; never change the schema.

    Without --revision and --forget, list the applied revisions whose files
    differ from the record, ask, and then record the checksums of the current files,
    with who did it and when. With --statement, record whether a statement of an
    unfinished revision took effect; after --not-applied, the next up sends it. With
    --cluster, compare the hosts and show the statements that would make them equal.

    \b
    Example: budeval-migrate repair --revision 003_add_status
             budeval-migrate repair --revision 007_fill --statement 2 --applied
    """

    def work() -> int:
        if cluster:
            if revisions or forget or statement is not None or applied or not_applied:
                raise ConfigError("--cluster goes with no other option of repair.")
            app.output.hosts(api.compare_hosts(**app.settings))
            return 0
        if statement is None and not (applied or not_applied):
            names = revisions if revisions or forget else _accepted(app, yes)
            return _run(app, lambda **kw: api.repair(names, forget=forget, **kw))
        if applied and not_applied:
            raise ConfigError(
                "--applied and --not-applied cannot be given together.",
                hint="Look at the data, and say what is true.",
            )
        if statement is None or not (applied or not_applied) or len(revisions) != 1 or forget:
            raise ConfigError(
                "--statement needs one --revision, and either --applied or --not-applied.",
                hint="budeval-migrate repair --revision R --statement N --applied",
            )
        return _run(
            app,
            lambda **kw: api.repair_statement(revisions[0], statement, applied=applied, **kw),
        )

    app.run(work)


@cli.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def unlock(app: App, yes: bool) -> None:
    """Show which process holds the lock, ask, and take it away.

    That process sends no further statement. One that it has sent keeps running, and the
    next run waits for it. The lock of a dead process expires by itself.

    Example: budeval-migrate unlock
    """

    def work() -> int:
        holder = api.lock_holder(**app.settings)
        app.output.holder(holder)
        if holder is None:
            return 0
        if not yes and not _asked("Take the lock from them?"):
            raise ConfigError(
                "The lock was not taken: nobody confirmed it.",
                hint="Take it with: budeval-migrate unlock --yes",
            )
        api.unlock(holder, **app.settings)
        app.output.unlocked(holder)
        return 0

    app.run(work)


def _accepted(app: App, yes: bool) -> tuple[str, ...]:
    """Show which revisions have files that differ, ask, and return their ids."""
    from budeval_migrations.execution.resume import repair_command

    status = api.status(**app.settings)
    differing = [line for line in status.revisions if line.differs]
    for line in status.revisions:
        if line.state is RevisionState.UNKNOWN and line.statement is not None:
            command = repair_command(line.revision, line.statement, "--applied")
            app.output.note(
                f"The outcome of statement {line.statement} of {line.revision} is not known. Say "
                f"what became of it: {command}; or --not-applied"
            )
    if differing and not yes:
        app.output.differing(differing)
        if not _asked("Record these files as they are now?"):
            raise ConfigError(
                f"Nothing was recorded: nobody confirmed {counted(len(differing), 'file')}.",
                hint="Name them (budeval-migrate repair --revision ID), or accept all: "
                "budeval-migrate repair --yes",
            )
    return tuple(line.revision for line in differing)


def _asked(question: str) -> bool:
    """Ask a person; nobody at a terminal means no."""
    return sys.stdin.isatty() and click.confirm(question, err=True)


@cli.command()
@click.pass_obj
def adopt(app: App) -> None:
    """Take over the records of an older tool, and apply nothing.

    Example: budeval-migrate adopt
    """
    app.run(lambda: _run(app, api.adopt))


for _command in (preview.plan, preview.drift, preview.verify, completion, lint, init, new, diff):
    cli.add_command(_command)
cli.add_command(report)
cli.add_command(schema)


def _run(app: App, work: Callable[..., Report]) -> int:
    try:
        try:
            report = work(on_event=app.output.event, **app.settings)
        finally:
            app.output.close_live_view()
    except MigrationError as error:
        if error.report is None or app.debug:
            raise
        app.output.failed(error.report, error)
        return error.exit_code
    app.output.report(report)
    return 0


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
