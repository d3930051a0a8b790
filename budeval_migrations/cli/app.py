"""How every command runs: its errors, its exit code, and where its words may stand."""

from __future__ import annotations

import difflib
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from budeval_migrations.cli.output import Interrupted, Output
from budeval_migrations.cli.screen import finish
from budeval_migrations.errors import MigrationError
from budeval_migrations.model import Report
from budeval_migrations.settings import load_settings


@dataclass
class App:
    """What the global options said."""

    output: Output
    settings: dict[str, Any]
    debug: bool

    def run(self, work: Callable[[], int]) -> NoReturn:
        """Run a command; every error becomes a sentence and an exit code."""
        try:
            code = work()
        except MigrationError as error:
            code = self.fail(error)
        except KeyboardInterrupt as stop:
            number = getattr(stop, "number", signal.SIGINT)
            code = self.fail(Interrupted(str(stop) or "Interrupted.", number))
        except Exception as error:
            code = self.fail(
                MigrationError(
                    f"Unexpected {type(error).__name__}.",
                    hint="Run again with --debug for the traceback, and report it.",
                )
            )
        self.output.end(code)
        lost = finish()
        if lost:
            self.output.note(f"Not all of the answer could be written: {lost}.", quiet=False)
        sys.exit(code)

    def report(self, work: Callable[..., Report]) -> int:
        """Show what a run did, also where it failed; return the exit code.

        Args:
            work: Gets ``on_event`` and the settings.

        """
        try:
            try:
                report = work(on_event=self.output.event, **self.settings)
            finally:
                self.output.close_live_view()
        except MigrationError as error:
            if error.report is None or self.debug:
                raise
            self.output.failed(error.report, error)
            return error.exit_code
        self.output.report(report)
        return 0

    def fail(self, error: MigrationError) -> int:
        """Show an error, with the traceback that led to it under ``--debug``."""
        if self.debug:
            self.output.traceback(traceback.format_exc(), self._redactor())
        self.output.error(error)
        return error.exit_code

    def _redactor(self) -> Callable[[str], str]:
        """Return what hides the password of the URL, as far as the settings can be read."""
        from budeval_migrations.clickhouse.url import parse_url, secrets_of
        from budeval_migrations.sql.redact import Redactor

        try:
            return Redactor(secrets_of(parse_url(load_settings(**self.settings))))
        except MigrationError:
            return Redactor(())


# What users of Alembic type.
_MEANT = {
    "upgrade": "up",
    "downgrade": "down",
    "current": "status",
    "heads": "status",
    "show": "status",
    "check": "validate",
    "migrate": "up",
    "stamp": "alembic stamp",
    "revision": "alembic revision",
}
_GLOBAL_FLAGS = ("--json", "--quiet", "--verbose", "--debug")
_GLOBAL_VALUES = ("--url", "--database", "--config")


class Commands(click.Group):
    """Takes global options on either side of the command; says which command was meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        return super().parse_args(ctx, _hoisted(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            alembic = _MEANT.get(args[0], "") if ctx.parent is None else ""
            meant = alembic or (near[0] if near else "")
            if meant and "Did you mean" not in error.message:
                message = f"{error.message} Did you mean {meant!r}?"
                raise click.UsageError(message, ctx) from error
            raise


def _hoisted(args: list[str]) -> list[str]:
    """Return the arguments with the global options first."""
    first: list[str] = []
    rest: list[str] = []
    todo = list(args)
    while todo:
        arg = todo.pop(0)
        if arg == "--":
            return [*first, *rest, arg, *todo]
        if arg in _GLOBAL_FLAGS or arg.startswith(tuple(f"{name}=" for name in _GLOBAL_VALUES)):
            first.append(arg)
        elif arg in _GLOBAL_VALUES:
            first.extend([arg, *todo[:1]])
            del todo[:1]
        else:
            rest.append(arg)
    return [*first, *rest]
