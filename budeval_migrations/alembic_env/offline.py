"""``--sql``: a script that leaves the schema and the ledger of an online run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import ConfigError, RevisionError
from budeval_migrations.model import PARAMETER, Operation, Statement, Step
from budeval_migrations.sql import quote
from budeval_migrations.sql.script import terminated
from budeval_migrations.sql.session_settings import Carrier
from budeval_migrations.sql.statement import parse
from budeval_migrations.state import schema
from budeval_migrations.state.stored_statements import stored_statements
from budeval_migrations.version import __version__


def write_script(session: Session, write: Callable[[str], None], steps: Sequence[Step]) -> None:
    """Write statements and ledger rows, for ``clickhouse-client --multiquery``.

    Guards of ``execute_unless`` are not written: a script is for a straight run.

    Raises:
        RevisionError: A revision cannot be written down: a dynamic one, or one
            with rows after FORMAT, which would swallow the rest of the script.
        ConfigError: The settings name a cluster, whose hosts no script can wait for.

    """
    if session.settings.cluster:
        raise ConfigError(
            "A script cannot wait until every host of a cluster has run a statement.",
            hint="See what would be sent: budeval-migrate plan. For a script for a single "
            "server, leave cluster out.",
        )
    for step in steps:
        _check(step)
    if not steps:
        return
    # A script does not know its server; the setting says what it is written for.
    features = Features(parse_version(session.settings.server_version))
    write(terminated(schema.create_journal(features)))
    write(terminated(schema.create_ledger(features)))
    write(terminated(schema.create_version_view()))
    for step in steps:
        write(f"-- Running {step.operation.value} {_movement(step)}")
        if step.work is not None:
            for statement in step.work.statements:
                write(terminated(statement.text))
            ended = _settings_ended(step.work.statements)
            if ended:
                write(f"SET {ended};")
        write(terminated(_ledger_row(session, step, features)))


def _check(step: Step) -> None:
    if step.work is None:
        return
    if step.work.dynamic:
        raise RevisionError(
            f"{step.revision} reads the database while it runs, so that its statements "
            "cannot be written to a script.",
            hint="Run it online, or write it without op.get_bind().",
            revision=step.revision,
        )
    for statement in step.work.statements:
        if parse(statement.text).rows_to_the_end:
            raise RevisionError(
                f"{step.revision} has rows after FORMAT ({statement.file}:{statement.line}), "
                "and each version of clickhouse-client ends them elsewhere in a script.",
                hint="Run it online, or write the rows with VALUES.",
                revision=step.revision,
            )


def _settings_ended(statements: Sequence[Statement]) -> str:
    """Return what reverts the SETs of a revision, which end with it."""
    carrier = Carrier()
    for statement in statements:
        carrier.take(statement)
    return ", ".join(f"{name} = DEFAULT" for name in carrier.held if not name.startswith(PARAMETER))


def _movement(step: Step) -> str:
    below = ", ".join(step.parents) or "base"
    if step.operation is Operation.DOWNGRADE:
        return f"{step.revision} -> {below}"
    return f"{below} -> {step.revision}"


def _ledger_row(session: Session, step: Step, features: Features) -> str:
    count = len(step.work.statements) if step.work else 0
    parents = ", ".join(quote.string(name) for name in step.parents)
    values = {
        "version": quote.string(step.revision),
        "checksum": quote.string(step.checksum),
        "executed_at": "now64(3)" if features.datetime64 else "now()",
        "execution_time_ms": "0",
        "success": "1",
        "error_message": "NULL",
        "operation": quote.string(step.operation.value),
        "direction": quote.string(step.direction.value),
        "parents": f"CAST([{parents}], 'Array(String)')",
        "statements_applied": str(count),
        "statements_total": str(count),
        "error_code": "0",
        "sequence": f"ifNull((SELECT max(sequence) FROM {schema.LEDGER}), 0) + 1",
        "run_id": "'offline'",
        "lock_generation": "0",
        "host": "hostName()",
        "server_user": "currentUser()" if features.current_user else "''",
        "tool_version": quote.string(__version__),
        "server_version": "version()",
        "statements_checksum": quote.string(step.statements_checksum),
        "upgrade_statements": quote.string(stored_statements(step.up, session.redact)),
        "downgrade_statements": quote.string(stored_statements(step.down, session.redact)),
        "ledger_format": str(schema.LEDGER_FORMAT),
    }
    return f"INSERT INTO {schema.LEDGER} ({', '.join(values)})\nSELECT {', '.join(values.values())}"
