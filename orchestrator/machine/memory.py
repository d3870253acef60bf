"""Whether services fit into this machine's memory: added up before any of them starts.

What is decided is decided from values. Nothing is refused where the free memory cannot be told: inside Docker's own
virtual machine, say, or on another machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import EnvironmentFault
from orchestrator.system.text import listed

if TYPE_CHECKING:
    from orchestrator.engines.base import Engine
    from orchestrator.services.base import Recipe

MB = 1_000_000
OWN_SOCKETS = ("unix:///var/run/", "unix:///run/")
"""Where a container engine listens that runs containers on this very machine (Linux)."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a service needs, all its nodes together, in bytes: about, and at most (0: there is no limit)."""

    service: str
    title: str
    memory: int
    limit: int = 0

    def __str__(self) -> str:
        most = f", at most {_size(self.limit)}" if self.limit else ""
        return f"{self.title}: about {_size(self.memory)}{most}"


@dataclass(frozen=True, slots=True)
class Fit:
    """``short``: they do not fit; ``tight``: they do, unless all of them use as much as they may.

    ``free`` in bytes, ``None`` if it cannot be told. ``fitting``: those of them that fit, in their order.
    """

    verdict: Literal["ok", "tight", "short"]
    needs: tuple[Need, ...]
    free: int | None
    fitting: tuple[str, ...]

    def __str__(self) -> str:
        """``PostgreSQL and Redis need about 70 MB (at most 805 MB); 60 MB are free``."""
        names = [need.title for need in self.needs]
        who = listed(names)
        most = sum(need.limit or need.memory for need in self.needs)
        limits = f" (at most {_size(most)})" if any(need.limit for need in self.needs) else ""
        about = _size(sum(need.memory for need in self.needs))
        return f"{who} need{'' if len(names) > 1 else 's'} about {about}{limits}; {_size(self.free or 0)} are free"


def fit(needs: Sequence[Need], free: int | None) -> Fit:
    """Pure. No needs, and a memory that cannot be told, are ``ok``."""
    left, fitting = free or 0, []
    for need in needs:
        if free is None or need.memory <= left:
            fitting.append(need.service)
            left -= need.memory
    verdict: Literal["ok", "tight", "short"] = "ok"
    if free is not None and needs:
        if sum(need.memory for need in needs) > free:
            verdict = "short"
        elif sum(max(need.limit, need.memory) for need in needs) > free:
            verdict = "tight"
    return Fit(verdict, tuple(needs), free, tuple(fitting))


def refusal(found: Fit, hint: str) -> EnvironmentFault | None:
    """What is said instead of a start that cannot go well; ``hint`` is the one next command."""
    if found.verdict != "short":
        return None
    return EnvironmentFault(f"{found}", code="memory-short", hint=hint, details=[str(need) for need in found.needs])


def look(engine: Engine, recipes: Iterable[Recipe]) -> Fit:
    """Whether these services, none of which runs, fit on this engine now."""
    info = engine.info()
    containers = info.name == "docker"
    needs = [needed(recipe, containers=containers) for recipe in recipes]
    return fit(needs, free_memory(info.address if containers else "") if needs else None)


def needed(recipe: Recipe, *, containers: bool) -> Need:
    """Of all nodes together."""
    limit = _limit(recipe) if containers else 0
    return Need(recipe.name, recipe.title, recipe.memory * recipe.nodes, limit * recipe.nodes)


def free_memory(address: str = "") -> int | None:
    """Bytes that programs on this machine can have; for an engine at ``address`` only if it is this machine's own."""
    if address and not (sys.platform == "linux" and address.startswith(OWN_SOCKETS)):
        return None
    import psutil

    try:
        return int(psutil.virtual_memory().available)
    except (OSError, RuntimeError, ValueError, psutil.Error):  # a system that does not tell
        return None


def _limit(recipe: Recipe) -> int:
    """What the service's container may use; 0 if it has none."""
    from orchestrator.services.places import container_of

    return container_of(recipe, {}).memory if recipe.compose else 0


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1000 * MB else f"{count / MB:.0f} MB"
