"""``budeval-migrate diff``: the revision that leads to a target schema."""

from __future__ import annotations

import click

from budeval_migrations.cli.app import App
from budeval_migrations.cli.completion import revision_ids
from budeval_migrations.services import scaffold


@click.command()
@click.option("--to", default="", metavar="WANTED", help="schema.sql, or module:metadata.")
@click.option("-m", "--message", default="", help="First line of its docstring; ends its name.")
@click.option("--name", default="", help="The end of its name, or all of it.")
@click.option(
    "--head",
    default="",
    metavar="ID",
    shell_complete=revision_ids,
    help="Stand on this one of several heads.",
)
@click.option("--destructive", default="", metavar="REASON", help="Why data may be lost.")
@click.option("--dry-run", is_flag=True, help="Print the file instead of writing it.")
@click.pass_obj
def diff(
    app: App, to: str, message: str, name: str, head: str, destructive: str, dry_run: bool
) -> None:
    """Write the revision that leads from the revisions to a target schema.

    \b
    Both are built on an embedded server, which also tests upgrade and downgrade. No other
    server is asked. Without --to, the setting schema names the target schema.
    Example: budeval-migrate diff --to schema.sql --message "add status"
    """

    def work() -> int:
        found = scaffold.diff(
            to,
            message=message,
            name=name,
            head=head,
            destructive=destructive,
            dry_run=dry_run,
            **app.settings,
        )
        if found is not None:
            app.output.new_revision(found)
        elif app.output.as_json:
            app.output.answer("revision", {"revision": None})
        else:
            app.output.print("The revisions yield the target schema.")
        return 0

    app.run(work)
