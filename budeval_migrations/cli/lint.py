"""``budeval-migrate lint``."""

from __future__ import annotations

from contextlib import nullcontext

import click
from rich.markup import escape

from budeval_migrations.cli.annotations import Annotations, chosen, format_option
from budeval_migrations.cli.app import App
from budeval_migrations.cli.output import Output
from budeval_migrations.errors import ConfigError, RevisionError
from budeval_migrations.linter import formats
from budeval_migrations.linter.registry import rules
from budeval_migrations.model.findings import Finding, LintReport, Severity
from budeval_migrations.services import preview

_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@format_option("text", "json", "github", "sarif")
@click.option("--select", multiple=True, metavar="CODES", help="Only these rules: BM001,BM002.")
@click.option("--ignore", multiple=True, metavar="CODES", help="All but these rules.")
@click.option("--list", "show_rules", is_flag=True, help="Show the rules, and look at no file.")
@click.pass_obj
def lint(
    app: App,
    files: tuple[str, ...],
    form: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    show_rules: bool,
) -> None:
    """Check revision files for risky statements, without a server.

    FILES are the revisions to report (default: all); the others are read as well, to know
    the tables. Exit 3 when there is an error among the findings.

    \b
    A comment allows a finding, with a reason, on the statement or above it:
        -- lint: allow BM004: because the table is small
    Example: budeval-migrate lint versions/003_add_status.py --ignore BM012
    """

    def work() -> int:
        shown = chosen(app, form)
        if show_rules:
            if files or shown in ("github", "sarif"):
                raise ConfigError(
                    "--list shows the rules, as text or JSON, and looks at no file.",
                    hint="budeval-migrate lint --list",
                )
            _print_rules(shown, app.output)
            return 0
        annotations = Annotations(app)
        with annotations.of_errors() if shown == "github" else nullcontext():
            report = preview.lint(files, select=select, ignore=ignore, **app.settings)
        if shown == "github":
            annotations.of_findings(report.findings)
        else:
            _print(report, shown, app.output)
        return 0 if report.ok else RevisionError.exit_code

    app.run(work)


def _print(report: LintReport, form: str, output: Output) -> None:
    if form == "json":
        output.answer("lint", report.as_dict())
    elif form == "sarif":
        output.dump(formats.sarif(report))
    else:
        _print_text(report, output)


def _print_text(report: LintReport, output: Output) -> None:
    say = output.print
    for finding in report.findings:
        if output.quiet and finding.severity is not Severity.ERROR:
            continue
        say(_head(finding))
        say(f"  {escape(finding.message)}\n  fix: {escape(finding.fix)}")
    for waived in report.waived if output.verbose else ():
        say(_head(waived.finding, " (waived)"))
        say(f"  {escape(waived.finding.message)}\n  reason: {escape(waived.reason)}")
    for revision in report.dynamic:
        say(
            f"[yellow]note[/] {escape(revision)} reads the database while it runs, so that not all "
            "of its statements could be looked at"
        )
    say(_summary(report))


def _head(finding: Finding, mark: str = "") -> str:
    line = f":{finding.line}" if finding.line else ""
    style, name = _STYLE[finding.severity], rules()[finding.rule].name
    place = escape(f"{finding.file or finding.revision}{line}")
    return f"{place}: [{style}]{finding.severity.value}{mark}[/] {finding.rule} {name}"


def _summary(report: LintReport) -> str:
    counts = [
        _counted(report.count(severity), severity.value)
        for severity in Severity
        if report.count(severity)
    ]
    counts += [f"{len(report.waived)} waived"] if report.waived else []
    looked_at = _counted(len(report.revisions), "revision")
    return f"{looked_at}: {', '.join(counts) or 'nothing found'}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 and word != 'info' else ''}"


def _print_rules(form: str, output: Output) -> None:
    if form == "json":
        listed = [
            {
                "code": rule.code,
                "name": rule.name,
                "severity": rule.severity.value,
                "why": rule.why,
                "fix": rule.fix,
            }
            for rule in rules().values()
        ]
        output.answer("rules", {"rules": listed})
        return
    for rule in rules().values():
        click.echo(f"{rule.code}  {rule.severity.value:<7}  {rule.name:<24}{rule.why}")
