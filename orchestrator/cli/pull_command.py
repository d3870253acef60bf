"""``labs pull``."""

from __future__ import annotations

from orchestrator.cli.command import argument, command, engine_option, yes_option
from orchestrator.cli.outcome import Outcome


@command("pull")
@argument("lab")
@argument("services", nargs=-1)
@engine_option
@yes_option
def cli(lab: str, services: tuple[str, ...], engine: str | None, yes: bool) -> Outcome:
    """Get a lab's images before you need them; their size is said first."""
    from orchestrator.catalog.labs import find_lab, find_services
    from orchestrator.cli.fetching import fetch_missing
    from orchestrator.cli.toolbox import open_toolbox

    found = find_lab(lab)
    chosen = find_services(found, services)
    if not found.services:
        return Outcome({"services": {}}, f"{found.name} has no services: there is nothing to get")
    with open_toolbox(engine) as opened:
        toolbox = opened.of_lab(found)
        fetch_missing(toolbox, chosen, yes=yes)
        here = {service: toolbox.engine.offer(toolbox.recipes[service]).expected for service in chosen}
        return Outcome({"services": here}, "\n".join(f"{name}: {what}" for name, what in here.items()))
