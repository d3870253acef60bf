"""What of some services is not here yet, and how it is got."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engines.base import never_here
from orchestrator.errors import EnvironmentFault

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Offer
    from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class Missing:
    """A service whose image is not here. ``size`` in bytes, as far as the engine can tell."""

    recipe: Recipe
    expected: str
    size: int | None


def left_out(toolbox: Toolbox, services: Iterable[str]) -> list[Offer]:
    """What this engine says of those that it cannot run on this machine, fetched or not."""
    offers = [toolbox.engine.offer(toolbox.recipes[service]) for service in services]
    return [one for one in offers if never_here(one)]


def missing(toolbox: Toolbox, services: Iterable[str]) -> list[Missing]:
    """What must be fetched first; ``EnvironmentFault`` if something cannot run here at all."""
    found = []
    for service in services:
        recipe = toolbox.recipes[service]
        offer = toolbox.engine.offer(recipe)
        if never_here(offer):
            raise EnvironmentFault(f"{recipe.title} cannot run here: {offer.missing}",
                                   code=offer.reason or "unsupported", hint=offer.remedy)
        if not offer.available:
            found.append(Missing(recipe, offer.expected, toolbox.engine.size(recipe)))
    return found


def fetch(toolbox: Toolbox, wanted: Sequence[Missing], tell: Callable[[str], None]) -> None:
    """Get it, one after the other."""
    for one in wanted:
        toolbox.engine.fetch(one.recipe, tell)
