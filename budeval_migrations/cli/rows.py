"""The tables of ``status`` and ``history``: their columns, and the cells of a row."""

from __future__ import annotations

from budeval_migrations.cli.table import OutputColumn
from budeval_migrations.model import LedgerRow, RevisionState, RevisionStatus

_STATES = {
    RevisionState.APPLIED.value: "green",
    RevisionState.PENDING.value: "yellow",
    RevisionState.FAILED.value: "bold red",
    RevisionState.RUNNING.value: "cyan",
    RevisionState.UNKNOWN.value: "bold red",
}
_NAME = 24  # cells of a revision's id that are left to it
STATEMENTS = OutputColumn("statements", right=True, spare=4)
STATUS = (
    OutputColumn("revision", least=_NAME),
    OutputColumn("state", styles=_STATES),
    OutputColumn("checksum", spare=1),
    OutputColumn("executed (UTC)", spare=2),
    OutputColumn("ms", right=True, spare=3),
)
HISTORY = (
    OutputColumn("#", right=True, spare=3),
    OutputColumn("executed (UTC)", spare=1),
    OutputColumn("operation"),
    OutputColumn("revision", least=_NAME),
    OutputColumn("result", styles={"ok": "green", "failed": "red"}),
    OutputColumn("ms", right=True, spare=2),
    STATEMENTS,
)
BY = OutputColumn("by", spare=4)


def status_cells(line: RevisionStatus) -> tuple[str, ...]:
    """Return a revision's cells, those of STATEMENTS last."""
    total = line.statements_total
    return (
        line.revision,
        line.state.value,
        line.checksum.value if line.checksum.value != "none" else "-",
        f"{line.executed_at:%Y-%m-%d %H:%M:%S}" if line.executed_at else "-",
        str(line.execution_time_ms) if line.execution_time_ms is not None else "-",
        f"{line.statements_applied}/{total}" if total else "-",
    )


def history_cells(row: LedgerRow) -> tuple[str, ...]:
    """Return an attempt's cells, without those of BY."""
    total = 0 if row.legacy else row.statements_total
    counts = f"{row.statements_applied}/{total}" if total else "-"
    operation = row.operation.value
    if row.direction.value == "down" and operation != "downgrade":
        operation += " (down)"
    return (
        str(row.sequence) if row.sequence else "-",
        f"{row.executed_at:%Y-%m-%d %H:%M:%S}",
        operation,
        row.version,
        "failed" if row.failed else "noted" if row.answers else "ok",
        str(row.execution_time_ms),
        counts,
    )
