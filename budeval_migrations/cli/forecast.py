"""What the commands that look ahead print."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent

from rich.markup import escape

from budeval_migrations.cli.output import Output
from budeval_migrations.cli.screen import write
from budeval_migrations.counting import counted
from budeval_migrations.model import Failure
from budeval_migrations.model.findings import Finding
from budeval_migrations.model.previews import (
    Difference,
    Drift,
    Plan,
    PlannedRevision,
    Rehearsal,
    Touched,
    Verification,
    Verified,
)
from budeval_migrations.sql.script import printable_sql, terminated
from budeval_migrations.visible import visible


class Forecast:
    """Prints plans, rehearsals and drift where an output prints."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def plan(self, plan: Plan, *, script: bool = False) -> None:
        """Show what would be done.

        Args:
            script: Only the statements, each with its semicolon.

        """
        if script:
            for notice in plan.notices:
                write(visible(f"-- note: {' '.join(notice.split())}\n"))
            for revision in plan.revisions:
                self._script(revision)
            return
        if self._output.as_json:
            self._output.answer("plan", plan.as_dict())
            return
        for notice in plan.notices:
            self._output.note(notice)
        for revision in plan.revisions:
            self._revision(revision)
        self._findings(plan.findings)
        if plan.rehearsal is not None:
            self._rehearsal(plan.rehearsal)
        count = len(plan.revisions)
        where = f" on {plan.topology}" if plan.topology else ""
        planned = f"{counted(count, 'revision')} to apply" if count else "nothing to do"
        self._print(f"{escape(plan.database)}: {planned}{escape(where)}")

    def drift(self, drift: Drift) -> None:
        """Show where the live schema is not what the revisions yield."""
        if self._output.as_json:
            self._output.answer("drift", drift.as_dict())
            return
        for note in drift.notes:
            self._output.note(note)
        self.differences(drift.differences, "expected", "found")
        count = len(drift.differences)
        said = counted(count, "difference") if count else "no drift"
        known = len(drift.revisions)
        of = f"{known} revisions yield" if known != 1 else "1 revision yields"
        self._print(f"{escape(drift.database)}: {said} from what {of}")

    def verification(self, found: Verification) -> None:
        """Show how every revision went up, down and up again."""
        if self._output.as_json:
            self._output.answer("verification", found.as_dict())
            return
        for note in found.notes:
            self._output.note(note)
        for revision in found.revisions:
            self.verified(revision)
        for name in found.untried:
            self._print(f"[yellow]not tried[/] {escape(name)}")
        if len(found.heads) > 1:
            self._print(f"[bold red]several heads[/]: {escape(', '.join(found.heads))}")
        for finding in found.findings:
            self._print(
                f"[red]{finding.rule}[/] {escape(f'{finding.revision}: {finding.message}')}"
            )
        good = sum(revision.ok for revision in found.revisions)
        total = len(found.revisions) + len(found.untried)
        self._print(f"{good} of {total} revisions verified on ClickHouse {found.engine}, embedded")

    def verified(self, revision: Verified) -> None:
        """Show how one revision went."""
        if revision.ok:
            how = "up (no downgrade)" if revision.no_way_back else "up, down, up"
            self._print(f"[green]ok[/]        {escape(revision.revision)}  {how}")
            return
        self._print(f"[bold red]not ok[/]    {escape(revision.revision)}")
        if revision.back:
            self._print("  the downgrade does not bring the schema back")
            self.differences(revision.back, "before", "after up and down")
        if revision.failed is not None:
            # Only the second upgrade comes after what the downgrade has left.
            up = "the second upgrade" if revision.back else "the upgrade"
            way = "the downgrade" if revision.direction == "down" else up
            self._failure(f"{way} fails at", revision.failed)
        if revision.unstable:
            self._print("  compiled twice, it says two things: a clock, a random number, a set?")
        if revision.again:
            self._print("  the second upgrade does not do what the first one did")
            self.differences(revision.again, "first", "second")

    def _script(self, revision: PlannedRevision) -> None:
        lines = [f"-- {revision.revision}  {revision.doc}"]
        if revision.dynamic:
            lines.append("-- It reads the database while it runs: its statements are not known.")
        head = visible("\n".join(lines))
        write(
            "\n".join((head, *(terminated(printable_sql(s.sql)) for s in revision.statements)))
            + "\n"
        )

    def _revision(self, revision: PlannedRevision) -> None:
        self._print(f"[cyan]{escape(revision.revision)}[/]  {escape(revision.doc)}")
        if revision.dynamic:
            self._print("  (it reads the database while it runs: known only then)")
        for statement in revision.statements:
            place = f"{statement.file}:{statement.line}  " if statement.file else ""
            one = "  sent to one host" if statement.everywhere is False else ""
            touched = "".join(f", {_size(table)}" for table in statement.touched)
            cost = f"{statement.cost.value}{escape(touched)}"
            self._print(f"  [dim]{statement.position}  {escape(place)}{cost}{one}[/]")
            self._print(escape(_indented(_flush_left(statement.sql))))

    def _findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            line = f":{finding.line}" if finding.line else ""
            place = escape(f"{finding.file or finding.revision}{line}")
            said = escape(f"{finding.message}. {finding.fix}")
            self._print(f"[yellow]{finding.rule} {finding.severity.value}[/] {place}: {said}")

    def _rehearsal(self, tried: Rehearsal) -> None:
        engine = f"ClickHouse {tried.engine}, embedded"
        server = f" (the server is {tried.server})" if tried.server != tried.engine else ""
        self._print(f"[cyan]rehearsed[/] on {engine}{server}, in {tried.elapsed_ms / 1000:.1f} s")
        for note in tried.notes:
            self._print(f"  [yellow]note[/] {escape(note)}")
        if tried.failed is not None:
            self._failure("would fail at", tried.failed)
        self.differences(tried.changes, "before", "after")
        if tried.back_error is not None:
            self._failure("the downgrade would fail at", tried.back_error)
        elif tried.back:
            at = escape(tried.back_at)
            self._print(f"  [bold red]the downgrade of {at} does not bring the schema back[/]")
            self.differences(tried.back, "before", "after up and down")
        elif tried.back_failed:
            self._print(f"  [yellow]there is no way back[/]: {escape(tried.back_failed)}")
        elif tried.taken_back:
            self._print("  [green]the downgrade brings the schema back[/]")

    def _failure(self, words: str, failure: Failure) -> None:
        of = f" of {failure.statements_total}" if failure.statements_total is not None else ""
        place = f"  ({failure.file}:{failure.line})" if failure.file else ""
        at = f"{failure.revision}  statement {failure.statement}{of}{place}"
        self._print(f"  [bold red]{words}[/] {escape(at)}")
        self._print(f"    ClickHouse {failure.code}: {escape(failure.error)}")

    def differences(self, found: Sequence[Difference], before: str, after: str) -> None:
        """Show differences, with what to call the two sides."""
        width = max(len(before), len(after))
        for difference in found:
            part = f" {difference.part}" if difference.part else ""
            head = escape(f"{difference.kind} {difference.name}{part}")
            if difference.before is None:
                self._print(f"  [green]+[/] {head}{_short(difference.after, difference.part)}")
            elif difference.after is None:
                self._print(f"  [red]-[/] {head}{_short(difference.before, difference.part)}")
            else:
                self._print(f"  [yellow]~[/] {head}")
                self._print(f"      {before:{width}}  {_line(difference.before)}")
                self._print(f"      {after:{width}}  {_line(difference.after)}")

    def _print(self, line: str) -> None:
        self._output.print(line)


