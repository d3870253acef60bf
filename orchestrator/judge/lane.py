"""Judges of one run: what they share, and what each does at its venue, milestone after milestone."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.attempt import Listener, SpaceLost, Stage, attempt, excuse
from orchestrator.judge.request import RunRequest
from orchestrator.judge.seat import Marks
from orchestrator.judge.showing import exploring
from orchestrator.judge.turns import Turn, Turns
from orchestrator.judge.unspoilt import Unspoilt
from orchestrator.judge.venue import Venue
from orchestrator.judge.verdict import Expected, expected_checks
from orchestrator.model import Milestone, Verdict
from orchestrator.report.result import BLAMED, MilestoneResult
from orchestrator.system.interrupt import TICK, Cancel
from orchestrator.system.text import listed
from orchestrator.workspace.budgets import build_budget
from orchestrator.workspace.select import PlannedMilestone, blocker

if TYPE_CHECKING:
    from orchestrator.targets.process import TargetInvalid

Keep = Callable[[MilestoneResult, str, Mapping[str, Marks]], None]
"""Told of the first failure, of the environment of its space, and by what its services are known again."""


class Course:
    """What all judges of a run share: whose turn it is, what is built, the first failure that is kept."""

    def __init__(self, request: RunRequest, listener: Listener, keep: Keep | None, judges: int = 1) -> None:
        self.request = request
        self.listener = listener
        self.turns = Turns([plan for plan in request.milestones if plan.role != "later"], judges)
        self.files = Unspoilt(request.lab.folder)
        self.opened = threading.Event()
        """The first judge has what it needs, or can't have it."""
        self._keep = keep
        self._lock = threading.Lock()
        self._built = False
        self.invalid: TargetInvalid | None = None
        """What makes the workspace unbuildable."""

    def wait_opened(self, cancel: Cancel) -> None:
        """See ``opened``."""
        while not self.opened.wait(TICK):
            cancel.look()

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

    def decide(self, turn: Turn, result: MilestoneResult, venue: Venue) -> bool:
        """Publish the result, if it is one; whether the venue's space is kept for somebody to look into."""
        if not self.turns.decide(turn, result):
            return False
        self.listener.on_milestone(result)
        with self._lock:
            keep = self._keep if result.verdict in BLAMED and result.port else None
            if keep is not None:
                self._keep = None
        if keep is not None:
            keep(result, venue.environment, venue.space.marks())
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


class Lane:
    """One judge at a venue, milestone after milestone. A ``helper`` leaves where services cannot be had once more."""

    def __init__(self, course: Course, venue: Venue, cancel: Cancel, *, helper: bool = False) -> None:
        self._course = course
        self._request = course.request
        self._venue = venue
        self._cancel = cancel
        self._helper = helper
        self._stage: Stage | None = None
        self._lost: EnvironmentFault | None = None
        """What is wrong with the space, if anything."""

    def work(self) -> None:
        """Take turns until there are none."""
        turns = self._course.turns
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
            if self._course.decide(turn, result or _result(turn.plan, Verdict.UNJUDGED), self._venue):
                self._venue.set_aside()
                self._stage = None

    def _known(self, plan: PlannedMilestone) -> MilestoneResult | None:
        """The result of a milestone that need not, or cannot, be judged."""
        invalid = self._course.invalid
        if invalid is None:
            return self._unjudged(plan) or self._blocked(plan)
        verdict = Verdict.ERROR if invalid.ours else Verdict.INVALID
        return dataclasses.replace(_result(plan, verdict, invalid.reason, str(invalid)), server_log=invalid.log,
                                   advice=invalid.advice)

    def _by_what_it_was(self, result: MilestoneResult) -> MilestoneResult:
        """The result, if nobody has changed who gave it."""
        path = self._course.files.changed()
        if not path:
            return result
        message = f"{path} was changed while your server was judged: run it once more when nobody writes there"
        return dataclasses.replace(result, verdict=Verdict.ERROR, reason="judge-changed", message=message,
                                   checks=excuse(result.checks, Verdict.ERROR, "judge-changed", message))

    def _open(self) -> None:
        """A built server, if it can be built, and a space whose services run; or what is wrong with it."""
        lab, venue = self._request.lab, self._venue
        possible = [plan for plan in self._course.turns.planned if self._unjudged(plan) is None]
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
            self._course.build(self._cancel)
            if self._course.invalid is not None:
                return
        self._cancel.look()
        self._course.listener.on_phase(lab.name, "space")
        self._lost = venue.opened()
        self._course.opened.set()
        self._stage = Stage(
            lab=lab, workspace=self._request.workspace, seed=self._request.seed, engine=venue.engine,
            space=venue.space, proxy=venue.proxy, control_port=venue.control.port, folder=venue.folder,
            child=venue.child, listener=self._course.listener, cancel=self._cancel, ahead=venue.ahead,
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
        again = ""
        while True:
            number += 1
            self._lost = None
            woken: frozenset[str] = frozenset()
            try:
                result = attempt(stage, plan, checks, number=number, following=turn.following,
                                 some=len(checks) < every)
                woken = stage.space.woken if result.verdict in BLAMED else woken
            except SpaceLost as error:
                self._lost = error
                result = dataclasses.replace(_lost(plan, error), attempts=number)
            errors += result.verdict is Verdict.ERROR
            if not woken and (result.verdict is not Verdict.ERROR or errors == 2):
                return dataclasses.replace(result, again=again)
            again = f"{listed(sorted(woken))} had to be started first" if woken else again

    def _blocked(self, plan: PlannedMilestone) -> MilestoneResult | None:
        need = blocker(plan.milestone, {name: one.verdict for name, one in self._course.turns.decided().items()})
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
    """The checks that must run, or what is wrong with one of the lab's files."""
    found: list[Expected] = []
    for path in milestone.checks:
        try:
            checks = expected_checks(milestone.id, path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError) as error:
            return f"the lab's check file {path.name} cannot be read: {error}"
        if not checks:
            return f"the lab's check file {path.name} has no checks"
        found += checks
    return tuple(found)


def _lost(plan: PlannedMilestone, error: LabsError) -> MilestoneResult:
    result = _result(plan, Verdict.ERROR, error.code, "\n".join([error.message, *error.details]))
    return dataclasses.replace(result, advice=error.hint or "")


def _result(plan: PlannedMilestone, verdict: Verdict, reason: str = "", message: str = "") -> MilestoneResult:
    milestone = plan.milestone
    return MilestoneResult(
        milestone.id, milestone.title, verdict, plan.role, reason=reason, message=message, points=milestone.points,
        brief=str(milestone.brief),
    )
