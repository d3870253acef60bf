"""The services that `labs` knows: one recipe a file, imported when it is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from orchestrator.services.base import Recipe

_RECIPES = {
    "postgres": ("orchestrator.services.postgres.service", "PostgresRecipe"),
    "redis": ("orchestrator.services.redis.service", "RedisRecipe"),
}


def names() -> tuple[str, ...]:
    """The services that have a recipe, in the order in which people meet them."""
    return tuple(_RECIPES)


@cache
def recipe(name: str) -> Recipe:
    """The recipe of a service; ``KeyError`` for a name that is not in ``names()``."""
    module, class_name = _RECIPES[name]
    made: Recipe = getattr(import_module(module), class_name)()
    return made
