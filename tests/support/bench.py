"""A bench to make instances of real services on an engine, whichever engine it is."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.environments.readiness import PATIENCE, answer_within, wait_ready
from orchestrator.model import Endpoint, Instance, InstanceSpec, Owner, Ready
from orchestrator.services.base import Recipe
from orchestrator.system.ports import free_port


@dataclass
class Bench:
    """Makes instances that are this test's own: another installation than anybody else's on the same engine."""

    engine: Engine
    user: str = str(os.getuid())
    installation: str = field(default_factory=lambda: f"contract-{secrets.token_hex(4)}")
    environment: str = field(default_factory=lambda: f"contract-{secrets.token_hex(4)}")
    foreign: str = field(default_factory=lambda: f"foreign-{secrets.token_hex(4)}")
    ports: set[int] = field(default_factory=set)

    def recipe(self, service: str = "redis") -> Recipe:
        return services.recipe(service)

    def spec(self, service: str = "redis", *, keep_data: bool = True, environment: str | None = None,
             installation: str | None = None, lease: str = "lease-1", port: int | None = None) -> InstanceSpec:
        """A new instance, wanted: nothing is made."""
        environment = environment or self.environment
        recipe, name = self.recipe(service), f"labs-{environment}-{service}"
        port = port or (self.port() if recipe.port else 0)
        owner = Owner(environment, self.user, installation or self.installation, lease, os.getpid(), 12.5, "environment")
        return InstanceSpec(
            service=service, name=name, name_given="play \"é\"", lab="databases", owner=owner,
            credentials=recipe.credentials(), port=port, keep_data=keep_data, config="c-1",
            more_ports={endpoint: self.port() for endpoint in recipe.more_ports}, file=self.engine.file(name, recipe))

    def nodes(self, service: str, **wanted: Any) -> list[InstanceSpec]:
        """The same for all nodes of a service: one set of credentials, every node knows the others."""
        specs = [self.spec(service, **wanted) for _ in range(self.recipe(service).nodes)]
        ports = tuple(spec.port for spec in specs)
        return [dataclasses.replace(spec, name=f"{spec.name}-{number}", node=number, node_ports=ports,
                                    credentials=specs[0].credentials) for number, spec in enumerate(specs, 1)]

    def port(self) -> int:
        """A free one, another each time."""
        port = free_port(avoid=self.ports)
        self.ports.add(port)
        return port

    def created(self, spec: InstanceSpec | None = None) -> InstanceSpec:
        """Created, not running."""
        spec = spec or self.spec()
        self.engine.create(spec, self.recipe(spec.service))
        return spec

    def up(self, spec: InstanceSpec | None = None) -> InstanceSpec:
        """Created, running and ready."""
        spec = self.created(spec)
        self.start(spec)
        return spec

    def start(self, spec: InstanceSpec) -> None:
        """Running and ready."""
        self.engine.start(spec.name)
        wait_ready(self.engine, self.recipe(spec.service), dataclasses.replace(spec, node_ports=()))

    def answers(self, spec: InstanceSpec, patience: float = PATIENCE) -> bool:
        """Whether the service itself answers, within so many seconds."""
        endpoint = Endpoint(spec.port, file=spec.file)
        return isinstance(answer_within(self.recipe(spec.service), endpoint, spec.credentials, patience), Ready)

    def write(self, spec: InstanceSpec, text: str) -> None:
        """Put something into the service that is still there after a SIGKILL."""
        with _client(spec) as client:
            client.set("note", text)
            # Redis syncs its file once a second; two writes later it has it.
            client.execute_command("WAITAOF", 1, 0, 5000)

    def read(self, spec: InstanceSpec) -> str | None:
        """What ``write`` put there."""
        with _client(spec) as client:
            value = client.get("note")
        return None if value is None else str(value)

    def listed(self, **filters: str) -> dict[str, str]:
        """Name -> state of what the engine lists as this test's."""
        found = self.engine.list(user=self.user, installation=self.installation, **filters)
        return {instance.spec.name: str(instance.state) for instance in found}

    def clear(self) -> None:
        for installation in (self.installation, self.foreign):
            for instance in self.engine.list(user=self.user, installation=installation):
                self.engine.remove(instance.spec.name, data=True)
            for environment in self.engine.kept(user=self.user, installation=installation):
                self.engine.unkeep(environment, user=self.user, installation=installation)


def found(bench: Bench, spec: InstanceSpec) -> Instance:
    instance = bench.engine.inspect(spec.name)
    assert instance is not None
    return instance


@contextlib.contextmanager
def _client(spec: InstanceSpec) -> Iterator[Any]:
    import redis

    credentials = spec.credentials
    client = redis.Redis(host="127.0.0.1", port=spec.port, username=credentials.admin_user,
                         password=credentials.admin_password, decode_responses=True, protocol=2, socket_timeout=10)
    with contextlib.closing(client):
        yield client
