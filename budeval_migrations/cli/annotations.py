"""What makes a command fail, as GitHub's annotations: at its line of a pull request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import click

from budeval_migrations.cli.app import App
from budeval_migrations.cli.forecast import difference_lines, told_of
from budeval_migrations.errors import ConfigError, MigrationError
from budeval_migrations.linter import formats
from budeval_migrations.model import Failure
from budeval_migrations.model.findings import Finding, Severity
from budeval_migrations.model.previews import Difference, Plan, Verification, Verified
from budeval_migrations.revisions.directory import read_files, shown_path
from budeval_migrations.settings import load_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(*forms: str) -> Callable[[Command], Command]:
    """Return the option ``--format``; the first form is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        show_default=forms[0],
        help="How to print it.",
    )


def chosen(app: App, form: str | None) -> str:
    """Return the form that the words of a command ask for.

    Raises:
        ConfigError: ``--json`` and another form.

    """
    if app.output.as_json and form not in (None, "json"):
        raise ConfigError(
            f"--json and --format {form} cannot both be.", hint="Leave one of the two out."
        )
    return "json" if app.output.as_json else form or "text"


class Annotations:
    """Prints annotations; paths are seen from the root of what GitHub checked out."""

    def __init__(self, app: App) -> None:
        self._app = app

    @contextmanager
    def of_errors(self) -> Iterator[None]:
        """Annotate an error that leaves the body."""
        try:
            yield
        except MigrationError as error:
            known = error.details
            self._print(
                f"{error.message}\n{error.hint}".strip(),
                type(error).__name__,
                known.get("file") or self._file(known.get("revision")),
                known.get("line"),
            )
            raise

    def of_findings(self, findings: Iterable[Finding]) -> None:
        """Annotate what lint found."""
        placed = [replace(each, file=_from_root(each.file)) for each in findings]
        for line in formats.github(placed):
            click.echo(line)

    def of_plan(self, plan: Plan) -> None:
        """Annotate what a rehearsal found; what lint finds is lint's to tell."""
        tried = plan.rehearsal
        if tried is None:
            return
        if tried.failed is not None:
            self._failure("the upgrade would fail", tried.failed)
        if tried.back_error is not None:
            self._failure("the downgrade would fail", tried.back_error)
        elif tried.back:
            self._left_behind(tried.back_at, tried.back)

    def of_verification(self, found: Verification) -> None:
        """Annotate which revisions are not in order."""
        for revision in found.revisions:
            if not revision.ok:
                self._verified(revision)
        if len(found.heads) > 1:
            self._print(f"Several heads: {', '.join(found.heads)}", "several heads", None, None)
        self.of_findings(each for each in found.findings if each.severity is Severity.ERROR)

    def _verified(self, revision: Verified) -> None:
        if revision.failed is not None:
            way = "downgrade" if revision.direction == "down" else "upgrade"
            self._failure(f"the {way} fails", revision.failed)
        rest = replace(revision, failed=None)
        if not rest.ok:
            lines = [line.strip() for line in told_of(rest).splitlines()[1:]]
            self._print("\n".join(lines), "not in order", self._file(revision.revision), None)

    def _left_behind(self, revision: str, differences: Sequence[Difference]) -> None:
        title = "the downgrade does not bring the schema back"
        lines = difference_lines(differences, "before", "after up and down")
        self._print("\n".join(lines), title, self._file(revision), None)

    def _failure(self, title: str, failure: Failure) -> None:
        text = f"ClickHouse {failure.code}: {failure.error}\n{failure.hint}".strip()
        self._print(text, title, failure.file or self._file(failure.revision), failure.line)

    def _file(self, revision: str | None) -> str | None:
        """Return where a revision's file is; None where there is none."""
        try:
            found = read_files(load_settings(**self._app.settings)) if revision else {}
        except MigrationError:
            return None
        return shown_path(str(found[revision].path)) if revision in found else None

    def _print(self, text: str, title: str, file: str | None, line: int | None) -> None:
        place = _from_root(file)
        click.echo(formats.annotation("error", text, title=title, file=place, line=line))


def _from_root(file: str | None) -> str | None:
    """Return a path as GitHub wants it, wherever in the repository a step stands."""
    root = os.environ.get("GITHUB_WORKSPACE")
    if not root or not file:
        return file
    below = os.path.relpath(os.path.realpath(file), os.path.realpath(root))
    return file if below.startswith("..") else below
