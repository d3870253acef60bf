"""The services that `labs` knows: one folder each, found by name, imported when it is asked for.

Ours are the folders beside this file. Others come from distributions that declare the entry point ``labs.services``::

    [project.entry-points."labs.services"]
    toy = "toy_service"          # the package whose ``service.py`` has ``RECIPE``
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint, InstanceSpec, ServiceNeed
from orchestrator.services.base import Recipe
from orchestrator.services.parts import Names, Sight

if TYPE_CHECKING:
    from orchestrator.services.own import OwnRecipe

GROUP = "labs.services"


@cache
def packages() -> Mapping[str, str]:
    """Service -> the package in which everything about it is. Ours come first and cannot be replaced."""
    from importlib.metadata import entry_points

    here = Path(__file__).parent
    ours = {path.parent.name: f"{__name__}.{path.parent.name}" for path in sorted(here.glob("*/service.py"))}
    others = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**ours, **{name: package for name, package in sorted(others.items()) if name not in ours}}


def names() -> tuple[str, ...]:
    """The services that have a recipe."""
    return tuple(packages())


@cache
def recipe(name: str) -> Recipe:
    """The recipe of a service; ``KeyError`` for a name that is not in ``names()``.

    What in our own environment would lead its clients elsewhere goes, before the first of them has been made: a client
    library reads it whatever it is told, and so does a client program that takes our place.
    """
    made: Recipe = import_module(f"{packages()[name]}.service").RECIPE
    for variable in made.foreign:
        os.environ.pop(variable, None)
    return made


class Recipes(Mapping[str, Recipe]):
    """All recipes by name, each imported when it is looked at; ``more`` are a lab's own."""

    def __init__(self, more: Mapping[str, Recipe] | None = None) -> None:
        self._more = dict(more or {})

    def __getitem__(self, name: str) -> Recipe:
        return self._more[name] if name in self._more else recipe(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*names(), *self._more]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._more or name in packages()


def own_recipes(needs: Iterable[ServiceNeed]) -> dict[str, OwnRecipe]:
    """The recipes of the services that a lab brings itself, by name."""
    from orchestrator.services.own import OwnRecipe, decoded

    return {need.name: OwnRecipe(decoded(need.own)) for need in needs if need.own}


def recipe_of(recipes: Mapping[str, Recipe], spec: InstanceSpec) -> Recipe:
    """The recipe of an instance that was found, by what it carries if it is a lab's own.

    One that nobody here understands (another version's, or of a distribution that is gone) gets a recipe that says so:
    it can be seen, stopped and removed.
    """
    from orchestrator.services.own import OwnRecipe, decoded
    from orchestrator.services.unknown import UnknownRecipe

    if spec.own:
        known = recipes.get(spec.service)
        if known is not None and known.carried == spec.own:
            return known
        try:
            return OwnRecipe(decoded(spec.own))
        except (ValueError, EnvironmentFault):
            return UnknownRecipe(spec.service)
    return recipes[spec.service] if spec.service in recipes else UnknownRecipe(spec.service)


def variables(parts: Iterable[tuple[Recipe, Endpoint, Credentials]],
              addresses: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a server needs to reach all of these services. ``addresses``: variable -> the service whose address it has,
    whatever else gives that variable.

    ``EnvironmentFault("variable-twice")`` where two of them would give the same variable another value: a server
    could not tell them apart.
    """
    found: dict[str, str] = {}
    giver: dict[str, str] = {}
    urls: dict[str, str] = {}
    for recipe, endpoint, credentials in parts:
        given = recipe.environment(endpoint, credentials)
        if recipe.urls:
            urls[recipe.name] = given[recipe.urls[0]]
        for name, value in given.items():
            if name in giver:
                raise EnvironmentFault(f"{giver[name]} and {recipe.title} both give your server {name}",
                                       code="variable-twice", hint="labs info LAB   (its services)")
            found[name], giver[name] = value, recipe.title
    return found | {name: urls[service] for name, service in (addresses or {}).items() if service in urls}


def part(name: str, what: str) -> ModuleType | None:
    """A module of a service's folder (``sabotage``, ``names``, ``sight``); ``None`` if it has none."""
    place = part_name(name, what)
    return None if place is None else import_module(place)


def part_name(name: str, what: str) -> str | None:
    """The full name of such a module, which is not imported; ``None`` if the service has none."""
    package = packages().get(name)
    if package is None:
        return None
    place = f"{package}.{what}"
    return place if find_spec(place) is not None else None


def names_of(name: str) -> Names:
    """What a service says of names; nothing, if it says nothing or is not known."""
    module = part(name, "names")
    found: Names = module.NAMES if module is not None else Names()
    return found


def sight_of(name: str) -> Sight:
    """How a service's words are read; by nothing of its own, if it says nothing or is not known."""
    module = part(name, "sight")
    found: Sight = module.SIGHT if module is not None else Sight()
    return found


def sights() -> dict[str, Sight]:
    """That of every service."""
    return {name: sight_of(name) for name in names()}
