"""A toolbox as commands open it, said on standard error, and which environment or service is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint, say
from orchestrator.environments import toolbox as toolboxes
from orchestrator.environments.toolbox import Toolbox
from orchestrator.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    from orchestrator.engines.base import EngineInfo
    from orchestrator.environments.started import Started
    from orchestrator.model import Lab


def open_toolbox(engine: str | None, *, quiet: bool = False) -> AbstractContextManager[Toolbox]:
    """Choose the engine, sweep what dead commands left, and say so; let go of the engine at the end."""
    return toolboxes.open_toolbox(engine, on_engine=_ignored if quiet else _chosen, on_removed=_removed,
                                 on_healed=_healed, on_trouble=_leftover)


@contextmanager
def open_started(engine: str | None, *, quiet: bool = False) -> Iterator[Started]:
    """As ``open_toolbox``, for a command that acts on what is started, on whichever engine that was.

    With an ``engine``, on that one only.
    """
    from orchestrator.environments.started import Started

    with toolboxes.open_toolboxes(engine, on_engine=_ignored if quiet else _chosen, on_removed=_removed,
                                  on_healed=_healed, on_trouble=_leftover) as found:
        for toolbox in () if quiet else found[1:]:
            names = dict.fromkeys(one.spec.name_given for one in toolbox.environments.instances())
            if names:
                _chosen(toolbox.engine.info(), f"{', '.join(names)}: started there")
        yield Started(found)


def _chosen(info: EngineInfo, reason: str) -> None:
    say(paint(f"engine: {info.name} ({reason})", "dim"))


def _ignored(_info: EngineInfo, _reason: str) -> None:
    """Where only the answer is wanted."""


def _removed(name: str) -> None:
    say(paint(f"removed {name}, left behind by a command that was killed", "dim"))


def _healed(what: str) -> None:
    say(paint(f"healed: {what}", "dim"))


def _leftover(error: EnvironmentFault) -> None:
    say(f"note: something that a killed command left could not be removed yet: {error.message}")


def environment_name(started: Started, given: str | None) -> str:
    """The environment that is meant: the one named, else the workspace's lab's, else the only one there is."""
    if given:
        return given
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    folder = find_workspace(Path.cwd())
    names = started.names()
    if folder is not None:
        lab = read_workspace(folder).lab
        if lab in names or not names:
            return lab
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("no services are started", code="not-started", hint="labs start databases")
    raise UsageError(f"which environment? There are {', '.join(names)}", hint=f"... --name {names[0]}")


def named_or_all(started: Started, given: str | None) -> list[str]:
    """The environment named, or all there are."""
    names = started.names()
    if given is None:
        return names
    if given not in names:
        from orchestrator.errors import did_you_mean

        raise UsageError(f"there is no environment {given!r}{did_you_mean(given, names)}", code="not-started",
                         hint="labs status")
    return [given]


def service_or_environment(started: Started, word: str | None, name: str | None) -> tuple[str | None, str | None]:
    """Service and environment's name that are meant; after `labs start databases` people say `labs stop databases`."""
    found = started.instances()
    services = {*started.recipes, *(instance.spec.service for instance in found)}
    if word is not None and name is None and word not in services and (
            word in {one.spec.name_given for one in found} or _lab(word)):
        return None, word
    if word is not None:
        check_service(started, word)
    return word, name


def _lab(name: str) -> Lab | None:
    """The lab of this name; ``None`` for a name that somebody chose, and for a lab that is gone."""
    from orchestrator.catalog.labs import find_lab
    from orchestrator.errors import LabsError

    try:
        return find_lab(name)
    except LabsError:
        return None


def lab_without(environment: str, service: str | None = None) -> bool:
    """Whether the environment is that of a lab which has no such service, or no services at all."""
    lab = _lab(environment)
    if lab is None:
        return False
    names = [need.name for need in lab.services]
    return not names if service is None else service not in names


def environment_of(started: Started, service: str, name: str | None) -> str:
    """The environment in which this service is meant.

    ``UsageError`` for a service that no recipe knows, or that the environment's lab does not have.
    """
    check_service(started, service)
    chosen = environment_name(started, name)
    there = {one.spec.service for one in started.instances(chosen)}
    if service not in there and lab_without(chosen, service):
        raise UsageError(f"{chosen} has no service {service}", code="unknown-service", hint=f"labs info {chosen}")
    return chosen


def check_service(started: Started, service: str) -> None:
    """``UsageError`` with did-you-mean for a service that no recipe knows and that is not started either."""
    if service in started.recipes:
        return
    there = {instance.spec.service for instance in started.instances()}
    if service not in there:
        from orchestrator.errors import did_you_mean

        raise UsageError(f"there is no service {service!r}{did_you_mean(service, [*started.recipes, *there])}",
                         code="unknown-service", hint="labs status   (what runs)")
