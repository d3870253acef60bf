"""Environments: the services that a person starts, plays with, stops. The one facade that commands use for them.

An environment is found by its user and name. All that is known of it travels with the engine's objects; nothing here
is remembered in files of ours.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator import resources, services
from orchestrator.engines.base import Engine
from orchestrator.environments.execute import FailedOperation, Progress, execute, ignore
from orchestrator.environments.plan import EnvironmentPlan, plan_clean, plan_reset, plan_start, plan_stop
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.model import Instance, InstanceSpec, Owner, Product, Ready, State
from orchestrator.ownership import leases
from orchestrator.services.base import Recipe
from orchestrator.system.home import Home, installation_id, user_id
from orchestrator.system.ports import free_port
from orchestrator.system.service_ports import taken

PORT_TRIES = 5


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service of an environment now. ``answer`` is ``ready`` or what the probe said; ``product`` if it is ready."""

    instance: Instance
    answer: str
    product: Product | None

    @property
    def ready(self) -> bool:
        return self.answer == "ready"


class StartFailed(EnvironmentFault):
    """Some services could not be started; the first failure speaks, all are listed."""

    def __init__(self, failures: Sequence[FailedOperation]) -> None:
        first = failures[0].error
        super().__init__(first.message, code=first.code, hint=first.hint, details=first.details)
        self.failures = tuple(failures)


def environment_id(name: str, home: Home) -> str:
    """The id that all objects of one environment share: readable, and different for every user and installation."""
    digest = hashlib.sha256(f"{user_id()}\0{installation_id(home)}\0{name}".encode()).hexdigest()[:8]
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:30] or 'env'}-{digest}"


