"""A person's own code, before and after each revision that runs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from budeval_migrations.errors import ConfigError, HookFailed
from budeval_migrations.events import Event, Listener, RevisionFinished, RevisionStarted
from budeval_migrations.files import import_from_here
from budeval_migrations.model import Operation

BEFORE, AFTER = "before_revision", "after_revision"
# What runs statements: a stamp or a repair changes records only.
_RUNS = frozenset({Operation.UPGRADE.value, Operation.DOWNGRADE.value})


def with_hooks(name: str, emit: Listener, redact: Callable[[str], str]) -> Listener:
    """Return a listener that calls the hooks of a module as well.

    ``before_revision(event)`` gets a :class:`.RevisionStarted` before anything of a
    revision is sent, ``after_revision(event)`` a :class:`.RevisionFinished` when its row
    is in the ledger. A kill in between calls the first one again, or the second never.

    Args:
        name: The module's; empty for none.
        tell: Told first.
        redact: Takes secrets out of what a hook raises.

    Raises:
        ConfigError: There is no such module, or no hook in it.

    The listener raises:
        HookFailed: A hook raised; the run ends.

    """
    if not name:
        return emit
    module = import_from_here(name, "Name a module, seen from the working directory.")
    before, after = _function(module, BEFORE), _function(module, AFTER)
    if before is None and after is None:
        raise ConfigError(
            f"The module {name} has no hook.",
            hint=f"Define {BEFORE}(event) or {AFTER}(event) in it.",
        )

    def told(event: Event) -> None:
        emit(event)
        if isinstance(event, RevisionStarted) and before and event.operation in _RUNS:
            _call(before, event, BEFORE, "nothing of it was sent", redact)
        elif isinstance(event, RevisionFinished) and after and event.operation in _RUNS:
            _call(after, event, AFTER, "it is done and recorded", redact)

    return told


def _function(module: ModuleType, name: str) -> Callable[[Any], object] | None:
    found = getattr(module, name, None)
    if found is not None and not callable(found):
        raise ConfigError(f"{module.__name__}.{name} is no function.", hint=f"def {name}(event): …")
    return found


def _call(
    hook: Callable[[Any], object],
    event: RevisionStarted | RevisionFinished,
    name: str,
    fact: str,
    redact: Callable[[str], str],
) -> None:
    try:
        hook(event)
    except Exception as error:
        raise HookFailed(
            f"{event.revision}: {name} failed, {redact(f'{type(error).__name__}: {error}')}; "
            f"{fact}, and the run ends here.",
            hint="Mend the hook, or leave it out (setting hooks), and run it again.",
            revision=event.revision,
            hook=name,
        ) from error
