"""Recipes of installed packages, by name.

A package registers a recipe as an entry point of the group ``budeval_migrations.recipes``: a
function that returns SQL. ``op.recipe("name", …)`` calls it.
"""

from __future__ import annotations

from typing import Any

from budeval_migrations.errors import ConfigError
from budeval_migrations.model import Statement
from budeval_migrations.plugins import get, load

GROUP = "budeval_migrations.recipes"


def expand(name: str, recipe: int, options: dict[str, Any]) -> list[Statement]:
    """Return the statements of an installed package's recipe.

    Args:
        name: Of its entry point.
        recipe: The version of the statements, which the function gets as ``recipe``.
        options: Its other arguments.

    Raises:
        ConfigError: No package has it, two have it, it cannot be loaded, or it returns
            something else than SQL.
        Exception: What it raises itself.

    """
    point = get(GROUP, name, "recipe")
    given = load(point, "recipe")(recipe=recipe, **options)
    texts = [] if isinstance(given, str) else list(given)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"The recipe {name} ({point.value}) returned no list of statements.",
            hint="It returns SQL texts in order, each with one statement or several.",
        )
    return [Statement(text) for text in texts]
