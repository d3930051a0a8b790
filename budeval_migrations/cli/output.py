"""Everything that is printed: tables for people, JSON for machines.

With ``--json`` one object goes to stdout and nothing else; progress, notices
and errors for people go to stderr. ``NO_COLOR`` and pipes are respected by rich.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from budeval_migrations import clock, events
from budeval_migrations.cli.json_schema import VERSION
from budeval_migrations.cli.progress import LiveView
from budeval_migrations.cli.rows import BY, HISTORY, STATEMENTS, STATUS, history_cells, status_cells
from budeval_migrations.cli.screen import Screen, takes, write
from budeval_migrations.cli.table import OutputColumn, table
from budeval_migrations.counting import counted
from budeval_migrations.errors import MigrationError, PendingRevisions
from budeval_migrations.interrupts import exit_code
from budeval_migrations.model import (
    HostDifference,
    LedgerRow,
    Report,
    RevisionState,
    RevisionStatus,
    Status,
    Validation,
)
from budeval_migrations.revisions.directory import shown_path
from budeval_migrations.visible import printable, visible_json

if TYPE_CHECKING:
    from budeval_migrations.scaffold.kinds import NewRevision
    from budeval_migrations.scaffold.project import NewProject
    from budeval_migrations.state.lock.lease import Holder

_HALFWAY = frozenset({RevisionState.FAILED, RevisionState.RUNNING, RevisionState.UNKNOWN})
_DONE = {
    "upgrade": "applied",
    "downgrade": "reverted",
    "repair": "repaired",
    "stamp": "stamped",
    "adopt": "adopted",
}


class Interrupted(MigrationError):
    """A signal ended the run; the shells' own code for it."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message, hint="See: budeval-migrate status")
        self.exit_code = exit_code(number)


