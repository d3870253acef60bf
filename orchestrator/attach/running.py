"""`labs run`: the learner's server in their terminal, where the last check failed or on empty services."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.attach.host import Host
from orchestrator.attach.judge import Judge
from orchestrator.environments.failed import failed_space, newest_failed
from orchestrator.environments.toolbox import Toolbox, held
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.judge.supervisor import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.model import Lab, Owner, Workspace
from orchestrator.system.ports import answers, free_port
from orchestrator.targets.build import build
from orchestrator.targets.environ import target_environment
from orchestrator.targets.foreground import in_front
from orchestrator.targets.process import TargetInvalid
from orchestrator.workspace.progress import read_progress
from orchestrator.workspace.select import select

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
class RunOrder:
    """What to run. ``fresh``: on empty services in any case; ``port`` for a server on empty services."""

    lab: Lab
    workspace: Workspace
    argv: Sequence[str]
    fresh: bool = False
    port: int | None = None


def run_server(toolbox: Toolbox, order: RunOrder, tell: Callable[[Running], None],
               on_line: Callable[[str], None]) -> tuple[int, Running]:
    """Run it to its end; its exit status, and where it ran.

    ``tell`` hears where before it starts, ``on_line`` what a build says. Raises ``UsageError``, ``EnvironmentFault``.
    """
    told: list[Running] = []

    def telling(running: Running) -> None:
        told.append(running)
        tell(running)

    with held(toolbox, "run") as (owner, folder):
        failed = newest_failed(toolbox, order.workspace.folder)
        if failed is None or order.fresh:
            status = _on_empty_services(toolbox, owner, folder, order, telling, on_line)
        elif order.port not in (None, failed.port):
            raise UsageError(f"where {failed.milestone} failed, your server has the check's port, {failed.port}",
                             hint=f"labs run --fresh --port {order.port}")
        else:
            status = _where_it_failed(toolbox, owner, folder, order, telling, on_line)
    return status, told[0]


def _where_it_failed(toolbox: Toolbox, owner: Owner, folder: Path, order: RunOrder, tell: Callable[[Running], None],
                     on_line: Callable[[str], None]) -> int:
    """On the services that the last failed check left, on that check's port; the lab's others sleep beside them."""
    lab = order.lab
    services = {one.id: one.services for one in lab.milestones}
    with failed_space(toolbox, order.workspace.folder,
                      needs_services=lambda milestone: bool(services.get(milestone))) as (space, instances):
        _build_first(toolbox, order, on_line)
        _refuse_busy(space.port)
        # What wakes now belongs to that space, too, and goes with it.
        there = dataclasses.replace(owner, environment=space.environment)
        with Venue(lab, engine=toolbox.engine, recipes=toolbox.recipes, owner=there, folder=folder) as venue:
            venue.resume(instances)
            given = venue.space.environment()
            names = dict.fromkeys(one.spec.service for one in instances)
            tell(Running(space.port, given, tuple(names), failed=space))
            try:
                return in_front(order.argv, order.workspace.folder, _environment(lab, space.port, given, owner))
            finally:
                venue.space.let_go()


def _on_empty_services(toolbox: Toolbox, owner: Owner, folder: Path, order: RunOrder, tell: Callable[[Running], None],
                       on_line: Callable[[str], None]) -> int:
    """On services of its own, empty at first and gone afterwards; `labs check` may ask for a verdict.

    Those of the next milestone and of what has passed run from the start: a server that connects at its start is not
    kept waiting.
    """
    _refuse_busy(order.port)
    lab = order.lab
    planned = select(lab, passed=read_progress(order.workspace.folder), content="")
    needed = {service for one in planned if one.role != "later" for service in one.milestone.services}
    with Venue(lab, engine=toolbox.engine, recipes=toolbox.recipes, owner=owner, folder=folder) as venue:
        venue.begin(needed)
        _build_first(toolbox, order, on_line)
        trouble = venue.opened()
        if trouble is not None:
            raise trouble
        venue.space.fresh()
        given, port = venue.space.environment(), order.port or free_port(prefer=USUAL_PORT)
        tell(Running(port, given, tuple(need.name for need in lab.services), venue.missing))
        request = RunRequest(lab, order.workspace, (), 0, toolbox.home.cache)
        with Judge(venue, request, toolbox.engine_reason, port) as judge, Host(folder, request, judge):
            return in_front(order.argv, order.workspace.folder, _environment(lab, port, given, owner))


def _refuse_busy(port: int | None) -> None:
    """``EnvironmentFault`` if somebody else listens on the port that the server must have."""
    if port is not None and answers(port):
        raise EnvironmentFault(f"port {port} is taken by another program, perhaps by another labs run",
                               code="port-busy", hint=f"lsof -i :{port}")


def _environment(lab: Lab, port: int, given: Mapping[str, str], owner: Owner) -> dict[str, str]:
    """What the server gets from `labs check`, too. By the lease it is found should we be killed."""
    return target_environment(port=port, run_id=owner.lease, services=given, extra=lab.server.env)


def _build_first(toolbox: Toolbox, order: RunOrder, on_line: Callable[[str], None]) -> None:
    """Build what changed; ``UsageError`` with the tool's last lines if it cannot be built."""
    try:
        build(order.workspace, budget=order.lab.server.build_budget, cache=toolbox.home.cache, on_line=on_line)
    except TargetInvalid as error:
        raise UsageError(error.message, code=error.reason, details=error.log.splitlines()[-20:],
                         hint="labs run   (when it can be built)") from error
