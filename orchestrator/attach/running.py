"""`labs run`: the learner's server in their terminal, where the last check failed or on empty services."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.attach.host import Host
from orchestrator.attach.judge import Judge
from orchestrator.environments.failed import failed_space, newest_failed
from orchestrator.environments.toolbox import Toolbox, held
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.judge.warmth import Warmth
from orchestrator.model import Lab, Owner, Workspace
from orchestrator.roles import addresses
from orchestrator.system.ports import answers, free_port
from orchestrator.targets.build import build
from orchestrator.targets.environ import target_environment, with_own_programs
from orchestrator.targets.foreground import in_front
from orchestrator.targets.process import TargetInvalid
from orchestrator.workspace.budgets import build_budget, hold_budgets
from orchestrator.workspace.progress import read_progress
from orchestrator.workspace.select import select
from orchestrator.workspace.tracks import own_part

if TYPE_CHECKING:
    from orchestrator.ownership.kept_spaces import KeptSpace

USUAL_PORT = 8080
"""Where a starter listens if nobody says anything else."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where a server runs. ``failed``: the space of a failed check, if it is that; ``missing``: services it lacks."""

    port: int
    variables: Mapping[str, str]
    services: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    failed: KeptSpace | None = None


@dataclass(frozen=True, slots=True)
class Starting:
    """What is about to be done, said before anything is waited for: these services, then the server on this port.

    ``failed``: they are those of a failed check.
    """

    services: tuple[str, ...]
    argv: tuple[str, ...]
    port: int
    failed: KeptSpace | None = None


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What to run. ``fresh``: on empty services in any case; ``port`` for a server on empty services.

    ``warm``: on services that a check has left, if there are some; and they stay for the next command.
    """

    lab: Lab
    workspace: Workspace
    argv: Sequence[str]
    fresh: bool = False
    port: int | None = None
    warm: bool = True

    def __post_init__(self) -> None:
        """``WorkspaceInvalid`` if the workspace gives itself more time than the lab allows."""
        hold_budgets(self.lab, self.workspace)


class RunListener(Protocol):
    """Hears what a run does."""

    def starting(self, starting: Starting, /) -> None:
        """At once."""

    def line(self, text: str, /) -> None:
        """A build says something."""

    def running(self, running: Running, /) -> None:
        """Everything is there; the server starts now, in this terminal."""


def run_server(toolbox: Toolbox, order: RunOrder, listener: RunListener) -> tuple[int, Running]:
    """Run it to its end; its exit status, and where it ran. Raises ``UsageError``, ``EnvironmentFault``."""

    with held(toolbox, "run") as (owner, folder):
        failed = newest_failed(toolbox, order.workspace.folder)
        if failed is None or order.fresh:
            return _on_empty_services(toolbox, owner, folder, order, listener)
        if order.port not in (None, failed.port):
            raise UsageError(f"where {failed.milestone} failed, your server has the check's port, {failed.port}",
                             hint=f"labs run --fresh --port {order.port}")
        return _where_it_failed(toolbox, owner, folder, order, failed, listener)


def _where_it_failed(toolbox: Toolbox, owner: Owner, folder: Path, order: RunOrder, failed: KeptSpace,
                     listener: RunListener) -> tuple[int, Running]:
    """On the services that the last failed check left, on that check's port; the lab's others sleep beside them."""
    lab = order.lab
    services = {one.id: one.services for one in lab.milestones}
    listener.starting(Starting(services.get(failed.milestone, ()), tuple(order.argv), failed.port, failed))
    with failed_space(toolbox, order.workspace.folder,
                      needs_services=lambda milestone: bool(services.get(milestone))) as (space, instances):
        _build_first(toolbox, order, listener.line)
        _refuse_busy(space.port)
        # What wakes now belongs to that space, too, and goes with it.
        there = dataclasses.replace(owner, environment=space.environment)
        with Venue(lab, engine=toolbox.engine, recipes=toolbox.recipes, owner=there, folder=folder) as venue:
            venue.resume(instances)
            given = venue.space.environment(addresses=_addresses(lab, failed.milestone))
            names = dict.fromkeys(one.spec.service for one in instances)
            listener.running(running := Running(space.port, given, tuple(names), failed=space))
            try:
                return _in_front(order, running, owner), running
            finally:
                venue.space.let_go()


def _on_empty_services(toolbox: Toolbox, owner: Owner, folder: Path, order: RunOrder,
                       listener: RunListener) -> tuple[int, Running]:
    """On services that nobody else uses, empty at first and afterwards; `labs check` may ask for a verdict.

    Those of the next milestone and of what has passed run from the start: a server that connects at its start is not
    kept waiting.
    """
    _refuse_busy(order.port)
    lab = order.lab
    planned = select(own_part(lab, order.workspace), passed=read_progress(order.workspace.folder), content="")
    needed = {service for one in planned if one.role != "later" for service in one.milestone.services}
    port = order.port or free_port(prefer=USUAL_PORT)
    first = tuple(need.name for need in lab.services if need.name in needed)
    listener.starting(Starting(first, tuple(order.argv), port))
    warmth = Warmth(toolbox.home, toolbox.engine, lab.name) if order.warm else None
    with Venue(lab, engine=toolbox.engine, recipes=toolbox.recipes, owner=owner, folder=folder,
               warmth=warmth) as venue:
        venue.begin(needed)
        _build_first(toolbox, order, listener.line)
        trouble = venue.opened()
        if trouble is not None:
            raise trouble
        venue.space.fresh()
        shown = [need.name for need in lab.services if need.start or need.name in needed]
        given = addresses(lab, planned[0].milestone)  # what the learner works on
        running = Running(port, venue.space.environment(addresses=given), tuple(shown),
                          {name: why for name, why in venue.missing.items() if name in shown})
        listener.running(running)
        request = RunRequest(lab, order.workspace, (), 0, toolbox.home.cache)
        with (Judge(venue, request, toolbox.engine_reason, port) as judge,
              Host(folder, request, judge, venue.environment, given)):
            status = _in_front(order, running, owner)
        if order.warm:
            # What cannot be emptied now is emptied by the next command, or made anew.
            with contextlib.suppress(EnvironmentFault):
                venue.space.fresh()
        return status, running


def _addresses(lab: Lab, milestone: str) -> dict[str, str]:
    """``roles.addresses`` of a milestone by its id; of one that the lab has no more: the usual ones."""
    known = {one.id: one for one in lab.milestones}
    return addresses(lab, known[milestone]) if milestone in known else {}


def _refuse_busy(port: int | None) -> None:
    """``EnvironmentFault`` if somebody else listens on the port that the server must have."""
    if port is not None and answers(port):
        raise EnvironmentFault(f"port {port} is taken by another program, perhaps by another labs run",
                               code="port-busy", hint=f"lsof -i :{port}")


def _in_front(order: RunOrder, running: Running, owner: Owner) -> int:
    """The command with what the server gets from `labs check`, too. By the lease it is found should we be killed.

    A command that was typed (``python -m pdb server.py``) finds the programs and libraries that the build installed.
    """
    environment = target_environment(port=running.port, run_id=owner.lease, services=running.variables,
                                     extra=order.lab.server.env)
    folder = order.workspace.folder
    if tuple(order.argv) != order.workspace.run:
        environment = with_own_programs(environment, folder)
    return in_front(order.argv, folder, environment)


def _build_first(toolbox: Toolbox, order: RunOrder, on_line: Callable[[str], None]) -> None:
    """Build what changed; ``UsageError`` with the tool's last lines if it cannot be built."""
    try:
        build(order.workspace, budget=build_budget(order.lab, order.workspace), cache=toolbox.home.cache,
              on_line=on_line)
    except TargetInvalid as error:
        raise UsageError(error.message, code=error.reason, details=error.log.splitlines()[-20:],
                         hint=error.advice.replace("labs check", "labs run") or "labs run   (when it can be built)"
                         ) from error