class _Notes(logging.Handler):
    """Shows what the engine tells on its own, such as that a server does not answer."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.note(record.getMessage())


class Output:
    """Prints for a person or for a machine.

    Args:
        as_json: One JSON object on stdout; also an attribute.
        quiet: Errors only: the words of a command that succeeds are not printed; also an
            attribute.
        verbose: Every statement; also an attribute.

    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        self.as_json = as_json
        self._quiet = self.quiet = quiet
        self._verbose = self.verbose = verbose
        self._out = Screen()
        if quiet:
            self._out.begin_capture()
        self._err = Screen(stderr=True)
        self._waiting = False
        self._live = LiveView(self._err)
        logging.getLogger("budeval_migrations.engine").addHandler(_Notes(self))

    def event(self, event: events.Event) -> None:
        """Show progress as it happens, on stderr."""
        if isinstance(event, events.Interrupting) and event.signal:
            self.close_live_view()
            self.error(Interrupted(event.message, event.signal))
            return
        if self._quiet:
            return
        self._show_live(event)
        if isinstance(event, events.LockWaiting) and not self._waiting:
            self._waiting = True
            doing = f", at {escape(event.doing)}" if event.doing else ""
            since = clock.shown(datetime.fromisoformat(event.since))
            self._say(f"[cyan]waiting[/] for {escape(event.holder)}, since {since}{doing}")
        elif isinstance(event, events.Interrupting):
            self._say(f"[yellow]interrupted[/] {escape(event.message)}")
        elif isinstance(event, events.RunStarted):
            count = len(event.revisions)
            self._say(f"{event.operation}: {counted(count, 'revision')}")
        elif isinstance(event, events.RevisionStarted) and self._verbose:
            self._say(f"  [cyan]start[/] {escape(event.revision)}  {escape(event.doc)}")
        elif isinstance(event, events.StatementStarted) and self._verbose:
            of = f" of {event.total}" if event.total is not None else ""
            self._say(f"    [dim]{event.index}{of}[/]  {escape(event.sql)}")
        elif isinstance(event, events.StatementFinished) and self._verbose:
            of = f" of {event.total}" if event.total is not None else ""
            skipped = f"{event.index}{of}  {event.why}"
            self._say(f"    [dim]{skipped if event.skipped else f'{event.elapsed_ms} ms'}[/]")
        elif isinstance(event, events.RevisionFinished):
            word = _DONE.get(event.operation, event.operation)
            self._say(f"  [green]{word}[/] {escape(event.revision)}  {event.elapsed_ms} ms")

    def _show_live(self, event: events.Event) -> None:
        if isinstance(event, events.StatementStarted):
            self._live.started(event)
        elif isinstance(event, events.StatementFinished):
            self._live.ended((event.revision, event.index))
        elif isinstance(event, events.StatementWaiting):
            self._live.waiting(event)
        elif isinstance(event, events.BackfillProgress):
            self._live.backfill(event)
        elif isinstance(event, events.LockWaiting):
            self._live.lock(event)
        elif isinstance(event, events.LockAcquired):
            self._live.lock_taken()

    def close_live_view(self) -> None:
        """Leave the terminal as it was, before an answer is printed; idempotent."""
        self._live.close()

    def report(self, report: Report) -> None:
        """Show what a run did."""
        if self.as_json:
            self.answer("run", report.as_dict())
            return
        for notice in report.notices:
            self.note(notice)
        if report.operation == "reset":
            return
        word = _DONE.get(report.operation, report.operation)
        head = ", ".join(report.current) or "base"
        if report.operation == "repair" and not report.applied and report.run_id:
            line = f"at {head}"
        elif report.applied:
            line = f"{len(report.applied)} {word} in {report.elapsed_ms} ms; now at {head}"
        else:
            line = f"nothing to do; at {head}"
        if report.pending and report.operation != "downgrade":
            line += f"; {len(report.pending)} pending"
        self._out.print(f"{escape(report.database)}: {escape(line)}")

    def failed(self, report: Report, error: MigrationError) -> None:
        """Show how far a run came, and what stopped it."""
        if self.as_json:
            told = error.as_dict()
            general = {key: told[key] for key in ("error", "message", "hint", "exit_code")}
            self.answer("run", {**report.as_dict(), **general})
        if report.applied and not self._quiet:
            word = _DONE.get(report.operation, report.operation)
            self._say(f"{len(report.applied)} {word} before the failure")
        self._person_error(error)

    def traceback(self, text: str, redact: Callable[[str], str]) -> None:
        """Show a traceback; its source lines and messages may hold secrets."""
        self._err.print(escape(redact(text)))

    def error(self, error: MigrationError) -> None:
        """Show an error: the object on stdout for machines, the sentence on stderr."""
        if self.as_json:
            self.answer("error", error.as_dict())
        self._person_error(error)

    def status(self, status: Status) -> None:
        """Show where every revision stands."""
        if self.as_json:
            self.answer("status", status.as_dict())
            return
        halfway = any(line.state in _HALFWAY for line in status.revisions)
        columns = (*STATUS, STATEMENTS._replace(spare=0) if halfway else STATEMENTS)
        self._table(columns, [status_cells(line) for line in status.revisions])
        for line in status.revisions:
            if line.holder:
                at = f" statement {line.statement}" if line.statement else ""
                self._out.print(
                    f"[cyan]{escape(line.revision)}[/]{at}: {escape(line.holder)}, "
                    f"since {line.since:%H:%M:%S} UTC"
                )
            elif line.state is RevisionState.UNKNOWN:
                self._out.print(
                    f"[red]{escape(line.revision)}[/]: statement {line.statement} may have taken "
                    "effect, or may yet; the next run finds out, or asks"
                )
            elif line.state is RevisionState.FAILED and not line.error:
                done = counted(line.statements_applied or 0, "statement")
                self._out.print(
                    f"[red]{escape(line.revision)}[/]: not finished; {done} took effect, and the "
                    "next up sends the others"
                )
            if line.error:
                self._out.print(f"[red]{escape(line.revision)}[/]: {escape(line.error)}")
        for notice in status.notices:
            self._out.print(f"[yellow]note[/] {escape(notice)}")
        current = ", ".join(status.current) or "base"
        where = "at head" if status.at_head else f"{len(status.pending)} pending"
        server = f"ClickHouse {status.server_version}" if status.server_version else "not there yet"
        if status.topology:
            server += f", {status.topology}"
        self._out.print(f"{escape(status.database)} ({server}): {escape(current)}, {where}")

    def differing(self, lines: Sequence[RevisionStatus]) -> None:
        """Show the revisions whose files are not those that were recorded, on stderr."""
        for line in lines:
            self._say(f"{escape(line.revision)}  {line.checksum.value}")

    def say_written(self, file: str) -> None:
        """Say where a file was written."""
        self._out.print(escape(shown_path(file)), soft_wrap=True)

    def new_project(self, found: NewProject) -> None:
        """Show the files that were written, and what to do next."""
        if self.as_json:
            self.answer("project", found.as_dict())
            return
        for name in found.files:
            self._out.print(escape(shown_path(os.path.join(found.directory, name))), soft_wrap=True)
        if not found.files:
            self._out.print("everything is there already")
        for notice in found.notices:
            self.note(notice)
        here = os.path.samefile(found.directory, os.curdir)
        there = "" if here else f"cd {shlex.quote(found.directory)} && "
        self.note(f"Now: {there}alembic upgrade head")

    def new_revision(self, found: NewRevision) -> None:
        """Show the file that was written; of a dry run, its text."""
        if self.as_json:
            self.answer("revision", found.as_dict())
            return
        if not found.written:
            write(found.text)
        for notice in found.notices:
            self.note(notice)
        if found.written:
            self._out.print(escape(shown_path(found.file)), soft_wrap=True)

    def hosts(self, found: Sequence[HostDifference]) -> None:
        """Show where the hosts of a cluster differ, with what brings them in sync."""
        if self.as_json:
            self.answer("hosts", {"differences": [each.as_dict() for each in found]})
            return
        if not found:
            self._out.print("The hosts are in sync.")
        for difference in found:
            self._out.print(escape(str(difference)))
            for statement in difference.statements:
                self._out.print(f"  {escape(statement)};", soft_wrap=True)

    def holder(self, holder: Holder | None) -> None:
        """Show who holds the lock."""
        if self.as_json:
            if holder is None:
                self.answer("lock", {"unlocked": False, "holder": None})
            return
        if holder is None:
            self._out.print("nobody holds the lock")
            return
        doing = f", at {holder.doing}" if holder.doing else ""
        self._say(
            f"held by {escape(holder.name)} since {clock.shown(holder.since)}"
            f"{escape(doing)} (generation {holder.generation})"
        )

    def unlocked(self, holder: Holder) -> None:
        """Say that the lock is free."""
        if self.as_json:
            told = {"unlocked": True, "holder": holder.name, "generation": holder.generation}
            self.answer("lock", told)
        else:
            self._out.print(f"the lock was taken from {escape(holder.name)}")

    def validation(self, found: Validation) -> None:
        """Show problems and warnings."""
        if self.as_json:
            self.answer("validation", found.as_dict())
            return
        for style, problems in (("red", found.problems), ("yellow", found.warnings)):
            for problem in problems:
                self._out.print(f"[{style}]{problem.kind}[/] {escape(problem.message)}")
                if problem.hint:
                    self._out.print(f"  hint: {escape(problem.hint)}")
        if found.ok:
            told = f", with {counted(len(found.warnings), 'note')}" if found.warnings else ""
            self._out.print(f"files and ledger are in order{told}")
        else:
            count = len(found.problems)
            self._out.print(counted(count, "problem"))

    def history(self, rows: Sequence[LedgerRow]) -> None:
        """Show every attempt."""
        if self.as_json:
            self.answer("history", {"attempts": [row.as_dict() for row in rows]})
            return
        if not rows:
            self._out.print("the ledger is empty")
            return
        cells = [history_cells(row) for row in rows]
        if self._verbose:
            cells = [(*shown, row.by or "-") for shown, row in zip(cells, rows, strict=True)]
        self._table((*HISTORY, BY) if self._verbose else HISTORY, cells)

    def _table(self, columns: Sequence[OutputColumn], rows: Sequence[Sequence[str]]) -> None:
        shown = [[printable(cell) for cell in row] for row in rows]
        found = table(columns, shown, self._out.width)
        self._out.print(found.text, end="", soft_wrap=True)
        if found.left_out:
            self.note(f"columns hidden (terminal too narrow): {', '.join(found.left_out)}")

    def _person_error(self, error: MigrationError) -> None:
        # The terminal wraps it: what is to be typed next is copied as one line.
        self._err.print(f"[bold red]FAILED[/] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            self._err.print(f"  hint: {escape(error.hint)}", soft_wrap=True)

    def _say(self, markup: str) -> None:
        self._err.print(markup)

    def print(self, markup: str) -> None:
        """Show lines of an answer, whole, on stdout."""
        self._out.print(markup, soft_wrap=True)

    @contextmanager
    def captured(self) -> Iterator[Callable[[], str]]:
        """Keep the lines of an answer, without colours, in place of printing them."""
        kept, self._out = self._out, Screen(no_color=True, wide=True)
        try:
            with self._out.capture() as capture:
                yield capture.get
        finally:
            self._out = kept

    def end(self, code: int) -> None:
        """Print, under ``--quiet``, what a command had to say that found something wrong."""
        if self._quiet:
            held = self._out.end_capture()
            if code not in (0, PendingRevisions.exit_code):
                write(held)

    def note(self, sentence: str, *, quiet: bool | None = None) -> None:
        """Tell what a person should read besides, on stderr.

        Args:
            quiet: Tell nothing; by default as ``--quiet`` says.

        """
        if self._quiet if quiet is None else quiet:
            return
        self._say(f"[yellow]note[/] {escape(sentence)}")

    def answer(self, schema: str, value: dict[str, Any]) -> None:
        """Write the one JSON object of an answer to stdout.

        Args:
            schema: The name of the file in ``schemas/`` that says what it looks like.

        """
        self.dump({"schema": f"{schema}/{VERSION}", **value})

    def dump(self, value: dict[str, Any]) -> None:
        """Write a JSON object to stdout."""
        text = visible_json(json.dumps(value, ensure_ascii=False, indent=2))
        write((text if takes(text) else json.dumps(value, indent=2)) + "\n")
