"""Look at files, ledger and server together, and say how they stand; read-only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.alembic_ext.compile import has_downgrade
from budeval_migrations.clickhouse.cluster.hosts import Hosts
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.identity import check_one_server
from budeval_migrations.errors import (
    ChecksumMismatch,
    ConfigError,
    EngineError,
    LedgerError,
    MigrationError,
    RevisionError,
)
from budeval_migrations.execution.host_comparison import compare_hosts
from budeval_migrations.execution.placement import placement_on
from budeval_migrations.execution.planner import Position
from budeval_migrations.execution.preflight import check_syntax
from budeval_migrations.execution.problems import find_problems, refuse, unfinished
from budeval_migrations.execution.resume import check_steps
from budeval_migrations.execution.statuses import revision_statuses
from budeval_migrations.model import (
    Direction,
    HostDifference,
    Operation,
    Problem,
    Report,
    RevisionFile,
    RevisionNode,
    Status,
    Validation,
)
from budeval_migrations.page.graph import parents_first
from budeval_migrations.page.overview import Overview
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.services.migrate import open_catalogue
from budeval_migrations.services.rehearse import find_drift
from budeval_migrations.state.ledger import Ledger
from budeval_migrations.state.ledger_state import Ground
from budeval_migrations.state.lock.lock import read_holder
from budeval_migrations.version import __version__


def review_status(session: Session, files: dict[str, RevisionFile]) -> Status:
    """Return where every revision stands.

    A lock that cannot be read, since Keeper is away, is a notice: the ledger can.

    Raises:
        RevisionError: The files do not form a graph.

    """
    catalogue = open_catalogue(session, files)
    position = Position(Ledger(session).read_state(), files, catalogue.graph)
    if position.state.ground in (Ground.NO_DATABASE, Ground.EMPTY):
        check_one_server(session)  # another one may have it
    return _status(session, catalogue, position, _compared(session, catalogue))


def review_overview(session: Session, *, drift: bool) -> Overview:
    """Return everything that a report shows.

    Args:
        drift: Compare the live schema with what the applied revisions yield.

    Raises:
        RevisionError: The files do not form a graph.
        Unsupported: Drift is asked for, and chDB is not installed.
        LedgerError: Drift is asked for, and the files are not those that were applied.

    """
    files = read_files(session.settings)
    catalogue = open_catalogue(session, files)
    position = Position(Ledger(session).read_state(), files, catalogue.graph)
    differences = _compared(session, catalogue)
    status = _status(session, catalogue, position, differences)
    names = [line.revision for line in status.revisions]
    graph = {n: catalogue.graph.get(n) or RevisionNode(n, position.parents(n)) for n in names}
    return Overview(
        made_at=datetime.now(timezone.utc),
        tool_version=__version__,
        status=status,
        graph=parents_first(graph),
        attempts=position.state.rows,
        hosts=session.topology.hosts,
        differences=tuple(differences),
        drift=find_drift(session, catalogue) if drift else None,
    )


def _status(
    session: Session,
    catalogue: Catalogue,
    position: Position,
    differences: Iterable[HostDifference],
) -> Status:
    problems, warnings = find_problems(position, catalogue.statements_checksum)
    notices = [problem.message for problem in (*problems, *warnings)]
    holder = None
    try:
        holder = read_holder(session)
    except EngineError as error:
        notices.append(
            "Who holds the lock cannot be seen, so what is shown as unknown or failed may be "
            f"running: {error.message}"
        )
    notices += [str(found) for found in differences]
    return Status(
        database=session.database,
        server_version=session.version(),
        current=position.heads,
        heads=position.target_heads,
        at_head=not position.pending and all(name in position.graph for name in position.heads),
        pending=position.pending,
        revisions=revision_statuses(position, catalogue.statements_checksum, holder),
        notices=tuple(notices),
        topology=str(session.topology),
    )


def review_pending(
    session: Session, files: dict[str, RevisionFile], *, tolerate_ahead: bool
) -> Report:
    """Return a report of what is not applied.

    Raises:
        LedgerError: An applied revision was changed, or has no file.

    """
    catalogue = open_catalogue(session, files)
    position = Position(Ledger(session).read_state(), files, catalogue.graph)
    tolerate = frozenset({"ahead"}) if tolerate_ahead else frozenset[str]()
    notices = refuse(position, catalogue.statements_checksum, tolerate)
    return Report(
        operation="check",
        database=session.database,
        pending=position.pending,
        current=position.heads,
        notices=tuple(notices),
    )


def review_everything(session: Session) -> Validation:
    """Return what is wrong with the files and the ledger.

    Raises:
        EngineError: The server cannot be asked.

    """
    try:
        files = read_files(session.settings)
        catalogue = open_catalogue(session, files)
        graph = catalogue.graph
    except RevisionError as error:
        return Validation((_problem(error),), (), error.exit_code)
    try:
        state = Ledger(session).read_state()
    except LedgerError as error:
        return Validation((_problem(error),), (), error.exit_code)
    found = _file_problems(session, catalogue)
    if found:
        return Validation(tuple(found), (), RevisionError.exit_code)
    position = Position(state, files, graph)
    problems, warnings = find_problems(position, catalogue.statements_checksum)
    warnings += unfinished(position)
    problems += _edited(session, catalogue, position)
    if len(position.target_heads) > 1:
        warnings.append(
            Problem(
                None,
                "several_heads",
                f"The files have several heads: {', '.join(position.target_heads)}.",
                "Join them with: alembic merge heads",
            )
        )
    hint = "See: budeval-migrate repair --cluster"
    for found_on in _compared(session, catalogue):
        told = problems if found_on.serious else warnings
        told.append(Problem(None, "host_differs", str(found_on), hint))
    code = LedgerError.exit_code if problems else 0
    return Validation(tuple(problems), tuple(warnings), code)


def review_hosts(session: Session) -> tuple[HostDifference, ...]:
    """Return where the hosts of the cluster differ, and what brings them in sync.

    Raises:
        ConfigError: The settings name no cluster.

    """
    if not session.topology.hosts:
        raise ConfigError(
            f"{session.database} is on a single server; there is nothing to compare.",
            hint="Set cluster = auto, or the name of the cluster.",
        )
    catalogue = open_catalogue(session, read_files(session.settings))
    return tuple(_compared(session, catalogue))


def _compared(session: Session, catalogue: Catalogue) -> list[HostDifference]:
    if not session.topology.hosts:
        return []  # what revisions reach takes compiling them all
    with Hosts(session) as hosts:
        return compare_hosts(session, hosts, catalogue.reaches)


def _edited(session: Session, catalogue: Catalogue, position: Position) -> Iterator[Problem]:
    """Yield what keeps a half applied revision from going on: an edit of what took effect."""
    for half in position.half_applied:
        if half.revision not in catalogue.graph:
            continue
        step = catalogue.step(half.revision, Operation.UPGRADE, Direction.UP)
        try:
            check_steps(session, position.state, placement_on(session).place([step]))
        except ChecksumMismatch as error:
            yield _problem(error)


def _file_problems(session: Session, catalogue: Catalogue) -> list[Problem]:
    found: list[Problem] = []
    for name in catalogue.graph:
        ways = [(Operation.UPGRADE, Direction.UP)]
        if has_downgrade(catalogue.script(name)):
            ways.append((Operation.DOWNGRADE, Direction.DOWN))
        try:
            steps = [catalogue.step(name, operation, direction) for operation, direction in ways]
            check_syntax(session, steps)
        except RevisionError as error:
            found.append(_problem(error, name))
    return found


def _problem(error: MigrationError, revision: str | None = None) -> Problem:
    named = error.details.get("revision") or revision
    return Problem(named, _kind(error), error.message, error.hint)


def _kind(error: MigrationError) -> str:
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
