"""A run of checks: owns the space, the target, the faults and the clock, and makes the report.

The build and the start of the services happen side by side; then milestone by milestone. Only an ``error`` is tried
again, once, on a fresh space. Whatever happens, everything that the run started has ended when ``run`` returns.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.checks.attempt import Listener, SpaceLost, Stage, attempt
from orchestrator.checks.control import ControlServer
from orchestrator.checks.select import PlannedMilestone, blocker
from orchestrator.checks.space import Space
from orchestrator.checks.verdict import Expected, expected_checks
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.model import Lab, Milestone, Offer, Owner, Product, Verdict, Workspace
from orchestrator.report.model import MilestoneResult, Report
from orchestrator.services.base import Recipe
from orchestrator.together import surely

if TYPE_CHECKING:
    from orchestrator.checks.session import Command
    from orchestrator.target.process import TargetInvalid

__all__ = ["Listener", "RunRequest", "run"]

ISOLATION = "local, not isolated"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to judge. ``cache`` keeps builds between runs; ``lab_commit`` goes into the report."""

    lab: Lab
    workspace: Workspace
    milestones: tuple[PlannedMilestone, ...]
    seed: int
    cache: Path
    lab_commit: str = ""


def run(
    request: RunRequest,
    *,
    engine: Engine,
    engine_reason: str,
    recipes: Mapping[str, Recipe],
    owner: Owner,
    folder: Path,
    listener: Listener,
) -> Report:
    """Judge the milestones of the request, in their order.

    ``owner`` goes on every instance; its lease is held by the caller. ``folder`` is a private scratch folder that the
    caller removes. ``KeyboardInterrupt`` ends the run: the report says so and what is known by then.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    judging = _Run(request, engine, recipes, owner, folder, listener)
    interrupted = False
    try:
        with ExitStack() as stack:
            judging.judge(stack)
    except KeyboardInterrupt:
        interrupted = True
    info = engine.info()
    return Report(
        lab=request.lab.name,
        lab_version=request.lab.version,
        lab_commit=request.lab_commit,
        labs_version=__version__,
        seed=request.seed,
        started_at=started_at,
        seconds=time.monotonic() - began,
        engine=f"{info.name} {info.version}",
        engine_reason=engine_reason,
        isolation=ISOLATION,
        products=judging.products,
        milestones=judging.all_results(),
        interrupted=interrupted,
    )


class _Run:
    """One run under way: results by milestone id, and what stands in the way of the rest."""

    def __init__(self, request: RunRequest, engine: Engine, recipes: Mapping[str, Recipe], owner: Owner, folder: Path,
                 listener: Listener) -> None:
        self._request = request
        self._engine = engine
        self._recipes = recipes
        self._owner = owner
        self._folder = folder
        self._listener = listener
        self._results: dict[str, MilestoneResult] = {}
        self._missing: dict[str, str] = {}
        self.products: dict[str, Product] = {}

    def judge(self, stack: ExitStack) -> None:
        """Fill in the results. Everything that is started is registered on the stack first."""
        planned = [p for p in self._request.milestones if p.role != "later"]
        if not planned:
            return
        self._missing = self._not_offered()
        needed = [p for p in planned if self._unjudged(p) is None]
        if needed:
            self._judge_on_services(stack, planned)
        else:
            for plan in planned:
                self._publish(self._unjudged(plan) or _result(plan, Verdict.UNJUDGED))

    def all_results(self) -> tuple[MilestoneResult, ...]:
        """A result for every planned milestone, judged or not, in the plan's order."""
        return tuple(
            self._results.get(plan.milestone.id)
            or (
                _result(plan, Verdict.BLOCKED, "later", "not judged in this run")
                if plan.role == "later"
                else _result(plan, Verdict.ERROR, "interrupted", "not judged: the run was interrupted")
            )
            for plan in self._request.milestones
        )

    # --- before the first milestone ----------------------------------------------------------------------------

    def _judge_on_services(self, stack: ExitStack, planned: Sequence[PlannedMilestone]) -> None:
        from orchestrator.faults.proxy import Proxy

        lab = self._request.lab
        proxy = stack.enter_context(Proxy())
        control = stack.enter_context(ControlServer())
        here = [self._recipes[need.name] for need in lab.services if need.name not in self._missing]
        space = Space(self._engine, here, lab=lab.name, owner=self._owner, proxy=proxy)
        stack.callback(surely, space.close)
        space.begin()
        invalid = self._build()
        if invalid is not None:
            for plan in planned:
                self._publish(
                    dataclasses.replace(_result(plan, Verdict.INVALID, invalid.reason, str(invalid)),
                                        server_log=invalid.log)
                )
            return
        self._listener.on_phase(lab.name, "space")
        lost = self._open(space)
        self.products = space.products
        self._missing |= self._out_of_range()
        stage = Stage(
            lab=lab, workspace=self._request.workspace, seed=self._request.seed, engine=self._engine, space=space,
            proxy=proxy, control_port=control.port, folder=self._folder, child=child_of(lab),
            listener=self._listener,
        )
        for plan in planned:
            result = self._unjudged(plan) or self._blocked(plan)
            if result is None and lost is not None:
                result = _lost(plan, lost)
            if result is None:
                result, lost = self._attempts(stage, plan)
            self._publish(result)

    def _build(self) -> TargetInvalid | None:
        """Build the workspace; what makes it unbuildable, if anything does."""
        from orchestrator.target.build import build
        from orchestrator.target.process import TargetInvalid

        self._listener.on_phase(self._request.lab.name, "build")
        try:
            build(self._request.workspace, budget=self._request.lab.server.build_budget, cache=self._request.cache)
        except TargetInvalid as error:
            return error
        return None

    def _open(self, space: Space) -> EnvironmentFault | None:
        """Wait for the space; a service that did not come up is tried once more. What is still wrong, if anything."""
        try:
            space.opened()
        except EnvironmentFault:
            try:
                space.fresh()
            except EnvironmentFault as error:
                return error
        return None

    # --- one milestone -----------------------------------------------------------------------------------------

    def _attempts(self, stage: Stage, plan: PlannedMilestone) -> tuple[MilestoneResult, EnvironmentFault | None]:
        """The milestone's result, after a second attempt if the first was an error; and a space that is lost."""
        checks = _checks_of(plan.milestone)
        if isinstance(checks, str):
            return _result(plan, Verdict.ERROR, "lab-invalid", checks), None
        lost: EnvironmentFault | None = None
        for number in (1, 2):
            lost = None
            try:
                result = attempt(stage, plan, checks, number=number)
            except SpaceLost as error:
                lost = error
                result = dataclasses.replace(_lost(plan, error), attempts=number)
            if result.verdict is not Verdict.ERROR:
                break
        return result, lost

    def _publish(self, result: MilestoneResult) -> None:
        self._results[result.id] = result
        self._listener.on_milestone(result)

    def _blocked(self, plan: PlannedMilestone) -> MilestoneResult | None:
        need = blocker(plan.milestone, {name: result.verdict for name, result in self._results.items()})
        if need is None:
            return None
        return dataclasses.replace(
            _result(plan, Verdict.BLOCKED, "needs", f"needs {need}, which has not passed"), advice=f"labs check {need}"
        )

    # --- what this machine can offer ---------------------------------------------------------------------------

    def _unjudged(self, plan: PlannedMilestone) -> MilestoneResult | None:
        for service in plan.milestone.services:
            if service in self._missing:
                return _result(plan, Verdict.UNJUDGED, "no-service", self._missing[service])
        return None

    def _not_offered(self) -> dict[str, str]:
        """Services of the lab that cannot run here, with what is missing and what would help."""
        missing: dict[str, str] = {}
        for need in self._request.lab.services:
            recipe = self._recipes.get(need.name)
            if recipe is None:
                missing[need.name] = f"this version of labs does not know the service {need.name}"
                continue
            offer: Offer = self._engine.offer(recipe)
            if not offer.available:
                missing[need.name] = "; ".join(part for part in (offer.missing, offer.remedy) if part)
        return missing

    def _out_of_range(self) -> dict[str, str]:
        """Services that run here in a version that the lab is not made for."""
        from packaging.specifiers import SpecifierSet

        return {
            need.name: f"{product} runs here; the lab needs {need.versions}"
            for need in self._request.lab.services
            if (product := self.products.get(need.name)) is not None
            and not SpecifierSet(need.versions).contains(product.version, prereleases=True)
        }


def child_of(lab: Lab) -> Callable[[Milestone], Command]:
    """From a milestone of this lab to the command of its pytest child."""
    from orchestrator.checks.command import child_command

    return lambda milestone: child_command(lab.folder, milestone.checks)


def _checks_of(milestone: Milestone) -> tuple[Expected, ...] | str:
    """The checks that must run, or what is wrong with the lab's file."""
    try:
        checks = expected_checks(milestone.id, milestone.checks.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        return f"the lab's check file {milestone.checks.name} cannot be read: {error}"
    return checks or f"the lab's check file {milestone.checks.name} has no checks"


def _lost(plan: PlannedMilestone, error: LabsError) -> MilestoneResult:
    result = _result(plan, Verdict.ERROR, error.code, "\n".join([error.message, *error.details]))
    return dataclasses.replace(result, advice=error.hint or "")


def _result(plan: PlannedMilestone, verdict: Verdict, reason: str = "", message: str = "") -> MilestoneResult:
    milestone = plan.milestone
    return MilestoneResult(
        milestone.id, milestone.title, verdict, plan.role, reason=reason, message=message, points=milestone.points,
        brief=str(milestone.brief),
    )
