"""Alembic for ClickHouse that tells the truth about what ran.

The names below are the public API. Nothing heavy is imported until one of them
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budeval_migrations.version import __version__

if TYPE_CHECKING:
    from budeval_migrations.api import (
        adopt,
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
    from budeval_migrations.errors import MigrationError
    from budeval_migrations.lifespan import lifespan
    from budeval_migrations.model import Report, Status, Validation

_HOMES = {
    "MigrationError": "errors",
    "Report": "model",
    "Status": "model",
    "Validation": "model",
    "lifespan": "lifespan",
}

__all__ = [
    "MigrationError",
    "Report",
    "Status",
    "Validation",
    "__version__",
    "adopt",
    "downgrade",
    "downgrade_async",
    "lifespan",
    "lock_holder",
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
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
    globals()[name] = value
    return value
