"""What most commands need: the home, the chosen engine (its reason said once), leftovers swept, the environments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint, say
from orchestrator.environments.facade import Environments
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.system.home import Home, find_home

if TYPE_CHECKING:
    from orchestrator.engines.base import Engine
    from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class Session:
    """One command's connection to everything."""

    home: Home
    engine: Engine
    engine_reason: str
    recipes: Mapping[str, Recipe]
    environments: Environments


@contextlib.contextmanager
def open_session(engine: str | None, *, quiet: bool = False) -> Iterator[Session]:
    """Choose the engine, sweep what dead commands left, and let go of the engine at the end."""
    from orchestrator import services
    from orchestrator.engines.choose import choose
    from orchestrator.ownership.sweep import sweep

    home = find_home()
    choice = choose(engine, home=home)
    recipes = services.Recipes()
    try:
        if not quiet:
            say(paint(f"engine: {choice.engine.info().name} ({choice.reason})", "dim"))
        engines = {one.info().key: one for one in (choice.engine, *choice.others)}
        for name in sweep(home, engines, on_trouble=_leftover):
            say(paint(f"removed {name}, left behind by a command that was killed", "dim"))
        yield Session(home, choice.engine, choice.reason, recipes, Environments(choice.engine, home, recipes))
    finally:
        choice.engine.close()


def _leftover(error: EnvironmentFault) -> None:
    say(f"note: something that a killed command left could not be removed yet: {error.message}")


def environment_name(session: Session, given: str | None) -> str:
    """The environment that is meant: the one named, else the workspace's lab's, else the only one there is."""
    if given:
        return given
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    folder = find_workspace(Path.cwd())
    names = list(dict.fromkeys(instance.spec.name_given for instance in session.environments.instances()))
    if folder is not None:
        lab = read_workspace(folder).lab
        if lab in names or not names:
            return lab
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("no services are started", code="not-started", hint="labs start databases")
    raise UsageError(f"which environment? There are {', '.join(names)}", hint=f"... --name {names[0]}")


def named_or_all(session: Session, given: str | None) -> list[str]:
    """The environment named, or all there are."""
    names = list(dict.fromkeys(instance.spec.name_given for instance in session.environments.instances()))
    if given is None:
        return names
    if given not in names:
        from orchestrator.errors import did_you_mean

        raise UsageError(f"there is no environment {given!r}{did_you_mean(given, names)}", code="not-started",
                         hint="labs status")
    return [given]


def service_or_environment(session: Session, word: str | None, name: str | None) -> tuple[str | None, str | None]:
    """Service and environment's name that are meant; after `labs start databases` people say `labs stop databases`."""
    names = [instance.spec.name_given for instance in session.environments.instances()]
    if word is not None and name is None and word not in session.recipes and word in names:
        return None, word
    if word is not None:
        check_service(session, word)
    return word, name


def check_service(session: Session, service: str) -> None:
    """``UsageError`` with did-you-mean for a service that no recipe knows."""
    if service not in session.recipes:
        from orchestrator.errors import did_you_mean

        raise UsageError(f"there is no service {service!r}{did_you_mean(service, session.recipes)}",
                         code="unknown-service", hint="labs status   (what runs)")