def told_of(revision: Verified) -> str:
    """Return what there is to say of one revision, as plain text."""
    output = Output(as_json=False, quiet=False, verbose=False)
    with output.captured() as told:
        Forecast(output).verified(revision)
    return told()


def difference_lines(differences: Sequence[Difference], before: str, after: str) -> list[str]:
    """Return what there is to say of differences, as plain text."""
    output = Output(as_json=False, quiet=False, verbose=False)
    with output.captured() as told:
        Forecast(output).differences(differences, before, after)
    return [line.strip() for line in told().splitlines()]


def _short(text: str | None, part: str) -> str:
    """Show a part's text; that of a whole table says no more than its name."""
    return f"  {_line(text)}" if part and text else ""


def _line(text: str | None) -> str:
    return escape(" ".join((text or "").split()))


def _indented(sql: str) -> str:
    """Indent the lines of a statement; no other character ends one."""
    return "\n".join(f"    {line}" if line.strip() else line for line in sql.split("\n"))


def _flush_left(sql: str) -> str:
    """A statement without the indentation that it has in its file, behind its first line."""
    first, newline, rest = sql.partition("\n")
    return first + newline + dedent(rest).rstrip()


def _size(table: Touched) -> str:
    parts = counted(table.parts, "part")
    return f"{table.table}: {counted(table.rows, 'row')}, {_bytes(table.bytes)} in {parts}"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
