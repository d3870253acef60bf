"""One run on services of its own: its lease, its venue, and the space of its first failure, which stays."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.environments.toolbox import Toolbox, held
from orchestrator.errors import EnvironmentBusy, LabsError
from orchestrator.judge.attempt import Listener
from orchestrator.judge.request import RunRequest
from orchestrator.judge.supervisor import run
from orchestrator.ownership import kept_spaces, leases
from orchestrator.ownership.kept_spaces import KeptSpace
from orchestrator.report.result import MilestoneResult, Report
from orchestrator.system.demand import processors
from orchestrator.system.together import Together, surely

MOST_JUDGES = 2
"""By itself. Most of a lab's milestones need others: a third judge would wait more than it judged."""


def judge_alone(request: RunRequest, toolbox: Toolbox, listener: Listener, *, keep_failed: bool,
                judges: int | None = None) -> Report:
    """One run under a lease; with ``keep_failed`` the first failure's services stay to be looked into.

    ``judges``: so many milestones at a time; by itself two, where the machine and the milestones allow.
    """
    folder, key = request.workspace.folder, toolbox.engine.info().key

    def keep(result: MilestoneResult, of: str) -> None:
        kept_spaces.remember(toolbox.home, KeptSpace(
            of, key, str(folder), request.lab.name, result.id, result.reason, request.seed, result.port, time.time()))

    with removed_beside(toolbox, folder), held(toolbox, "check") as (owner, scratch):
        return run(request, engine=toolbox.engine, engine_reason=toolbox.engine_reason, recipes=toolbox.recipes,
                   owner=owner, folder=scratch, listener=listener, keep=keep if keep_failed else None,
                   judges=judges_for(request) if judges is None else judges)


def judges_for(request: RunRequest) -> int:
    """A second one for two milestones would come too late: its services must start first."""
    wanted = sum(plan.role != "later" for plan in request.milestones)
    return min(MOST_JUDGES, processors(), max(1, wanted - 1))


def explore_alone(request: RunRequest, toolbox: Toolbox, listener: Listener) -> Report:
    """One run of `labs explore`, on services of its own. What the last check left to be looked into stays."""
    with held(toolbox, "explore") as (owner, scratch):
        return run(request, engine=toolbox.engine, engine_reason=toolbox.engine_reason, recipes=toolbox.recipes,
                   owner=owner, folder=scratch, listener=listener)


@contextlib.contextmanager
def removed_beside(toolbox: Toolbox, workspace: Path) -> Iterator[None]:
    """Remove the space that the last check of this workspace left to be looked into, while the new one is judged.

    One that `labs run` uses stays until the next check.
    """
    key = toolbox.engine.info().key
    old = [space for space in kept_spaces.find(toolbox.home, workspace) if space.engine == key]

    def remove(space: KeptSpace) -> None:
        with contextlib.suppress(EnvironmentBusy), leases.lock(toolbox.home, space.environment, wait=0):
            kept_spaces.remove(toolbox.engine, toolbox.home, space)

    removal = Together(remove, old)
    removal.start()
    try:
        yield
    finally:
        with contextlib.suppress(LabsError):  # it is nobody's any more: the next sweep takes it
            surely(removal.wait)
