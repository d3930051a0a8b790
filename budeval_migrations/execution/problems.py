"""Say what stands in the way, and refuse where something does. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from budeval_migrations.counting import counted
from budeval_migrations.errors import ChecksumMismatch, LedgerError, MissingRevision
from budeval_migrations.execution.planner import Position, StatementsChecksum, checksum_state
from budeval_migrations.model import ChecksumState, Problem
from budeval_migrations.state.unfinished import UnfinishedRun


def find_problems(
    position: Position, statements_checksum: StatementsChecksum
) -> tuple[list[Problem], list[Problem]]:
    """Return what is refused and what is only told, from the ledger's side."""
    edited = [*_edited(position, statements_checksum)]
    problems = [problem for problem in edited if problem.kind == "checksum_mismatch"]
    warnings = [problem for problem in edited if problem.kind == "reformatted"]
    problems += [*_half_reverted(position), *_out_of_order(position), *_without_file(position)]
    warnings += [*_begun_without_file(position), *_odd(position)]
    return problems, warnings


def _edited(position: Position, statements_checksum: StatementsChecksum) -> Iterator[Problem]:
    for name, row in position.applied.items():
        found = checksum_state(row, position.files.get(name), statements_checksum)
        if found is ChecksumState.MISMATCH:
            when = f"{row.executed_at:%Y-%m-%d %H:%M} UTC" if row else "some time"
            yield Problem(
                name,
                "checksum_mismatch",
                f"{name} was applied on {when}, and its statements were changed afterwards.",
                "Restore the file, or accept it as it is now with: "
                f"budeval-migrate repair --revision {name}",
            )
        elif found is ChecksumState.REFORMATTED:
            yield Problem(
                name,
                "reformatted",
                f"{name} was edited after it was applied; its statements are the same.",
                f"Nothing has to be done; budeval-migrate repair --revision {name} "
                "records the new text.",
            )


def _half_reverted(position: Position) -> Iterator[Problem]:
    for run in position.half_reverted:
        yield Problem(
            run.revision,
            "half_reverted",
            f"A downgrade of {run.revision} was begun and not finished: {_done(run)}.",
            "Finish it, then upgrade: budeval-migrate down "
            f"{(position.parents(run.revision) or ('base',))[0]}",
        )


def _out_of_order(position: Position) -> Iterator[Problem]:
    for name, child in position.overtaken.items():
        below = position.graph[name].parents or ("base",)
        yield Problem(
            name,
            "out_of_order",
            f"{name} is not applied, and {child} is, which builds on it as its file is now.",
            f"Give {child} the down_revision that it had, and {name} one after all that is "
            "applied; or revert what is above it: "
            f"budeval-migrate down {below[0]}, then up.",
        )


def _without_file(position: Position) -> Iterator[Problem]:
    for name in position.missing:
        yield Problem(
            name,
            "missing_revision",
            f"{name} is applied, other revisions build on it, and it has no file.",
            "Restore the file from version control.",
        )
    for name in position.ahead:
        yield Problem(
            name,
            "ahead",
            f"{name} is applied and has no file: the file was deleted, or the database "
            "is newer than these files.",
            "Restore the file, or use the image that has it. To forget the record: "
            f"budeval-migrate repair --forget {name}",
        )


def _begun_without_file(position: Position) -> Iterator[Problem]:
    for run in position.half_applied:
        if run.revision not in position.graph:
            yield Problem(
                run.revision,
                "half_applied",
                f"{run.revision} was begun and not finished ({_done(run)}), and its file is gone.",
                "Restore the file and run the upgrade, or revert by hand what it did.",
            )


def _odd(position: Position) -> Iterator[Problem]:
    if not position.files:
        yield Problem(
            None,
            "no_revisions",
            "There is no revision file: versions/ is empty, or another directory is meant.",
            "budeval-migrate new writes one; `versions` names the directories.",
        )
    for sequence in position.state.conflicts:
        yield Problem(
            None,
            "conflict",
            f"Two runs appended ledger row {sequence} at the same time, without a lock.",
            "Check that both did the same; set lock = auto where the server allows it.",
        )


def unfinished(position: Position) -> list[Problem]:
    """Return what was begun and waits for the next run; where the file is gone it is a warning."""
    return [
        Problem(
            run.revision,
            "half_applied",
            f"{run.revision} was begun and not finished: {_done(run)}.",
            "budeval-migrate up goes on with it.",
        )
        for run in position.half_applied
        if run.revision in position.graph
    ]


def check_downgrade(position: Position, revisions: Iterable[str]) -> None:
    """Raise when a revision that is half applied builds on one that is to be reverted.

    What it did would be taken away below it, while its record says that it is there.

    Raises:
        LedgerError: Names the revision, and the ways out.

    """
    leaving = set(revisions)
    for run in position.half_applied:
        below = position.lineage(run.revision)
        if leaving if below is None else leaving & below:
            builds = "builds" if below is not None else "may build"
            raise _half_applied(position, run, f"{builds} on what would be reverted")


def check_nothing_to_take_back(position: Position) -> None:
    """Raise when there is something after all: what a failed upgrade has done.

    Nobody knows which part of a downgrade belongs to the part of an upgrade that took effect.

    Raises:
        LedgerError: Names the revision, and the ways out.

    """
    for run in position.half_applied:
        raise _half_applied(position, run, "only whole revisions are reverted")


def _half_applied(position: Position, run: UnfinishedRun, why: str) -> LedgerError:
    first = min(n for n, s in run.statements.items() if s.applied or s.doubtful)
    where = "" if run.revision in position.graph else " of the image that has its file"
    return LedgerError(
        f"{run.revision} is half applied ({_done(run)}), and {why}.",
        hint=f"Correct it and finish it with budeval-migrate up{where}; then it can be reverted. "
        "Or revert by hand what it did and say so: budeval-migrate repair "
        f"--revision {run.revision} --statement {first} --not-applied, and so for each "
        "statement.",
        revision=run.revision,
    )


def _done(run: UnfinishedRun) -> str:
    count = run.applied
    doubt = [str(s.last.position) for s in run.doubtful]
    unknown = f", the outcome of statement {', '.join(doubt)} is not known" if doubt else ""
    return f"{counted(count, 'statement')} took effect{unknown}"


_REFUSALS: dict[str, type[LedgerError]] = {
    "checksum_mismatch": ChecksumMismatch,
    "missing_revision": MissingRevision,
    "ahead": MissingRevision,
    "half_reverted": LedgerError,
    "out_of_order": LedgerError,
}
# What a command that mends or rewrites the records must live with.
RECORDS_ONLY = frozenset(_REFUSALS)
# What a downgrade must live with: it is how a downgrade is finished, and how an older image
# reverts what a newer one has applied.
ON_THE_WAY_DOWN = frozenset({"half_reverted", "ahead", "out_of_order"})


def refuse(
    position: Position,
    statements_checksum: StatementsChecksum,
    tolerate: frozenset[str] = frozenset(),
) -> list[str]:
    """Raise for the first problem that is not tolerated; return the others as sentences.

    Args:
        tolerate: Kinds of problem that are only told.

    Raises:
        LedgerError: ChecksumMismatch or MissingRevision.

    """
    problems, warnings = find_problems(position, statements_checksum)
    for problem in problems:
        if problem.kind not in tolerate:
            kind = _REFUSALS.get(problem.kind, LedgerError)
            raise kind(
                problem.message, hint=problem.hint, revision=problem.revision, kind=problem.kind
            )
    return [problem.message for problem in (*problems, *warnings)]
