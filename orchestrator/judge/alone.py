"""One run on services of its own: its lease, its venue, and the space of its first failure, which stays."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.environments.toolbox import Toolbox, held
from orchestrator.errors import EnvironmentBusy, LabsError
from orchestrator.judge.attempt import Listener
from orchestrator.judge.forking import ForkServer
from orchestrator.judge.request import RunRequest
from orchestrator.judge.seat import Marks
from orchestrator.judge.supervisor import run
from orchestrator.judge.turns import MOST_JUDGES
from orchestrator.judge.warmth import Warmth
from orchestrator.ownership import kept_spaces, leases
from orchestrator.ownership.kept_spaces import KeptSpace
from orchestrator.report.result import MilestoneResult, Report
from orchestrator.system.demand import processors
from orchestrator.system.together import Together, surely


def judge_alone(request: RunRequest, toolbox: Toolbox, listener: Listener, *, keep_failed: bool,
                judges: int | None = None, forks: ForkServer | None = None) -> Report:
    """One run under a lease. With ``keep_failed`` the first failure's services stay to be looked into, and the others
    go on running for the next run.

    ``judges``: so many milestones at a time; by itself two, where the machine and the milestones allow.
    """
    folder, key = request.workspace.folder, toolbox.engine.info().key

    def keep(result: MilestoneResult, of: str, marks: Mapping[str, Marks]) -> None:
        kept_spaces.remember(toolbox.home, KeptSpace(
            of, key, str(folder), request.lab.name, result.id, result.reason, request.seed, result.port, time.time(),
            {name: one.recipe for name, one in marks.items()}, {name: one.incarnation for name, one in marks.items()}))

    old = [space for space in kept_spaces.find(toolbox.home, folder) if space.engine == key]
    warmth = Warmth(toolbox.home, toolbox.engine, request.lab.name, old) if keep_failed else None
    with removed_beside(toolbox, old, warmth), held(toolbox, "check") as (owner, scratch):
        return run(request, engine=toolbox.engine, engine_reason=toolbox.engine_reason, recipes=toolbox.recipes,
                   owner=owner, folder=scratch, listener=listener, keep=keep if keep_failed else None,
                   judges=judges_for(request) if judges is None else judges, warmth=warmth, forks=forks)


def judges_for(request: RunRequest) -> int:
    """A second one for two milestones would come too late: its services must start first."""
    wanted = sum(plan.role != "later" for plan in request.milestones)
    return min(MOST_JUDGES, processors(), max(1, wanted - 1))


def explore_alone(request: RunRequest, toolbox: Toolbox, listener: Listener, *, warm: bool) -> Report:
    """One run of `labs explore`. What the last check left to be looked into stays.

    ``warm``: on services that an earlier command left running, and left so for the next one.
    """
    warmth = Warmth(toolbox.home, toolbox.engine, request.lab.name) if warm else None
    with held(toolbox, "explore") as (owner, scratch):
        return run(request, engine=toolbox.engine, engine_reason=toolbox.engine_reason, recipes=toolbox.recipes,
                   owner=owner, folder=scratch, listener=listener, warmth=warmth)


@contextlib.contextmanager
def removed_beside(toolbox: Toolbox, old: Sequence[KeptSpace], warmth: Warmth | None) -> Iterator[None]:
    """Remove the spaces that earlier checks left to be looked into, while the new one is judged.

    With ``warmth`` the new one may work in them; what it has not taken is removed at the end. One that `labs run` uses
    stays until the next check.
    """

    def remove(space: KeptSpace) -> None:
        with contextlib.suppress(EnvironmentBusy), leases.lock(toolbox.home, space.environment, wait=0):
            kept_spaces.remove(toolbox.engine, toolbox.home, space)

    removal = Together(remove, old if warmth is None else ())
    removal.start()
    try:
        yield
    finally:
        with contextlib.suppress(LabsError):  # it is nobody's any more: the next sweep takes it
            surely(removal.wait)
            for space in warmth.not_taken() if warmth is not None else ():
                remove(space)
