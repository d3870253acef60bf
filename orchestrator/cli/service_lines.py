"""One service of an environment, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint

if TYPE_CHECKING:
    from orchestrator.environments.facade import ServiceStatus
    from orchestrator.environments.toolbox import Toolbox


def address(status: ServiceStatus) -> str:
    """``127.0.0.1:5432``, with all nodes' ports where there are several; a file's path."""
    spec = status.instance.spec
    if spec.file:
        return spec.file
    return f"127.0.0.1:{','.join(str(port) for port in spec.node_ports or (spec.port,))}"


def ready_line(toolbox: Toolbox, status: ServiceStatus) -> str:
    """``ready  postgres  PostgreSQL 18.6 (genuine)  127.0.0.1:5432``."""
    spec = status.instance.spec
    mark = paint("ready", "green") if status.ready else paint(status.answer, "red")
    return f"{mark}  {spec.service:<14} {status.product or toolbox.recipe_of(spec).title}  {address(status)}"


def status_data(toolbox: Toolbox, status: ServiceStatus) -> dict[str, object]:
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
        "more_ports": dict(spec.more_ports),
        "node_ports": list(spec.node_ports),
        "file": spec.file,
        "engine": toolbox.engine.info().name,
        "product": None if product is None else {
            "name": product.name, "version": product.version, "fidelity": str(product.fidelity)},
    }
