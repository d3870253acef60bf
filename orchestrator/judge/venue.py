"""Where a lab is judged: its judge space behind the proxy, and the control. One run, or many with everything warm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.judge.ahead import Ahead
from orchestrator.judge.child_process import Launch
from orchestrator.judge.control import ControlServer
from orchestrator.judge.forking import ForkServer, launcher
from orchestrator.judge.space import Space
from orchestrator.machine import memory
from orchestrator.model import Instance, Lab, Milestone, Owner, Product
from orchestrator.roles import players
from orchestrator.services.base import Clearing, Recipe
from orchestrator.system.together import surely

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.faults.proxy import Proxy
    from orchestrator.judge.warmth import Taken, Warmth
    from orchestrator.targets.process import Target

MAKE_ROOM = "labs stop   (ends the services of labs start, their data stays; or close other programs)"


class Venue:
    """A context manager; everything that it started has ended when it is left, however it is left.

    ``owner`` goes on every instance; its lease is held by the caller. ``folder`` is a private scratch folder that the
    caller removes. Nothing is started before ``begin``. ``forks``: where it is there already, and the caller's.
    """

    def __init__(self, lab: Lab, *, engine: Engine, recipes: Mapping[str, Recipe], owner: Owner, folder: Path,
                 warmth: Warmth | None = None, forks: ForkServer | None = None) -> None:
        self.lab = lab
        self.engine = engine
        self.folder = folder
        self._recipes = {**recipes, **services.own_recipes(lab.services)}
        self._first = self._owner = owner
        self._warmth = warmth
        self._taken: Taken | None = None
        self._spaces = 1
        self._products: dict[str, Product] = {}
        self._stack = ExitStack()
        self.begun = False
        """Whether services have been started, at least."""
        self._absent = not_offered(lab, engine, self._recipes)
        self.missing = dict(self._absent)
        """Services of the lab that cannot run here, or not in its versions: what is missing and what would help."""
        self.ahead = Ahead(folder, lab.folder)
        self._readers = {need.name: module for need in lab.services if not need.own
                         if (module := services.part_name(need.name, "evidence")) is not None}
        self._forks = forks or self._stack.enter_context(ForkServer())
        self._target: Target | AttachedTarget | None = None

    def another(self, number: int) -> Venue:
        """A venue like this one before it began, with instances and a folder of its own."""
        folder = self.folder / f"venue-{number}"
        folder.mkdir()
        owner = replace(self._first, environment=f"{self._first.environment}-beside-{number}")
        return Venue(self.lab, engine=self.engine, recipes=self._recipes, owner=owner, folder=folder,
                     warmth=self._warmth, forks=self._forks)

    def __enter__(self) -> Venue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(in_order=kind is None)

    def close(self, *, in_order: bool = False) -> None:
        """End and remove everything; ``in_order``: but services that may stay for the next run. Harmless twice."""
        if in_order and self.begun:
            self._leave()
        self._stack.close()
        self._lose()

    def begin(self, needed: Collection[str] | None = None) -> None:
        """Start the services that are needed (by itself all), side by side, and return at once; the others sleep.

        Begun already: only what is needed now, too, and sleeps. ``EnvironmentFault("memory-short")`` if what must be
        started does not fit into this machine's memory.
        """
        needed = [need.name for need in self.lab.services] if needed is None else needed
        there = self.begun or self._take()
        self._fit(needed)
        if there:
            self.space.need(needed)
            return
        self._open_space().begin(needed)

    def expect_children(self) -> None:
        """What they import is imported from now on, beside whatever else is made ready."""
        self._forks.expect([*self._readers.values()])

    def resume(self, instances: Iterable[Instance]) -> None:
        """Begin with services that run already and stay afterwards, of a space that was kept; the others sleep."""
        self._open_space().adopt(instances)

    def _take(self) -> bool:
        """Begin with what an earlier run left, if it did and it is sound."""
        taken = self._taken = self._warmth.take(self._recipes) if self._warmth is not None else None
        if taken is None:
            return False
        mine, self._owner = self._owner, taken.owner
        try:
            self._open_space().adopt(taken.instances)
        except EnvironmentFault:  # a port of a link, say, that somebody took meanwhile
            self.space.let_go()
            self._drop(taken)
            self._owner, self.begun = mine, False
            return False
        return True

    def _drop(self, taken: Taken) -> None:
        """Remove what was taken: it cannot be used."""
        for one in taken.instances:
            self.engine.remove(one.spec.name, data=True)
        self._lose()

    def _leave(self) -> None:
        """The next run may have the services of this one, as far as they are sound."""
        if self._warmth is None:
            return
        self._products = self.products
        marks = self.space.leave()
        if marks:
            self._warmth.leave(self.environment, marks, self._taken)
            self._taken = None

    def _lose(self) -> None:
        """What was taken is not ours any more."""
        if self._taken is not None and self._warmth is not None:
            self._warmth.give_up(self._taken)
        self._taken = None

    def _open_space(self) -> Space:
        from orchestrator.faults.proxy import Proxy

        if self._spaces == 1:
            self.control = self._stack.enter_context(ControlServer())
        self.proxy: Proxy = self._stack.enter_context(Proxy())
        known = [self._recipes[need.name] for need in self.lab.services if need.name in self._recipes]
        self.space = Space(self.engine, known, lab=self.lab.name, owner=self._owner, proxy=self.proxy,
                           missing=self._absent, allow=lambda recipe: self._fit([recipe.name]))
        self._stack.callback(surely, self.space.close)
        self._stack.callback(surely, self.ahead.close)
        self.begun = True
        return self.space

    def child(self, milestone: Milestone) -> Launch:
        """Starts the pytest of this milestone's checks."""
        roles = {role: service for role, service in players(self.lab, milestone).items() if service in self._readers}
        return launcher(self._forks, self.lab.folder, milestone.checks, self._readers, roles)

    @property
    def owner(self) -> Owner:
        """Of the instances that are used now."""
        return self._owner

    @property
    def environment(self) -> str:
        """The environment of the instances that are used now."""
        return self._owner.environment

    def can_clear(self, service: str) -> bool:
        """Whether the service can be emptied under a server that runs."""
        return isinstance(self._recipes.get(service), Clearing)

    def set_aside(self) -> None:
        """Leave the space as it is, for somebody to look into. ``begin`` makes a new one."""
        self._products = self.products
        self.space.let_go()
        self._lose()
        self._spaces += 1
        self._owner = replace(self._owner, environment=f"{self._first.environment}-{self._spaces}")
        self.begun = False

    def opened(self) -> EnvironmentFault | None:
        """Wait for the services that are needed; one that did not come up is tried once more.

        What is still wrong, if anything.
        """
        try:
            self.space.opened()
        except EnvironmentFault:
            try:
                self.space.fresh()
            except EnvironmentFault as error:
                return error
        self.missing |= self._out_of_range()
        return None

    def show(self, target: Target | AttachedTarget) -> None:
        """From now on ``server_log`` is this server's."""
        self._target = target

    def server_log(self, lines: int) -> str:
        """The last lines of the last server that was started here, also after its end."""
        return self._target.log(lines) if self._target is not None else ""

    @property
    def products(self) -> dict[str, Product]:
        """What really runs, as the services themselves say; empty before they run."""
        return self.space.products or self._products if self.begun else self._products

    def _fit(self, wanted: Collection[str]) -> None:
        started = self.space.begun() if self.begun else frozenset()
        new = [self._recipes[name] for name in wanted if name not in self._absent and name not in started]
        short = memory.refusal(memory.look(self.engine, new), MAKE_ROOM)
        if short is not None and self._warmth is not None and self._warmth.make_room():
            short = memory.refusal(memory.look(self.engine, new), MAKE_ROOM)
        if short is not None:
            raise short

    def _out_of_range(self) -> dict[str, str]:
        """Services that run here in a version that the lab is not made for."""
        from packaging.specifiers import SpecifierSet

        return {
            need.name: f"{product} runs here; the lab needs {need.versions}"
            for need in self.lab.services
            if need.versions and (product := self.products.get(need.name)) is not None
            and not SpecifierSet(need.versions).contains(product.version, prereleases=True)
        }


def not_offered(lab: Lab, engine: Engine, recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """Services of the lab that cannot be had here: what is missing and what would help."""
    missing: dict[str, str] = {}
    for need in lab.services:
        recipe = recipes.get(need.name)
        if recipe is None:
            missing[need.name] = f"this version of labs does not know the service {need.name}"
            continue
        offer = engine.offer(recipe)
        if not offer.available:
            said = (offer.missing, offer.remedy_for(lab.name))
            missing[need.name] = "; ".join(part for part in said if part)
    return missing
