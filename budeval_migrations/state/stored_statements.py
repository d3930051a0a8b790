"""The statements that the ledger keeps of a revision, to be run where its file is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import LedgerError, MissingRevision, RevisionError
from budeval_migrations.model import (
    Backfill,
    CompiledRevision,
    Direction,
    LedgerRow,
    Reach,
    Statement,
)
from budeval_migrations.sql import quote
from budeval_migrations.sql.session_settings import Carrier
from budeval_migrations.state import quorum, schema

_FILE = "Use the image that has the file, or restore the file from version control."


def stored_statements(compiled: CompiledRevision | None, redact: Callable[[str], str]) -> str:
    """Return statements as the JSON that the ledger keeps; empty where they are not known.

    Each has ``sql`` and what else makes it the same statement (``unless``, ``reach``,
    ``backfill``). Where a secret had to be taken out, ``replayable`` is false: such a
    statement cannot be run again from the ledger.
    """
    if compiled is None or compiled.dynamic:
        return ""
    kept = [_stored(statement, redact) for statement in compiled.statements]
    return json.dumps(kept, ensure_ascii=False)


def read_stored_downgrades(session: Session, rows: Sequence[LedgerRow]) -> list[CompiledRevision]:
    """Return the downgrades that the ledger keeps beside rows, in their order; read-only.

    Raises:
        MissingRevision: It keeps none, or one with a statement that held a secret.
        LedgerError: What it keeps is not what this package writes.

    """
    if not rows:
        return []
    wanted = ", ".join(f"({quote.string(row.version)}, {row.sequence})" for row in rows)
    found = quorum.read(
        session,
        f"SELECT version, downgrade_statements FROM {schema.LEDGER} "
        f"WHERE (version, sequence) IN ({wanted})",
    )
    texts = {str(version): str(text) for version, text in found}
    return [parse_downgrade(row.version, texts.get(row.version, "")) for row in rows]


def _stored(statement: Statement, redact: Callable[[str], str]) -> dict[str, Any]:
    shown = {part: redact(part) for part in {statement.text, *statement.parts()}}
    entry: dict[str, Any] = {"sql": shown[statement.text]}
    if statement.unless:
        entry["unless"] = redact(statement.unless)
    if any(part != hidden for part, hidden in shown.items()):
        entry["replayable"] = False
    if statement.reach is not Reach.EVERYWHERE:
        entry["reach"] = statement.reach.value
    if statement.backfill:
        told = dict(vars(statement.backfill))
        entry["backfill"] = {k: redact(v) if isinstance(v, str) else v for k, v in told.items()}
    return entry


def parse_downgrade(revision: str, text: str) -> CompiledRevision:
    """Return the downgrade that :func:`kept_statements` wrote.

    Raises:
        MissingRevision: There is none, or one with a statement that held a secret or that
            this version refuses.
        LedgerError: It is not what this package writes.

    """
    if not text:
        raise MissingRevision(
            f"{revision} has no file, and the ledger keeps no downgrade of it: it has none, or "
            "one that reads the database while it runs.",
            hint=_FILE,
            revision=revision,
        )
    try:
        entries = json.loads(text)
        statements = [_statement(entry) for entry in entries]
        lost = [n for n, e in enumerate(entries, start=1) if not e.get("replayable", True)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError(
            f"The downgrade that the ledger keeps of {revision} cannot be read: {error!r}.",
            hint=_FILE,
            revision=revision,
        ) from error
    if lost:
        raise MissingRevision(
            f"{revision} has no file, and statement {lost[0]} of its downgrade held a secret, "
            "which the ledger does not keep.",
            hint=_FILE,
            revision=revision,
            statement=lost[0],
        )
    carrier = Carrier()
    try:
        return CompiledRevision(
            revision, Direction.DOWN, "", tuple(carrier.take(s) for s in statements)
        )
    except RevisionError as error:
        raise MissingRevision(
            f"{revision} has no file, and the downgrade that the ledger keeps of it cannot be "
            f"run by this version: {error.message}",
            hint=_FILE,
            revision=revision,
        ) from error


def _statement(entry: Mapping[str, Any]) -> Statement:
    backfill = entry.get("backfill")
    return Statement(
        entry["sql"],
        unless=entry.get("unless"),
        reach=Reach(entry.get("reach", Reach.EVERYWHERE.value)),
        backfill=Backfill(**{**backfill, "columns": tuple(backfill["columns"])})
        if backfill
        else None,
    )
