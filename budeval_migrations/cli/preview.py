"""The commands that look ahead: plan, drift, verify. None of them changes anything."""

from __future__ import annotations

from contextlib import nullcontext

import click

from budeval_migrations.cli.annotations import Annotations, chosen, format_option
from budeval_migrations.cli.app import App
from budeval_migrations.cli.completion import revision_ids
from budeval_migrations.cli.forecast import Forecast
from budeval_migrations.errors import ConfigError, DriftDetected, RevisionError, StatementFailed
from budeval_migrations.services import preview


@click.command()
@click.argument("revision", default="heads", shell_complete=revision_ids)
@click.option(
    "--rehearse", is_flag=True, help="Run the downgrades there too; exit 6 or 7 if it fails."
)
@click.option(
    "--sample", type=int, default=0, metavar="N", help="Try it with N rows of each table."
)
@click.option("--quick", is_flag=True, help="Do not try it: no embedded server is started.")
@click.option("--sql", is_flag=True, help="Only the statements, as a script.")
@format_option("text", "github")
@click.pass_obj
def plan(
    app: App,
    revision: str,
    rehearse: bool,
    sample: int,
    quick: bool,
    sql: bool,
    form: str | None,
) -> None:
    """Show what up would do, statement by statement. Writes nothing.

    \b
    On a cluster the statements are as its hosts would get them. An embedded server with
    the live schema runs them, and what they change is shown. --format github goes with
    --rehearse: it prints what fails as annotations of a pull request.
    Example: budeval-migrate plan --rehearse --sample 1000
    """

    def work() -> int:
        if quick and (rehearse or sample):
            raise ConfigError(
                "--quick tries nothing; it goes with neither --rehearse nor --sample."
            )
        if sql and (rehearse or app.output.as_json):
            raise ConfigError("--sql prints the statements only; give it alone.")
        github = chosen(app, form) == "github"
        if github and not rehearse:
            raise ConfigError(
                "--format github tells what makes a rehearsal fail.", hint="Add --rehearse."
            )
        annotations = Annotations(app)
        with annotations.of_errors() if github else nullcontext():
            found = preview.plan(
                revision, stage=not (quick or sql), rehearse=rehearse, sample=sample, **app.settings
            )
        if github:
            annotations.of_plan(found)
        else:
            Forecast(app.output).plan(found, script=sql)
        tried = found.rehearsal
        if not rehearse or tried is None or tried.ok:
            return 0
        failed = tried.failed or tried.back_error
        return StatementFailed.exit_code if failed else DriftDetected.exit_code

    app.run(work)


@click.command()
@click.pass_obj
def drift(app: App) -> None:
    """Compare the live schema with what the applied revisions yield. Writes nothing.

    \b
    The revisions are replayed on an embedded server. Exit 7 when there is a difference.
    Example: budeval-migrate drift --json
    """

    def work() -> int:
        found = preview.drift(**app.settings)
        Forecast(app.output).drift(found)
        return 0 if found.ok else DriftDetected.exit_code

    app.run(work)


@click.command()
@format_option("text", "github")
@click.pass_obj
def verify(app: App, form: str | None) -> None:
    """Take every revision up, down and up again on an empty embedded server.

    \b
    Looks at the files alone, and asks no other server. Exit 3 when one is not in order;
    --format github says why at the lines of a pull request.
    Example: budeval-migrate verify
    """

    def work() -> int:
        github = chosen(app, form) == "github"
        annotations = Annotations(app)
        with annotations.of_errors() if github else nullcontext():
            found = preview.verify(**app.settings)
        if github:
            annotations.of_verification(found)
        else:
            Forecast(app.output).verification(found)
        return 0 if found.ok else RevisionError.exit_code

    app.run(work)
