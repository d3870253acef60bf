"""A run of checks: owns the venue, the target, the faults and the clock, and makes the report.

The build and the start of the services happen side by side; then milestone by milestone, or several at a time, each
judge at a venue of its own. Only an ``error`` is tried again, once, on a fresh space. Whatever happens, everything that
the run started has ended when ``run`` returns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.attempt import Listener, SpaceLost, Stage, attempt, excuse
from orchestrator.judge.showing import Showing, exploring
from orchestrator.judge.turns import Turn, Turns
from orchestrator.judge.unspoilt import Unspoilt
from orchestrator.judge.venue import Venue
from orchestrator.judge.verdict import Expected, expected_checks
from orchestrator.model import Lab, Milestone, Owner, Verdict, Workspace
from orchestrator.report.result import ATTACHED, BLAMED, LOCAL, MilestoneResult, Report
from orchestrator.services.base import Recipe
from orchestrator.system.interrupt import NEVER, Cancel, Cancelled
from orchestrator.system.private import keep_memory_private
from orchestrator.system.together import Together
from orchestrator.workspace.budgets import build_budget, hold_budgets
from orchestrator.workspace.select import PlannedMilestone, blocker

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.targets.process import TargetInvalid

__all__ = ["Listener", "RunRequest", "judge", "prepare", "run"]

Keep = Callable[[MilestoneResult, str], None]
END_BUDGET = 40.0
"""Seconds in which judges in threads must have left, with all that they started."""


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
    judges: int = 1,
) -> Report:
    """One run at venues of its own, of which nothing is left afterwards. Arguments as of ``Venue`` and ``judge``.

    ``judges``: so many milestones at a time; those beside the first leave where their services do not fit into memory.
    """
    with Venue(request.lab, engine=engine, recipes=recipes, owner=owner, folder=folder) as venue:
        if judges == 1:
            return judge(request, venue, engine_reason=engine_reason, listener=listener, last=True, keep=keep)
        return _report(request, venue, engine_reason, _Run(request, listener, keep, judges),
                       lambda one: _side_by_side(one, venue, judges))


def judge(
    request: RunRequest, venue: Venue, *, engine_reason: str, listener: Listener, last: bool = False,
    keep: Keep | None = None, cancel: Cancel = NEVER,
) -> Report:
    """Judge the milestones of the request, in their order. With ``last`` the venue is left before it returns.

    ``keep`` is told of the first milestone that failed and of the environment of its space, which then stays.
    ``KeyboardInterrupt`` ends the run: the report says so and what is known by then. So does ``cancel``, and it leaves
    the venue ready for the next run.
    """

    def work(run: _Run) -> None:
        try:
            _Lane(run, venue, cancel).work()
        finally:
            if last:
                venue.close()

    return _report(request, venue, engine_reason, _Run(request, listener, keep), work)


def _side_by_side(run: _Run, first: Venue, judges: int) -> None:
    """Judges at venues of their own, each in a thread, until all is judged; then their venues are left.

    Whoever is interrupted, or has a fault that is not a verdict, ends it for all.
    """
    cancel = Cancel()

    def work(number: int) -> None:
        try:
            with first if number == 1 else first.another(number) as venue:
                _Lane(run, venue, cancel, helper=number > 1).work()
        except Cancelled:
            pass  # whoever asked for it says why
        except BaseException:
            cancel.ask()
            raise

    working = Together(work, range(1, judges + 1))
    try:
        working.start()
        working.wait()
    finally:
        cancel.ask()
        working.settle(END_BUDGET)


def _report(request: RunRequest, venue: Venue, engine_reason: str, run: _Run, work: Callable[[_Run], None]) -> Report:
    """Do it, and what came of it."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    interrupted = False
    try:
        keep_memory_private()  # before anything of the learner's runs
        work(run)
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
        milestones=run.all_results(),
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
    """What all judges of a run share: whose turn it is, what is built, the first failure that is kept."""

    def __init__(self, request: RunRequest, listener: Listener, keep: Keep | None, judges: int = 1) -> None:
        self.request = request
        self.listener = listener
        self.turns = Turns([plan for plan in request.milestones if plan.role != "later"], judges)
        self.files = Unspoilt(request.lab.folder)
        self._keep = keep
        self._lock = threading.Lock()
        self._built = False
        self.invalid: TargetInvalid | None = None
        """What makes the workspace unbuildable."""

    def build(self, cancel: Cancel) -> None:
        """Build the workspace, whoever comes first."""
        from orchestrator.targets.build import build
        from orchestrator.targets.process import TargetInvalid

        request = self.request
        with self._lock:
            if not self._built:
                self.listener.on_phase(request.lab.name, "build")
                try:
                    build(request.workspace, budget=build_budget(request.lab, request.workspace), cache=request.cache,
                          cancel=cancel)
                except TargetInvalid as error:
                    self.invalid = error
                self._built = True

    def decide(self, turn: Turn, result: MilestoneResult, environment: str) -> bool:
        """Publish the result, if it is one; whether the space of this environment is kept for somebody to look into."""
        if not self.turns.decide(turn, result):
            return False
        self.listener.on_milestone(result)
        with self._lock:
            keep = self._keep if result.verdict in BLAMED and result.port else None
            if keep is not None:
                self._keep = None
        if keep is not None:
            keep(result, environment)
        return keep is not None

    def all_results(self) -> tuple[MilestoneResult, ...]:
        """A result for every planned milestone, judged or not, in the plan's order."""
        results = self.turns.decided()
        return tuple(
            results.get(plan.milestone.id)
            or (
                _result(plan, Verdict.BLOCKED, "later", "not judged in this run")
                if plan.role == "later"
                else _result(plan, Verdict.ERROR, "interrupted", "not judged: the run was interrupted")
            )
            for plan in self.request.milestones
        )


