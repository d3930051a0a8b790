"""Migrate when an application starts: a lifespan for FastAPI and Starlette.

Imports no web framework: a lifespan is a function that takes the application
and returns an asynchronous context manager.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from budeval_migrations.clickhouse.failures import is_away, is_passing
from budeval_migrations.clickhouse.url import parse_url
from budeval_migrations.errors import (
    ConfigError,
    EngineError,
    MigrationError,
    PendingRevisions,
)
from budeval_migrations.events import Notice
from budeval_migrations.model import Report
from budeval_migrations.observers.logs import log_event
from budeval_migrations.services import api
from budeval_migrations.settings import Given, check_on_ahead, load_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

_LOG = logging.getLogger("budeval_migrations")
_MODES = ("upgrade", "check", "wait")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


def lifespan(
    *,
    mode: str = "upgrade",
    then: Lifespan | None = None,
    on_ahead: str = "warn",
    wait_timeout: float = 600.0,
    **settings: Unpack[Given],
) -> Lifespan:
    """Return a lifespan that sees to the database before the application serves.

    The work is done on a thread, so that the event loop goes on; logging is left
    as the application has set it up. The report is put on ``app.state.migrations``
    where the application has a ``state``.

    Args:
        mode: ``upgrade`` applies what is pending; ``check`` refuses to start when
            something is; ``wait`` waits until somebody else has applied it.
        then: The application's own lifespan, entered after the migrations; what
            it yields is passed on.
        on_ahead: What to do with a database that is newer than the files:
            ``warn`` or ``error``.
        wait_timeout: Seconds that ``wait`` waits: for the revisions, and for a server that
            is not there yet, does not answer, or is too busy.
        **settings: As for :func:`budeval_migrations.upgrade`.

    Raises:
        ConfigError: Unknown mode or setting, a bad value, or two that contradict each
            other; at once, not at start-up.
        PendingRevisions: At start-up, in ``check``, and in ``wait`` when the time is up.
        EngineError: At start-up, in ``wait`` when the time is up and the server does not answer,
            is too busy, or something in between answers in its place.
        MigrationError: At start-up, whatever the upgrade raises, without its causes, since
            frameworks print those; it is logged with its hint. The application does not start.

    """
    if mode not in _MODES:
        raise ConfigError(f"mode cannot be {mode!r}.", hint=f"Choose one of {', '.join(_MODES)}.")
    check_on_ahead(on_ahead)
    given = load_settings(environ={}, **settings)
    if settings.get("url"):
        parse_url(given)

    @asynccontextmanager
    async def migrated(app: Any) -> AsyncIterator[Any]:
        try:
            report = await _see_to(mode, on_ahead, wait_timeout, settings)
        except MigrationError as error:
            # Who starts us prints a traceback, and there is no more of it than the sentence.
            _log_failure(error)
            raise error.with_traceback(None) from None
        if hasattr(app, "state"):  # Quart's applications have none
            app.state.migrations = report
        if then is None:
            yield
        else:
            async with then(app) as state:
                yield state

    return migrated


async def _see_to(mode: str, on_ahead: str, wait_timeout: float, settings: Given) -> Report:
    if mode == "upgrade":  # which logs its notices itself
        return await api.upgrade_async(on_ahead=on_ahead, **settings)
    if mode == "wait":
        report = await _until_applied(wait_timeout, on_ahead, settings.copy())
    else:
        report = await asyncio.to_thread(api.check, on_ahead=on_ahead, **settings)
        if report.pending:
            raise _behind(report)
    for notice in report.notices:
        log_event(Notice(notice))
    return report


def _log_failure(error: MigrationError) -> None:
    """Say what happened and what to do, above the traceback that follows."""
    said = f"{error.message}\n  hint: {error.hint}" if error.hint else error.message
    known = {"error": type(error).__name__, "exit_code": error.exit_code}
    _LOG.error("%s", said, extra={"event": "start_failed", **known})


async def _until_applied(patience: float, on_ahead: str, settings: Given) -> Report:
    began = time.monotonic()
    pause = _FIRST_PAUSE
    read_timeout = load_settings(**settings).read_timeout
    while True:
        left = patience - (time.monotonic() - began)
        settings["read_timeout"] = max(min(read_timeout, left), 1.0)
        error: MigrationError
        try:
            report = await asyncio.to_thread(api.check, on_ahead=on_ahead, **settings)
        except EngineError as refused:
            # A gateway that answers for the server, or a busy server, may let us pass in a moment.
            if not (is_away(refused) or is_passing(refused)):
                raise
            error = refused
        else:
            if not report.pending:
                return report
            error = _behind(report)
        left = patience - (time.monotonic() - began)
        if left <= 0:
            raise error
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _behind(report: Report) -> PendingRevisions:
    return PendingRevisions(
        f"The database is behind: {', '.join(report.pending)} "
        f"{'is' if len(report.pending) == 1 else 'are'} not applied.",
        hint="Run: budeval-migrate up",
        pending=list(report.pending),
    )
