"""Environments: the services that a person starts, plays with, stops. The one facade that commands use for them.

An environment is found by its user and name. All that is known of it travels with the engine's objects; nothing here
is remembered in files of ours.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.environments.breakages import Breakages
from orchestrator.environments.execute import Progress, ignore
from orchestrator.environments.life import Life, StartFailed
from orchestrator.environments.plan import (
    EnvironmentPlan,
    plan_break,
    plan_clean,
    plan_reset,
    plan_start,
    plan_stop,
)
from orchestrator.environments.readiness import answer_within
from orchestrator.environments.specs import Ports, first_name, nodes_of, reached, settings_of
from orchestrator.errors import EnvironmentFault
from orchestrator.machine import memory
from orchestrator.model import Instance, InstanceSpec, Owner, Product, Ready, State
from orchestrator.ownership import leases
from orchestrator.services.base import Recipe
from orchestrator.services.unknown import UnknownRecipe
from orchestrator.system.home import Home, installation_id, user_id
from orchestrator.system.ports import is_taken

__all__ = ["Environments", "ServiceStatus", "StartFailed", "environment_id"]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service of an environment now. ``answer`` is ``ready`` or what the probe said; ``product`` if it is ready.

    ``nodes`` are all its instances, ``instance`` is the first of them.
    """

    nodes: tuple[Instance, ...]
    answer: str
    product: Product | None

    @property
    def instance(self) -> Instance:
        return self.nodes[0]

    @property
    def ready(self) -> bool:
        return self.answer == "ready"


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
        self.breakages = Breakages(home, engine.info().key)
        self._life = Life(engine, recipes, user=self._user, installation=self._installation)

    # --- looking ---------------------------------------------------------------------------------------------

    def instances(self, name: str | None = None) -> list[Instance]:
        """The instances of one environment, or of all, the nodes of a service in their order.

        Judge spaces are nobody's playground and left out.
        """
        found = self._engine.list(
            user=self._user,
            installation=self._installation,
            environment=None if name is None else environment_id(name, self._home),
        )
        return _in_order(instance for instance in found if instance.spec.owner.purpose == "environment")

    def status(self, name: str | None = None) -> list[ServiceStatus]:
        """Every service as it is now: the engine's word and, for running ones, the service's own."""
        return self.status_of(self.instances(name))

    def status_of(self, instances: Iterable[Instance]) -> list[ServiceStatus]:
        """The same of these instances, be they of an environment or not."""
        found = [tuple(nodes) for _, nodes in itertools.groupby(_in_order(instances), _service_of)]
        if not found:
            return []
        with ThreadPoolExecutor(max_workers=min(8, len(found))) as pool:
            return list(pool.map(self._look, found))

    def _look(self, nodes: tuple[Instance, ...]) -> ServiceStatus:
        spec = nodes[0].spec
        recipe, endpoint = services.recipe_of(self._recipes, spec), spec.endpoint
        away = next((one for one in nodes if one.state is not State.RUNNING), None)
        if away is not None:
            which = f"node {away.spec.node}: " if any(one.state is not away.state for one in nodes) else ""
            return ServiceStatus(nodes, f"{which}{away.state}", None)
        answer = answer_within(recipe, endpoint, spec.credentials)
        if not isinstance(answer, Ready):
            return ServiceStatus(nodes, answer.why, None)
        return ServiceStatus(nodes, "ready", recipe.product(endpoint, spec.credentials))

    def nodes(self, name: str, service: str) -> list[Instance]:
        """All instances of one service; ``EnvironmentFault("not-started")`` if there is none."""
        found = _only(self.instances(name), service)
        if found:
            return found
        known = self._recipes.get(service)
        raise EnvironmentFault(
            f"{known.title if known is not None else service} of the environment {name} is not started",
            code="not-started",
            hint=f"labs start {name} {service}",
        )

    def instance(self, name: str, service: str) -> Instance:
        """One service of an environment, of several nodes the first; ``EnvironmentFault("not-started")``."""
        return self.nodes(name, service)[0]

    def variables(self, name: str) -> dict[str, str]:
        """What a server needs to reach the environment's services: ``DATABASE_URL`` and the like."""
        return services.variables(
            (services.recipe_of(self._recipes, spec), reached(spec), spec.credentials)
            for spec in (instance.spec for instance in self.instances(name)) if spec.node == 1)

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
        ``EnvironmentFault("memory-short")`` before anything starts, if what does not run yet does not fit.
        """
        environment = environment_id(name, self._home)
        with leases.lock(self._home, environment):
            before = {instance.spec.name for instance in self.instances(name)}
            short = memory.refusal(found := self.fit(name, services), _smaller(lab, name, services, found.fitting))
            if short is not None:
                raise short
            with leases.hold(self._home, engine=self._engine.info().key, environment=environment,
                             purpose="environment") as owner:
                try:
                    return self._life.bring_up(lambda busy: self._start_plan(lab, name, services, owner, busy=busy),
                                               before=before, on_progress=on_progress)
                except StartFailed:
                    if not self._kept(environment) and self.instances(name):
                        self._engine.keep(environment, user=self._user, installation=self._installation)
                    raise

    def _start_plan(
        self, lab: str, name: str, services: Sequence[str], owner: Owner, *, busy: Collection[int]
    ) -> EnvironmentPlan:
        found = self.instances(name)
        ports = Ports({*busy, *(port for instance in found for port in instance.spec.ports.values())})
        desired = [spec for service in services
                   for spec in self._desired(service, lab, name, owner, _only(found, service), ports, busy)]
        return plan_start(desired, found, kept=self._kept(owner.environment))

    def _desired(
        self, service: str, lab: str, name: str, owner: Owner, found: Sequence[Instance], ports: Ports,
        busy: Collection[int],
    ) -> tuple[InstanceSpec, ...]:
        """The specs as they should be: what is found keeps credentials and, unless somebody took them, its ports."""
        recipe = self._recipes[service]
        fronted = self.breakages.stands(owner.environment, service)
        first = found[0].spec if found else InstanceSpec(
            service=service, name=first_name(owner.environment, service), name_given=name, lab=lab, owner=owner,
            credentials=recipe.credentials(), port=0, keep_data=True, config="",
        )
        there = {(one.spec.node, endpoint): (one, port) for one in found
                 for endpoint, port in one.spec.ports.items()}

        def choose(node: int, endpoint: str, well_known: int) -> int:
            instance, port = there.get((node, endpoint), (None, 0))
            if instance is None:
                return ports.take(prefer=well_known)
            back = not fronted and endpoint in instance.spec.links  # to where the link in front of it was
            port = instance.spec.links[endpoint] if back else port
            running = instance.state in (State.RUNNING, State.PAUSED) and not back
            lost = not running and (port in busy or is_taken(port))
            return ports.take(prefer=well_known) if lost else port

        return nodes_of(self._engine, recipe,
                        dataclasses.replace(first, name=first_name(owner.environment, service), owner=owner,
                                            links=first.links if fronted else {},
                                            config=settings_of(self._engine, recipe)), choose)

    def fit(self, name: str, services: Sequence[str]) -> memory.Fit:
        """Whether those of the services that do not run yet fit into this machine's memory."""
        running = {instance.spec.service for instance in self.instances(name)
                   if instance.state in (State.RUNNING, State.PAUSED)}
        return memory.look(self._engine, [self._recipes[one] for one in services if one not in running])

    def stop(self, names: Iterable[str], service: str | None = None, *,
             on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """End processes of these environments (or one service of them); data is kept."""
        return self._each(names, service, lambda found: plan_stop(_only(found, service)), on_progress)

    def plan_reset(self, name: str, service: str | None = None) -> EnvironmentPlan:
        """What ``reset`` would do."""
        return self._reset_plan(_only(self.instances(name), service))

    def reset(self, name: str, service: str | None = None, *,
              on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """Delete data of an environment (or one service of it); what ran runs again, same port and credentials."""
        return self._each([name], service, lambda found: self._reset_plan(_only(found, service)), on_progress)

    def _reset_plan(self, found: Sequence[Instance]) -> EnvironmentPlan:
        """Raises ``EnvironmentFault`` before anything is deleted if something could not be made again."""
        for one in found:
            if isinstance(recipe := services.recipe_of(self._recipes, one.spec), UnknownRecipe):
                raise recipe.fault()
        return plan_reset(found, {instance.spec.name: _plain(instance.spec) for instance in found})

    def clean(self, names: Iterable[str], *,
              on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """Remove these environments with all data."""
        return self._each(
            names,
            None,
            lambda found: plan_clean(found, sorted({instance.spec.owner.environment for instance in found})),
            on_progress,
        )

    # --- faults: see ``faults``, which holds the environment's lock ------------------------------------------

    def disturb(self, name: str, service: str, verb: Literal["stop", "kill", "pause"]) -> None:
        """Do this to a service that runs."""
        self._life.carry_out(plan_break(self.nodes(name, service), verb))

    def resume(self, name: str, service: str) -> None:
        """It runs and answers again, as it is."""
        self._life.resume(self.nodes(name, service))

    def make_way(self, name: str, service: str) -> None:
        """It ends, for a process to stand where it listened; ``move`` brings it up again."""
        self._life.carry_out(plan_stop(self.nodes(name, service)))

    def move(self, name: str, service: str, links: Mapping[str, int]) -> InstanceSpec:
        """It runs on other ports, behind a process that listens on ``links``; data and passwords are kept."""
        spec = self.instance(name, service).spec

        def decide(busy: Collection[int]) -> EnvironmentPlan:
            ports = Ports({*busy, *links.values()})
            moved = dataclasses.replace(spec, links=dict(links), port=ports.take(),
                                        more_ports={one: ports.take() for one in spec.more_ports})
            return plan_start([moved], self.nodes(name, service), kept=True)

        self._life.bring_up(decide, before=[spec.name])
        return self.instance(name, service).spec

    def bring_home(self, name: str, service: str) -> None:
        """Back to where nothing stands in front of it, running: the same port, unless somebody took that."""
        spec = self.instance(name, service).spec
        self._life.bring_up(lambda busy: self._start_plan(spec.lab, name, [service], spec.owner, busy=busy),
                            before=[spec.name])

    # --- parts -----------------------------------------------------------------------------------------------

    def _each(self, names: Iterable[str], service: str | None, decide: Callable[[list[Instance]], EnvironmentPlan],
              on_progress: Callable[[Progress], None]) -> EnvironmentPlan:
        done = EnvironmentPlan()
        for name in names:
            with leases.lock(self._home, environment_id(name, self._home)):
                plan = decide(self.instances(name))
                self.breakages.forget(environment_id(name, self._home), service)
                self._life.carry_out(plan, on_progress)
            done = EnvironmentPlan(done.chains + plan.chains, done.last + plan.last)
        return done

    def _kept(self, environment: str) -> bool:
        return environment in self._engine.kept(user=self._user, installation=self._installation)


def _smaller(lab: str, name: str, services: Sequence[str], fitting: Sequence[str]) -> str:
    """The command that starts as many of the services as there is room for."""
    if not fitting:
        return "labs status   (labs stop makes room; so does closing other programs)"
    words = ["labs start", lab, *(one for one in services if one in fitting)]
    return " ".join([*words, *(["--name", name] if name != lab else [])])


def _plain(spec: InstanceSpec) -> InstanceSpec:
    """With nothing in front of it: it listens where that did."""
    more = {name: spec.links.get(name, port) for name, port in spec.more_ports.items()}
    return dataclasses.replace(spec, port=spec.links.get("", spec.port), more_ports=more, links={})


def _in_order(instances: Iterable[Instance]) -> list[Instance]:
    return sorted(instances, key=lambda instance: (*_service_of(instance), instance.spec.node))


def _service_of(instance: Instance) -> tuple[str, str]:
    return instance.spec.name_given, instance.spec.service


def _only(instances: Sequence[Instance], service: str | None) -> list[Instance]:
    return [instance for instance in instances if service is None or instance.spec.service == service]
