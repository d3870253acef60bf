"""A run of checks: owns the venue, the target, the faults and the clock, and makes the report.

The build and the start of the services happen side by side; then milestone by milestone. Only an ``error`` is tried
again, once, on a fresh space. Whatever happens, everything that the run started has ended when ``run`` returns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.attempt import Listener, SpaceLost, Stage, attempt, excuse
from orchestrator.judge.showing import Showing, exploring
from orchestrator.judge.unspoilt import Unspoilt
from orchestrator.judge.venue import Venue
from orchestrator.judge.verdict import Expected, expected_checks
from orchestrator.model import Lab, Milestone, Owner, Verdict, Workspace
from orchestrator.report.result import ATTACHED, BLAMED, LOCAL, MilestoneResult, Report
from orchestrator.services.base import Recipe
from orchestrator.system.interrupt import NEVER, Cancel
from orchestrator.system.private import keep_memory_private
from orchestrator.workspace.budgets import build_budget, hold_budgets
from orchestrator.workspace.select import PlannedMilestone, blocker

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.targets.process import TargetInvalid

__all__ = ["Listener", "RunRequest", "judge", "prepare", "run"]

Keep = Callable[[MilestoneResult, str], None]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to judge. ``cache`` keeps builds between runs; ``lab_commit`` goes into the report.

    ``attached``: a server that runs at the venue already and goes on afterwards, instead of the workspace's.
    ``showing``: only the checks that explore, and what they find is noted there.
    """

    lab: Lab
    workspace: Workspace
    milestones: tuple[PlannedMilestone, ...]
    seed: int
    cache: Path
    lab_commit: str = ""
    attached: AttachedTarget | None = None
    shuffle: bool = False
    """Checks in an order that the seed draws: a proof looks whether their order matters."""
    showing: Showing | None = None
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Milestone -> ids of the checks that are wanted of it; one that is not named here has all of them judged."""

    def __post_init__(self) -> None:
        """``WorkspaceInvalid`` if the workspace gives itself more time than the lab allows."""
        hold_budgets(self.lab, self.workspace)


def run(
    request: RunRequest,
    *,
    engine: Engine,
    engine_reason: str,
    recipes: Mapping[str, Recipe],
    owner: Owner,
    folder: Path,
    listener: Listener,
    keep: Keep | None = None,
) -> Report:
    """One run at a venue of its own, of which nothing is left afterwards. Arguments as of ``Venue`` and ``judge``."""
    with Venue(request.lab, engine=engine, recipes=recipes, owner=owner, folder=folder) as venue:
        return judge(request, venue, engine_reason=engine_reason, listener=listener, last=True, keep=keep)


def judge(
    request: RunRequest, venue: Venue, *, engine_reason: str, listener: Listener, last: bool = False,
    keep: Keep | None = None, cancel: Cancel = NEVER,
) -> Report:
    """Judge the milestones of the request, in their order. With ``last`` the venue is left before it returns.

    ``keep`` is told of the first milestone that failed and of the environment of its space, which then stays.
    ``KeyboardInterrupt`` ends the run: the report says so and what is known by then. So does ``cancel``, and it leaves
    the venue ready for the next run.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    judging = _Run(request, venue, listener, keep, cancel)
    interrupted = False
    try:
        try:
            keep_memory_private()  # before anything of the learner's runs
            judging.judge()
        finally:
            if last:
                venue.close()
    except KeyboardInterrupt:
        interrupted = True
    info = venue.engine.info()
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
        isolation=LOCAL if request.attached is None else ATTACHED,
        products=venue.products,
        milestones=judging.all_results(),
        interrupted=interrupted,
    )


def prepare(venue: Venue, milestone: Milestone) -> None:
    """Make ready what a run of this milestone needs first: an empty space, a child that has loaded its checks.

    Only between runs at this venue. If it cannot be done, or another run comes, nothing is lost but its work.
    """
    if not venue.begun or venue.opened() is not None:
        return
    venue.ahead.prepare(milestone, venue.child(milestone))
    with contextlib.suppress(LabsError, OSError):
        venue.space.prepare()


