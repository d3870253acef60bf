"""What a service's instances should be: their names, and all their ports, chosen together before the first is made."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Collection

from orchestrator.engines.base import Engine
from orchestrator.model import Endpoint, InstanceSpec
from orchestrator.services.base import Recipe
from orchestrator.services.places import compose_text
from orchestrator.system.ports import free_port

Choose = Callable[[int, str, int], int]
"""From the node's number, the endpoint's name (``""``: the main one) and its well-known port to the port it gets."""


class Ports:
    """Chooses free ports, the same one never twice, whatever thread asks."""

    def __init__(self, avoid: Collection[int] = ()) -> None:
        self._avoid = set(avoid)
        self._choosing = threading.Lock()

    def take(self, *, prefer: int | None = None) -> int:
        """A free port, ``prefer`` or one near it if that can be."""
        with self._choosing:
            port = free_port(prefer=prefer, avoid=self._avoid)
            self._avoid.add(port)
            return port

    def avoid(self, ports: Collection[int]) -> None:
        """Never choose these."""
        with self._choosing:
            self._avoid |= set(ports)


def settings_of(engine: Engine, recipe: Recipe) -> str:
    """Changes when the way a service is run changes: its Compose file, the engine, what the instance carries."""
    text = f"{compose_text(recipe)}{engine.info().name}{recipe.carried}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def first_name(environment: str, service: str) -> str:
    """The name of a service's first or only instance; a further node has its number behind it."""
    return f"labs-{environment}-{service}"


def node_names(spec: InstanceSpec) -> tuple[str, ...]:
    """The names of all nodes of the service whose first node this is."""
    return tuple(_node_name(spec.name, number) for number in range(1, max(1, len(spec.node_ports)) + 1))


def nodes_of(engine: Engine, recipe: Recipe, first: InstanceSpec, choose: Choose) -> tuple[InstanceSpec, ...]:
    """The specs of all nodes of a service, made from the first one's; every port of every node is chosen here."""
    numbers = range(1, recipe.nodes + 1)
    main = [choose(number, "", recipe.port) if recipe.port else 0 for number in numbers]
    return tuple(
        dataclasses.replace(
            first, name=_node_name(first.name, number), port=main[number - 1], node=number,
            more_ports={name: choose(number, name, port) for name, port in recipe.more_ports.items()},
            node_ports=tuple(main) if recipe.nodes > 1 else (),
            own=recipe.carried,
            file="" if recipe.port else engine.file(_node_name(first.name, number), recipe),
        )
        for number in numbers
    )


def reached(spec: InstanceSpec) -> Endpoint:
    """Where who uses an environment finds the service: at its links, if something stands in front of it."""
    straight = spec.endpoint
    if not spec.links or spec.owner.purpose != "environment":
        return straight
    others = {name: port for name, port in spec.links.items() if name}
    return Endpoint(spec.links.get("", straight.port), others={**straight.others, **others})


def _node_name(first: str, number: int) -> str:
    return first if number == 1 else f"{first}-{number}"
