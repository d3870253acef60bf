"""``labs start``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.command import argument, command, dry_run_option, engine_option, name_option, yes_option
from orchestrator.cli.outcome import Outcome, paint, say, table

if TYPE_CHECKING:
    from orchestrator.cli.session import Session
    from orchestrator.environments.facade import ServiceStatus


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
    """
    from orchestrator.catalog.labs import find_lab, find_services
    from orchestrator.cli.live import Live
    from orchestrator.cli.session import open_session
    from orchestrator.system.files import make_folder

    found = find_lab(lab)
    chosen = find_services(found, services)
    name = name or found.name
    with open_session(engine) as session:
        if dry_run:
            plan = session.environments.plan_start(found.name, name, chosen)
            return Outcome({"plan": [str(operation) for operation in plan.operations]}, str(plan))
        # Said before hundreds of megabytes are fetched in vain.
        make_folder(session.home.leases)
        fetch_missing(session, chosen, yes=yes)
        with Live(chosen) as live:
            plan = session.environments.start(found.name, name, chosen, on_progress=live.progress)
        statuses = [status for status in session.environments.status(name)
                    if status.instance.spec.service in chosen]
        for status in statuses:
            say(ready_line(session, status))
        if not plan.changes:
            say("everything was running already")
        return Outcome({"environment": name, "services": [status_data(session, s) for s in statuses]},
                       next_steps(session, found.name, name, statuses))


def fetch_missing(session: Session, services: tuple[str, ...], *, yes: bool) -> None:
    """Pull what is missing, its size said first; ``EnvironmentFault`` if something cannot run here at all."""
    from orchestrator.cli.command import confirm
    from orchestrator.errors import EnvironmentFault

    missing = []
    for service in services:
        offer = session.engine.offer(session.recipes[service])
        if offer.available:
            continue
        if offer.reason != "image-missing":
            raise EnvironmentFault(f"{session.recipes[service].title} cannot run here: {offer.missing}",
                                   code=offer.reason or "unsupported", hint=offer.remedy)
        missing.append((session.recipes[service], offer))
    if not missing:
        return
    for recipe, offer in missing:
        size = session.engine.size(recipe)
        say(f"{recipe.title}: {offer.expected} is not here yet" + (f" ({size / 1e6:.0f} MB)" if size else ""))
    confirm("Get it now?", yes=yes)
    for recipe, _ in missing:
        session.engine.fetch(recipe, lambda line: say(paint(line, "dim")))


def ready_line(session: Session, status: ServiceStatus) -> str:
    """``ready  postgres  PostgreSQL 18.6 (genuine)  127.0.0.1:5432``."""
    spec = status.instance.spec
    mark = paint("ready", "green") if status.ready else paint(status.answer, "red")
    return f"{mark}  {spec.service:<14} {status.product or session.recipes[spec.service].title}  127.0.0.1:{spec.port}"


def status_data(session: Session, status: ServiceStatus) -> dict[str, object]:
    """One service for machines."""
    spec, product = status.instance.spec, status.product
    return {
        "service": spec.service,
        "environment": spec.name_given,
        "lab": spec.lab,
        "state": str(status.instance.state),
        "ready": status.ready,
        "answer": status.answer,
        "host": "127.0.0.1",
        "port": spec.port,
        "engine": session.engine.info().name,
        "product": None if product is None else {
            "name": product.name, "version": product.version, "fidelity": str(product.fidelity)},
    }


def next_steps(session: Session, lab: str, name: str, statuses: list[ServiceStatus]) -> str:
    """What to do now, with the addresses that a server or a GUI client wants."""
    urls = []
    for status in statuses:
        spec = status.instance.spec
        recipe = session.recipes[spec.service]
        values = recipe.environment(spec.endpoint, spec.credentials)
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
