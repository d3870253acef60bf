"""The space in which the last check of a workspace failed, as commands use it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.environments.life import Life
from orchestrator.errors import EnvironmentBusy, EnvironmentFault, UsageError
from orchestrator.model import State
from orchestrator.ownership import judge_spaces, kept_spaces, leases
from orchestrator.system.home import installation_id, user_id

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Instance
    from orchestrator.ownership.kept_spaces import KeptSpace


def newest_failed(toolbox: Toolbox, workspace: Path) -> KeptSpace | None:
    """The newest kept space of the workspace on this engine."""
    key = toolbox.engine.info().key
    return next((one for one in reversed(kept_spaces.find(toolbox.home, workspace)) if one.engine == key), None)


@contextlib.contextmanager
def failed_space(
    toolbox: Toolbox, workspace: Path, *, needs_services: Callable[[str], bool] = lambda _milestone: True
) -> Iterator[tuple[KeptSpace, list[Instance]]]:
    """The newest kept space of the workspace, its services running, ours alone while the block runs.

    The instances are all there are, of several nodes each one. ``needs_services`` says whether the milestone that
    failed has any. ``UsageError`` where there is no such space; ``EnvironmentFault`` if a service cannot run again.
    """
    space = newest_failed(toolbox, workspace)
    if space is None:
        raise UsageError("no failed milestone is kept for this folder", code="no-failed-space",
                         hint="labs check   (what fails is kept until the next check)")
    with leases.lock(toolbox.home, space.environment, wait=0):
        found = judge_spaces.instances(toolbox.engine, toolbox.home, space.environment)
        if not found and needs_services(space.milestone):
            raise EnvironmentFault("the services of the failed milestone are gone: a restart of the machine ends them, "
                                   "and so may the end of your login (systemd: RemoveIPC)", code="no-failed-space",
                                   hint=f"labs check {space.milestone}")
        Life(toolbox.engine, toolbox.recipes, user=user_id(), installation=installation_id(toolbox.home)).resume(found)
        yield space, judge_spaces.instances(toolbox.engine, toolbox.home, space.environment)


def look_into(toolbox: Toolbox, workspace: Path, needs_services: Callable[[str], bool]) -> list[Instance]:
    """The instances of ``failed_space``, for who only looks: also while somebody, `labs run` say, works there."""
    try:
        with failed_space(toolbox, workspace, needs_services=needs_services) as (_, found):
            return found
    except EnvironmentBusy:
        space = newest_failed(toolbox, workspace)
        found = [] if space is None else judge_spaces.instances(toolbox.engine, toolbox.home, space.environment)
        if not any(one.state is State.RUNNING for one in found):
            raise
        return found


def all_failed(toolbox: Toolbox) -> list[KeptSpace]:
    """All kept spaces on this engine, of every workspace."""
    key = toolbox.engine.info().key
    return [space for space in kept_spaces.spaces(toolbox.home).values() if space.engine == key]


def remove_kept(toolbox: Toolbox) -> list[str]:
    """Remove all kept spaces on this engine that nobody works in; names of what went."""
    removed: list[str] = []
    for space in all_failed(toolbox):
        with contextlib.suppress(EnvironmentBusy), leases.lock(toolbox.home, space.environment, wait=0):
            removed += kept_spaces.remove(toolbox.engine, toolbox.home, space)
    return removed