class Environments:
    """All environments of this user and installation on one engine."""

    def __init__(self, engine: Engine, home: Home, recipes: Mapping[str, Recipe]) -> None:
        self._engine = engine
        self._home = home
        self._recipes = recipes
        self._user = user_id()
        self._installation = installation_id(home)

    # --- looking ---------------------------------------------------------------------------------------------

    def instances(self, name: str | None = None) -> list[Instance]:
        """The instances of one environment, or of all; judge spaces are nobody's playground and left out."""
        found = self._engine.list(
            user=self._user,
            installation=self._installation,
            environment=None if name is None else environment_id(name, self._home),
        )
        return sorted(
            (instance for instance in found if instance.spec.owner.purpose == "environment"),
            key=lambda instance: (instance.spec.name_given, instance.spec.service),
        )

    def status(self, name: str | None = None) -> list[ServiceStatus]:
        """Every service as it is now: the engine's word and, for running ones, the service's own."""
        instances = self.instances(name)
        if not instances:
            return []
        with ThreadPoolExecutor(max_workers=min(8, len(instances))) as pool:
            return list(pool.map(self._look, instances))

    def _look(self, instance: Instance) -> ServiceStatus:
        recipe = self._recipes[instance.spec.service]
        endpoint = instance.spec.endpoint
        if instance.state is not State.RUNNING:
            return ServiceStatus(instance, str(instance.state), None)
        answer = recipe.probe(endpoint, instance.spec.credentials)
        if not isinstance(answer, Ready):
            return ServiceStatus(instance, answer.why, None)
        return ServiceStatus(instance, "ready", recipe.product(endpoint, instance.spec.credentials))

    def instance(self, name: str, service: str) -> Instance:
        """One service of an environment; ``EnvironmentFault("not-started")`` if it is not there."""
        for instance in self.instances(name):
            if instance.spec.service == service:
                return instance
        raise EnvironmentFault(
            f"{self._recipes[service].title} of the environment {name} is not started",
            code="not-started",
            hint=f"labs start {name} {service}",
        )

    def variables(self, name: str) -> dict[str, str]:
        """What a server needs to reach the environment's services: ``DATABASE_URL`` and the like."""
        return services.variables(
            (self._recipes[spec.service], spec.endpoint, spec.credentials)
            for spec in (instance.spec for instance in self.instances(name)))

    # --- changing --------------------------------------------------------------------------------------------

    def plan_start(self, lab: str, name: str, services: Sequence[str]) -> EnvironmentPlan:
        """What ``start`` would do now. Touches nothing; ports of new services may be others by then."""
        owner = Owner(environment_id(name, self._home), self._user, self._installation, "", 0, 0.0, "environment")
        return self._start_plan(lab, name, services, owner, busy=())

    def start(
        self, lab: str, name: str, services: Sequence[str], *,
        on_progress: Callable[[Progress], None] = ignore,
    ) -> EnvironmentPlan:
        """Bring services up, in parallel, and keep them. Running already: nothing happens. Returns what was done.

        Raises ``StartFailed``. What is new and did not come up is removed; what was there before is left as it is.
        """
        environment = environment_id(name, self._home)
        with leases.lock(self._home, environment):
            before = {instance.spec.name for instance in self.instances(name)}
            with leases.hold(self._home, engine=self._engine.info().key, environment=environment,
                             purpose="environment") as owner:
                done = plan = self._start_plan(lab, name, services, owner, busy=())
                failures = self._execute(plan, on_progress)
                busy: set[int] = set()
                for _ in range(PORT_TRIES):
                    # A port can be taken between our look and the engine's: go on with the next one.
                    lost = {self._port_of(plan, failure) for failure in failures if failure.error.code == "port-busy"}
                    if not lost:
                        break
                    busy |= lost
                    plan = self._start_plan(lab, name, services, owner, busy=busy)
                    failures = self._execute(plan, on_progress)
                if failures:
                    for failure in failures:
                        if failure.operation.name not in before:
                            self._engine.remove(failure.operation.name, data=True)
                    if not self._kept(environment) and self.instances(name):
                        self._engine.keep(environment, user=self._user, installation=self._installation)
                    raise StartFailed(failures)
                return done

    def _start_plan(
        self, lab: str, name: str, services: Sequence[str], owner: Owner, *, busy: Collection[int]
    ) -> EnvironmentPlan:
        found = {instance.spec.service: instance for instance in self.instances(name)}
        siblings = {instance.spec.port for instance in found.values()}
        desired = []
        for service in services:
            spec = self._desired(service, lab, name, owner, found.get(service), busy=busy, siblings=siblings)
            siblings.add(spec.port)
            desired.append(spec)
        return plan_start(desired, found.values(), kept=self._kept(owner.environment))

    def _desired(
        self, service: str, lab: str, name: str, owner: Owner, found: Instance | None, *,
        busy: Collection[int], siblings: Collection[int],
    ) -> InstanceSpec:
        """The spec as it should be: a found instance keeps credentials and, unless somebody took it, its port."""
        recipe = self._recipes[service]
        config = self._config(recipe)
        avoid = {*busy, *siblings}
        if found is None:
            return InstanceSpec(
                service=service,
                name=f"labs-{owner.environment}-{service}",
                name_given=name,
                lab=lab,
                owner=owner,
                credentials=recipe.credentials(),
                port=free_port(prefer=recipe.port, avoid=avoid),
                keep_data=True,
                config=config,
            )
        port = found.spec.port
        running = found.state in (State.RUNNING, State.PAUSED)
        if not running and (port in busy or taken(port)):
            port = free_port(prefer=recipe.port, avoid=avoid)
        return dataclasses.replace(found.spec, owner=owner, port=port, config=config)

    def _config(self, recipe: Recipe) -> str:
        """Changes when the way the service is run changes: its Compose file and the engine."""
        text = (resources.compose_folder() / recipe.compose).read_bytes()
        return hashlib.sha256(text + self._engine.info().name.encode()).hexdigest()[:12]

    def stop(self, names: Iterable[str], service: str | None = None, *,
             on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """End processes of these environments (or one service of them); data is kept."""
        return self._each(names, lambda found: plan_stop(_only(found, service)), on_progress)

    def plan_reset(self, name: str, service: str | None = None) -> EnvironmentPlan:
        """What ``reset`` would do."""
        return self._reset_plan(_only(self.instances(name), service))

    def reset(self, name: str, service: str | None = None, *,
              on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """Delete data of an environment (or one service of it); what ran runs again, same port and credentials."""
        return self._each([name], lambda found: self._reset_plan(_only(found, service)), on_progress)

    def _reset_plan(self, found: Sequence[Instance]) -> EnvironmentPlan:
        return plan_reset(found, {instance.spec.name: instance.spec for instance in found})

    def clean(self, names: Iterable[str], *,
              on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """Remove these environments with all data."""
        return self._each(
            names,
            lambda found: plan_clean(found, sorted({instance.spec.owner.environment for instance in found})),
            on_progress,
        )

    # --- parts -----------------------------------------------------------------------------------------------

    def _each(self, names: Iterable[str], decide: Callable[[list[Instance]], EnvironmentPlan],
              on_progress: Callable[[Progress], None]) -> EnvironmentPlan:
        done = EnvironmentPlan()
        for name in names:
            with leases.lock(self._home, environment_id(name, self._home)):
                plan = decide(self.instances(name))
                failures = self._execute(plan, on_progress)
                if failures:
                    raise StartFailed(failures)
            done = EnvironmentPlan(done.chains + plan.chains, done.last + plan.last)
        return done

    def _execute(self, plan: EnvironmentPlan, on_progress: Callable[[Progress], None]) -> tuple[FailedOperation, ...]:
        return execute(plan, engine=self._engine, recipes=self._recipes, user=self._user,
                       installation=self._installation, on_progress=on_progress)

    def _kept(self, environment: str) -> bool:
        return environment in self._engine.kept(user=self._user, installation=self._installation)

    @staticmethod
    def _port_of(plan: EnvironmentPlan, failure: FailedOperation) -> int:
        for operation in plan.operations:
            if operation.name == failure.operation.name and operation.spec is not None:
                return operation.spec.port
        raise LabsError(f"{failure.operation.name} has no port")


def _only(instances: Sequence[Instance], service: str | None) -> list[Instance]:
    return [instance for instance in instances if service is None or instance.spec.service == service]
