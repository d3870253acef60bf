"""One service of an environment, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint
from orchestrator.environments.specs import reached

if TYPE_CHECKING:
    from orchestrator.environments.facade import ServiceStatus
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.faults.record import LastingFault
    from orchestrator.model import InstanceSpec
    from orchestrator.services.base import Recipe


def address(status: ServiceStatus) -> str:
    """``127.0.0.1:5432``, with all nodes' ports where there are several; a file's path."""
    spec = status.instance.spec
    if spec.file:
        return spec.file
    return f"127.0.0.1:{','.join(str(port) for port in spec.node_ports or (reached(spec).port,))}"


def why_here(recipe: Recipe, spec: InstanceSpec, before: InstanceSpec | None) -> str:
    """Why a start put a service elsewhere than it was ``before``, or if it is new, than people look; else ``""``."""
    now = {**spec.ports, **spec.links}
    expected = {"": recipe.port, **recipe.more_ports} if before is None else {**before.ports, **before.links}
    taken = [port for name, port in expected.items() if now.get(name, port) != port]
    if not taken:
        return ""
    which = " and ".join(str(port) for port in taken)
    moved, new = "", ""
    if before is not None:
        moved, new = "moved: ", "".join(f"; labs env shows the new {name}" for name in recipe.urls)
    return (f"  ({moved}{which} {'is' if len(taken) == 1 else 'are'} taken by another program; "
            f"lsof -i :{taken[0]} shows which{new})")


def ready_line(toolbox: Toolbox, status: ServiceStatus, why: str = "") -> str:
    """``ready  postgres  PostgreSQL 18.6 (genuine)  127.0.0.1:5432``, and why it is there, if that needs a word."""
    spec = status.instance.spec
    mark = paint("ready", "green") if status.ready else paint(status.answer, "red")
    return f"{mark}  {spec.service:<14} {status.product or toolbox.recipe_of(spec).title}  {address(status)}{why}"


def faults_of(toolbox: Toolbox, status: ServiceStatus) -> list[LastingFault]:
    """What is broken on purpose in it; in what a judge uses nothing is."""
    spec = status.instance.spec
    if spec.owner.purpose != "environment":
        return []
    return [one for one in toolbox.faults.active(spec.name_given) if one.service == spec.service]


def fault_data(fault: LastingFault) -> dict[str, object]:
    """One fault for machines."""
    left = fault.seconds_left
    return {"id": fault.id, "service": fault.service, "kind": fault.kind, "direction": fault.direction,
            "numbers": dict(fault.numbers), "seconds_left": None if left is None else round(left, 1)}


def status_data(toolbox: Toolbox, status: ServiceStatus) -> dict[str, object]:
    """One service for machines."""
    spec, product = status.instance.spec, status.product
    found = reached(spec)
    return {
        "service": spec.service,
        "environment": spec.name_given,
        "lab": spec.lab,
        "state": str(status.instance.state),
        "ready": status.ready,
        "answer": status.answer,
        "host": "127.0.0.1",
        "port": found.port,
        "more_ports": {name: found.others[name] for name in spec.more_ports},
        "node_ports": list(spec.node_ports),
        "file": spec.file,
        "faults": [fault_data(one) for one in faults_of(toolbox, status)],
        "engine": toolbox.engine.info().name,
        "product": None if product is None else {
            "name": product.name, "version": product.version, "fidelity": str(product.fidelity)},
    }
