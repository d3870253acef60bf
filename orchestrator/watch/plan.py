"""Which milestone is watched, and which ones that passed before are judged after it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.model import Lab, Milestone
from orchestrator.workspace.select import PlannedMilestone, in_turn, next_milestone


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """``watched``: ``None`` when every milestone has passed; then ``passed`` has them all."""

    lab: Lab
    watched: Milestone | None
    passed: tuple[Milestone, ...]

    def first(self) -> tuple[PlannedMilestone, ...]:
        """The watched one alone; the others are listed."""
        return tuple(PlannedMilestone(one, "next" if one is self.watched else "later") for one in self.lab.milestones)

    def regression(self) -> tuple[PlannedMilestone, ...]:
        """The ones that passed before, to be judged when the watched one has passed."""
        return tuple(PlannedMilestone(one, "regression") for one in self.passed)


def make_plan(lab: Lab, passed: Collection[str], *, milestone: str, ahead: bool) -> WatchPlan:
    """``milestone``: the id watched until now, or ``""``. ``ahead``: leave it for the one that can be tried next."""
    known = next((one for one in lab.milestones if one.id == milestone), None)
    if ahead:
        known = following(lab, passed, after=milestone) or known
    watched = known or next_milestone(lab, passed)
    return WatchPlan(lab, watched, tuple(one for one in lab.milestones if one.id in passed and one is not watched))


def following(lab: Lab, passed: Collection[str], *, after: str) -> Milestone | None:
    """The first one behind ``after``, else from the beginning, that has not passed and whose needs have."""
    known = in_turn(lab)
    ids = [one.id for one in known]
    turn = ids.index(after) + 1 if after in ids else 0
    order = [*known[turn:], *known[:turn]]
    return next((one for one in order
                 if one.id != after and one.id not in passed and all(need in passed for need in one.needs)), None)
