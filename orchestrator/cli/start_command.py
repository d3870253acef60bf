"""``labs start``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.command import argument, command, dry_run_option, engine_option, name_option, yes_option
from orchestrator.cli.outcome import Outcome, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.environments.facade import ServiceStatus
    from orchestrator.environments.plan import EnvironmentPlan
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Lab, Offer


@command("start")
@argument("lab")
@argument("services", nargs=-1)
@name_option
@engine_option
@dry_run_option
@yes_option
def cli(lab: str, services: tuple[str, ...], name: str | None, engine: str | None, dry_run: bool, yes: bool) -> Outcome:
    """Start a lab's services and keep them running until `labs stop`.

    SERVICES narrows to some of them: labs start databases postgres

    Without SERVICES, those start that the lab starts unasked; what cannot run on this machine is left out, and why is
    said.
    """
    from orchestrator.catalog.labs import find_lab, find_services
    from orchestrator.cli.fetching import fetch_missing
    from orchestrator.cli.service_lines import status_data
    from orchestrator.cli.toolbox import open_started
    from orchestrator.environments.warm import end_all
    from orchestrator.system.files import make_folder

    found = find_lab(lab)
    chosen = find_services(found, services)
    name = name or found.name
    if not chosen:
        return nothing_to_start(found)
    with open_started(engine) as started:
        # It goes on where it was started before: on another engine its data would seem to be lost.
        toolbox = started.where(name).of_lab(found)
        left_out = () if services else without(toolbox, chosen)
        chosen = tuple(one for one in chosen if one not in {offer.service for offer in left_out})
        if dry_run:
            plan = toolbox.environments.plan_start(found.name, name, chosen)
            return Outcome({"plan": [str(operation) for operation in plan.operations]}, str(plan))
        # Said before hundreds of megabytes are fetched in vain.
        make_folder(toolbox.home.leases)
        fetch_missing(toolbox, chosen, yes=yes)
        fit = toolbox.environments.fit(name, chosen)
        if fit.verdict == "short" and end_all(toolbox.home, toolbox.engine):
            fit = toolbox.environments.fit(name, chosen)
        if fit.verdict == "tight":
            say(f"note: {fit}")
        plan, statuses = bring_up(toolbox, found.name, name, chosen)
        if not plan.changes:
            say("everything was running already")
        return Outcome({"environment": name, "services": [status_data(toolbox, s) for s in statuses],
                        "left_out": [{"service": one.service, "missing": one.missing, "remedy": one.remedy}
                                     for one in left_out]},
                       next_steps(toolbox, found.name, name, statuses))


def without(toolbox: Toolbox, chosen: Sequence[str]) -> Sequence[Offer]:
    """What cannot run here and is left out, said with what helps; nothing, where that would be all of them."""
    from orchestrator.environments.fetch import left_out

    found = left_out(toolbox, chosen)
    if len(found) == len(chosen):
        return ()
    for one in found:
        title = toolbox.recipes[one.service].title
        say(f"note: {title} is left out: {one.missing}. What helps: {one.remedy_for(one.service)}")
    return found


def bring_up(toolbox: Toolbox, lab: str, name: str, chosen: Sequence[str]
             ) -> tuple[EnvironmentPlan, list[ServiceStatus]]:
    """Start them and say where each is, and why it is not where one would look."""
    from orchestrator.cli.live import Live
    from orchestrator.cli.service_lines import ready_line, why_here

    before = {one.spec.service: one.spec for one in toolbox.environments.instances(name) if one.spec.node == 1}
    with Live(chosen) as live:
        plan = toolbox.environments.start(lab, name, chosen, on_progress=live.progress)
    statuses = sorted((one for one in toolbox.environments.status(name) if one.instance.spec.service in chosen),
                      key=lambda one: chosen.index(one.instance.spec.service))
    for status in statuses:
        spec = status.instance.spec
        say(ready_line(toolbox, status, why_here(toolbox.recipe_of(spec), spec, before.get(spec.service))))
    return plan, statuses


def nothing_to_start(lab: Lab) -> Outcome:
    """A lab whose servers need no service, or none unasked: not an error, and what to do instead."""
    named = [f"labs start {lab.name} {need.name}" for need in lab.services]
    return Outcome({"environment": lab.name, "services": []}, "\n".join([
        f"{lab.name} has no services" + (" that start unasked" if named else "") + ": there is nothing to start.", "",
        table([*((one, "start this one") for one in named),
               (f"labs init {lab.name} --language python my-server", "your server's folder (go, node, other)"),
               ("labs check", "in that folder: judge your server")])]))


def next_steps(toolbox: Toolbox, lab: str, name: str, statuses: list[ServiceStatus]) -> str:
    """What to do now, with the addresses that a server or a GUI client wants."""
    from orchestrator.environments.specs import reached

    urls = []
    for status in statuses:
        spec = status.instance.spec
        recipe = toolbox.recipe_of(spec)
        values = recipe.environment(reached(spec), spec.credentials)
        urls += [(name, values[name]) for name in recipe.urls]
    option = "" if name == lab else f" --name {name}"
    commands = [
        (f"labs connect {statuses[0].instance.spec.service}{option}", "look into it yourself"),
        (f"labs env{option}", "the variables that your server needs"),
        (f"labs init {lab} --language python my-server", "your server's folder (go, node, other)"),
        ("labs check", "in that folder: judge your server"),
        (f"labs stop{option}", "stop; data is kept"),
    ]
    return table(urls) + "\n\n" + table(commands)
