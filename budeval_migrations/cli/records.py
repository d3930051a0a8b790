"""Commands that correct what is recorded: repair, adopt, unlock."""

from __future__ import annotations

import sys
from functools import partial

import click

from budeval_migrations.cli.app import App
from budeval_migrations.cli.completion import revision_ids
from budeval_migrations.counting import counted
from budeval_migrations.errors import ConfigError
from budeval_migrations.model import RevisionState
from budeval_migrations.services import api


@click.command()
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
            return app.report(lambda **kw: api.repair(names, forget=forget, **kw))
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
        return app.report(
            lambda **kw: api.repair_statement(revisions[0], statement, applied=applied, **kw),
        )

    app.run(work)


@click.command()
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


@click.command()
@click.option(
    "--from",
    "source",
    metavar="TOOL",
    default="",
    help="The tool, by the name of an installed adopter. Without it: budeval's first tool, and the "
    "table alembic_version of other ClickHouse dialects.",
)
@click.pass_obj
def adopt(app: App, source: str) -> None:
    """Take over the records of an older tool, and apply nothing.

    Example: budeval-migrate adopt
    """
    app.run(lambda: app.report(partial(api.adopt, source)))
