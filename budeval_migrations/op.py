"""Alembic's ``op`` and our directives, with types: ``from budeval_migrations import op``.

In a revision it is what ``from alembic import op`` gives, and a type checker knows the
directives too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from alembic import op as _alembic
from alembic.operations import Operations

from budeval_migrations.alembic_ext import directives
from budeval_migrations.recipes.all_rows import AllRows as AllRows
from budeval_migrations.recipes.latest_rows import LatestRows as LatestRows
from budeval_migrations.recipes.view_parts import History as History
from budeval_migrations.recipes.view_parts import InnerTable as InnerTable
from budeval_migrations.recipes.view_parts import OwnTable as OwnTable

if TYPE_CHECKING:
    from alembic.op import *  # noqa: F403

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _directive(method: Callable[Concatenate[Operations, _P], _R]) -> Callable[_P, _R]:
    """Return a directive as a revision calls it: without Alembic's first argument."""
    name = method.__name__

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        result: _R = getattr(_alembic, name)(*args, **kwargs)
        return result

    call.__name__ = name
    call.__doc__ = getattr(Operations, name).__doc__  # where Alembic has moved it
    return call


backfill = _directive(directives.BackfillOp.backfill)
execute_file = _directive(directives.ExecuteFileOp.execute_file)
execute_here = _directive(directives.ExecuteWithReachOp.execute_here)
execute_unless = _directive(directives.ExecuteUnlessOp.execute_unless)
execute_unreplicated = _directive(directives.ExecuteWithReachOp.execute_unreplicated)
parallel = _directive(directives.ParallelOp.parallel)
create_view_with_history = _directive(directives.RecipeOp.create_view_with_history)
recipe = _directive(directives.RecipeOp.recipe)
rebuild_table = _directive(directives.RecipeOp.rebuild_table)

if not TYPE_CHECKING:  # a type checker would believe that every name is there

    def __getattr__(name: str) -> Any:
        return getattr(_alembic, name)