class _Lane:
    """One judge at a venue, milestone after milestone. A ``helper`` leaves where services cannot be had once more."""

    def __init__(self, run: _Run, venue: Venue, cancel: Cancel, *, helper: bool = False) -> None:
        self._run = run
        self._request = run.request
        self._venue = venue
        self._cancel = cancel
        self._helper = helper
        self._stage: Stage | None = None
        self._lost: EnvironmentFault | None = None
        """What is wrong with the space, if anything."""

    def work(self) -> None:
        """Take turns until there are none."""
        turns = self._run.turns
        while (turn := turns.take(self._cancel)) is not None:
            if self._known(turn.plan) is None and self._stage is None and self._lost is None:
                self._open()
            result = self._known(turn.plan)
            if result is None and self._lost is not None:
                if self._helper:
                    turns.leave(turn)
                    return
                result = _lost(turn.plan, self._lost)
            if result is None and self._stage is not None:
                result = self._by_what_it_was(self._judged(self._stage, turn))
            if self._run.decide(turn, result or _result(turn.plan, Verdict.UNJUDGED), self._venue.environment):
                self._venue.set_aside()
                self._stage = None

    def _known(self, plan: PlannedMilestone) -> MilestoneResult | None:
        """The result of a milestone that need not, or cannot, be judged."""
        invalid = self._run.invalid
        if invalid is None:
            return self._unjudged(plan) or self._blocked(plan)
        verdict = Verdict.ERROR if invalid.ours else Verdict.INVALID
        return dataclasses.replace(_result(plan, verdict, invalid.reason, str(invalid)), server_log=invalid.log,
                                   advice=invalid.advice)

    def _by_what_it_was(self, result: MilestoneResult) -> MilestoneResult:
        """The result, if nobody has changed who gave it."""
        path = self._run.files.changed()
        if not path:
            return result
        message = f"{path} was changed while your server was judged: run it once more when nobody writes there"
        return dataclasses.replace(result, verdict=Verdict.ERROR, reason="judge-changed", message=message,
                                   checks=excuse(result.checks, Verdict.ERROR, "judge-changed", message))

    def _open(self) -> None:
        """A built server, if it can be built, and a space whose services run; or what is wrong with it."""
        lab, venue = self._request.lab, self._venue
        possible = [plan for plan in self._run.turns.planned if self._unjudged(plan) is None]
        try:
            venue.expect_children()  # first of all: that takes as long as the services
            # The lab's other services sleep until the server asks for them.
            venue.begin(frozenset(service for plan in possible for service in plan.milestone.services))
        except EnvironmentFault as error:
            if not self._helper:
                raise
            self._lost = error
            return
        if self._request.attached is None:
            self._run.build(self._cancel)
            if self._run.invalid is not None:
                return
        self._cancel.look()
        self._run.listener.on_phase(lab.name, "space")
        self._lost = venue.opened()
        self._stage = Stage(
            lab=lab, workspace=self._request.workspace, seed=self._request.seed, engine=venue.engine,
            space=venue.space, proxy=venue.proxy, control_port=venue.control.port, folder=venue.folder,
            child=venue.child, listener=self._run.listener, cancel=self._cancel, ahead=venue.ahead,
            attached=self._request.attached, show=venue.show, shuffle=self._request.shuffle,
            showing=self._request.showing,
        )

    # --- one milestone -----------------------------------------------------------------------------------------

    def _judged(self, stage: Stage, turn: Turn) -> MilestoneResult:
        """The milestone's result, after a second attempt if the first was an error.

        A server that had to wait for a service to wake, and then was found wrong, was not judged on what it would
        have found: it is judged again, with the service there from the start. Each wakes but once.
        """
        plan = turn.plan
        checks = _checks_of(plan.milestone)
        if isinstance(checks, str):
            return _result(plan, Verdict.ERROR, "lab-invalid", checks)
        every = len(checks)
        if stage.showing is not None:
            checks = exploring(checks)
        wanted = self._request.only.get(plan.milestone.id)
        if wanted is not None:
            checks = tuple(check for check in checks if check.id in wanted)
        errors = number = 0
        while True:
            number += 1
            self._lost, woken = None, False
            try:
                result = attempt(stage, plan, checks, number=number, following=turn.following,
                                 some=len(checks) < every)
                woken = result.verdict in BLAMED and bool(stage.space.woken)
            except SpaceLost as error:
                self._lost = error
                result = dataclasses.replace(_lost(plan, error), attempts=number)
            errors += result.verdict is Verdict.ERROR
            if not woken and (result.verdict is not Verdict.ERROR or errors == 2):
                return result

    def _blocked(self, plan: PlannedMilestone) -> MilestoneResult | None:
        need = blocker(plan.milestone, {name: one.verdict for name, one in self._run.turns.decided().items()})
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
