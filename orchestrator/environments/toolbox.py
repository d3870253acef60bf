"""What most commands need: the home, the chosen engine, leftovers swept, the environments. It says nothing itself."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import services
from orchestrator.environments.facade import Environments
from orchestrator.environments.faults import OwnFaults
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec, Lab, Owner
from orchestrator.system.home import Home, find_home

if TYPE_CHECKING:
    from orchestrator.engines.base import Engine, EngineInfo
    from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What one command works with. ``engine_reason``: why this engine, in words."""

    home: Home
    engine: Engine
    engine_reason: str
    recipes: Mapping[str, Recipe]
    environments: Environments

    def of_lab(self, lab: Lab) -> Toolbox:
        """The same for a command about this lab: the services of its own are among the recipes."""
        recipes = services.Recipes(services.own_recipes(lab.services))
        return replace(self, recipes=recipes, environments=Environments(self.engine, self.home, recipes))

    @property
    def faults(self) -> OwnFaults:
        """What is broken on purpose."""
        return OwnFaults(self.environments, self.home)

    def recipe_of(self, spec: InstanceSpec) -> Recipe:
        """The recipe of an instance that was found, whatever lab it is of, and be that gone."""
        return services.recipe_of(self.recipes, spec)


@contextlib.contextmanager
def open_toolboxes(
    engine: str | None, *,
    on_engine: Callable[[EngineInfo, str], None] = lambda _info, _reason: None,
    on_removed: Callable[[str], None] = lambda _: None,
    on_healed: Callable[[str], None] = lambda _: None,
    on_trouble: Callable[[EnvironmentFault], None] = lambda _: None,
) -> Iterator[tuple[Toolbox, ...]]:
    """Choose the engine, sweep what dead commands left, heal what they broke, and let go of the engines at the end.

    The chosen engine's toolbox comes first. Those of the other engines at hand follow if no engine was asked for.
    Told: the engine with the reason for it, each name of what was removed, what was healed, what could not be.
    """
    from orchestrator.engines.choose import choose
    from orchestrator.ownership.sweep import sweep

    home = find_home()
    choice = choose(engine, home=home)
    recipes = services.Recipes()
    try:
        on_engine(choice.engine.info(), choice.reason)
        engines = {one.info().key: one for one in (choice.engine, *choice.others)}
        for name in sweep(home, engines, on_trouble=on_trouble):
            on_removed(name)
        looked_at = (choice.engine, *(() if engine else choice.others))
        found = tuple(Toolbox(home, one, choice.reason, recipes, Environments(one, home, recipes)) for one in looked_at)
        for toolbox in found:
            toolbox.faults.mend(on_healed=on_healed, on_trouble=on_trouble)
        yield found
    finally:
        for one in (choice.engine, *choice.others):
            one.close()


@contextlib.contextmanager
def open_toolbox(
    engine: str | None, *,
    on_engine: Callable[[EngineInfo, str], None] = lambda _info, _reason: None,
    on_removed: Callable[[str], None] = lambda _: None,
    on_healed: Callable[[str], None] = lambda _: None,
    on_trouble: Callable[[EnvironmentFault], None] = lambda _: None,
) -> Iterator[Toolbox]:
    """As ``open_toolboxes``, for a command that needs the chosen engine alone."""
    with open_toolboxes(engine, on_engine=on_engine, on_removed=on_removed, on_healed=on_healed,
                        on_trouble=on_trouble) as found:
        yield found[0]


@contextlib.contextmanager
def held(toolbox: Toolbox, purpose: str) -> Iterator[tuple[Owner, Path]]:
    """A lease for judging, and a scratch folder that is gone at the end.

    ``purpose`` (``check``, ``watch``) begins the name of the environment.
    """
    from orchestrator.ownership import leases
    from orchestrator.system.files import make_folder

    with leases.hold(toolbox.home, engine=toolbox.engine.info().key,
                     environment=f"{purpose}-{secrets.token_hex(4)}", purpose="judge") as owner:
        folder = make_folder(toolbox.home.runs / owner.lease)
        try:
            yield owner, folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
