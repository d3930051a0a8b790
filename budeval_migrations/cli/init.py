"""``budeval-migrate init``: a project of one's own."""

from __future__ import annotations

import click

from budeval_migrations.cli.app import App
from budeval_migrations.services import scaffold


@click.command("init")
@click.argument("directory", metavar="DIR")
@click.option("--env-prefix", metavar="PREFIX", help="What environment variables begin with.")
@click.pass_obj
def init(app: App, directory: str, env_prefix: str | None) -> None:
    """Write a working project: settings, a first revision, a test, a CI job.

    The database is that of --database, or is named as DIR is. A file that is there
    already is never written over.

    Example: budeval-migrate init shop && cd shop && alembic upgrade head
    """

    def work() -> int:
        database = app.settings["database"] or ""
        app.output.new_project(scaffold.init(directory, database, env_prefix or ""))
        return 0

    app.run(work)
