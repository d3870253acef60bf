"""Which milestones a run judges, in which role, and which of them a failure in the run blocks. Pure."""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Lab, Milestone, Verdict
from orchestrator.report.result import BLAMED

Role = Literal["next", "regression", "asked", "need", "later"]

FAILED = BLAMED | {Verdict.BLOCKED}
"""Verdicts of a need that block what needs it; ``error`` and ``unjudged`` say nothing about the server."""


@dataclass(frozen=True, slots=True)
class PlannedMilestone:
    """A milestone and why it is in the plan. ``later``: listed, not run."""

    milestone: Milestone
    role: Role


def select(
    lab: Lab, *, passed: Mapping[str, str], content: str, asked: Collection[Milestone] = (), everything: bool = False,
    only: bool = False,
) -> tuple[PlannedMilestone, ...]:
    """The plan of a run, needs before what needs them, else in the lab's order.

    ``passed`` maps milestone id -> the content key it passed with (empty: it failed since); ``content`` is the
    workspace's key now. Without ``asked`` and ``everything``: what the learner works on comes first (milestones that
    failed since they passed, then the next one), then the other passed ones as regression, then the rest as ``later``.
    What ``asked`` milestones need comes with them unless it passed with this very content. ``only``: nothing is judged
    beside what the learner works on, or beside ``asked``.
    """
    if everything:
        asked = lab.milestones
    if not asked:
        planned = _ordered(lab, _progress(lab, passed))
        ordered = sorted(planned, key=lambda one: _turn(one, passed))
        return tuple(one for one in ordered if not only or _turn(one, passed) != REGRESSION)
    roles: dict[str, Role] = {milestone.id: "asked" for milestone in asked}
    for need in () if only else _unproved(lab, asked, passed, content):
        roles.setdefault(need, "need")
    return _ordered(lab, roles)


def in_turn(lab: Lab) -> tuple[Milestone, ...]:
    """The order in which a learner is led through a lab: its own, the core before what goes deeper."""
    return tuple(sorted(lab.milestones, key=lambda milestone: milestone.level != "core"))


def next_milestone(lab: Lab, passed: Collection[str]) -> Milestone | None:
    """The first milestone in turn that has not passed and whose needs have; ``None`` when all have."""
    for milestone in in_turn(lab):
        if milestone.id not in passed and all(need in passed for need in milestone.needs):
            return milestone
    return None


def blocker(milestone: Milestone, verdicts: Mapping[str, Verdict]) -> str | None:
    """The need that did not pass in this run, or ``None``. ``verdicts`` are those of the run so far, by id."""
    return next((need for need in milestone.needs if verdicts.get(need) in FAILED), None)


def _progress(lab: Lab, passed: Mapping[str, str]) -> dict[str, Role]:
    following = next_milestone(lab, passed)
    roles: dict[str, Role] = {}
    for milestone in lab.milestones:
        if milestone.id in passed:
            roles[milestone.id] = "regression"
        else:
            roles[milestone.id] = "next" if milestone is following else "later"
    return roles


BROKEN, WORKED_ON, REGRESSION, LATER = range(4)


def _turn(planned: PlannedMilestone, passed: Mapping[str, str]) -> int:
    """When it is judged: a learner waits for the verdict about today's work, not for the ones that they know."""
    if planned.role == "next":
        return WORKED_ON
    if planned.role == "later":
        return LATER
    return REGRESSION if passed[planned.milestone.id] else BROKEN


def _unproved(lab: Lab, asked: Iterable[Milestone], passed: Mapping[str, str], content: str) -> list[str]:
    """What these milestones need, directly or not, and has not been proved for this content.

    A proved need ends the walk: it was judged together with its own needs.
    """
    needs = {milestone.id: milestone.needs for milestone in lab.milestones}
    found: dict[str, None] = {}
    waiting = [need for milestone in asked for need in milestone.needs]
    while waiting:
        need = waiting.pop()
        if need not in found and passed.get(need) != content:
            found[need] = None
            waiting.extend(needs[need])
    return list(found)


def _ordered(lab: Lab, roles: Mapping[str, Role]) -> tuple[PlannedMilestone, ...]:
    """The lab's order, except that a need never stands behind what needs it: the order in which each one is next."""
    place = {milestone.id: number for number, milestone in enumerate(lab.milestones)}
    waiting = graphlib.TopologicalSorter({milestone.id: milestone.needs for milestone in lab.milestones})
    waiting.prepare()
    ready: list[int] = []
    found = []
    while waiting.is_active():
        for name in waiting.get_ready():
            heapq.heappush(ready, place[name])
        milestone = lab.milestones[heapq.heappop(ready)]
        waiting.done(milestone.id)
        if milestone.id in roles:
            found.append(PlannedMilestone(milestone, roles[milestone.id]))
    return tuple(found)
