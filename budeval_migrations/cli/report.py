"""The command that writes a page about a database."""

from __future__ import annotations

import click

from budeval_migrations.cli.app import App
from budeval_migrations.cli.screen import write
from budeval_migrations.errors import ConfigError
from budeval_migrations.files import write_file
from budeval_migrations.services import api


@click.command()
@click.option("--html", "file", metavar="FILE", help="Where to write the page; - for stdout.")
@click.option("--drift", is_flag=True, help="Compare the live schema with the revisions, too.")
@click.pass_obj
def report(app: App, file: str | None, drift: bool) -> None:
    """Write a page on revisions, hosts, runs and failures. Changes nothing in the database.

    \b
    The page is one file that loads nothing and runs no script; --json has the same content.
    Example: budeval-migrate report --html report.html --drift
    """

    def work() -> int:
        if file is None and not app.output.as_json:
            raise ConfigError(
                "report needs --html FILE or --json.",
                hint="budeval-migrate report --html report.html",
            )
        if file == "-" and app.output.as_json:
            raise ConfigError("--html - and --json both want stdout; give --html a file.")
        found = api.overview(drift=drift, **app.settings)
        if file is not None:
            from budeval_migrations.page.render import render

            page = render(found)
            if file == "-":
                write(page)
                return 0
            write_file(file, page)
        if app.output.as_json:
            app.output.answer("report", found.as_dict())
        elif file is not None and not app.output.quiet:
            app.output.say_written(file)
        return 0

    app.run(work)
