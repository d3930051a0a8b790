"""Completion of the command line in a shell, with the ids of revisions. Asks no server."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from budeval_migrations.errors import MigrationError
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.settings import load_settings

_PROGRAM = "budeval-migrate"
_SHELLS = ("bash", "zsh", "fish")


def revision_ids(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids that begin so; none where the files cannot be read."""
    options = ctx.find_root().params
    given = {name: options.get(name) for name in ("url", "database", "config")}
    try:
        found = read_files(load_settings(**given))
    except MigrationError:
        return []
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell completion script for commands, options and revision ids.

    \b
    In ~/.bashrc, in ~/.zshrc, or once for fish; no server is asked:
        eval "$(budeval-migrate completion bash)"
        eval "$(budeval-migrate completion zsh)"
        budeval-migrate completion fish > ~/.config/fish/completions/budeval-migrate.fish
    Example: eval "$(budeval-migrate completion bash)"
    """
    made = get_completion_class(shell)
    root = ctx.find_root().command
    assert made is not None, shell
    variable = f"_{_PROGRAM}_COMPLETE".replace("-", "_").upper()
    click.echo(made(root, {}, _PROGRAM, variable).source())