class _Run:
    """One run under way: results by milestone id, and what stands in the way of the rest."""

    def __init__(
        self, request: RunRequest, venue: Venue, listener: Listener, keep: Keep | None, cancel: Cancel
    ) -> None:
        self._request = request
        self._keep = keep
        self._set_aside = False
        self._venue = venue
        self._listener = listener
        self._cancel = cancel
        self._results: dict[str, MilestoneResult] = {}
        self._files = Unspoilt(request.lab.folder)
        self._needed: frozenset[str] = frozenset()
        """Services of the milestones that will be judged; the lab's others sleep until the server asks for them."""

    def judge(self) -> None:
        """Fill in the results."""
        planned = [p for p in self._request.milestones if p.role != "later"]
        possible = [plan for plan in planned if self._unjudged(plan) is None]
        if possible:
            self._needed = frozenset(service for plan in possible for service in plan.milestone.services)
            self._judge_on_services(planned)
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

    def _judge_on_services(self, planned: Sequence[PlannedMilestone]) -> None:
        self._venue.expect_children()  # first of all: that takes as long as the services
        self._venue.begin(self._needed)
        invalid = self._build() if self._request.attached is None else None
        if invalid is not None:
            verdict = Verdict.ERROR if invalid.ours else Verdict.INVALID
            for plan in planned:
                self._publish(
                    dataclasses.replace(_result(plan, verdict, invalid.reason, str(invalid)),
                                        server_log=invalid.log, advice=invalid.advice)
                )
            return
        self._cancel.look()
        stage, lost = self._open()
        for plan, following in zip(planned, [*planned[1:], None], strict=True):
            result = self._unjudged(plan) or self._blocked(plan)
            if result is None and lost is None and self._set_aside:
                stage, lost = self._open()
                self._set_aside = False
            if result is None and lost is not None:
                result = _lost(plan, lost)
            if result is None:
                result, lost = self._attempts(stage, plan, following)
                result = self._by_what_it_was(result)
            self._publish(result)
            self._keep_first_failure(result)

    def _by_what_it_was(self, result: MilestoneResult) -> MilestoneResult:
        """The result, if nobody has changed who gave it."""
        path = self._files.changed()
        if not path:
            return result
        message = f"{path} was changed while your server was judged: run it once more when nobody writes there"
        return dataclasses.replace(result, verdict=Verdict.ERROR, reason="judge-changed", message=message,
                                   checks=excuse(result.checks, Verdict.ERROR, "judge-changed", message))

    def _open(self) -> tuple[Stage, EnvironmentFault | None]:
        """A space whose services run, and what is wrong with it, if anything."""
        lab, venue = self._request.lab, self._venue
        self._listener.on_phase(lab.name, "space")
        venue.begin(self._needed)
        lost = venue.opened()
        return Stage(
            lab=lab, workspace=self._request.workspace, seed=self._request.seed, engine=venue.engine,
            space=venue.space, proxy=venue.proxy, control_port=venue.control.port, folder=venue.folder,
            child=venue.child, listener=self._listener, cancel=self._cancel, ahead=venue.ahead,
            attached=self._request.attached, show=venue.show, shuffle=self._request.shuffle,
            showing=self._request.showing,
        ), lost

    def _keep_first_failure(self, result: MilestoneResult) -> None:
        """Somebody may look into the space in which the first milestone failed: nobody uses it any more."""
        if self._keep is not None and result.verdict in BLAMED and result.port:
            keep, self._keep = self._keep, None
            keep(result, self._venue.environment)
            self._venue.set_aside()
            self._set_aside = True

    def _build(self) -> TargetInvalid | None:
        """Build the workspace; what makes it unbuildable, if anything does."""
        from orchestrator.targets.build import build
        from orchestrator.targets.process import TargetInvalid

        self._listener.on_phase(self._request.lab.name, "build")
        try:
            build(self._request.workspace, budget=build_budget(self._request.lab, self._request.workspace),
                  cache=self._request.cache, cancel=self._cancel)
        except TargetInvalid as error:
            return error
        return None

    # --- one milestone -----------------------------------------------------------------------------------------

    def _attempts(
        self, stage: Stage, plan: PlannedMilestone, following: PlannedMilestone | None,
    ) -> tuple[MilestoneResult, EnvironmentFault | None]:
        """The milestone's result, after a second attempt if the first was an error; and a space that is lost.

        A server that had to wait for a service to wake, and then was found wrong, was not judged on what it would
        have found: it is judged again, with the service there from the start. Each wakes but once.
        """
        checks = _checks_of(plan.milestone)
        if isinstance(checks, str):
            return _result(plan, Verdict.ERROR, "lab-invalid", checks), None
        every = len(checks)
        if stage.showing is not None:
            checks = exploring(checks)
        wanted = self._request.only.get(plan.milestone.id)
        if wanted is not None:
            checks = tuple(check for check in checks if check.id in wanted)
        lost: EnvironmentFault | None = None
        errors = number = 0
        while True:
            number += 1
            lost, woken = None, False
            try:
                result = attempt(stage, plan, checks, number=number,
                                 following=following.milestone if following is not None else None,
                                 some=len(checks) < every)
                woken = result.verdict in BLAMED and bool(stage.space.woken)
            except SpaceLost as error:
                lost = error
                result = dataclasses.replace(_lost(plan, error), attempts=number)
            errors += result.verdict is Verdict.ERROR
            if not woken and (result.verdict is not Verdict.ERROR or errors == 2):
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

    def _unjudged(self, plan: PlannedMilestone) -> MilestoneResult | None:
        for service in plan.milestone.services:
            if service in self._venue.missing:
                return _result(plan, Verdict.UNJUDGED, "no-service", self._venue.missing[service])
            if self._request.attached is not None and not self._venue.can_clear(service):
                return _result(plan, Verdict.UNJUDGED, "attached", f"{service} cannot be emptied while your "
                               "server runs; end labs run, then labs check makes it anew")
        return None


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
