"""A caller's ``on_event``, which never stops a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budeval_migrations.errors import HookFailed

if TYPE_CHECKING:
    from budeval_migrations.events import Event, Listener


@contextmanager
def heard(on_event: Listener | None) -> Iterator[Listener]:
    """Yield a listener that never stops a run; what it raised is raised behind the run."""
    if on_event is None:
        from budeval_migrations.observers.logs import log_event

        yield log_event
        return
    failed: list[HookFailed] = []

    def told(event: Event) -> None:
        if failed:
            return
        try:
            on_event(event)
        except Exception as error:
            failed.append(_listener_failed(event, error))

    yield told
    if failed:
        raise failed[0]


def _listener_failed(event: Event, error: Exception) -> HookFailed:
    from budeval_migrations.sql.redact import redact

    said = redact(f"{type(error).__name__}: {error}")
    failure = HookFailed(
        f"on_event failed at {type(event).__name__}, {said}; the run went on to its end "
        "without it, and what it did is recorded.",
        hint="Mend on_event. See: budeval-migrate status",
        hook="on_event",
    )
    failure.__cause__ = error
    return failure
