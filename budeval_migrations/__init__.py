"""Alembic for ClickHouse that tells the truth about what ran.

The names below are the public API. Nothing heavy is imported until one of them
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budeval_migrations import forks  # noqa: F401  listens from now on
from budeval_migrations.version import __version__

if TYPE_CHECKING:
    from budeval_migrations.errors import MigrationError
    from budeval_migrations.integrations.asgi import lifespan
    from budeval_migrations.model import Report, Status, Validation
    from budeval_migrations.model.findings import LintReport
    from budeval_migrations.services.api import (
        adopt,
        compare_hosts,
        downgrade,
        downgrade_async,
        lock_holder,
        repair,
        repair_statement,
        reset,
        status,
        status_async,
        unlock,
        upgrade,
        upgrade_async,
        validate,
        validate_async,
    )
    from budeval_migrations.services.preview import drift, lint, plan, verify
    from budeval_migrations.services.scaffold import diff, init, new

_HOMES = {
    "LintReport": "model.findings",
    "MigrationError": "errors",
    "Report": "model",
    "Status": "model",
    "Validation": "model",
    "diff": "services.scaffold",
    "drift": "services.preview",
    "init": "services.scaffold",
    "lifespan": "integrations.asgi",
    "lint": "services.preview",
    "new": "services.scaffold",
    "plan": "services.preview",
    "verify": "services.preview",
}

__all__ = [
    "LintReport",
    "MigrationError",
    "Report",
    "Status",
    "Validation",
    "__version__",
    "adopt",
    "compare_hosts",
    "diff",
    "downgrade",
    "downgrade_async",
    "drift",
    "init",
    "lifespan",
    "lint",
    "lock_holder",
    "new",
    "plan",
    "repair",
    "repair_statement",
    "reset",
    "status",
    "status_async",
    "unlock",
    "upgrade",
    "upgrade_async",
    "validate",
    "validate_async",
    "verify",
]


if not TYPE_CHECKING:  # a type checker would believe that every name is there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'services.api')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
