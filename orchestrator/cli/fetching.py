"""Getting what is missing: its size said first, and asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.cli.command import confirm
from orchestrator.cli.outcome import paint, say

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox


def fetch_missing(toolbox: Toolbox, services: Iterable[str], *, yes: bool) -> None:
    """``EnvironmentFault`` if something cannot run here at all."""
    from orchestrator.environments.fetch import fetch, missing

    wanted = missing(toolbox, services)
    for one in wanted:
        size = f" ({one.size / 1e6:.0f} MB)" if one.size else ""
        say(f"{one.recipe.title}: {one.expected} is not here yet{size}")
    if wanted:
        confirm("Get it now?", yes=yes)
        fetch(toolbox, wanted, lambda line: say(paint(line, "dim")))
