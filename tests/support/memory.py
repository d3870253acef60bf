"""An engine in memory and a recipe that is always ready: for tests of what stands above engines."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

from orchestrator.engines.base import EngineInfo
from orchestrator.errors import EnvironmentFault
from orchestrator.model import (
    Credentials,
    Endpoint,
    Fidelity,
    Instance,
    InstanceSpec,
    Offer,
    Probe,
    Product,
    Ready,
    State,
)
from orchestrator.services.base import Recipe


class MemoryEngine:
    """Instances are entries of a dict. ``calls`` records what was asked; ``busy`` ports refuse to start.

    ``always_busy``: how the name ends of an instance that no port is free for.
    """

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.data: dict[str, InstanceSpec] = {}
        self.marks: set[tuple[str, str, str]] = set()
        self.calls: list[tuple[str, str]] = []
        self.busy: set[int] = set()
        self.always_busy = ""
        self._lock = threading.Lock()

    def info(self) -> EngineInfo:
        return EngineInfo("memory", "1", "here", "memory")

    def offer(self, recipe: Any) -> Offer:
        return Offer(recipe.name, available=True, expected="memory")

    def create(self, spec: InstanceSpec, recipe: Any) -> None:
        with self._lock:
            self.calls.append(("create", spec.name))
            if spec.name in self.instances:
                raise EnvironmentFault("there already", code="exists")
            self.instances[spec.name] = Instance(spec, State.EXITED)
            if spec.keep_data:
                self.data[spec.name] = spec

    def start(self, name: str) -> None:
        with self._lock:
            self.calls.append(("start", name))
            spec = self.instances[name].spec
            if {spec.port, *spec.more_ports.values()} & self.busy or (self.always_busy and name.endswith(
                    self.always_busy)):
                raise EnvironmentFault("the port is taken", code="port-busy")
            self._set(name, State.RUNNING)

    def stop(self, name: str) -> None:
        self.calls.append(("stop", name))
        self._set(name, State.EXITED)

    def pause(self, name: str) -> None:
        self._set(name, State.PAUSED)

    def unpause(self, name: str) -> None:
        self.calls.append(("unpause", name))
        self._set(name, State.RUNNING)

    def remove(self, name: str, *, data: bool) -> None:
        with self._lock:
            self.calls.append(("remove", name))
            self.instances.pop(name, None)
            if data:
                self.data.pop(name, None)

    def inspect(self, name: str) -> Instance | None:
        return self.instances.get(name)

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> list[Instance]:
        found = dict(self.instances)
        for name, spec in self.data.items():
            found.setdefault(name, Instance(spec, State.MISSING))
        return [
            instance for instance in found.values()
            if (instance.spec.owner.user, instance.spec.owner.installation) == (user, installation)
            and environment in (None, instance.spec.owner.environment)
            and lease in (None, instance.spec.owner.lease)
        ]

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        return ""

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        self.marks.add((environment, user, installation))

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        self.marks.discard((environment, user, installation))

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        return frozenset(mark[0] for mark in self.marks if mark[1:] == (user, installation))

    def _set(self, name: str, state: State) -> None:
        self.instances[name] = dataclasses.replace(self.instances[name], state=state)


class MemoryRecipe(Recipe):
    """A service that is ready as soon as it runs."""

    compose = "redis.yaml"
    memory = 1000

    def __init__(self, name: str, port: int, *, more_ports: Mapping[str, int] | None = None, nodes: int = 1) -> None:
        self.name = name
        self.title = name.title()
        self.port = port
        self.more_ports = dict(more_ports or {})
        self.nodes = nodes
        self.prepared: list[Endpoint] = []

    def credentials(self) -> Credentials:
        return Credentials("admin", "a-secret", "learner", "b-secret", "shop")

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        return Ready()

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self.prepared.append(endpoint)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        return Product(self.title, "1", Fidelity.GENUINE)

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> dict[str, str]:
        return {f"{self.name.upper()}_URL": f"{self.name}://{endpoint}"}

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return None
