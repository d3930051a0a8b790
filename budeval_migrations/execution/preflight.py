"""Ask ClickHouse's own parser about every statement before the first is sent.

https://clickhouse.com/docs/sql-reference/functions/other-functions#formatquery
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from budeval_migrations.clickhouse.capabilities import parse_version
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import UNKNOWN_FUNCTION
from budeval_migrations.errors import EngineError, StatementSyntaxError, Unsupported
from budeval_migrations.model import Statement, Step
from budeval_migrations.sql import quote
from budeval_migrations.sql.statement import parse

# A query of ours must stay below the server's default max_query_size (256 KiB).
_BATCH_BYTES = 100_000
_POSITION = re.compile(r"failed at position (\d+)")


def check_server(session: Session, steps: Iterable[Step]) -> None:
    """Raise when a revision asks for a newer server than this one; read-only.

    Raises:
        Unsupported: Names the revision and both versions.

    """
    for step in steps:
        if step.needs and session.features.version < parse_version(step.needs):
            raise Unsupported(
                f"{step.revision} needs ClickHouse {step.needs} or newer; this server is "
                f"{session.server_version}.",
                hint="Upgrade the server; nothing was run.",
                revision=step.revision,
                needs=step.needs,
            )


def check_syntax(session: Session, steps: Iterable[Step]) -> None:
    """Raise for the first statement that the server cannot parse; read-only.

    A server without ``formatQuery`` is not asked. Statements that hold a secret
    are not sent, since a server masks secrets only in statements of their own
    kind and would log this query as it stands; nor are those with inline data.

    Raises:
        StatementSyntaxError: With file, line and column.

    """
    pending = [
        (step.revision, statement)
        for step in steps
        if step.work is not None
        for statement in step.work.statements
        if not parse(statement.text).has_rows and session.redact(statement.text) == statement.text
    ]
    try:
        for batch in _batches(pending):
            listed = ", ".join(quote.string(s.text) for _, s in batch)
            answers = session.ask(f"SELECT isNull(formatQueryOrNull(arrayJoin([{listed}])))")
            for (revision, statement), answer in zip(batch, answers, strict=True):
                if int(answer[0]):
                    raise _explain(session, revision, statement)
    except EngineError as error:
        if error.code != UNKNOWN_FUNCTION:
            raise


def _batches(
    pending: Iterable[tuple[str, Statement]],
) -> Iterator[Sequence[tuple[str, Statement]]]:
    batch: list[tuple[str, Statement]] = []
    size = 0
    for revision, statement in pending:
        length = len(quote.string(statement.text).encode("utf-8", "surrogateescape"))
        if length > _BATCH_BYTES:
            continue
        if size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((revision, statement))
        size += length
    if batch:
        yield batch


def _explain(session: Session, revision: str, statement: Statement) -> StatementSyntaxError:
    reason = "ClickHouse cannot parse the statement"
    try:
        session.ask(f"SELECT formatQuery({quote.string(statement.text)})")
    except EngineError as error:
        reason = re.sub(r": In scope SELECT formatQuery\(.*\Z", "", error.message, flags=re.S)
    found = _POSITION.search(reason)
    before = statement.text.encode("utf-8", "surrogateescape")[: int(found[1]) - 1 if found else 0]
    lead = before.decode("utf-8", "replace")
    return StatementSyntaxError(
        _short(reason),
        line=(statement.line or 1) + lead.count("\n"),
        column=len(lead) - (lead.rfind("\n") + 1) + 1,
        file=statement.file,
        revision=revision,
    )


def _short(reason: str) -> str:
    head, _, expected = reason.partition(" Expected one of: ")
    names = expected.split(", ")
    if not expected:
        return head[:400]
    more = ", …" if len(names) > 6 else ""
    return f"{head[:400]} Expected one of: {', '.join(names[:6])}{more}"
